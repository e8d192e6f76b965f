//! Faults that are injected: what a search for bugs does to agents that did nothing wrong.
//!
//! | fault | the agent | its tasks | its calls | its mail |
//! |-------|-----------|-----------|-----------|----------|
//! | [`Crash`](Injected::Crash) | is gone | dropped | end with `Abandoned` | refused |
//! | [`Restart`](Injected::Restart) | is gone, and built anew after the span | dropped | end with `Abandoned` | waits |
//! | [`Pause`](Injected::Pause) | stands still for the span | wait | stay open | waits |
//! | [`Err`](Injected::Err) | fails to handle its next message | run on | that one ends with `Abandoned` | otherwise as ever |
//!
//! Contract: a fault happens at the present instant, between two rounds, as an input does: the same fault at the same
//! instant leads to the same run. It is no failure of the agent: no policy is asked, and no report is made.

use std::fmt;
use std::time::Duration;

use crate::agent::{AgentId, Status};
use crate::core::{Core, Injection};
use crate::observe::What;

/// Holds the lock of an agent that is paused; no task has this number.
const PAUSED: u32 = u32::MAX - 1;

/// What is done to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Injected {
    /// It is gone, as if its machine had lost power.
    Crash,
    /// It is gone, and its constructor builds it anew after this span; one without a constructor stays as it is.
    Restart(Duration),
    /// It stands still for this span: mail and timers wait.
    Pause(Duration),
    /// The next message it is handed is not handled.
    Err,
}

impl Injected {
    /// Its name in journals.
    pub fn name(self) -> &'static str {
        match self {
            Injected::Crash => "crash",
            Injected::Restart(_) => "restart",
            Injected::Pause(_) => "pause",
            Injected::Err => "err",
        }
    }

    /// How long it lasts, if it does.
    pub fn span(self) -> Option<Duration> {
        match self {
            Injected::Restart(span) | Injected::Pause(span) => Some(span),
            Injected::Crash | Injected::Err => None,
        }
    }

    /// The fault of this name, which lasts for `span`.
    pub fn from_name(name: &str, span: Duration) -> Option<Self> {
        let all = [Injected::Crash, Injected::Restart(span), Injected::Pause(span), Injected::Err];
        all.into_iter().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.span().map_or(Ok(()), |span| write!(f, " of {}", crate::time::display_span(span)))
    }
}

impl Core {
    /// Lets a fault happen; false if it cannot, as the agent is not in a state for it.
    pub(crate) fn inject_fault(&self, agent: AgentId, fault: Injected) -> bool {
        let Some((class, index)) = self.class_of(agent) else { return false };
        let status = self.agents.borrow().meta[agent.index()].status;
        let possible = match fault {
            Injected::Crash => status != Status::Stopped,
            Injected::Restart(_) => {
                class.can_rebuild(index) && !matches!(status, Status::Stopped | Status::Down)
            }
            Injected::Pause(_) | Injected::Err => status == Status::Running,
        };
        if !possible {
            return false;
        }
        self.observe(agent, || What::Fault { fault });
        match fault {
            Injected::Crash => self.dismantle(agent, Status::Stopped, false),
            Injected::Restart(span) => {
                self.dismantle(agent, Status::Down, false);
                self.schedule_restart(agent, self.now().saturating_add(span));
            }
            Injected::Pause(span) => {
                self.lock(agent, PAUSED);
                let end: Injection = Box::new(move |core| core.end_pause(agent));
                let number = self.next_injection();
                self.enter_at(self.now().saturating_add(span), number, end);
            }
            Injected::Err => self.agents.borrow_mut().meta[agent.index()].status = Status::Tripped,
        }
        true
    }

    /// An agent that was just created crashes before its first code runs, if the run is to be without it.
    #[cold]
    pub(crate) fn leave_out(&self, agent: AgentId) {
        let path = self.path(agent);
        if self.config.without.contains(&path) {
            let number = self.next_injection();
            let crash = move |core: &Core| {
                core.inject_fault(agent, Injected::Crash);
            };
            self.enter_at(self.now(), number, Box::new(crash));
        }
    }

    fn end_pause(&self, agent: AgentId) {
        // it may have crashed meanwhile, and hold another lock by now
        if self.locks.borrow().get(&agent) == Some(&PAUSED) {
            self.unlock(agent);
        }
    }
}
