//! Supervision: what becomes of an agent that fails.
//!
//! Why: law 5. A panic or an error that escapes a task is a [`Report`]; a [`Policy`], set by the program and never by the
//! clock, decides what follows. The other agents always go on, at least to the end of the instant.
//!
//! | policy | the agent | its tasks | its calls | its mail | the run |
//! |--------|-----------|-----------|-----------|----------|---------|
//! | `Stop` | is gone, its last outputs stay | dropped | end with `Abandoned` | calls end with `Stopped` | goes on |
//! | `Restart` | is built anew by its constructor, after the backoff | dropped | end with `Abandoned` | waits | goes on |
//! | `Escalate` | as `Stop` | dropped | end with `Abandoned` | as `Stop` | ends after this instant, with the report |

use std::fmt;
use std::time::Duration;

use crate::agent::{AgentId, Status};
use crate::core::Core;
use crate::observe::What;
use crate::pending::ESCALATED;
use crate::time::Time;

/// What to do with an agent that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// It stays stopped; the others go on.
    Stop,
    /// Its constructor builds it anew.
    Restart {
        /// Simulated time until the first restart; doubles with every further one, at most 64-fold.
        backoff: Duration,
        /// After so many restarts the next failure stops it.
        max: u32,
    },
    /// The run ends with an error when the instant is over.
    #[default]
    Escalate,
}

impl Policy {
    /// How long to wait before restart number `n` (from 0).
    pub(crate) fn backoff(self, n: u32) -> Option<Duration> {
        match self {
            Policy::Restart { backoff, max } if n < max => Some(backoff.saturating_mul(1 << n.min(6))),
            _ => None,
        }
    }
}

/// A failure: who, when, where in its code, and what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Path of the agent.
    pub agent: String,
    /// Simulated time.
    pub time: Time,
    /// The method or task that failed.
    pub task: String,
    /// The panic's message, or the error's text.
    pub message: String,
    /// What was done about it.
    pub outcome: Outcome,
}

/// What the supervisor did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The agent is stopped.
    Stopped,
    /// The agent restarts at this time.
    Restarts(Time),
    /// The agent is stopped and the run ends.
    Escalated,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { agent, time, task, message, .. } = self;
        write!(f, "agent {agent} failed at {time} in `{task}`: {message}")?;
        match self.outcome {
            Outcome::Stopped => f.write_str(" (stopped)"),
            Outcome::Restarts(at) => write!(f, " (restarts at {at})"),
            Outcome::Escalated => Ok(()),
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).into(),
        None => {
            payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "panicked without a message".into())
        }
    }
}

/// Reports that are kept; further failures are counted only.
const KEPT: usize = 10_000;

impl Core {
    /// Judges the failures that have been noted; the failing code has returned.
    pub(crate) fn settle_failures(&self) {
        loop {
            let first = {
                let mut failures = self.failures.borrow_mut();
                if failures.is_empty() { None } else { Some(failures.remove(0)) }
            };
            let Some((agent, label, message)) = first else { break };
            let stopped = self.agents.borrow().meta[agent.index()].status == Status::Stopped;
            if !stopped {
                self.judge(agent, label, message);
                // whatever else this agent failed with at the same moment is one failure
                self.failures.borrow_mut().retain(|(other, ..)| *other != agent);
            }
        }
    }

    /// Judges what went wrong in the code that has just returned, then stops whoever asked for it: an agent that both
    /// fails and stops is reported.
    #[cold]
    pub(crate) fn settle_alarm(&self) {
        self.settle_failures();
        self.settle_stops();
        self.rest_alarm();
    }

