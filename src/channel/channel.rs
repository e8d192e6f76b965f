//! The state machine of one connection: bytes in, events out; requests and replies in, bytes out.
//!
//! Contract
//! * [`receive`](Channel::receive) takes bytes as they come, [`next`](Channel::next) is then called until it yields
//!   nothing. [`outgoing`](Channel::outgoing) is drained by whoever writes.
//! * Every request ends exactly once: with [`Event::Answer`], or because [`forget`](Channel::forget) said that nobody waits
//!   any more. After a fatal error or [`close`](Channel::close) the requests in flight end, oldest first, with
//!   [`Failure::Closed`].
//! * Every [`Event::Request`] is answered once, by [`reply`](Channel::reply) or [`fail`](Channel::fail), in any order. With
//!   [`Config::serving`] of them unanswered no further one is taken and the owner should stop reading.
//!
//! Failure modes: what cannot be encoded fails that one call and leaves `outgoing` untouched. A frame that is no message
//! is fatal: `next` reports it once, then ends what is in flight, then yields nothing for ever. An answer to nothing
//! is counted and reported as [`Event::Stray`], not fatal (aiomas and mosaik die of it).

use std::sync::Arc;

use super::ChannelError;
use super::frame::{self, FrameBuffer};
use super::message::{self, Message, Type};
use super::pending::{Known, Pending, RequestId};
use crate::codec::{Codec, Limits, Types, Value};

/// Codec and limits of a channel.
///
/// ```
/// use isochrone::channel::Config;
/// let mut config = Config::default();
/// config.max_frame = 1 << 20;
/// assert_eq!(config.serving, 1024);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// How payloads are written; must be that of the peer (JSON).
    pub codec: Codec,
    /// The custom types, in the peer's order (none).
    pub types: Types,
    /// Bytes of a payload, either way (16 MiB).
    pub max_frame: usize,
    /// Bytes of a payload from a peer that has not yet sent a valid message, and to which we have not sent a request
    /// (64 KiB).
    pub max_first_frame: usize,
    /// Depth and number of values of a frame.
    pub limits: Limits,
    /// Requests of the peer that may be unanswered at once (1,024); then no further one is taken.
    pub serving: usize,
    /// Bytes that may wait for a peer that does not read (64 MiB); enforced by [`Connection`](super::Connection).
    pub max_unread: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            codec: Codec::Json,
            types: Types::none(),
            max_frame: 16 << 20,
            max_first_frame: 64 << 10,
            limits: Limits::default(),
            serving: 1024,
            max_unread: 64 << 20,
        }
    }
}

/// What happened on a channel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer asks for something.
    Request {
        /// To be given back with the answer, as it is.
        id: Value,
        /// What it asks.
        content: Value,
    },
    /// An own request has ended.
    Answer {
        /// Which.
        request: RequestId,
        /// How.
        result: Result<Value, Failure>,
    },
    /// The peer answered something that was not, or no longer, asked. Counted; to be ignored.
    Stray {
        /// The id it answered.
        id: Value,
    },
}

/// Why a request was not answered with a result.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The peer says so: text from aiomas, a list of type, message and more from mosaik.
    Remote(Value),
    /// The channel ended before the answer came.
    Closed(Arc<str>),
}

/// What a channel has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Bytes that arrived.
    pub bytes_in: u64,
    /// Bytes encoded, headers included.
    pub bytes_out: u64,
    /// Messages that arrived.
    pub messages_in: u64,
    /// Messages encoded.
    pub messages_out: u64,
    /// Answers to requests that had been given up or answered before.
    pub late: u64,
    /// Answers to requests that never were.
    pub stray: u64,
}

/// One end of a connection, without the connection: bytes in and events out, requests and replies in and bytes out.
///
/// After every [`receive`](Channel::receive), call [`next`](Channel::next) until it yields nothing. Answer every
/// [`Event::Request`] once. Every own request ends exactly once, with an [`Event::Answer`], unless it is forgotten.
///
/// ```
/// use isochrone::channel::{Channel, Config, Event};
/// use isochrone::codec::Value;
///
/// let (mut client, mut server) = (Channel::new(Config::default()), Channel::new(Config::default()));
/// let asked = client.request(&Value::from("how much?"))?;
/// server.receive(&std::mem::take(client.outgoing()));
/// let Some(Event::Request { id, .. }) = server.next()? else { panic!() };
/// server.reply(&id, &Value::from(1.5))?;
/// client.receive(&std::mem::take(server.outgoing()));
/// assert_eq!(client.next()?, Some(Event::Answer { request: asked, result: Ok(Value::from(1.5)) }));
/// # Ok::<(), isochrone::channel::ChannelError>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    config: Config,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    pending: Pending,
    /// Requests of the peer that were handed out and not yet answered.
    serving: usize,
    /// Whether the peer may send long frames.
    trusted: bool,
    closed: Option<Arc<str>>,
    counters: Counters,
}

impl Channel {
    /// A fresh channel.
    pub fn new(config: Config) -> Self {
        Channel {
            config,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            pending: Pending::default(),
            serving: 0,
            trusted: false,
            closed: None,
            counters: Counters::default(),
        }
    }

