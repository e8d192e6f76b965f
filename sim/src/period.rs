//! Periodic code that runs in place.
//!
//! Why: a million agents have a million periodic methods, and most of them only look at their agent's state. Such a method
//! is an entry in its class's table and a timer; its task has no future, and the kernel calls the function itself.
//!
//! Contract: the first run is one period after the start, then at start + k periods; ticks that are missed are skipped. It is
//! a task in everything else: it runs with the tasks of its round, waits while an exclusive method of its agent runs, and ends
//! with its agent, or with its first failure.

use crate::context::This;
use crate::core::{Core, wheel_key};
use crate::mailbox::Actor;
use crate::time::Time;
use crate::wheel::TimerId;

/// What runs: the error it returns is a failure of the agent.
pub(crate) type Run<A> = fn(&This<A>) -> Option<String>;

struct Period<A: Actor> {
    run: Run<A>,
    /// in ns
    period: u64,
    /// of the next run
    when: Time,
    /// `None` where that is not in the future, and at the end of time
    timer: Option<TimerId>,
    /// the agent's place in its class
    index: u32,
    task: u32,
}

impl<A: Actor> Period<A> {
    /// Waits for the next run: the first multiple of the period after the last one that is not past.
    #[inline]
    fn arm(&mut self, core: &Core) {
        let now = core.now();
        self.when = following(self.when, self.period, now);
        self.timer = None;
        if self.when > now && self.when < Time::MAX {
            self.timer = Some(core.timers.borrow_mut().insert(wheel_key(self.when), self.task));
        } else if self.when <= now {
            core.wake_soon(self.task);
        }
    }
}

/// The first multiple of a period after `last` that is not before `now`.
#[inline]
fn following(last: Time, period: u64, now: Time) -> Time {
    let next = last.as_nanos().saturating_add_unsigned(period);
    let late = now.as_nanos().saturating_sub(next);
    if late <= 0 {
        return Time::from_nanos(next);
    }
    let missed = (late as u64).div_ceil(period);
    Time::from_nanos(next.saturating_add_unsigned(missed.saturating_mul(period)))
}

/// The periodic methods of all agents of a class.
pub(crate) struct Periods<A: Actor> {
    entries: Vec<Period<A>>,
    free: Vec<u32>,
}

impl<A: Actor> Default for Periods<A> {
    fn default() -> Self {
        Periods { entries: Vec::new(), free: Vec::new() }
    }
}

impl<A: Actor> Periods<A> {
    /// Starts to tick, from now on. Returns the entry's number.
    pub(crate) fn add(&mut self, core: &Core, (index, task): (u32, u32), period: u64, run: Run<A>) -> u32 {
        let mut entry = Period { run, period, when: core.now(), timer: None, index, task };
        entry.arm(core);
        match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        }
    }

    /// What an entry runs, and for which agent.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<(u32, Run<A>)> {
        self.entries.get(number as usize).map(|entry| (entry.index, entry.run))
    }

    /// It has run.
    #[inline]
    pub(crate) fn again(&mut self, core: &Core, number: u32) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            entry.arm(core);
        }
    }

    /// Its task has ended.
    pub(crate) fn remove(&mut self, core: &Core, number: u32) {
        let Some(entry) = self.entries.get_mut(number as usize) else { return };
        match entry.timer.take() {
            Some(timer) => {
                core.timers.borrow_mut().cancel(wheel_key(entry.when), timer);
            }
            None => core.forget_soon(entry.task),
        }
        self.free.push(number);
    }
}
