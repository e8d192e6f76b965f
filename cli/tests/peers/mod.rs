//! Where the Python with the peers is.

use std::path::{Path, PathBuf};

/// The Python interpreter that has the peers, or `None` if they are not installed.
///
/// `ISOCHRONE_PEERS_PYTHON` names another one than that of `target/peers`.
pub(crate) fn peers_python() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/python");
    let python = std::env::var_os("ISOCHRONE_PEERS_PYTHON").map_or(installed, PathBuf::from);
    python.exists().then_some(python)
}
