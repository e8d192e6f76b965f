//! The one driver that moves a channel's bytes over a stream.
//!
//! Why one future for both directions: if each side first writes all and then reads, two full socket buffers wait for
//! each other for ever. So whenever this driver waits, it waits to read *and* to write:
//!
//! ```text
//!        we                                    peer
//!   write blocked --> [ buffer full ] -->  not reading, for it is
//!   not reading   <-- [ buffer full ] <--  write blocked itself
//! ```
//!
//! Contract
//! * [`event`](Connection::event) is cancel-safe: dropped between polls it loses nothing, so it may stand in a `select`.
//! * Writes are coalesced: what the owner encodes while it handles the events of one read goes out together, once
//!   nothing more is there to handle. The owner must come back to `event` (or [`flush`](Connection::flush)) after
//!   encoding.
//! * While the channel is saturated nothing is read; the peer feels it as a full buffer.
//!
//! Failure modes: a failed write is reported only when nothing more can be read, so what the peer said last (a
//! reply, mosaik's `stop`) still arrives. After an error or the end, what was in flight ends, then `event` yields `None`.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Channel, ChannelError, Config, Event};

/// Bytes read at once; they lie on the stack, so that an idle connection owns no buffer.
const READ: usize = 32 * 1024;

/// Memory the write buffer of an idle connection may keep.
const KEEP: usize = 64 * 1024;

/// A channel over a stream.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    channel: Channel,
    /// Bytes on their way; taken from the channel in one piece, so that partial writes move nothing.
    writing: Vec<u8>,
    /// How many of them are written.
    written: usize,
    unflushed: bool,
    /// Whether the peer will send nothing more.
    ended: bool,
    /// Why writing stopped.
    broken: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over this stream with a fresh channel.
    pub fn new(stream: S, config: Config) -> Self {
        Connection {
            stream,
            channel: Channel::new(config),
            writing: Vec::new(),
            written: 0,
            unflushed: false,
            ended: false,
            broken: None,
        }
    }

    /// The channel, to send requests and replies.
    pub fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// Waits for the next thing that happens, reading and writing meanwhile; `None` when the connection has ended.
    ///
    /// # Errors
    /// What ends the connection, once.
    pub async fn event(&mut self) -> Result<Option<Event>, ChannelError> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, ChannelError>> {
        loop {
            if let Some(event) = self.channel.next()? {
                return Poll::Ready(Ok(Some(event)));
            }
            if self.channel.closed().is_some() {
                return Poll::Ready(Ok(None));
            }
            if self.ended {
                self.channel.end()?;
                continue;
            }
            // Pending or not: what matters is that the task is woken when writing can go on.
            let _ = self.poll_write_or_note(cx);
            let limit = self.channel.config().max_unread;
            let len = self.unwritten();
            if len > limit {
                return Poll::Ready(Err(self.fatal(ChannelError::SlowConsumer { len, limit })));
            }
            let read = if self.channel.saturated() { Poll::Pending } else { self.poll_read(cx) };
            match (read, self.broken.take()) {
                (Poll::Ready(Ok(())), broken) => self.broken = broken,
                (Poll::Ready(Err(error)), _) | (Poll::Pending, Some(error)) => {
                    return Poll::Ready(Err(self.fatal(error.into())));
                }
                (Poll::Pending, None) => return Poll::Pending,
            }
        }
    }

    /// Writes out everything that is encoded. What arrives meanwhile is kept for [`event`](Connection::event).
    ///
    /// # Errors
    /// The stream cannot be written.
    pub async fn flush(&mut self) -> Result<(), ChannelError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        loop {
            let written = self.poll_write_or_note(cx);
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Err(self.fatal(error.into())));
            }
            if written.is_ready() {
                return Poll::Ready(Ok(()));
            }
            // A peer that is itself blocked writing must be read from, but not without bound.
            if self.ended || self.channel.buffered() > self.channel.config().max_frame {
                return Poll::Pending;
            }
            if let Err(error) = ready!(self.poll_read(cx)) {
                return Poll::Ready(Err(self.fatal(error.into())));
            }
        }
    }

    /// Writes out everything, then says goodbye to the stream. What is in flight ends; `event` still yields it.
    ///
    /// The peer may take its time: put a timeout around it.
    ///
    /// # Errors
    /// The stream cannot be written; it is then closed all the same.
    pub async fn shutdown(&mut self) -> Result<(), ChannelError> {
        let flushed = self.flush().await;
        self.channel.close("the connection was closed on this side");
        let closed = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await;
        flushed?;
        closed.map_err(ChannelError::from)
    }

    /// Bytes that the peer has not taken yet.
    pub fn unwritten(&mut self) -> usize {
        self.writing.len() - self.written + self.channel.outgoing().len()
    }

    fn fatal(&mut self, error: ChannelError) -> ChannelError {
        self.channel.close(&error.to_string());
        error
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        match buffer.filled() {
            [] => self.ended = true,
            bytes => self.channel.receive(bytes),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much as goes; a failure is noted and ends the writing.
    fn poll_write_or_note(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.broken.is_some() {
            return Poll::Ready(());
        }
        if let Err(error) = ready!(self.poll_write(cx)) {
            self.writing = Vec::new();
            self.written = 0;
            self.broken = Some(error);
        }
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.writing.shrink_to(KEEP);
                self.written = 0;
                if self.channel.outgoing().is_empty() {
                    break;
                }
                std::mem::swap(&mut self.writing, self.channel.outgoing());
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
