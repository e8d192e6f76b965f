//! What a recording costs: the program `isochrone demo`, with a journal and without, as anybody runs it.
//!
//! The program must have been built: `cargo build --release -p isochrone-cli`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The program of this build.
fn program() -> Option<PathBuf> {
    let bench = std::env::current_exe().ok()?;
    let program = bench.ancestors().nth(2)?.join("isochrone").with_extension(std::env::consts::EXE_EXTENSION);
    program.exists().then_some(program)
}

/// Wall time of the demo, in ms, recorded at a level or not at all.
pub(crate) fn demo(level: Option<&str>) -> Option<f64> {
    let folder = tempfile::tempdir().ok()?;
    let mut demo = Command::new(program()?);
    demo.current_dir(folder.path())
        .args(["demo", "--copies", "10"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(level) = level {
        demo.args(["--record", "demo.jrn", "--record-level", level]);
    }
    let start = Instant::now();
    let status = demo.status().ok()?;
    status.success().then(|| start.elapsed().as_secs_f64() * 1e3)
}
