//! The bytes of one stream, both ways, for whoever owns the channel.
//!
//! Contract: nothing is reserved for an idle stream beyond 64 KiB; partial writes move nothing. Writes are coalesced, since
//! what is encoded is taken in one piece.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes read at once; they lie on the stack, so that an idle connection owns no buffer.
const READ: usize = 32 * 1024;

/// Memory the write buffer of an idle connection may keep.
const KEEP: usize = 64 * 1024;

/// The present, as the runtime has it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A stream with what is on its way out.
#[derive(Debug)]
pub(super) struct Pipe<S> {
    stream: S,
    /// Bytes on their way; taken from the channel in one piece.
    writing: Vec<u8>,
    /// How many of them are written.
    written: usize,
    /// Whether anything was written since [`progress`](Pipe::progress) was asked.
    progress: bool,
    unflushed: bool,
    /// Whether the peer will send nothing more.
    pub(super) ended: bool,
    /// Why writing stopped.
    pub(super) broken: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    pub(super) fn new(stream: S) -> Self {
        let writing = Vec::new();
        Pipe { stream, writing, written: 0, progress: false, unflushed: false, ended: false, broken: None }
    }

    /// Bytes on their way.
    pub(super) fn unwritten(&self) -> usize {
        self.writing.len() - self.written
    }

    /// Whether anything was written since this was asked last.
    pub(super) fn progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Reads once, and hands out what came.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        match buffer.filled() {
            [] => self.ended = true,
            bytes => take(bytes),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much as goes of what `refill` puts into the empty buffer, until it puts nothing; a failure is noted and
    /// ends the writing.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, refill: impl FnMut(&mut Vec<u8>)) -> Poll<()> {
        if self.broken.is_some() {
            return Poll::Ready(());
        }
        if let Err(error) = ready!(self.poll_write_all(cx, refill)) {
            self.writing = Vec::new();
            self.written = 0;
            self.broken = Some(error);
        }
        Poll::Ready(())
    }

    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        mut refill: impl FnMut(&mut Vec<u8>),
    ) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.writing.shrink_to(KEEP);
                self.written = 0;
                refill(&mut self.writing);
                if self.writing.is_empty() {
                    break;
                }
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
            self.progress = true;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Wakes the task at the channel's deadline.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when the deadline has passed; else the task is woken then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline.map(tokio::time::Instant::from_std) else { return Poll::Pending };
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}
