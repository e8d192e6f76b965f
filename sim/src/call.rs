//! Calls in flight: who asked whom, in which task, and how it ended.
//!
//! Why: law 4, every call ends exactly once. All calls of a container stand in one table that knows no types, so that the
//! wait-for graph, the report of open calls and the wake-up of a caller need none. The value itself lies in the callee's
//! class until the caller takes it.
//!
//! | state | meaning |
//! |-------|---------|
//! | `Open` | sent; queued, being worked on, or its reply is on the way |
//! | `Answered(v)` | the reply has arrived and lies in slot `v` of the callee's class |
//!
//! Contract: a caller that drops its call frees the entry at once; the generation makes the reply, when it comes, a
//! counted late one. A handler that is dropped without an answer answers with [`Fault::Abandoned`].

use crate::agent::AgentId;
use crate::task::Label;
use crate::time::Time;

/// An entry of the table, with the generation of its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CallRef {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl CallRef {
    /// Of a message that wants no answer, and of a task that answers nobody.
    pub(crate) const NONE: CallRef = CallRef { index: u32::MAX, generation: 0 };

    pub(crate) fn is_none(self) -> bool {
        self.index == u32::MAX
    }

    /// Tells it from the other open calls; 0 for none.
    pub(crate) fn number(self) -> u32 {
        self.index.wrapping_add(1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallState {
    Open,
    Answered(u32),
}

pub(crate) struct Head {
    generation: u32,
    pub(crate) caller: AgentId,
    /// the caller's task, `u32::MAX` when the call comes from outside
    pub(crate) task: u32,
    pub(crate) waiter: u32,
    pub(crate) callee: AgentId,
    pub(crate) state: CallState,
    pub(crate) label: Label,
    pub(crate) since: Time,
    live: bool,
}

#[derive(Default)]
pub(crate) struct Calls {
    heads: Vec<Head>,
    free: Vec<u32>,
}

impl Calls {
    #[inline]
    pub(crate) fn open(
        &mut self,
        (caller, task): (AgentId, u32),
        waiter: u32,
        (callee, label): (AgentId, Label),
        since: Time,
    ) -> CallRef {
        if let Some(index) = self.free.pop() {
            let head = &mut self.heads[index as usize];
            let generation = head.generation;
            *head = Head {
                generation,
                caller,
                task,
                waiter,
                callee,
                state: CallState::Open,
                label,
                since,
                live: true,
            };
            return CallRef { index, generation };
        }
        let index = self.heads.len() as u32;
        self.heads.push(Head {
            generation: 0,
            caller,
            task,
            waiter,
            callee,
            state: CallState::Open,
            label,
            since,
            live: true,
        });
        CallRef { index, generation: 0 }
    }

    #[inline]
    pub(crate) fn get(&mut self, call: CallRef) -> Option<&mut Head> {
        self.heads.get_mut(call.index as usize).filter(|head| head.generation == call.generation && head.live)
    }

    #[inline]
    pub(crate) fn close(&mut self, call: CallRef) {
        if let Some(head) = self.get(call) {
            head.generation = head.generation.wrapping_add(1);
            head.live = false;
            self.free.push(call.index);
        }
    }

    /// Closes a call whose reply has arrived, and says where that lies; or who waits for it. `None` for a call that is
    /// over.
    #[inline]
    pub(crate) fn take_answer(&mut self, call: CallRef) -> Option<Result<u32, u32>> {
        let head = self.get(call)?;
        Some(match head.state {
            CallState::Open => Err(head.waiter),
            CallState::Answered(value) => {
                head.generation = head.generation.wrapping_add(1);
                head.live = false;
                self.free.push(call.index);
                Ok(value)
            }
        })
    }

    /// All calls that have no reply yet, in order of their age and number.
    pub(crate) fn unanswered(&self) -> Vec<&Head> {
        let mut open: Vec<_> =
            self.heads.iter().filter(|head| head.live && head.state == CallState::Open).collect();
        open.sort_by_key(|head| (head.since, head.caller, head.callee));
        open
    }
}

/// How a call ends when it does not end with the callee's reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no such agent in this container.
    #[error("no agent {0} is here")]
    Unknown(String),
    /// The callee has been stopped or removed.
    #[error("agent {0} is stopped")]
    Stopped(String),
    /// The callee failed, or its handler was dropped, before it could answer.
    #[error("agent {agent} gave up `{method}` before it could answer: {why}")]
    Abandoned {
        /// The callee.
        agent: String,
        /// What was asked.
        method: String,
        /// What happened.
        why: String,
    },
    /// As many messages wait for the callee as its mailbox may hold.
    #[error("agent {agent} is busy: {limit} messages wait for it")]
    Busy {
        /// The callee.
        agent: String,
        /// What its mailbox holds.
        limit: u32,
    },
    /// The call would wait for itself: each agent of the chain waits for the next one, the last for the first.
    #[error("a cycle of waiting calls: {}", .0.join(" -> "))]
    WaitCycle(Vec<String>),
    /// The call was made where no kernel runs.
    #[error("this call was made outside of a running container")]
    NoKernel,
}

impl Fault {
    /// A stable word for the kind of fault.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Unknown(_) => "LookupError",
            Fault::Stopped(_) => "Stopped",
            Fault::Abandoned { .. } => "Abandoned",
            Fault::Busy { .. } => "Busy",
            Fault::WaitCycle(_) => "WaitCycle",
            Fault::NoKernel => "NoKernel",
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        crate::random::purpose_of(self.kind())
    }
}
