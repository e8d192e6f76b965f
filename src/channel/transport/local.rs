//! Connections within the process: the same bytes as over a socket, through memory.
//!
//! Contract: one listener to a name. A name is free again when its listener is dropped. Connecting to a name that
//! nobody listens at is refused at once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Bytes that may lie in a connection, each way.
const BUFFER: usize = 256 << 10;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 1024;

static LISTENING: Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>> = Mutex::new(BTreeMap::new());

fn listening() -> MutexGuard<'static, BTreeMap<String, mpsc::Sender<DuplexStream>>> {
    // every critical section is one call: what a panicking holder left is whole
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of a name at which connections arrive.
#[derive(Debug)]
pub(super) struct Queue {
    name: String,
    arriving: mpsc::Receiver<DuplexStream>,
}

impl Queue {
    pub(super) fn bind(name: &str) -> io::Result<Queue> {
        let (sender, arriving) = mpsc::channel(BACKLOG);
        let mut listening = listening();
        if listening.contains_key(name) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another container of this process has this name",
            ));
        }
        listening.insert(name.into(), sender);
        Ok(Queue { name: name.into(), arriving })
    }

    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<DuplexStream> {
        match self.arriving.poll_recv(cx) {
            Poll::Ready(Some(stream)) => Poll::Ready(stream),
            // the sender is in the table as long as this lives
            _ => Poll::Pending,
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        listening().remove(&self.name);
    }
}

/// Both ends of a connection.
pub(super) fn pair() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(BUFFER)
}

pub(super) fn connect(name: &str) -> io::Result<DuplexStream> {
    let refused =
        || io::Error::new(io::ErrorKind::ConnectionRefused, "no container of this process has this name");
    let sender = listening().get(name).cloned().ok_or_else(refused)?;
    let (ours, theirs) = pair();
    match sender.try_send(theirs) {
        Ok(()) => Ok(ours),
        Err(mpsc::error::TrySendError::Full(_)) => {
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections wait there"))
        }
        Err(mpsc::error::TrySendError::Closed(_)) => Err(refused()),
    }
}
