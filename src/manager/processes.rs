//! Worker processes of this program.
//!
//! Why pipes: a child whose standard input ends has no parent any more, however that died; so workers that watch it
//! (`worker --with-parent`) are never orphans, without a word of protocol. And what a child says is captured by the line,
//! and told with its name in front.
//!
//! ```text
//!   started ── "listening at URL" on stdout ──> ready ── ends by itself, killed ──> gone, told by its name
//!      │ ends, or says nothing in time                │
//!      v                                              └── stop: its input ends, it ends; else it is killed
//!   WorkerError, with what it said last
//! ```
//!
//! Contract: dropping [`Workers`] kills those that still run. Lines are cut at 8 KiB.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::channel::Endpoint;

/// What a worker says first, in front of its address.
const READY: &str = "listening at ";

/// Bytes of a line; a longer one is told in pieces.
const LINE: usize = 8 * 1024;

/// Time for what a worker said before its end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Lines that a worker said last, kept for errors.
const KEPT: usize = 10;

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// There is one of this name.
    #[error("a worker {name:?} runs already")]
    Taken {
        /// The name.
        name: String,
    },
    /// The process could not be started.
    #[error("worker {name}: {program} could not be started: {error}")]
    Start {
        /// The worker's name.
        name: String,
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// It has ended before it was ready.
    #[error("worker {name} ended ({status}) before it said where it listens; it said last:\n{said}")]
    Ended {
        /// The worker's name.
        name: String,
        /// How it ended.
        status: String,
        /// Its last lines.
        said: String,
    },
    /// It was not ready in time, and was killed.
    #[error("worker {name} did not say within {patience:?} where it listens; it said last:\n{said}")]
    Silent {
        /// The worker's name.
        name: String,
        /// The time it had.
        patience: Duration,
        /// Its last lines.
        said: String,
    },
}

/// A worker that has ended though nobody told it to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gone {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: io::Result<ExitStatus>,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} has ended: {}", self.name, told(&self.status))
    }
}

fn told(status: &io::Result<ExitStatus>) -> String {
    status.as_ref().map_or_else(|error| error.to_string(), ToString::to_string)
}

type Tell = Arc<dyn Fn(&str, &str) + Send + Sync>;
type Status = io::Result<ExitStatus>;

/// Worker processes of this program.
///
/// ```no_run
/// use isochrone::manager::{ManagerProxy, Workers};
/// use isochrone::prelude::*;
///
/// # async fn example(world: &Container) -> Result<(), Box<dyn std::error::Error>> {
/// let mut workers = Workers::new()?;
/// // `App` has the command `worker`
/// let north = workers.start("north", ["worker", "--bind", "tcp://127.0.0.1:0", "--with-parent"]).await?;
/// let manager: ManagerProxy = world.connect(&north.agent("0").to_string(), secs(5)).await?;
/// let (_, address) = manager.spawn("House".into(), Args::default().arg(3.5)).await?;
/// let house: Proxy = world.connect(&address, Duration::ZERO).await?;
/// manager.set_time((Time::ZERO + minutes(15)).into()).await?;
/// println!("{}", house.call("load").await?);
/// workers.stop(secs(5)).await;
/// # Ok(())
/// # }
/// ```
pub struct Workers {
    program: PathBuf,
    patience: Duration,
    tell: Tell,
    running: BTreeMap<String, Running>,
    /// those that watch a process each; aborted with this, and their processes killed
    watching: JoinSet<()>,
}

/// A process, as long as nobody has noticed its end.
#[derive(Debug)]
struct Running {
    /// whose end is the worker's
    stdin: Option<ChildStdin>,
    /// which kills by being dropped
    kill: oneshot::Sender<()>,
    ended: oneshot::Receiver<Status>,
    id: Option<u32>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workers").field(&self.running.keys()).finish()
    }
}

impl Workers {
    /// Workers that run this very program.
    ///
    /// # Errors
    /// It cannot be found out where the program is.
    pub fn new() -> io::Result<Self> {
        Ok(Workers::of(std::env::current_exe()?))
    }

