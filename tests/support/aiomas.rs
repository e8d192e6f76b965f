//! Programs of the real aiomas, as peers of a test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use programs::Program;
use tokio::sync::oneshot;

#[path = "programs.rs"]
pub(crate) mod programs;
#[path = "../peers/setup.rs"]
mod setup;

/// The interpreter with the real aiomas.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(setup::python);

/// A script of `tests/peers/aiomas/`.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(&*PYTHON);
    command.arg(setup::root().join("tests/peers/aiomas").join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// One that listens until it is dropped.
pub(crate) struct Peer {
    _program: Program,
    /// What it said before it was ready: the addresses of its agents.
    pub(crate) said: Vec<String>,
}

impl Peer {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Peer {
        let program = Program::start(python("aiomas_peer.py").args(args));
        let said = program.until("READY").iter().map(|line| line.trim_matches('"').to_string()).collect();
        Peer { _program: program, said }
    }
}

/// Runs one to its end, beside the test's own tasks; returns what it printed last.
pub(crate) async fn run(args: &[&str]) -> String {
    let mut command = python("aiomas_peer.py");
    command.args(args);
    let (told, said) = oneshot::channel();
    std::thread::spawn(move || {
        let said = Program::start(&mut command).ended().said.pop();
        told.send(said.unwrap_or_default())
    });
    said.await.expect("it has ended")
}
