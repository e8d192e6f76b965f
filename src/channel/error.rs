//! What ends a channel, or one call on it.
//!
//! Contract: [`ChannelError::is_fatal`] tells the two apart. A fatal error is reported once by the channel; what was in
//! flight then ends with it.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::codec::CodecError;

/// Why a channel, or one call on it, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// A frame announced nothing.
    #[error("the peer sent an empty frame")]
    EmptyFrame,
    /// A frame announced more than is allowed.
    #[error("the peer announced a frame of {len} bytes, the limit is {limit}{}", too_long(*.len, *.first))]
    FrameTooLong {
        /// Announced bytes.
        len: usize,
        /// Allowed bytes.
        limit: usize,
        /// Whether the limit is that of a peer that has not yet sent anything valid.
        first: bool,
    },
    /// The payload of a frame cannot be read.
    #[error("the peer sent a frame that cannot be read: {0}")]
    Payload(#[source] CodecError),
    /// A frame holds something else than `[type, id, content]`.
    #[error("the peer sent {got} instead of [type, id, content] with type 0, 1 or 2")]
    NotAMessage {
        /// What arrived, shortened.
        got: String,
    },
    /// The connection ended in the middle of a frame.
    #[error("the connection ended in the middle of a frame, after {have} bytes{}", match .want {
        Some(want) => format!(" of {want}"),
        None => String::new(),
    })]
    Truncated {
        /// Bytes that had arrived of the frame, its header included.
        have: usize,
        /// Bytes the frame would have, its header included, if its header had arrived.
        want: Option<usize>,
    },
    /// The peer does not read what we write.
    #[error("the peer leaves {len} bytes unread, the limit is {limit}")]
    SlowConsumer {
        /// Bytes waiting.
        len: usize,
        /// Allowed bytes.
        limit: usize,
    },
    /// The peer has read nothing for too long, though there is something to read.
    #[error("the peer has read nothing for {time:?}")]
    Unread {
        /// Allowed time.
        time: Duration,
    },
    /// Whoever came has said nothing.
    #[error("the peer has sent no frame within {time:?} of coming")]
    Silent {
        /// Allowed time.
        time: Duration,
    },
    /// A frame was begun and not completed in time.
    #[error("the peer has sent {have} bytes of a frame and not the rest within {time:?}")]
    SlowFrame {
        /// Bytes that had arrived of the frame, its header included.
        have: usize,
        /// Allowed time.
        time: Duration,
    },
    /// The peer answers what was never asked.
    #[error("the peer sent more than {limit} answers to nothing within a minute")]
    Strays {
        /// Allowed number.
        limit: u32,
    },
    /// Too many own requests are in flight. Nothing was sent.
    #[error("cannot be sent: {limit} requests are in flight, {forgotten} of them given up by their callers")]
    TooManyRequests {
        /// Allowed number.
        limit: usize,
        /// How many of them nobody waits for.
        forgotten: usize,
    },
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What was to be sent cannot be written in the connection's codec. Nothing was sent.
    #[error("cannot be sent: {0}")]
    Unsendable(#[source] CodecError),
    /// What was to be sent is too long for one frame. Nothing was sent.
    #[error("cannot be sent: {len} bytes are too long for one frame, the limit is {limit}: send it in parts")]
    UnsendableLength {
        /// Bytes of the payload.
        len: usize,
        /// Allowed bytes.
        limit: usize,
    },
    /// The channel was closed before. Nothing was sent.
    #[error("the connection is closed: {reason}")]
    Closed {
        /// Why it was closed.
        reason: String,
    },
}

/// What may have gone wrong, by the four bytes that were taken as a length.
fn too_long(len: usize, first: bool) -> String {
    match (len as u32).to_be_bytes() {
        // an alert or a handshake, of any version
        [0x15 | 0x16, 0x03, ..] => ": it speaks TLS".into(),
        text if text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => {
            format!(": these bytes are the text {:?}", String::from_utf8_lossy(&text))
        }
        _ if first => " until its first valid message: it may say something short first".into(),
        _ => ": it may send it in parts, or `max_frame` be raised here".into(),
    }
}

impl ChannelError {
    /// Says on the log why the connection to `peer` has ended: aloud, if that is what the peer has sent. Whoever sent it may
    /// have heard nothing but the end.
    #[cold]
    pub(super) fn log(&self, peer: &dyn fmt::Display) {
        match self.is_of_the_peer() {
            true => tracing::warn!("{peer}: {self}"),
            false => tracing::debug!("{peer}: {self}"),
        }
    }

    /// Whether what the peer has sent, or not read, ends the connection.
    pub(super) fn is_of_the_peer(&self) -> bool {
        matches!(
            self,
            ChannelError::EmptyFrame
                | ChannelError::FrameTooLong { .. }
                | ChannelError::Payload(_)
                | ChannelError::NotAMessage { .. }
                | ChannelError::SlowConsumer { .. }
                | ChannelError::Strays { .. }
        )
    }

    /// Whether the connection cannot go on; else only the one call failed.
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            ChannelError::Unsendable(_)
                | ChannelError::UnsendableLength { .. }
                | ChannelError::TooManyRequests { .. }
                | ChannelError::Closed { .. }
        )
    }
}