    /// Workers that run another program.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        Workers {
            program: program.into(),
            patience: Duration::from_secs(30),
            tell: Arc::new(|name, line| eprintln!("{name} | {line}")),
            running: BTreeMap::new(),
            watching: JoinSet::new(),
        }
    }

    /// What is done with each line that a worker says, and its name; default: it goes to stderr, the name in front.
    #[must_use]
    pub fn output(mut self, tell: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// How long a worker may take until it listens; default 30 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts a worker and waits until it listens; returns where.
    ///
    /// Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn start<A: AsRef<OsStr>>(
        &mut self,
        name: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Endpoint, WorkerError> {
        if self.running.contains_key(name) {
            return Err(WorkerError::Taken { name: name.into() });
        }
        let mut command = Command::new(&self.program);
        command.args(args).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| WorkerError::Start {
            name: name.into(),
            program: self.program.display().to_string(),
            error,
        })?;
        let said = Said { name: name.into(), tell: self.tell.clone(), last: Arc::default() };
        let (ready, is_ready) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        let (noticed, ended) = oneshot::channel();
        let mut running = Running { stdin: child.stdin.take(), kill, ended, id: child.id() };
        let (stdout, stderr, heard) = (child.stdout.take(), child.stderr.take(), said.clone());
        let listening = tokio::spawn(async move {
            let mut ready = Some(ready);
            let stdout = lines(stdout, |line| {
                let url = line.strip_prefix(READY).and_then(|url| url.parse().ok());
                match url.and_then(|url: Endpoint| Some((url, ready.take()?))) {
                    Some((url, ready)) => drop(ready.send(url)),
                    None => heard.line(line),
                }
            });
            tokio::join!(stdout, lines(stderr, |line| heard.line(line)));
        });
        self.watching.spawn(watch(child, killed, listening, noticed));
        while self.watching.try_join_next().is_some() {}
        tokio::select! {
            biased;
            Ok(endpoint) = is_ready => {
                self.running.insert(name.into(), running);
                Ok(endpoint)
            }
            status = &mut running.ended => {
                let status = told(&status.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())));
                Err(WorkerError::Ended { name: name.into(), status, said: said.last() })
            }
            () = tokio::time::sleep(self.patience) => {
                Err(WorkerError::Silent { name: name.into(), patience: self.patience, said: said.last() })
            }
        }
    }

    /// The names of those that run, as far as is known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.running.keys().map(String::as_str)
    }

    /// The number of a worker's process, while it runs.
    pub fn process(&self, name: &str) -> Option<u32> {
        self.running.get(name)?.id
    }

    /// Waits until a worker ends that nobody has told to: it was killed, it failed, its master has said stop. For ever while
    /// none does; to be waited for beside the work.
    pub async fn gone(&mut self) -> Gone {
        let (name, status) = poll_fn(|cx| {
            let ended = self.running.iter_mut().find_map(|(name, running)| {
                match Pin::new(&mut running.ended).poll(cx) {
                    Poll::Ready(status) => Some((name.clone(), status)),
                    Poll::Pending => None,
                }
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        self.running.remove(&name);
        Gone { name, status: status.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())) }
    }

    /// Ends one by force.
    pub fn kill(&mut self, name: &str) {
        self.running.remove(name);
    }

    /// Lets all workers end, by the end of their input; who has not ended after `grace` is killed. Returns the names of
    /// those.
    pub async fn stop(mut self, grace: Duration) -> Vec<String> {
        let mut left = std::mem::take(&mut self.running);
        left.values_mut().for_each(|running| running.stdin = None);
        let deadline = tokio::time::Instant::now() + grace;
        let mut killed = Vec::new();
        for (name, Running { ended, kill, .. }) in left {
            if tokio::time::timeout_at(deadline, ended).await.is_err() {
                drop(kill);
                killed.push(name);
            }
        }
        // those that are killed are buried, too
        while self.watching.join_next().await.is_some() {}
        killed
    }
}

/// Waits for the end of a process, which may be asked for.
async fn watch(
    mut child: Child,
    killed: oneshot::Receiver<()>,
    listening: JoinHandle<()>,
    noticed: oneshot::Sender<Status>,
) {
    let status = tokio::select! {
        biased;
        status = child.wait() => status,
        _ = killed => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    // its last words, unless a child of its own holds the pipes
    let _ = tokio::time::timeout(LAST_WORDS, listening).await;
    let _ = noticed.send(status);
}

/// What a worker says.
#[derive(Clone)]
struct Said {
    name: Arc<str>,
    tell: Tell,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl Said {
    fn line(&self, line: &str) {
        (self.tell)(&self.name, line);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.truncate(KEPT - 1);
        last.push_front(line.into());
    }

    fn last(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().rev().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Reads a pipe to its end, line by line.
async fn lines(pipe: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&str)) {
    let Some(pipe) = pipe else { return };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(bytes) = reader.fill_buf().await {
        if bytes.is_empty() {
            break;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(bytes.len()).min(LINE - line.len());
        line.extend_from_slice(&bytes[..taken]);
        reader.consume(taken);
        if line.len() == LINE || line.ends_with(b"\n") {
            each(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    if !line.is_empty() {
        each(String::from_utf8_lossy(&line).trim_end());
    }
}
