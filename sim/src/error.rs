//! What ends a run: errors that name agents and what they wait for (law 6).

use std::fmt;

use crate::supervise::Report;
use crate::time::Time;

/// An agent and what keeps it busy or waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Involved {
    /// Path of the agent.
    pub agent: String,
    /// What it does or waits for.
    pub what: String,
}

impl fmt::Display for Involved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.agent, self.what)
    }
}

fn list(involved: &[Involved]) -> String {
    const SHOWN: usize = 8;
    let mut text = involved.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if involved.len() > SHOWN {
        text += &format!("; and {} more", involved.len() - SHOWN);
    }
    text
}

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The agents keep each other busy at one instant.
    #[error("livelock at {time}: {rounds} rounds at one instant and still busy: {}", list(.busy))]
    Livelock {
        /// When.
        time: Time,
        /// After how many rounds.
        rounds: u32,
        /// Who is to act next, and on whose behalf.
        busy: Vec<Involved>,
    },
    /// A task was woken in simulated time by something other than a message, a timer or `external`.
    #[error(
        "at {time}, task `{task}` of agent {agent} was woken {by}: in simulated time only messages, timers and \
         `cx.external(..)` may wake an agent"
    )]
    ForeignWake {
        /// When.
        time: Time,
        /// Whose task.
        agent: String,
        /// Which task.
        task: String,
        /// From where.
        by: String,
    },
    /// An agent failed and its policy is to escalate.
    #[error("{0}")]
    Escalated(Report),
    /// The run is over and calls are open that can never end.
    #[error("at {time}, nothing is left to happen, and calls are still open: {}", list(.calls))]
    OpenCalls {
        /// When.
        time: Time,
        /// The callers, and what they wait for.
        calls: Vec<Involved>,
    },
    /// Calls that were open at `since` are open still.
    #[error("at {time}, calls are open that were open at {since}: {}", list(.calls))]
    NoProgress {
        /// When.
        time: Time,
        /// Since when at least.
        since: Time,
        /// The callers, and what they wait for.
        calls: Vec<Involved>,
    },
    /// The clock was asked to go back.
    #[error("the clock stands at {now} and cannot go back to {asked}")]
    Past {
        /// Where it stands.
        now: Time,
        /// What was asked for.
        asked: Time,
    },
    /// An agent waits for an operation outside the simulation, and nobody is there to run it.
    #[error("at {0}, an agent waits for an external operation: run this with a driver")]
    NeedsDriver(Time),
    /// More than one kernel can hold.
    #[error("{0}")]
    Limit(String),
}
