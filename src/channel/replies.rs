//! Answers to the peer's requests, encoded outside of the channel.
//!
//! Why: whoever answers must not hold the channel's lock meanwhile, since it may call back over the same channel.
//!
//! Contract: exactly one answer for each request.

use serde::Serialize;

use super::content::Id;
use super::message::{self, Type};
use super::{ChannelError, Config};

/// Encoded answers, to be given to the channel.
#[derive(Debug)]
pub(crate) struct Replies {
    config: Config,
    pub(super) bytes: Vec<u8>,
    pub(super) count: usize,
}

impl Replies {
    pub(super) fn new(config: Config) -> Self {
        Replies { config, bytes: Vec::new(), count: 0 }
    }

    /// Answers a request with a result.
    ///
    /// # Errors
    /// It cannot be sent; nothing was answered.
    #[inline]
    pub(crate) fn reply<T: Serialize + ?Sized>(&mut self, id: &Id, content: &T) -> Result<(), ChannelError> {
        message::write(&self.config, Type::Reply, id, content, &mut self.bytes)?;
        self.count += 1;
        Ok(())
    }

    /// Answers a request with a failure.
    ///
    /// # Errors
    /// It cannot be sent; nothing was answered.
    pub(crate) fn fail<T: Serialize + ?Sized>(&mut self, id: &Id, content: &T) -> Result<(), ChannelError> {
        message::write(&self.config, Type::Failure, id, content, &mut self.bytes)?;
        self.count += 1;
        Ok(())
    }

    /// Whether the channel has taken all of them.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}