    /// Takes bytes that arrived, cut anyhow. A closed channel ignores them.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.closed.is_none() {
            self.counters.bytes_in += bytes.len() as u64;
            self.incoming.push(bytes);
        }
    }

    /// The next thing that happened; `None` until more bytes arrive (or, when [`saturated`](Channel::saturated), until a
    /// request has been answered).
    ///
    /// # Errors
    /// What arrived is no message. The error is reported once and closes the channel.
    #[expect(clippy::should_implement_trait, reason = "an iterator would not be asked again after None")]
    pub fn next(&mut self) -> Result<Option<Event>, ChannelError> {
        if let Some(reason) = &self.closed {
            let end = |request| Event::Answer { request, result: Err(Failure::Closed(reason.clone())) };
            return Ok(self.pending.pop().map(end));
        }
        if self.saturated() {
            return Ok(None);
        }
        self.next_message().inspect_err(|e| self.close(&e.to_string()))
    }

    fn next_message(&mut self) -> Result<Option<Event>, ChannelError> {
        let limit = if self.trusted { self.config.max_frame } else { self.config.max_first_frame };
        let Some(payload) = self.incoming.next(limit, !self.trusted)? else { return Ok(None) };
        let value = self
            .config
            .codec
            .decode(payload, &self.config.limits, &self.config.types)
            .map_err(ChannelError::Payload)?;
        let message = Message::from_value(value)?;
        self.trusted = true;
        self.counters.messages_in += 1;
        Ok(Some(match message {
            Message::Request { id, content } => {
                self.serving += 1;
                Event::Request { id, content }
            }
            Message::Reply { id, content } => self.answered(id, Ok(content)),
            Message::Failure { id, content } => self.answered(id, Err(Failure::Remote(content))),
        }))
    }

    fn answered(&mut self, id: Value, result: Result<Value, Failure>) -> Event {
        match self.pending.answer(&id) {
            Known::Open(request) => return Event::Answer { request, result },
            Known::Ended => self.counters.late += 1,
            Known::Never => self.counters.stray += 1,
        }
        Event::Stray { id }
    }

    /// Sends a request; its answer comes as [`Event::Answer`].
    ///
    /// # Errors
    /// The content cannot be sent, or the channel is closed. Nothing was sent, and no id was used.
    pub fn request(&mut self, content: &Value) -> Result<RequestId, ChannelError> {
        let id = self.pending.next_id();
        self.send(Type::Request, &id.to_wire(), content)?;
        self.trusted = true;
        Ok(self.pending.insert())
    }

    /// Says that nobody waits for this request any more. Its answer, should it come, is counted as late. False if it has
    /// ended already.
    pub fn forget(&mut self, request: RequestId) -> bool {
        self.pending.remove(request)
    }

    /// Answers a request of the peer with a result.
    ///
    /// # Errors
    /// The content cannot be sent: the request is still unanswered and should [`fail`](Channel::fail). Or the channel is
    /// closed.
    pub fn reply(&mut self, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.answer(Type::Reply, id, content)
    }

    /// Answers a request of the peer with a failure: a text for aiomas, a list of at least two texts for mosaik.
    ///
    /// # Errors
    /// As [`reply`](Channel::reply).
    pub fn fail(&mut self, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.answer(Type::Failure, id, content)
    }

    fn answer(&mut self, kind: Type, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.send(kind, id, content)?;
        self.serving = self.serving.saturating_sub(1);
        Ok(())
    }

    fn send(&mut self, kind: Type, id: &Value, content: &Value) -> Result<(), ChannelError> {
        if let Some(reason) = &self.closed {
            return Err(ChannelError::Closed { reason: reason.to_string() });
        }
        let Config { codec, types, .. } = &self.config;
        let before = self.outgoing.len();
        frame::write_frame(&mut self.outgoing, self.config.max_frame, |out| {
            message::encode(*codec, types, kind, id, content, out).map_err(ChannelError::Unsendable)
        })?;
        self.counters.bytes_out += (self.outgoing.len() - before) as u64;
        self.counters.messages_out += 1;
        Ok(())
    }

    /// Says that the peer will send nothing more, and closes the channel.
    ///
    /// # Errors
    /// The stream ended in the middle of a frame.
    pub fn end(&mut self) -> Result<(), ChannelError> {
        if self.closed.is_some() {
            return Ok(());
        }
        let end = self.incoming.end();
        match &end {
            Ok(()) => self.close("the peer closed the connection"),
            Err(e) => self.close(&e.to_string()),
        }
        end
    }

    /// Closes the channel: what is in flight ends with this reason, oldest first, by [`next`](Channel::next). Bytes that
    /// were encoded stay in [`outgoing`](Channel::outgoing). A second reason is ignored.
    pub fn close(&mut self, reason: &str) {
        if self.closed.is_none() {
            self.closed = Some(reason.into());
            self.incoming.clear();
        }
    }

    /// Why the channel is closed, if it is.
    pub fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// The encoded bytes that wait to be written. Whoever writes removes them from the front.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Own requests in flight.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Requests of the peer that are not answered yet.
    pub fn serving(&self) -> usize {
        self.serving
    }

    /// Whether so many requests of the peer are unanswered that no further frame is taken.
    pub fn saturated(&self) -> bool {
        self.closed.is_none() && self.serving >= self.config.serving
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes that arrived and are not yet taken as messages.
    pub(super) fn buffered(&self) -> usize {
        self.incoming.len()
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}
