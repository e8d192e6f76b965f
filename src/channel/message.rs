//! What a frame holds: `[type, id, content]`.
//!
//! Contract: the id of a request is its sender's and is echoed verbatim whatever it is. Nothing else exists on this
//! wire: no hello, no one-way message, no cancel, no goodbye.

use serde::Serialize;

use super::{ChannelError, Config, Id, frame};
use crate::codec::{Raw, Value, envelope};

/// One message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Type 0: asks for something.
    Request {
        /// Chosen by who asks.
        id: Value,
        /// What is asked; `[path, args, kwargs]` in RPC.
        content: Value,
    },
    /// Type 1: what was asked for.
    Reply {
        /// Id of the request.
        id: Value,
        /// The result.
        content: Value,
    },
    /// Type 2: why there is no result.
    Failure {
        /// Id of the request.
        id: Value,
        /// aiomas: a traceback as text; mosaik: a list of type, message and more.
        content: Value,
    },
}

/// The numbers of the three types on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Request = 0,
    Reply = 1,
    Failure = 2,
}

impl Type {
    #[inline]
    pub(super) fn read(raw: &Raw<'_>) -> Option<Type> {
        match raw.read::<u8>() {
            Ok(0) => Some(Type::Request),
            Ok(1) => Some(Type::Reply),
            Ok(2) => Some(Type::Failure),
            _ => None,
        }
    }
}

impl Message {
    /// Takes the message out of what a frame holds.
    ///
    /// # Errors
    /// It is no list of three, or of no known type. The error says what arrived.
    pub fn from_value(value: Value) -> Result<Message, ChannelError> {
        let parts = match value {
            Value::List(parts) => <[Value; 3]>::try_from(parts).map_err(Value::List),
            other => Err(other),
        };
        match parts {
            Ok([Value::Int(0), id, content]) => Ok(Message::Request { id, content }),
            Ok([Value::Int(1), id, content]) => Ok(Message::Reply { id, content }),
            Ok([Value::Int(2), id, content]) => Ok(Message::Failure { id, content }),
            Ok(parts) => Err(not_a_message(&Value::List(parts.into()))),
            Err(value) => Err(not_a_message(&value)),
        }
    }

    /// The message as it stands in a frame.
    pub fn into_value(self) -> Value {
        let (kind, id, content) = match self {
            Message::Request { id, content } => (Type::Request, id, content),
            Message::Reply { id, content } => (Type::Reply, id, content),
            Message::Failure { id, content } => (Type::Failure, id, content),
        };
        Value::List(vec![Value::Int(kind as i64), id, content])
    }
}

/// Appends the frame of a message to `out` without building it first.
///
/// # Errors
/// It cannot be sent; `out` is as it was.
#[inline]
pub(super) fn write<T: Serialize + ?Sized>(
    config: &Config,
    kind: Type,
    id: &Id,
    content: &T,
    out: &mut Vec<u8>,
) -> Result<(), ChannelError> {
    let Config { codec, types, max_frame, .. } = config;
    frame::write_frame(out, *max_frame, |out| {
        let written = match id {
            Id::Number(id) => envelope::write(*codec, (kind as u8, *id), content, types, out),
            Id::Other(id) => codec.write(&(kind as u8, id, content), types, out),
        };
        written.map_err(ChannelError::Unsendable)
    })
}

/// The same with content that has been [written](envelope::content) before.
///
/// # Errors
/// It is too long.
#[inline]
pub(super) fn write_around(
    config: &Config,
    kind: Type,
    id: u64,
    content: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ChannelError> {
    frame::write_frame(out, config.max_frame, |out| {
        envelope::write_around(config.codec, (kind as u8, id), content, out).map_err(ChannelError::Unsendable)
    })
}

#[cold]
pub(super) fn not_a_message(got: &Value) -> ChannelError {
    ChannelError::NotAMessage { got: got.describe() }
}
