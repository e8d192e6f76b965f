//! Programs as processes of their own, which end with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a program may take for what is asked of it, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a program has ended, and what nobody had read of it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// on its standard output
    pub(crate) said: Vec<String>,
    /// on its standard error
    pub(crate) complained: Vec<String>,
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

    /// Waits for its end; all that it has printed and nobody has read. It must have succeeded.
    pub(crate) fn finish(self) -> Vec<String> {
        let name = self.name.clone();
        let Ended { status, said, complained } = self.ended();
        assert!(status.success(), "{name}: {status}\n{}\n{}", said.join("\n"), complained.join("\n"));
        said
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
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
        Ended { status, said: self.lines.iter().collect(), complained: self.complaints.iter().collect() }
    }

    /// Asks it to end, as Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill is everywhere").success());
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
