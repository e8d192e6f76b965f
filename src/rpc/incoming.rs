//! A call on its way to a method, its arguments not yet read.
//!
//! Why: a method's types are known where it is called. The usual call (all arguments by position) goes from the bytes
//! into them, and its result into the bytes, with no [`Value`] in between; everything else takes the way over [`Args`],
//! which knows Python's rules and words.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Args, CallError, Outcome, Peer, Request, request};
use crate::channel::{ChannelError, Config, Id, Replies};
use crate::codec::{CodecError, Raw, Value, envelope, to_value};

/// A call on its way to a method.
#[doc(hidden)]
pub struct Incoming<'a> {
    args: Given<'a>,
    peer: &'a Peer,
    /// Where an answer can be written at once.
    reply: Option<(&'a Id, &'a mut Replies)>,
}

enum Given<'a> {
    /// In the bytes of the content, which nobody has checked: these are what follows the path.
    Unchecked {
        content: &'a [u8],
        arguments: &'a [u8],
    },
    /// They were unchecked, and are what the method takes.
    Right,
    /// They were unchecked, and are no value of the codec.
    Wrong(CodecError),
    /// They are a value that is no call.
    Refused(CallError),
    Checked {
        positional: Raw<'a>,
        keyword: Raw<'a>,
    },
    Read(Args),
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming(from {:?})", self.peer)
    }
}

impl<'a> Incoming<'a> {
    /// A call from content that nobody has checked, and its path; `None` if it is unusual.
    #[inline]
    pub(super) fn unchecked(
        content: &'a [u8],
        peer: &'a Peer,
        reply: (&'a Id, &'a mut Replies),
    ) -> Option<(&'a str, Self)> {
        let (path, arguments) = envelope::call(peer.link().core().config().codec, content)?;
        let args = Given::Unchecked { content, arguments };
        Some((path, Incoming { args, peer, reply: Some(reply) }))
    }

    /// A call from checked content, and its path; `None` if it is none.
    pub(super) fn checked(
        content: &Raw<'a>,
        peer: &'a Peer,
        reply: (&'a Id, &'a mut Replies),
    ) -> Option<(Cow<'a, str>, Self)> {
        let [path, positional, keyword] = content.split()?;
        let path = path.as_str()?;
        let sound = positional.items().is_some() && keyword.entries().is_some();
        let args = Given::Checked { positional, keyword };
        sound.then_some((path, Incoming { args, peer, reply: Some(reply) }))
    }

    /// A call whose arguments are values already.
    pub(super) fn read(args: Args, peer: &'a Peer, reply: Option<(&'a Id, &'a mut Replies)>) -> Self {
        Incoming { args: Given::Read(args), peer, reply }
    }

    /// Who calls.
    pub fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// The arguments, if all of them and no others are given by position, and are of these types.
    #[inline]
    pub fn positional<T: DeserializeOwned>(&mut self) -> Option<T> {
        match &self.args {
            Given::Unchecked { arguments, .. } => {
                let Config { codec, types, limits, .. } = self.peer.link().core().config();
                let read = envelope::arguments(*codec, arguments, limits, types)?;
                self.args = Given::Right;
                Some(read)
            }
            Given::Checked { positional, keyword } if keyword.is_empty() => positional.read().ok(),
            _ => None,
        }
    }

    /// The arguments.
    ///
    /// # Errors
    /// They are none, or a keyword is no text.
    pub fn args(&mut self) -> Result<Args, CallError> {
        self.check();
        match &mut self.args {
            Given::Read(args) => Ok(std::mem::take(args)),
            Given::Checked { positional, keyword } => match (positional.value(), keyword.value()) {
                (Value::List(positional), Value::Map(keyword)) => request::args(positional, keyword),
                // `{"__type__": ..}` is a dict that is none
                (_, keyword) => {
                    Err(CallError::protocol_error(format!("keywords are a dict, got {}", keyword.describe())))
                }
            },
            Given::Wrong(error) => Err(unreadable(error)),
            Given::Refused(error) => Err(error.clone()),
            Given::Unchecked { .. } | Given::Right => {
                Err(CallError::protocol_error("the arguments are taken"))
            }
        }
    }

    /// Looks at arguments that nobody has looked at.
    fn check(&mut self) {
        let Given::Unchecked { content, .. } = self.args else { return };
        self.args = match decode(content, self.peer) {
            Ok(value) => match Request::from_content(value) {
                Ok(request) => Given::Read(request.args),
                Err(error) => Given::Refused(error),
            },
            Err(error) => Given::Wrong(error),
        };
    }

    /// What is wrong with the bytes of the call, whether or not anybody has looked at them.
    ///
    /// # Errors
    /// They are no value of the codec. One that is too much fails the call alone.
    pub(super) fn violation(mut self) -> Result<(), CodecError> {
        self.check();
        match self.args {
            Given::Wrong(error) if !error.is_limit() => Err(error),
            _ => Ok(()),
        }
    }

    /// Answers at once.
    #[inline]
    pub fn answer<T: Serialize>(&mut self, result: Result<T, CallError>) -> Outcome {
        match (result, &mut self.reply) {
            (Ok(result), Some((id, replies))) => match replies.reply(id, &result) {
                Ok(()) => Outcome::Written,
                Err(error) => Outcome::Done(Err(unsendable(&error))),
            },
            (Ok(result), None) => Outcome::Done(value(result)),
            (Err(error), _) => Outcome::Done(Err(error)),
        }
    }

    /// Answers when the future has ended.
    pub fn later<T: Serialize>(
        &self,
        result: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> Outcome {
        Outcome::Later(Box::pin(async move { result.await.and_then(value) }))
    }
}

/// Content that nobody has checked, as a value.
///
/// # Errors
/// It is no value of the codec, or exceeds the limits.
pub(super) fn decode(content: &[u8], peer: &Peer) -> Result<Value, CodecError> {
    let Config { codec, types, limits, .. } = peer.link().core().config();
    codec.decode(content, limits, types)
}

#[cold]
pub(super) fn unreadable(error: &CodecError) -> CallError {
    CallError::protocol_error(format!("the request cannot be read: {error}"))
}

/// Why this is no call.
#[cold]
pub(super) fn no_call(content: &Raw<'_>) -> CallError {
    match Request::from_content(content.value()) {
        Err(error) => error,
        Ok(_) => CallError::protocol_error("a request is [path, [args], {kwargs}]"),
    }
}

#[cold]
pub(super) fn unsendable(error: &ChannelError) -> CallError {
    CallError::type_error(format!("the result {error}"))
}

fn value<T: Serialize>(result: T) -> Result<Value, CallError> {
    to_value(&result).map_err(|error| CallError::type_error(format!("the result cannot be sent: {error}")))
}
