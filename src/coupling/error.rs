//! Why a simulator's request cannot be answered, whatever its protocol.

use isochrone_sim::{CreateError, Report, SimError, Time};

use super::mode::Mode;
use crate::agent::BadInput;
use crate::clock::RunError;
use crate::rpc::CallError;

/// Why a simulator's request cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoupleError {
    /// The run itself.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is no such model.
    #[error("no model {model:?} is here; there are: {known}")]
    Model {
        /// The name asked for.
        model: String,
        /// The names there are.
        known: String,
    },
    /// An agent could not be created.
    #[error("{eid}: {source}")]
    Create {
        /// The entity that was to be.
        eid: String,
        /// Why not.
        source: CreateError,
    },
    /// There is no such entity.
    #[error("no entity {0:?} is here")]
    Entity(String),
    /// The entity's model has no such port.
    #[error("{eid} ({model}) has no {direction} {port:?}; it has: {known}")]
    Port {
        /// The entity.
        eid: String,
        /// Its model.
        model: &'static str,
        /// "input" or "output".
        direction: &'static str,
        /// The name asked for.
        port: String,
        /// The names there are.
        known: String,
    },
    /// A value has the wrong type.
    #[error("{eid}.{port}: {input}")]
    Input {
        /// The entity.
        eid: String,
        /// The port.
        port: String,
        /// Source, and what is wrong.
        input: BadInput,
    },
    /// An output could not be read.
    #[error("{eid}.{port}: {error}")]
    Output {
        /// The entity.
        eid: String,
        /// The port.
        port: String,
        /// Why.
        error: CallError,
    },
    /// The simulator wants to step where the agents have been already.
    #[error(
        "a step at {asked} is not possible: the agents have run on to {now} in the mode {mode}, which the step at {last} allowed up to {allowed}"
    )]
    Past {
        /// The step's time.
        asked: Time,
        /// Where the agents are.
        now: Time,
        /// The step that let them.
        last: Time,
        /// How far that was.
        allowed: Time,
        /// In which mode.
        mode: Mode,
    },
    /// Too many inputs wait for their time.
    #[error("{0} injected inputs wait for their time already: let time pass first")]
    Crowded(u32),
}

impl CoupleError {
    /// The name that simulators are told, as Python's exceptions have one.
    pub fn kind(&self) -> &'static str {
        match self {
            CoupleError::Run(RunError::Sim(SimError::Escalated(_))) => "AgentFailure",
            CoupleError::Run(_) | CoupleError::Past { .. } => "SimulationError",
            CoupleError::Model { .. } | CoupleError::Entity(_) | CoupleError::Port { .. } => "LookupError",
            CoupleError::Input { .. } | CoupleError::Output { .. } => "TypeError",
            CoupleError::Create { .. } => "ValueError",
            CoupleError::Crowded(_) => "Busy",
        }
    }

    /// The failure of an agent that ended the run, if that is what it was.
    pub fn report(&self) -> Option<&Report> {
        match self {
            CoupleError::Run(RunError::Sim(SimError::Escalated(report))) => Some(report),
            _ => None,
        }
    }
}
