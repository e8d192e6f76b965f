//! What a kernel is made with, and what it says of itself.

use crate::supervise::Policy;
use crate::time::{Epoch, Time};

/// What a kernel is made with. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Name of the container; first part of every agent's identity.
    pub name: String,
    /// Rank of the container among the containers of its world, by name.
    pub rank: u32,
    /// Seed of all random streams.
    pub seed: u64,
    /// Seed of shuffle mode; `None` keeps the canonical order.
    pub shuffle: Option<u64>,
    /// The UTC date of time zero.
    pub epoch: Epoch,
    /// Where the clock stands at first; default zero.
    pub start: Time,
    /// Rounds at one instant, or in one step at one instant, that make a livelock; default 1,000,000.
    pub livelock: u32,
    /// Messages that may wait for one agent; default 65,536.
    pub mailbox: u32,
    /// What to do with a failing agent whose type has no policy of its own; default escalate.
    pub policy: Policy,
    /// Whether time is the wall's: then wakes from outside are allowed, and `external` resumes when its result is there.
    pub realtime: bool,
    /// Paths of agents that are gone as soon as they have been created, before any code of theirs but the constructor runs.
    pub without: Vec<String>,
}

impl Config {
    /// Defaults for a container of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Config {
            name: name.into(),
            rank: 0,
            seed: 0,
            shuffle: None,
            epoch: Epoch::default(),
            start: Time::ZERO,
            livelock: 1_000_000,
            mailbox: 65_536,
            policy: Policy::default(),
            realtime: false,
            without: Vec::new(),
        }
    }
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Everything up to the limit has happened; the next event is at this time, if there is one.
    Quiet {
        /// Of the earliest timer, deadline, injection or external result.
        next: Option<Time>,
    },
    /// Time cannot go on before an external operation has finished.
    Blocked,
    /// The budget of rounds is used up; there is more to do.
    More,
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Agents ever created.
    pub agents: u64,
    /// Messages delivered to agents, calls included.
    pub messages: u64,
    /// Handlers run and tasks polled.
    pub activations: u64,
    /// Instants at which something happened.
    pub instants: u64,
    /// Messages to nobody.
    pub dead_letters: u64,
    /// Replies whose caller had lost interest.
    pub late_replies: u64,
    /// Failures of agents.
    pub failures: u64,
}
