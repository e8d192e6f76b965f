//! What a recording costs: the program `isochrone demo`, with a journal and without, as anybody runs it; and how large it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use isochrone::journal::Reader;

use crate::{built, peers};

const JOURNAL: &str = "demo.jrn";

/// The program `isochrone`.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| built::program("cli/Cargo.toml", peers::target_dir(), "isochrone")).as_deref()
}

/// The demo, in a folder of its own, recorded at a level or not at all.
fn command(folder: &Path, level: Option<&str>) -> Option<Command> {
    let mut demo = Command::new(program()?);
    demo.current_dir(folder).args(["demo", "--copies", "10"]).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(level) = level {
        demo.args(["--record", JOURNAL, "--record-level", level]);
    }
    Some(demo)
}

/// Its wall time, in ms.
pub(crate) fn demo(level: Option<&str>) -> Option<f64> {
    let folder = tempfile::tempdir().ok()?;
    let mut demo = command(folder.path(), level)?;
    let start = Instant::now();
    let status = demo.status().ok()?;
    status.success().then(|| start.elapsed().as_secs_f64() * 1e3)
}

/// Bytes of its journal's file for each record, level events.
pub(crate) fn bytes() -> Option<f64> {
    let folder = tempfile::tempdir().ok()?;
    let status = command(folder.path(), Some("events"))?.status().ok()?;
    let path = folder.path().join(JOURNAL);
    let records = Reader::open(&path).ok()?.try_fold(0_u64, |count, entry| entry.map(|_| count + 1)).ok()?;
    let bytes = path.metadata().ok()?.len();
    status.success().then(|| bytes as f64 / records as f64)
}
