//! Codec and limits of a channel, and what it counts.
//!
//! Why in one place: everything that a peer can make us spend (bytes, values, requests, time) has its limit here.

use std::time::Duration;

use super::Load;
use crate::codec::{Codec, Limits, Types};

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
    /// Bytes of a payload, either way (16 MiB). A longer message fails its one call; one that is more than 16 times as long
    /// ends the connection, and so does a MsgPackBlosc container that is too long and compressed: whose it is, is compressed too.
    pub max_frame: usize,
    /// Bytes of a payload from a peer that has not yet sent a valid message, and to which we have not sent a request
    /// (64 KiB).
    pub max_first_frame: usize,
    /// Depth and number of values of a frame. One with too many values fails its one call; one that is too deep ends the
    /// connection.
    pub limits: Limits,
    /// Requests of the peer that may be unanswered at once (1,024); then no further one is taken.
    pub serving: usize,
    /// Requests of all peers that may be unanswered at once on connections that share this, as those with clones of one
    /// configuration do (16,384). Beyond that a connection that has 16 takes no further one.
    pub load: Load,
    /// Own requests that may be unanswered at once, those included that were given up (65,536); then a further one fails.
    pub pending: usize,
    /// Time for a frame, from its first byte to its last (30 s).
    pub frame_time: Duration,
    /// Bytes that may wait for a peer that does not read (64 MiB).
    pub max_unread: usize,
    /// Time in which such a peer must read at least something (10 s).
    pub unread_time: Duration,
    /// Time for what is being answered when the connection is about to end (5 s).
    pub grace: Duration,
    /// Answers to nothing that are tolerated in a minute (100).
    pub strays: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            codec: Codec::default(),
            types: Types::none(),
            max_frame: 16 << 20,
            max_first_frame: 64 << 10,
            limits: Limits::default(),
            serving: 1024,
            load: Load::new(16_384),
            pending: 65_536,
            frame_time: Duration::from_secs(30),
            max_unread: 64 << 20,
            unread_time: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            strays: 100,
        }
    }
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
    /// Requests of the peer.
    pub requests: u64,
    /// Answers that we gave.
    pub answers: u64,
    /// Messages that failed their one call, for they were longer than a frame may be, or held too many values.
    pub refused: u64,
    /// Answers to requests that had been given up.
    pub late: u64,
    /// Answers to requests that never were, or were answered before.
    pub stray: u64,
}
