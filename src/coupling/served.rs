//! How a run under a simulator has ended, whatever its protocol.
//!
//! Why one for all: a program ends with the same words and exit codes, whoever moved its time.

use std::io;
use std::time::Duration;

use super::Coupling;

/// Why a run ended other than by `stop`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The simulator could not be reached, or an address not be listened on.
    #[error("{address}: {error}")]
    Address {
        /// Where.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// The run could not begin.
    #[error("{0}")]
    SetUp(String),
    /// The simulator ended before the run began: most often its scenario has a mistake.
    #[error("{0} has ended before the run began; what it said last tells why")]
    Early(&'static str),
    /// The simulator is gone.
    #[error("{0}, without a `stop`: the simulator has failed, or the network")]
    Lost(String),
    /// The run failed; the simulator was told.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked the program to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A run that has ended, with its agents, for the summary.
#[derive(Debug)]
pub struct Served {
    /// The agents, if the run came as far as them.
    pub coupling: Option<Coupling>,
    /// How long it took.
    pub wall: Duration,
    /// How it ended.
    pub result: Result<(), ServeError>,
}
