//! Messages as they come, for whoever reads their contents by their types.
//!
//! Why beside [`next`](Channel::next): nearly all messages have the usual form, and a content that is read as a Rust type needs no
//! [`Value`] in between. The head of a message says whose it is; the rest is handed on as bytes.
//!
//! Failure modes: a frame that is longer, or holds more values, than the limits allow fails the one call whose it is, which its
//! first bytes say: it is passed over. Not so a MsgPackBlosc container that is too long and compressed, for its first bytes are
//! compressed too; nor one that would unpack to too much; nor what announces more than 16 times the limit, which is rather no
//! frame at all; nor what a stranger sends first, who has shown nothing that is worth reading on. Those are fatal, as is any
//! other frame that is no message.

use std::fmt;
use std::time::Instant;

use super::{Channel, ChannelError, Config, Id, Known, RequestId, Type, message};
use crate::codec::envelope;

/// Memory for unpacking that an idle connection may keep.
const KEEP: usize = 64 * 1024;
/// So many bytes of a payload hold kind and id of its message, in each codec.
const HEAD: usize = 64;
/// What is longer than this many times the limit is not passed over.
const MOST_PASSED_OVER: usize = 16;

/// Whoever takes messages unread.
pub(in crate::channel) trait Take {
    /// The present; asked only when something is to be timed.
    fn now(&self) -> Instant;

    /// Whether requests are read to their end, so that they need not be checked before.
    fn reads_requests(&self) -> bool;

    /// The peer asks for something, which was checked or not.
    fn request(&mut self, id: Id, content: &[u8], checked: bool);

    /// An own request was answered: with a reply, else with a failure.
    fn answer(&mut self, request: RequestId, reply: bool, content: &[u8]);
}

impl Channel {
    /// As [`receive`](Channel::receive), for [`take`](Channel::take), which asks for the time when it matters.
    pub(in crate::channel) fn push(&mut self, bytes: &[u8]) {
        if self.end_reason().is_none() {
            self.counters.bytes_in += bytes.len() as u64;
            self.incoming.push(bytes);
        }
    }

    /// As [`next`](Channel::next), for whoever reads contents by their types. False until more bytes arrive.
    ///
    /// # Errors
    /// As `next`; a closed channel takes nothing.
    pub(in crate::channel) fn take(&mut self, to: &mut impl Take) -> Result<bool, ChannelError> {
        if self.end_reason().is_some() || self.saturated() {
            return Ok(false);
        }
        self.take_message(to).inspect_err(|e| self.close(&e.to_string()))
    }

    fn take_message(&mut self, to: &mut impl Take) -> Result<bool, ChannelError> {
        let limit = if self.trusted { self.config.max_frame } else { self.config.max_first_frame };
        let payload = match self.incoming.next(limit, !self.trusted) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ok(self.wait(to)),
            Err(error) => return self.pass_over(to, error),
        };
        let Config { codec, types, limits, .. } = &self.config;
        let known = match envelope::message(*codec, payload) {
            Some((0, id, content)) if to.reads_requests() => {
                to.request(Id::Number(id), content, false);
                None
            }
            Some((kind @ 1..=2, id, content)) if envelope::is_scalar(*codec, content, limits, types) => {
                Some(self.pending.settle(Some(id), |request| to.answer(request, kind == 1, content)))
            }
            usual => {
                let split = match codec.split(payload, &mut self.unpacked, limits, types) {
                    Ok(split) => split,
                    Err(error) => {
                        let head = usual.map(|(kind, id, _)| (kind, id));
                        let unpack = || envelope::unpacked_head(*codec, payload, &mut self.unpacked, limits);
                        return match head.or_else(unpack).filter(|_| error.is_limit()) {
                            // it is known whose it is: the other calls go on
                            Some(head) => self.refuse(to, head, &error).map(|()| true),
                            None => Err(ChannelError::Payload(error)),
                        };
                    }
                };
                let message =
                    split.and_then(|[kind, id, content]| Some((Type::read(&kind)?, id, content.bytes())));
                match message {
                    Some((Type::Request, id, content)) => {
                        to.request(Id::read(&id), content, true);
                        None
                    }
                    Some((kind, id, content)) => {
                        let answer = |request| to.answer(request, kind == Type::Reply, content);
                        Some(self.pending.settle(id.read::<u64>().ok(), answer))
                    }
                    None => {
                        let value = codec.decode(payload, limits, types).map_err(ChannelError::Payload)?;
                        return Err(message::not_a_message(&value));
                    }
                }
            }
        };
        self.trusted = true;
        self.frame_since = None;
        self.counters.messages_in += 1;
        if self.unpacked.capacity() > KEEP {
            self.unpacked = Vec::new();
        }
        match known {
            None => {
                self.serving += 1;
                self.counters.requests += 1;
            }
            Some(known) => self.settled(&known, to)?,
        }
        Ok(true)
    }

    #[inline]
    fn settled(&mut self, known: &Known, to: &impl Take) -> Result<(), ChannelError> {
        match known {
            Known::Open(_) => {}
            Known::Forgotten => self.counters.late += 1,
            Known::Never => self.stray(Some(to.now()))?,
        }
        Ok(())
    }

    /// Nothing can be taken until more has come, for which a frame that is begun has its time. False.
    #[inline]
    fn wait(&mut self, to: &impl Take) -> bool {
        if self.frame_since.is_none() && self.incoming.incomplete() > 0 {
            self.frame_since = Some(to.now());
        }
        false
    }

    /// Drops a frame that is too long and fails the one call whose it is, if its first bytes say so. False until they are there.
    #[cold]
    fn pass_over(&mut self, to: &mut impl Take, error: ChannelError) -> Result<bool, ChannelError> {
        let ChannelError::FrameTooLong { len, limit, first } = error else { return Err(error) };
        if first || len > limit.saturating_mul(MOST_PASSED_OVER) {
            return Err(error);
        }
        let begun = self.incoming.begun();
        if begun.len() < HEAD.min(len) {
            return Ok(self.wait(to));
        }
        let head = envelope::head(self.config.codec, begun).ok_or(error)?;
        self.incoming.pass_over();
        let problem = format!(
            "{len} bytes are too long for one frame, the limit is {limit}: send it in parts, or raise `max_frame` where it \
             is received"
        );
        tracing::warn!("a frame was passed over: {problem}");
        self.refuse(to, head, &problem).map(|()| true)
    }

    /// Fails the one call of a frame that is, or holds, more than the limits allow.
    #[cold]
    fn refuse(
        &mut self,
        to: &mut impl Take,
        (kind, id): (u8, u64),
        error: &dyn fmt::Display,
    ) -> Result<(), ChannelError> {
        self.frame_since = None;
        self.counters.messages_in += 1;
        self.counters.refused += 1;
        let what = if kind == 0 { "request" } else { "answer" };
        let text = format!("ProtocolError: the {what} cannot be read: {error}\n");
        if kind == 0 {
            self.serving += 1;
            self.counters.requests += 1;
            return self.answer(Type::Failure, &Id::Number(id), &text);
        }
        let Config { codec, types, .. } = &self.config;
        let mut content = Vec::new();
        envelope::content(*codec, &text, types, &mut content).map_err(ChannelError::Unsendable)?;
        let known = self.pending.settle(Some(id), |request| to.answer(request, false, &content));
        self.settled(&known, to)
    }
}
