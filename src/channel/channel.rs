//! The state machine of one connection: bytes in, events out; requests and replies in, bytes out.
//!
//! Contract
//! * [`receive`](Channel::receive) takes bytes as they come, [`next`](Channel::next) is then called until it yields
//!   nothing. [`outgoing`](Channel::outgoing) is drained by whoever writes, who says how it goes by
//!   [`unread`](Channel::unread).
//! * Time is what the owner says it is. [`deadline`](Channel::deadline) says when [`expire`](Channel::expire) is due.
//! * Every request ends exactly once: with [`Event::Answer`], or because [`forget`](Channel::forget) said that nobody waits
//!   any more. After a fatal error, [`end`](Channel::end) or [`close`](Channel::close) the requests in flight end, oldest
//!   first, with [`Failure::Closed`].
//! * Every [`Event::Request`] is answered once, by [`reply`](Channel::reply) or [`fail`](Channel::fail), in any order. With
//!   [`Config::serving`] of them unanswered no further one is taken and the owner should stop reading.
//!
//! Failure modes: what cannot be encoded fails that one call and leaves `outgoing` untouched. A frame that is no message is
//! fatal: `next` reports it once, then ends what is in flight, then yields nothing for ever. An answer to nothing
//! is counted and reported as [`Event::Stray`], fatal only when there are many (aiomas and mosaik die of one).

mod take;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::content::Id;
use super::frame::FrameBuffer;
use super::message::{self, Message, Type};
use super::pending::{Known, Pending, RequestId};
use super::replies::Replies;
use super::{ChannelError, Config, Counters};
pub(super) use take::Take;

use crate::codec::Value;

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

/// One end of a connection, without the connection: bytes in and events out, requests and replies in and bytes out.
///
/// After every [`receive`](Channel::receive), call [`next`](Channel::next) until it yields nothing. Answer every
/// [`Event::Request`] once. Every own request ends exactly once, with an [`Event::Answer`], unless it is forgotten.
///
/// ```
/// use std::time::Instant;
/// use isochrone::channel::{Channel, Config, Event};
/// use isochrone::codec::Value;
///
/// let now = Instant::now();
/// let (mut client, mut server) = (Channel::new(Config::default()), Channel::new(Config::default()));
/// let asked = client.request(&Value::from("how much?"))?;
/// server.receive(now, &std::mem::take(client.outgoing()));
/// let Some(Event::Request { id, .. }) = server.next()? else { panic!() };
/// server.reply(&id, &Value::from(1.5))?;
/// client.receive(now, &std::mem::take(server.outgoing()));
/// assert_eq!(client.next()?, Some(Event::Answer { request: asked, result: Ok(Value::from(1.5)) }));
/// # Ok::<(), isochrone::channel::ChannelError>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    config: Config,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    /// Room for a payload that has to be unpacked.
    unpacked: Vec<u8>,
    pending: Pending,
    /// Requests of the peer that were handed out and not yet answered.
    serving: usize,
    /// How many there may be: [`Config::serving`], or less for the sake of others.
    allowed: usize,
    /// Whether the place of an answered request stays taken until it is released.
    holding: bool,
    /// Whether the peer may send long frames.
    trusted: bool,
    /// Bytes of a first frame of ours that is longer than peers of ours take from strangers.
    bold: Option<usize>,
    /// Why the peer will send nothing more.
    ended: Option<Arc<str>>,
    closed: Option<Arc<str>>,
    counters: Counters,
    /// When bytes arrived last.
    received: Option<Instant>,
    /// When the first byte of the frame that is incomplete arrived.
    frame_since: Option<Instant>,
    /// Until when the peer must have sent something valid, and the time it then had.
    first_by: Option<(Instant, Duration)>,
    /// Since when the peer has read nothing though there is something to read.
    unread_since: Option<Instant>,
    strays: Strays,
}

