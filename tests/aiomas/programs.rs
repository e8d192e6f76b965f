//! The programs of the tests: the real aiomas in Python, and ours.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::setup;

/// How long a program may take for what is asked of it, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interpreter with the real aiomas.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(setup::python);

pub(crate) const CODECS: [&str; 3] = ["json", "msgpack", "blosc"];

/// Who runs a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Rust,
    Python,
}

impl Side {
    /// `aiomas_peer` of this side.
    pub(crate) fn peer(self) -> Command {
        match self {
            Side::Rust => Command::new(example_of("aiomas_peer")),
            Side::Python => python("aiomas_peer.py"),
        }
    }
}

/// A script of `tests/peers/aiomas/`.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(&*PYTHON);
    command.arg(scripts().join(script));
    command
}

pub(crate) fn scripts() -> PathBuf {
    setup::root().join("tests/peers/aiomas")
}

/// An example of this build: `cargo test` has just made it, next to the directory of this test.
pub(crate) fn example_of(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing; build it with `cargo build --examples`", path.display());
    path
}

/// A program that runs until this is dropped.
pub(crate) struct Program {
    child: Child,
    /// whose end is that of a script
    _stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
    name: String,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Program {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let stdin = child.stdin.take();
        Program { child, _stdin: stdin, lines: lines(stdout), complaints: lines(stderr), name }
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("{} printed nothing more ({error}):\n{}", self.name, self.complaints()),
        }
    }

    /// What it prints before this line.
    pub(crate) fn until(&self, last: &str) -> Vec<String> {
        std::iter::from_fn(|| Some(self.line()).filter(|line| line != last)).collect()
    }

    /// Waits for its end; all that it has printed. It must have succeeded.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None => {
                    assert!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.complaints())
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // which end with the program
        let said: Vec<String> = self.lines.iter().collect();
        assert!(status.success(), "{}: {status}\n{}\n{}", self.name, said.join("\n"), self.complaints());
        said
    }

    fn complaints(&self) -> String {
        std::iter::from_fn(|| self.complaints.recv_timeout(Duration::from_millis(200)).ok())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Addresses that nobody has: ports, or sockets in a directory.
pub(crate) fn free_address(transport: &str, directory: &Path, name: &str) -> String {
    match transport {
        "tcp" | "tls" => format!("127.0.0.1:{}", free_port()),
        _ => directory.join(name).display().to_string(),
    }
}

/// The address of an agent, or of a container.
pub(crate) fn url(address: &str) -> String {
    if address.contains('/') { format!("ipc://[{address}]") } else { format!("tcp://{address}") }
}
