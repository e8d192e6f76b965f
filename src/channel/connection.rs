//! A channel over a stream, moved by whoever asks for its events.
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
//! * The channel's deadlines are kept while somebody waits for an event.
//!
//! Failure modes: a failed write is reported only when nothing more can be read, so what the peer said last (a
//! reply, mosaik's `stop`) still arrives. After an error or the end, what was in flight ends, then `event` yields `None`.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::pipe::{Alarm, Pipe, now};
use super::{Channel, ChannelError, Config, Event};

/// A channel over a stream.
#[derive(Debug)]
pub struct Connection<S> {
    pipe: Pipe<S>,
    channel: Channel,
    alarm: Alarm,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over this stream with a fresh channel.
    pub fn new(stream: S, config: Config) -> Self {
        Connection { pipe: Pipe::new(stream), channel: Channel::new(config), alarm: Alarm::default() }
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
            if self.pipe.ended {
                self.channel.end()?;
                self.channel.close("the peer closed the connection");
                continue;
            }
            // Pending or not: what matters is that the task is woken when writing can go on.
            let _ = self.poll_write(cx);
            let (unwritten, progress) = (self.unwritten(), self.pipe.progress());
            if unwritten > 0 || progress {
                self.channel.unread(now(), unwritten, progress)?;
            }
            let read = if self.channel.saturated() { Poll::Pending } else { self.poll_read(cx) };
            match (read, self.pipe.broken.take()) {
                (Poll::Ready(Ok(())), broken) => self.pipe.broken = broken,
                (Poll::Ready(Err(error)), _) | (Poll::Pending, Some(error)) => {
                    return Poll::Ready(Err(self.fatal(error.into())));
                }
                (Poll::Pending, None) => {
                    ready!(self.alarm.poll(cx, self.channel.deadline()));
                    self.channel.expire(now())?;
                }
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
            let written = self.poll_write(cx);
            if let Some(error) = self.pipe.broken.take() {
                return Poll::Ready(Err(self.fatal(error.into())));
            }
            if written.is_ready() {
                return Poll::Ready(Ok(()));
            }
            // A peer that is itself blocked writing must be read from, but not without bound.
            if self.pipe.ended || self.channel.buffered() > self.channel.config().max_frame {
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
        let closed = poll_fn(|cx| self.pipe.poll_shutdown(cx)).await;
        flushed?;
        closed.map_err(ChannelError::from)
    }

    /// Bytes that the peer has not taken yet.
    pub fn unwritten(&mut self) -> usize {
        self.pipe.unwritten() + self.channel.outgoing().len()
    }

    fn fatal(&mut self, error: ChannelError) -> ChannelError {
        self.channel.close(&error.to_string());
        error
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.pipe.poll_read(cx, |bytes| self.channel.receive(now(), bytes))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pipe.poll_write(cx, |writing| std::mem::swap(writing, self.channel.outgoing()))
    }
}