    fn judge(&self, agent: AgentId, label: &str, message: String) {
        let policy = self.policy(agent);
        let restarts = self.restarts.borrow().get(&agent).copied().unwrap_or(0);
        let can_restart = self.class_of(agent).is_some_and(|(class, index)| class.can_rebuild(index));
        let mut message = message;
        let outcome = match policy {
            Policy::Escalate => Outcome::Escalated,
            Policy::Restart { .. } if !can_restart => {
                message += "; it cannot be restarted: it was created without a constructor";
                Outcome::Stopped
            }
            Policy::Restart { .. } => match policy.backoff(restarts) {
                Some(backoff) => Outcome::Restarts(self.now().saturating_add(backoff)),
                None => {
                    message += &format!("; it has been restarted {restarts} times");
                    Outcome::Stopped
                }
            },
            Policy::Stop => Outcome::Stopped,
        };
        self.report(agent, label, message, outcome);
        let down = matches!(outcome, Outcome::Restarts(_));
        self.dismantle(agent, if down { Status::Down } else { Status::Stopped }, false);
        match outcome {
            Outcome::Restarts(at) => {
                *self.restarts.borrow_mut().entry(agent).or_default() += 1;
                self.schedule_restart(agent, at);
            }
            Outcome::Escalated | Outcome::Stopped => {}
        }
    }

    fn report(&self, agent: AgentId, label: &str, message: String, outcome: Outcome) {
        let report =
            Report { agent: self.path(agent), time: self.now(), task: label.into(), message, outcome };
        self.failed.set(self.failed.get() + 1);
        self.observe(agent, || What::Failure(report.clone()));
        if self.reports.borrow().len() < KEPT {
            self.reports.borrow_mut().push(report.clone());
        }
        if outcome == Outcome::Escalated {
            self.escalated.borrow_mut().get_or_insert(report);
            self.pending.raise(ESCALATED);
        }
    }

    /// Takes an agent's tasks and state away; its queued mail is refused, or waits for the restart.
    pub(crate) fn dismantle(&self, agent: AgentId, status: Status, on_purpose: bool) {
        let Some((class, index)) = self.class_of(agent) else { return };
        if on_purpose {
            class.stopping(self, index);
        }
        self.agents.borrow_mut().meta[agent.index()].status = status;
        self.locks.borrow_mut().remove(&agent);
        self.forget_parked(agent);
        let tasks = self.tasks.borrow().of_agent(agent);
        self.acting_as(agent, "drop", || {
            for task in tasks {
                self.end_task(task);
            }
        });
        class.clear(self, index);
        if status == Status::Stopped {
            class.resume(self, index);
        }
    }

    /// Builds a failed agent anew; what it does with an error is again a failure.
    pub(crate) fn restart(&self, agent: AgentId) {
        let Some((class, index)) = self.class_of(agent) else { return };
        if self.agents.borrow().meta[agent.index()].status != Status::Down {
            return;
        }
        let built = self.acting_as(agent, "constructor", || class.rebuild(self, index));
        match built {
            // it stays down until its first code runs, in the next round: mail of this round queues behind the older
            Some(Ok(())) => class.resume(self, index),
            Some(Err(message)) => {
                self.fail(agent, "constructor", message);
                self.settle_failures();
            }
            None => {}
        }
    }

    /// Stops an agent when its present code has returned, or at once if it is not running.
    pub(crate) fn request_stop(&self, agent: AgentId) {
        self.stops.borrow_mut().push(agent);
        self.raise_alarm();
    }

    pub(crate) fn settle_stops(&self) {
        let stops = std::mem::take(&mut *self.stops.borrow_mut());
        for agent in stops {
            self.stop_agent(agent);
        }
    }

    pub(crate) fn stop_agent(&self, agent: AgentId) {
        let running =
            self.agents.borrow().meta.get(agent.index()).is_some_and(|m| m.status != Status::Stopped);
        if running {
            self.observe(agent, || What::Stop);
            self.dismantle(agent, Status::Stopped, true);
            // its last code may fail like any other, but there is nothing left to restart
            let first = self.failures.borrow().iter().find(|(failed, ..)| *failed == agent).cloned();
            if let Some((_, label, message)) = first {
                self.failures.borrow_mut().retain(|(failed, ..)| *failed != agent);
                let escalates = self.policy(agent) == Policy::Escalate;
                let outcome = if escalates { Outcome::Escalated } else { Outcome::Stopped };
                self.report(agent, label, message, outcome);
            }
        }
    }
}
