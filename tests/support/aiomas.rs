//! Programs of the real aiomas, as peers of a test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use tokio::sync::oneshot;

#[path = "../peers/setup.rs"]
mod setup;

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(setup::python());
    command.arg(setup::root().join("tests/peers/aiomas/aiomas_peer.py")).args(args);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// One that listens until it is dropped.
pub(crate) struct Peer {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    /// What it said before it was ready: the addresses of its agents.
    pub(crate) said: Vec<String>,
}

impl Peer {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Peer {
        let mut child = program(args).spawn().expect("Python starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            let read = stdout.read_line(&mut line).expect("it speaks UTF-8");
            assert!(read > 0, "the aiomas program {args:?} ended before it was ready; it said {said:?}");
            match line.trim().trim_matches('"') {
                "READY" => return Peer { child, _stdout: stdout, said },
                line => said.push(line.to_string()),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one to its end, beside the test's own tasks; returns what it printed last.
pub(crate) async fn run(args: &[&str]) -> String {
    let mut child = program(args).spawn().expect("Python starts");
    let (told, said) = oneshot::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = child.stdout.take().expect("piped").read_to_string(&mut text);
        let _ = child.wait();
        let _ = told.send(text);
    });
    said.await.expect("it was read").lines().last().unwrap_or_default().to_string()
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port()
}
