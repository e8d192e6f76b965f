//! A call on its way to a method, its arguments not yet read.
//!
//! Why: a method's types are known where it is called. The usual call (all arguments by position) goes from the bytes
//! into them, and its result into the bytes, with no [`Value`] in between; everything else takes the way over [`Args`],
//! which knows Python's rules and words.

use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Args, CallError, Outcome, Peer, request};
use crate::channel::{ChannelError, Id, Replies};
use crate::codec::{Raw, Value, to_value};

/// A call on its way to a method.
#[doc(hidden)]
pub struct Incoming<'a> {
    args: Given<'a>,
    peer: &'a Peer,
    /// Where an answer can be written at once.
    reply: Option<(&'a Id, &'a mut Replies)>,
}

enum Given<'a> {
    Raw { positional: Raw<'a>, keyword: Raw<'a> },
    Read(Args),
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming(from {:?})", self.peer)
    }
}

impl<'a> Incoming<'a> {
    /// A call from its content, and its path; `None` if it is none.
    pub(super) fn split(
        content: &Raw<'a>,
        peer: &'a Peer,
        reply: (&'a Id, &'a mut Replies),
    ) -> Option<(std::borrow::Cow<'a, str>, Self)> {
        let [path, positional, keyword] = content.split()?;
        let path = path.as_str()?;
        let sound = positional.items().is_some() && keyword.entries().is_some();
        let args = Given::Raw { positional, keyword };
        sound.then_some((path, Incoming { args, peer, reply: Some(reply) }))
    }

    /// A call whose arguments are values already.
    pub(super) fn read(args: Args, peer: &'a Peer) -> Self {
        Incoming { args: Given::Read(args), peer, reply: None }
    }

    /// Who calls.
    pub fn peer(&self) -> &'a Peer {
        self.peer
    }

    /// The arguments, if all of them and no others are given by position, and are of these types.
    #[inline]
    pub fn positional<T: DeserializeOwned>(&self) -> Option<T> {
        match &self.args {
            Given::Raw { positional, keyword } if keyword.is_empty() => positional.read().ok(),
            _ => None,
        }
    }

    /// The arguments.
    ///
    /// # Errors
    /// A keyword is no text.
    pub fn args(&mut self) -> Result<Args, CallError> {
        match &mut self.args {
            Given::Read(args) => Ok(std::mem::take(args)),
            Given::Raw { positional, keyword } => match (positional.value(), keyword.value()) {
                (Value::List(positional), Value::Map(keyword)) => request::args(positional, keyword),
                // `{"__type__": ..}` is a dict that is none
                (_, keyword) => {
                    Err(CallError::protocol_error(format!("keywords are a dict, got {}", keyword.describe())))
                }
            },
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

#[cold]
pub(super) fn unsendable(error: &ChannelError) -> CallError {
    CallError::type_error(format!("the result {error}"))
}

fn value<T: Serialize>(result: T) -> Result<Value, CallError> {
    to_value(&result).map_err(|error| CallError::type_error(format!("the result cannot be sent: {error}")))
}