/// Answers to nothing, by the minute.
#[derive(Debug, Default)]
struct Strays {
    since: Option<Instant>,
    count: u32,
}

impl Channel {
    /// A fresh channel.
    pub fn new(config: Config) -> Self {
        Channel {
            allowed: config.serving,
            config,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            unpacked: Vec::new(),
            pending: Pending::default(),
            serving: 0,
            holding: false,
            trusted: false,
            bold: None,
            ended: None,
            closed: None,
            counters: Counters::default(),
            received: None,
            frame_since: None,
            first_by: None,
            unread_since: None,
            strays: Strays::default(),
        }
    }

    /// Takes bytes that arrived, cut anyhow. A closed channel ignores them.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        if self.end_reason().is_none() {
            self.counters.bytes_in += bytes.len() as u64;
            self.incoming.push(bytes);
            self.received = Some(now);
            self.frame_since = self.frame_since.or(self.received);
        }
    }

    /// The next thing that happened; `None` until more bytes arrive (or, when [`saturated`](Channel::saturated), until a
    /// request has been answered).
    ///
    /// # Errors
    /// What arrived is no message. The error is reported once and closes the channel.
    #[expect(clippy::should_implement_trait, reason = "an iterator would not be asked again after None")]
    pub fn next(&mut self) -> Result<Option<Event>, ChannelError> {
        if let Some(reason) = self.end_reason() {
            let reason = reason.clone();
            let end = |request| Event::Answer { request, result: Err(Failure::Closed(reason)) };
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
        self.frame_since = self.received.filter(|_| self.incoming.len() > 0);
        self.counters.messages_in += 1;
        Ok(Some(match message {
            Message::Request { id, content } => {
                self.serving += 1;
                self.counters.requests += 1;
                Event::Request { id, content }
            }
            Message::Reply { id, content } => self.answered(id, Ok(content))?,
            Message::Failure { id, content } => self.answered(id, Err(Failure::Remote(content)))?,
        }))
    }

    fn answered(&mut self, id: Value, result: Result<Value, Failure>) -> Result<Event, ChannelError> {
        match self.pending.answer(id.as_u64()) {
            Known::Open(request) => {
                if !self.holding {
                    self.pending.release(request);
                }
                return Ok(Event::Answer { request, result });
            }
            Known::Forgotten => self.counters.late += 1,
            Known::Never => self.stray(self.received)?,
        }
        Ok(Event::Stray { id })
    }

    /// Counts an answer to nothing.
    fn stray(&mut self, now: Option<Instant>) -> Result<(), ChannelError> {
        const MINUTE: Duration = Duration::from_secs(60);
        self.counters.stray += 1;
        let fresh = (self.strays.since.zip(now))
            .is_some_and(|(since, now)| now.saturating_duration_since(since) < MINUTE);
        if !fresh {
            self.strays = Strays { since: now, count: 0 };
        }
        self.strays.count += 1;
        let limit = self.config.strays;
        if self.strays.count > limit { Err(ChannelError::Strays { limit }) } else { Ok(()) }
    }

    /// Sends a request; its answer comes as [`Event::Answer`].
    ///
    /// # Errors
    /// The content cannot be sent, too many requests are in flight, or the channel is closed. Nothing was sent, and no id
    /// was used.
    pub fn request(&mut self, content: &Value) -> Result<RequestId, ChannelError> {
        self.open(|config, id, out| message::write(config, Type::Request, &Id::Number(id), content, out))
    }

    /// The same with content that was [written](envelope::content) in the channel's codec before.
    #[inline]
    pub(super) fn request_around(&mut self, content: &[u8]) -> Result<RequestId, ChannelError> {
        self.open(|config, id, out| message::write_around(config, Type::Request, id, content, out))
    }

    #[inline]
    fn open(
        &mut self,
        write: impl FnOnce(&Config, u64, &mut Vec<u8>) -> Result<(), ChannelError>,
    ) -> Result<RequestId, ChannelError> {
        if let Some(reason) = self.end_reason() {
            return Err(ChannelError::Closed { reason: reason.to_string() });
        }
        let limit = self.config.pending;
        let Some(id) = self.pending.next_id(limit) else {
            return Err(ChannelError::TooManyRequests { limit, forgotten: self.pending.forgotten() });
        };
        let before = self.outgoing.len();
        write(&self.config, id.number(), &mut self.outgoing)?;
        let len = self.outgoing.len() - before;
        self.counters.bytes_out += len as u64;
        self.counters.messages_out += 1;
        if !self.trusted {
            self.bold = Some(len).filter(|len| *len > self.config.max_first_frame);
            self.trusted = true;
        }
        self.pending.insert(id);
        Ok(id)
    }

    /// Says that nobody waits for this request any more. Its answer, should it come, is counted as late. False if it has
    /// ended already.
    pub fn forget(&mut self, request: RequestId) -> bool {
        self.pending.forget(request)
    }

    /// Keeps the place of every answered request from now on until it is [released](Channel::release): the owner stores
    /// answers by [`RequestId::index`].
    pub(super) fn hold(&mut self) {
        self.holding = true;
    }

    /// The answer of this request was taken.
    pub(super) fn release(&mut self, request: RequestId) {
        self.pending.release(request);
    }

    /// Answers a request of the peer with a result.
    ///
    /// # Errors
    /// The content cannot be sent: the request is still unanswered and should [`fail`](Channel::fail). Or the channel is
    /// closed.
    pub fn reply(&mut self, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.answer(Type::Reply, &Id::from(id), content)
    }

    /// Answers a request of the peer with a failure: a text for aiomas, a list of at least two texts for mosaik.
    ///
    /// # Errors
    /// As [`reply`](Channel::reply).
    pub fn fail(&mut self, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.answer(Type::Failure, &Id::from(id), content)
    }

    pub(super) fn answer<T: Serialize + ?Sized>(
        &mut self,
        kind: Type,
        id: &Id,
        content: &T,
    ) -> Result<(), ChannelError> {
        if let Some(reason) = &self.closed {
            return Err(ChannelError::Closed { reason: reason.to_string() });
        }
        self.send(kind, id, content)?;
        self.serving = self.serving.saturating_sub(1);
        self.counters.answers += 1;
        Ok(())
    }

    /// Sends answers that were encoded elsewhere.
    pub(super) fn answers(&mut self, replies: &mut Replies) {
        let Replies { bytes, count, .. } = replies;
        let count = std::mem::take(count);
        self.serving = self.serving.saturating_sub(count);
        self.counters.answers += count as u64;
        self.counters.messages_out += count as u64;
        self.counters.bytes_out += bytes.len() as u64;
        if self.outgoing.is_empty() {
            std::mem::swap(&mut self.outgoing, bytes);
        } else {
            self.outgoing.append(bytes);
        }
    }

    fn send<T: Serialize + ?Sized>(&mut self, kind: Type, id: &Id, content: &T) -> Result<(), ChannelError> {
        let before = self.outgoing.len();
        message::write(&self.config, kind, id, content, &mut self.outgoing)?;
        self.counters.bytes_out += (self.outgoing.len() - before) as u64;
        self.counters.messages_out += 1;
        Ok(())
    }

    /// Says that the peer will send nothing more: own requests end. Requests of the peer can still be answered, for it may
    /// have closed only its own direction.
    ///
    /// # Errors
    /// The stream ended in the middle of a frame; the channel is closed.
    pub fn end(&mut self) -> Result<(), ChannelError> {
        if self.end_reason().is_some() {
            return Ok(());
        }
        let end = self.incoming.end();
        match &end {
            Ok(()) => self.ended = Some(self.why("the peer closed the connection")),
            Err(e) => self.close(&e.to_string()),
        }
        end
    }

    /// Closes the channel: what is in flight ends with this reason, oldest first, by [`next`](Channel::next). Bytes that
    /// were encoded stay in [`outgoing`](Channel::outgoing). A second reason is ignored.
    pub fn close(&mut self, reason: &str) {
        if self.closed.is_none() {
            self.closed = Some(self.ended.clone().unwrap_or_else(|| self.why(reason)));
            self.incoming.clear();
            self.frame_since = None;
        }
    }

    /// The reason of an end, and what may have led to it.
    fn why(&self, reason: &str) -> Arc<str> {
        match self.bold.filter(|_| self.counters.messages_in == 0) {
            None => reason.into(),
            Some(len) => {
                let limit = self.config.max_first_frame;
                format!(
                    "{reason} without a word; it was sent {len} bytes at once, and may take no more than {limit} \
                     before a first, shorter message"
                )
                .into()
            }
        }
    }

    /// Why the channel is closed, if it is.
    pub fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// Why no answer can come any more.
    fn end_reason(&self) -> Option<&Arc<str>> {
        self.closed.as_ref().or(self.ended.as_ref())
    }

    /// Gives the peer so much time for its first frame, unless it is asked something before.
    pub(super) fn expect_first(&mut self, now: Instant, time: Duration) {
        self.first_by = Some((now + time, time));
    }

    fn silent_until(&self) -> Option<(Instant, Duration)> {
        self.first_by.filter(|_| !self.trusted)
    }

    /// When something must have happened: a frame be complete, the peer have read something.
    pub fn deadline(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        // A saturated channel takes nothing, so that what has arrived may be whole.
        let frame =
            self.frame_since.filter(|_| !self.saturated()).map(|since| since + self.config.frame_time);
        let unread = self.unread_since.map(|since| since + self.config.unread_time);
        let first = self.silent_until().map(|(until, _)| until);
        frame.into_iter().chain(unread).chain(first).min()
    }

    /// Closes the channel if its deadline has passed.
    ///
    /// # Errors
    /// What has not happened in time.
    pub fn expire(&mut self, now: Instant) -> Result<(), ChannelError> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        let late = self.unread_since.is_some_and(|since| since + self.config.unread_time <= now);
        let error = match self.silent_until().filter(|(until, _)| *until <= now) {
            Some((_, time)) => ChannelError::Silent { time },
            None if late => ChannelError::Unread { time: self.config.unread_time },
            None => {
                ChannelError::SlowFrame { have: self.incoming.incomplete(), time: self.config.frame_time }
            }
        };
        self.close(&error.to_string());
        Err(error)
    }

    /// How writing goes: `bytes` wait because the peer does not take them, and whether it took something since it was
    /// said last.
    ///
    /// # Errors
    /// The peer leaves too much unread; the channel is closed.
    pub fn unread(&mut self, now: Instant, bytes: usize, progress: bool) -> Result<(), ChannelError> {
        let since = if progress { None } else { self.unread_since };
        self.unread_since = (bytes > 0).then(|| since.unwrap_or(now));
        let limit = self.config.max_unread;
        if bytes > limit && self.closed.is_none() {
            let error = ChannelError::SlowConsumer { len: bytes, limit };
            self.close(&error.to_string());
            return Err(error);
        }
        Ok(())
    }

    /// The encoded bytes that wait to be written. Whoever writes removes them from the front.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Own requests in flight.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Own requests that were given up and are not answered yet.
    pub fn forgotten(&self) -> usize {
        self.pending.forgotten()
    }

    /// Requests of the peer that are not answered yet.
    pub fn serving(&self) -> usize {
        self.serving
    }

    /// Whether so many requests of the peer are unanswered that no further frame is taken.
    pub fn saturated(&self) -> bool {
        self.end_reason().is_none() && self.serving >= self.allowed
    }

    /// Changes how many requests of the peer may be unanswered.
    pub(super) fn allow(&mut self, serving: usize) {
        self.allowed = serving;
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
