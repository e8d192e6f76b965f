//! Answers to the peer's requests, encoded outside of the channel.
//!
//! Why: whoever answers must not hold the channel's lock meanwhile, since it may call back over the same channel.
//!
//! Contract: exactly one answer for each request. What cannot be encoded becomes a failure that says so.

use super::frame;
use super::message::{self, Type};
use super::{ChannelError, Config};
use crate::codec::Value;

/// Encoded answers, to be given to the channel.
#[derive(Debug)]
pub(crate) struct Replies {
    config: Config,
    pub(super) bytes: Vec<u8>,
    pub(super) count: usize,
}

impl Replies {
    pub(crate) fn new(config: Config) -> Self {
        Replies { config, bytes: Vec::new(), count: 0 }
    }

    /// Answers a request with a result.
    ///
    /// # Errors
    /// It cannot be sent; nothing was answered.
    pub(crate) fn reply(&mut self, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.write(Type::Reply, id, content)
    }

    /// Answers a request with a failure.
    ///
    /// # Errors
    /// It cannot be sent; nothing was answered.
    pub(crate) fn fail(&mut self, id: &Value, content: &Value) -> Result<(), ChannelError> {
        self.write(Type::Failure, id, content)
    }

    fn write(&mut self, kind: Type, id: &Value, content: &Value) -> Result<(), ChannelError> {
        let Config { codec, types, .. } = &self.config;
        frame::write_frame(&mut self.bytes, self.config.max_frame, |out| {
            message::encode(*codec, types, kind, id, content, out).map_err(ChannelError::Unsendable)
        })?;
        self.count += 1;
        Ok(())
    }

    /// Bytes of answers that the channel has not taken yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}
