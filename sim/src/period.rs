//! Periodic code that runs in place.
//!
//! Why: a million agents have a million periodic methods, and most of them only look at their agent's state. Such a method
//! is an entry in its class's table and a timer; its task has no future, and the kernel calls the function itself.
//!
//! Contract: the first run is one period after the start, then at start + k periods; ticks that are missed are skipped. It is
//! a task in everything else: it runs with the tasks of its round, waits while an exclusive method of its agent runs, and ends
//! with its agent, or with its first failure.

use crate::beat::Place;
use crate::context::This;
use crate::core::{Core, wheel_key};
use crate::mailbox::Actor;
use crate::slab::Slab;
use crate::time::Time;

/// What runs: the error it returns is a failure of the agent.
pub(crate) type Run<A> = fn(&This<A>) -> Option<String>;

struct Period<A: Actor> {
    run: Run<A>,
    /// in ns, above zero
    period: i64,
    /// of the next run
    when: Time,
    /// nowhere if that is not in the future, and at the end of time
    place: Place,
    task: u32,
    /// `None` when its task has ended
    this: Option<This<A>>,
}

impl<A: Actor> Period<A> {
    /// Waits for the next run: the first multiple of the period after the last one that is not past.
    #[inline(always)]
    fn arm(&mut self, core: &Core) {
        let next = self.when.as_nanos().checked_add(self.period).map(Time::from_nanos);
        match next {
            Some(next) if next > core.now() && next < Time::MAX => {
                self.when = next;
                core.wait_for(wheel_key(next), self.task, &mut self.place);
            }
            _ => self.arm_late(core),
        }
    }

    /// The same where ticks were missed, or the end of time has come.
    #[cold]
    fn arm_late(&mut self, core: &Core) {
        let now = core.now();
        self.when = following(self.when, self.period as u64, now);
        self.place = Place::None;
        if self.when <= now {
            core.wake_soon(self.task);
        } else if self.when < Time::MAX {
            core.wait_for(wheel_key(self.when), self.task, &mut self.place);
        }
    }
}

/// The first multiple of a period after `last` that is not before `now`.
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
    entries: Slab<Period<A>>,
}

impl<A: Actor> Default for Periods<A> {
    fn default() -> Self {
        Periods { entries: Slab::default() }
    }
}

impl<A: Actor> Periods<A> {
    /// Starts to tick, from now on. Returns the entry's number.
    pub(crate) fn add(&mut self, core: &Core, (this, task): (This<A>, u32), period: u64, run: Run<A>) -> u32 {
        // what is longer than all of time never comes
        let (when, period) =
            i64::try_from(period).map_or((Time::MAX, i64::MAX), |period| (core.now(), period));
        let mut entry = Period { run, period, when, place: Place::None, task, this: Some(this) };
        entry.arm(core);
        self.entries.add(entry)
    }

    /// What an entry runs, and for which agent.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<(This<A>, Run<A>)> {
        let entry = self.entries.get(number)?;
        Some((entry.this.clone()?, entry.run))
    }

    /// It has run.
    #[inline(always)]
    pub(crate) fn again(&mut self, core: &Core, number: u32) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.arm(core);
        }
    }

    /// Its task has ended.
    pub(crate) fn remove(&mut self, core: &Core, number: u32) {
        let Some(entry) = self.entries.get_mut(number) else { return };
        match std::mem::replace(&mut entry.place, Place::None) {
            Place::None => {
                let seat = core.soon.borrow().seat_of(entry.task);
                seat.into_iter().for_each(|seat| core.leave_soon(seat));
            }
            place => core.wait_no_more(place, wheel_key(entry.when), entry.task),
        }
        entry.this = None;
        self.entries.release(number);
    }
}
