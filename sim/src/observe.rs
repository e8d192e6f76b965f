//! What happens, as it happens: for traces, checks and recordings.
//!
//! Contract: events come in the order of execution. An observer is told nothing that is not a function of scenario, seed
//! and inputs, and cannot change the run.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use crate::agent::AgentId;
use crate::faults::Injected;
use crate::order::OrderKey;
use crate::supervise::Report;
use crate::task::Label;
use crate::time::Time;

/// Sees every event of a kernel.
pub trait Observer {
    /// Called while the event happens; must not run the kernel.
    fn observe(&mut self, event: &Event);

    /// Whether it wants the values of messages and replies, and to be told of random draws: both cost time.
    fn wants_values(&self) -> bool {
        false
    }
}

/// Something that happened to one agent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub time: Time,
    /// In which round of that time.
    pub round: u32,
    /// To whom; [`AgentId::OUTSIDE`] for what the outside did.
    pub agent: AgentId,
    /// The agent's order key.
    pub key: OrderKey,
    /// What.
    pub what: What,
    /// What was sent or answered, if the observer [wants](Observer::wants_values) it and the agent's type can show it.
    pub value: Option<Rc<dyn Any>>,
}

/// The kinds of events. Sequence numbers count per sender, replies included; a hash is of payload and sequence number; `call`
/// tells a call from the others that are open, 0 is none.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named by the variants' sentences")]
pub enum What {
    /// It was created by another agent, or from outside.
    Created { by: AgentId },
    /// Its first code runs, or its first code after a restart.
    Start,
    /// It was stopped on purpose.
    Stop,
    /// It sent a message.
    Send { to: AgentId, sequence: u64, label: Label, hash: u64 },
    /// It was handed a message.
    Receive { from: AgentId, key: OrderKey, sequence: u64, label: Label, hash: u64, call: u32 },
    /// A message waits until it is free again.
    Held { from: AgentId, sequence: u64 },
    /// A message to it was refused.
    Refused { from: AgentId, sequence: u64 },
    /// It answered a call.
    Reply { to: AgentId, sequence: u64, hash: u64, call: u32 },
    /// It got the answer to a call.
    Answer { from: OrderKey, sequence: u64, hash: u64 },
    /// The answer to a call came, and it had lost interest.
    Late { from: OrderKey, sequence: u64 },
    /// One of its timers fired.
    Timer { label: Label },
    /// One of its deadlines fired.
    Deadline { label: Label },
    /// The result of an external operation resumed it.
    External { name: String, hash: u64 },
    /// It failed.
    Failure(Report),
    /// A fault was injected.
    Fault { fault: Injected },
    /// It drew number `n` of its random stream for a purpose; told with values only.
    Draw { purpose: u64, n: u64 },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} round {}: {:?} {:?}", self.time, self.round, self.agent, self.what)
    }
}
