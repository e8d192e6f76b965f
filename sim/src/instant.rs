//! Rounds, phases, instants: in which order things happen. The table is at the head of `kernel`.
//!
//! Contract: time moves only when nothing is left to do at the present instant, and never beyond the limit of the turn. A
//! turn ends at a round boundary; the next one goes on exactly there.

use std::cell::{Cell, RefMut};
use std::time::Duration;

use crate::agent::AgentId;
use crate::beat::BEAT;
use crate::config::Progress;
use crate::core::{Core, Injection, wheel_key, wheel_time};
use crate::error::{Involved, SimError};
use crate::fingerprint::{Tag, fold, instant, next_round};
use crate::mailbox::Class;
use crate::observe::What;
use crate::order::arrange;
use crate::pending::{ESCALATED, EXTERNAL, INJECTED, MAIL, RARE, READY, REPLIES, ROUND, SETTLED, SOON};
use crate::reply::ReplyNote;
use crate::task::Tasks;
use crate::time::Time;
use crate::waiter::{NO_TASK, RESTART, SIDE};
use crate::wheel::RadixWheel;

/// A turn is on until this is dropped.
pub(crate) struct Turning<'c>(&'c Cell<bool>);

impl<'c> Turning<'c> {
    pub(crate) fn new(turning: &'c Cell<bool>) -> Self {
        turning.set(true);
        Turning(turning)
    }
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// What a timer of the agent adds to the fingerprint.
#[inline]
fn fired(at: u64, agent: AgentId) -> u64 {
    fold(at ^ u64::from(agent.ordinal()), 0x8EBC_6AF0_9C88_C6E3)
}

impl Core {
    /// One round: replies and messages of the previous one, then the tasks they and the timers woke.
    #[inline]
    pub(crate) fn run_round(&self) -> bool {
        // all that the previous round sent is taken before any code of this one can send
        let pending = self.pending.begin_round();
        match pending & (ROUND | EXTERNAL) {
            0 => return false,
            READY => self.run_tasks(),
            MAIL => self.run_mail(),
            REPLIES => self.run_replies(),
            EXTERNAL => {
                if !self.run_results() {
                    return false;
                }
            }
            _ => {
                if !self.run_all(pending) {
                    return false;
                }
            }
        }
        self.end_round();
        true
    }

    #[inline(always)]
    fn end_round(&self) {
        if self.round.get() == 0 {
            self.instants.set(self.instants.get() + 1);
        }
        self.round.set(self.round.get().saturating_add(1));
        self.instant.set(next_round(self.instant.get()));
        self.spent.set(self.spent.get() + 1);
    }

    /// A round that is about everything there can be.
    #[inline(never)]
    fn run_all(&self, pending: u8) -> bool {
        let mut some = pending & ROUND != 0;
        let replies = self.replies.begin();
        let active = self.active.take();
        // sealing runs no code but ours
        self.for_classes(active, |class| class.seal());
        if pending & EXTERNAL != 0 && !self.is_blocked() {
            some |= self.deliver_externals();
        }
        if pending & SOON != 0 {
            let soon = self.soon.borrow_mut().take();
            for waiter in soon {
                self.wake_waiter(waiter);
            }
        }
        if !replies.is_empty() {
            self.deliver_replies(replies);
        }
        self.for_classes(active, |class| class.deliver(self));
        self.pending.raise(pending & READY);
        self.run_woken();
        some
    }

    /// A round of external results, and of the tasks they wake.
    #[inline]
    fn run_results(&self) -> bool {
        let some = !self.is_blocked() && self.deliver_externals();
        self.run_woken();
        some
    }

    /// A round of replies, and of the tasks they wake.
    #[inline]
    fn run_replies(&self) {
        let first = {
            let mut replies = self.replies.borrow_mut();
            if replies.len() == 1 { replies.pop() } else { None }
        };
        match first {
            Some(note) => self.deliver_reply(&note),
            None => self.deliver_replies(self.replies.begin()),
        }
        self.run_woken();
    }

    fn deliver_replies(&self, mut replies: RefMut<'_, Vec<ReplyNote>>) {
        arrange(&mut replies, self.shuffle());
        for note in replies.drain(..) {
            self.deliver_reply(&note);
        }
    }

    /// A round of mail, and of the tasks it wakes.
    #[inline]
    fn run_mail(&self) {
        let active = self.active.take();
        if active.is_power_of_two()
            && self.classes.len() <= 64
            && let Some(class) = self.class(active.trailing_zeros() as u16)
        {
            class.deliver_now(self);
        } else {
            self.for_classes(active, |class| class.seal());
            self.for_classes(active, |class| class.deliver(self));
        }
        self.run_woken();
    }

    /// The tasks that the first part of the round has woken.
    #[inline(always)]
    fn run_woken(&self) {
        if self.pending.has(READY) {
            self.pending.lower(READY);
            self.run_tasks();
        }
    }

    /// The tasks that are ready now.
    #[inline]
    fn run_tasks(&self) {
        let mut ready = self.ready.begin();
        if let Some(shuffle) = self.shuffle() {
            ready.sort_by_cached_key(|task| shuffle.turn(*task));
        }
        self.poll_tasks(&ready);
        ready.clear();
    }

    /// Goes through the classes behind these bits, in the order of delivery; also through one that shares a bit.
    fn for_classes(&self, mut active: u64, mut each: impl FnMut(&dyn Class)) {
        let (kinds, shuffle) = (self.classes.len(), self.shuffle());
        if kinds <= 64 && shuffle.is_none() {
            while active != 0 {
                self.class(active.trailing_zeros() as u16).into_iter().for_each(&mut each);
                active &= active - 1;
            }
            return;
        }
        let mut numbers: Vec<u16> = (0..kinds).filter(|number| active >> (number % 64) & 1 == 1).collect();
        if let Some(shuffle) = shuffle {
            numbers.sort_by_cached_key(|class| shuffle.turn(u32::from(*class)));
        }
        numbers.into_iter().filter_map(|number| self.class(number)).for_each(each);
    }

    #[inline]
    fn set_instant(&self, time: Time, round: u32) {
        self.now.set(time);
        self.round.set(round);
        self.instant.set(instant(time, round));
    }

    pub(crate) fn move_to(&self, time: Time) {
        if time > self.now.get() {
            self.set_instant(time, 0);
            self.spent.set(0);
        }
    }

    /// Wakes whoever waits for the timers that are ready.
    #[inline(always)]
    fn fire<const BITS: usize>(&self, mut wheel: RefMut<'_, RadixWheel<BITS>>, tag: Tag) {
        // which agent of which container, when, and in which round: no order among them is left to remember, so they are
        // summed at once
        let at = fold(
            self.now.get().as_nanos() as u64 ^ self.place,
            u64::from(self.round.get()) << 8 | tag as u64 | 1 << 62,
        );
        let mut sum = self.timers_fired.get();
        let mut specials = Vec::new();
        {
            let mut tasks = self.tasks.borrow_mut();
            let mut ready = self.ready.borrow_mut();
            while let Some(waiter) = wheel.pop() {
                let mut task = waiter;
                if waiter & (SIDE | RESTART | BEAT) != 0 {
                    if waiter & (SIDE | RESTART) == 0 {
                        let members = self.fire_beat(waiter & !BEAT, at, &mut tasks, &mut ready);
                        sum = sum.wrapping_add(members);
                        continue;
                    }
                    specials.push(waiter);
                    let Some(behind) = self.task_behind(waiter) else { continue };
                    task = behind;
                }
                let Some(slot) = tasks.slots.get_mut(task as usize) else { continue };
                if !slot.alive {
                    // its sleep was dropped where no kernel runs
                    continue;
                }
                sum = sum.wrapping_add(fired(at, slot.agent));
                if task == waiter && !slot.queued {
                    slot.queued = true;
                    ready.push(waiter);
                }
            }
            if !ready.is_empty() {
                self.pending.raise(READY);
            }
        }
        drop(wheel);
        self.timers_fired.set(sum);
        if !specials.is_empty() {
            self.wake_specials(specials);
        }
        if self.observed.get() {
            self.tell_fired(tag);
        }
    }

    /// The timer of many tasks has fired; the sum over them.
    #[inline(never)]
    fn fire_beat(&self, beat: u32, at: u64, tasks: &mut Tasks, ready: &mut Vec<u32>) -> u64 {
        let mut beats = self.beats.borrow_mut();
        let members = beats.take(beat);
        let (mut sum, mut end) = (0u64, ready.len());
        ready.resize(end + members.len(), NO_TASK);
        for task in &members {
            let Some(slot) = tasks.slots.get_mut(*task as usize).filter(|slot| slot.alive) else { continue };
            sum = sum.wrapping_add(fired(at, slot.agent));
            // no branch: whoever is queued already is overwritten by the next one
            ready[end] = *task;
            end += usize::from(!std::mem::replace(&mut slot.queued, true));
        }
        ready.truncate(end);
        beats.give_back(members);
        sum
    }

    /// Timers have fired that wake no task by its number.
    #[cold]
    fn wake_specials(&self, waiters: Vec<u32>) {
        for waiter in waiters {
            if waiter & SIDE == 0 {
                // a constructor is agents' code: it runs inside the round
                self.wake_soon(waiter);
            } else {
                self.wake_waiter(waiter);
            }
        }
    }

    #[cold]
    fn tell_fired(&self, tag: Tag) {
        let woken: Vec<u32> = self.ready.borrow().clone();
        for task in woken {
            let (agent, label) = self.task_of(task);
            self.tell(
                agent,
                if tag == Tag::Timer { What::Timer { label } } else { What::Deadline { label } },
            );
        }
    }

    /// Judges the wakes that came from outside since the last turn.
    pub(crate) fn admit_wakes(&self) {
        for key in self.injector.take() {
            let known = self
                .tasks
                .borrow()
                .slots
                .get(key.task() as usize)
                .and_then(|slot| (slot.alive && key == slot.key).then_some(slot.agent));
            let known = known.map(|agent| (agent, self.task_of(key.task()).1));
            match known {
                Some(who) if self.config.realtime => {
                    let mut foreign = self.foreign.borrow_mut();
                    if foreign.len() < 100 && !foreign.contains(&who) {
                        foreign.push(who);
                    }
                    drop(foreign);
                    self.wake_from_code(key);
                }
                Some((agent, label)) => self.foreign_wake(agent, label, "from outside the kernel".into()),
                None => {}
            }
        }
    }

    pub(crate) fn livelock(&self) -> SimError {
        let mut busy: Vec<Involved> = Vec::new();
        for class in self.classes.iter() {
            for (to, from, label) in class.pending(self) {
                busy.push(Involved {
                    agent: self.path(to),
                    what: format!("is to receive `{label}` from {}", self.path(from)),
                });
            }
        }
        for note in self.replies.borrow().iter().take(32) {
            let from = self.path(note.from);
            busy.push(Involved {
                agent: self.path(note.to),
                what: format!("is to receive a reply from {from}"),
            });
        }
        for task in self.ready.borrow().iter().take(32) {
            let (agent, label) = self.task_of(*task);
            busy.push(Involved { agent: self.path(agent), what: format!("is to run `{label}`") });
        }
        for waiter in
            self.soon.borrow().waiters().iter().filter(|waiter| **waiter & (SIDE | RESTART) == 0).take(32)
        {
            let (agent, label) = self.task_of(*waiter);
            busy.push(Involved { agent: self.path(agent), what: format!("is to run `{label}`") });
        }
        SimError::Livelock { time: self.now.get(), rounds: self.spent.get(), busy }
    }

    /// Whether the next round of this instant has anything to do.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending.has(ROUND)
    }

    /// The time of the earliest event that has not happened yet.
    pub(crate) fn next_event(&self) -> Option<Time> {
        if self.pending.has(ROUND | SETTLED) && (self.is_busy() || !self.settled.borrow().is_empty()) {
            return Some(self.now.get());
        }
        let timer = self.timers.borrow().next().map(wheel_time);
        let deadline = self.deadlines.borrow().next().map(wheel_time);
        earlier(earlier(timer, deadline), self.next_input())
    }

    /// Lets the earliest timer or deadline at or before the horizon happen.
    #[inline]
    pub(crate) fn fire_next(&self, horizon: Time) -> bool {
        // what the clock has jumped over is due now, timers before deadlines
        let (horizon, now) = (wheel_key(horizon), wheel_key(self.now.get()));
        let from = self.deadlines_from.get().max(now);
        self.fire_timers(from.min(horizon)) || from <= horizon && self.fire_near_deadline(horizon, now)
    }

    /// As [`fire_next`](Core::fire_next), when a deadline may be next: its exact time decides, and a timer of the same instant
    /// goes first.
    #[inline(never)]
    fn fire_near_deadline(&self, horizon: u64, now: u64) -> bool {
        let bound = self.deadlines.borrow_mut().advance(now).map_or(u64::MAX, |bound| bound.max(now));
        self.deadlines_from.set(bound);
        if self.fire_timers(bound.min(horizon)) {
            return true;
        }
        let earliest = self.deadlines.borrow_mut().earliest();
        let deadline = earliest.map_or(u64::MAX, |at| at.max(now));
        if self.fire_timers(deadline.min(horizon)) {
            return true;
        }
        if earliest.is_none() || deadline > horizon {
            return false;
        }
        if wheel_time(deadline) > self.now.get() {
            self.move_to(wheel_time(deadline));
            // whoever waits for this instant to settle, and inputs of it, come before the deadline
            return true;
        }
        self.fire_deadlines(deadline)
    }

    /// Fires the earliest timers, if they are due by this instant.
    #[inline(never)]
    fn fire_timers(&self, by: u64) -> bool {
        let mut timers = self.timers.borrow_mut();
        let Ok(at) = timers.ready(by) else { return false };
        self.move_to(wheel_time(at));
        if let Some(near) = timers.near() {
            self.tasks.borrow().fetch(near);
        }
        self.fire(timers, Tag::Timer);
        true
    }

    /// Fires the earliest deadlines, if they are due by this instant.
    fn fire_deadlines(&self, by: u64) -> bool {
        let mut deadlines = self.deadlines.borrow_mut();
        let due = deadlines.ready(by).is_ok();
        if due {
            self.fire(deadlines, Tag::Deadline);
        }
        due
    }

    pub(crate) fn resume_settled(&self) -> bool {
        if self.settled.borrow().is_empty() {
            return false;
        }
        let waiters = self.settled.borrow_mut().take();
        for waiter in waiters {
            self.wake_waiter(waiter);
        }
        true
    }

    /// Runs an input when time reaches `at`.
    pub(crate) fn enter_at(&self, at: Time, number: u64, input: Injection) {
        self.injections.borrow_mut().insert((at, number), input);
        self.pending.raise(INJECTED);
    }

    /// Inputs that are due at the present time.
    #[inline]
    pub(crate) fn admit_injections(&self) -> bool {
        self.pending.has(INJECTED) && self.admit_injected()
    }

    fn admit_injected(&self) -> bool {
        let now = self.now.get();
        let mut some = false;
        loop {
            let due = {
                let mut injections = self.injections.borrow_mut();
                match injections.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => break,
                }
            };
            due(self);
            some = true;
        }
        some
    }

    pub(crate) fn turn(&self, limit: Time, inclusive: bool, budget: u32) -> Result<Progress, SimError> {
        let stop = if inclusive { Some(limit) } else { limit.checked_sub(Duration::from_nanos(1)) };
        let Some(horizon) = stop else { return Ok(Progress::Quiet { next: self.next_event() }) };
        if limit < self.now.get() {
            return Err(SimError::Past { now: self.now.get(), asked: limit });
        }
        self.admit_wakes();
        if self.now.get() <= horizon {
            self.admit_injections();
        }
        let mut left = budget;
        // before the limit of an exclusive turn lies nothing, if the clock stands there already
        while self.now.get() <= horizon {
            if self.alarm.get() {
                self.settle_alarm();
                if let Some(error) = self.fatal.borrow_mut().take() {
                    return Err(error);
                }
            }
            if self.pending.has(EXTERNAL) && self.is_blocked() {
                return Ok(Progress::Blocked);
            }
            if self.spent.get() >= self.config.livelock && self.is_busy() {
                let error = self.livelock();
                self.spent.set(0);
                return Err(error);
            }
            if left == 0 {
                return Ok(Progress::More);
            }
            left -= 1;
            if self.run_round() {
                continue;
            }
            // quiet: what else belongs to this instant, and if nothing does, which instant is next?
            if !self.pending.has(RARE) {
                if !self.fire_next(horizon) {
                    break;
                }
                // mostly that has woken tasks, and nothing else is to be looked at
                let livelock = self.spent.get() >= self.config.livelock;
                if self.pending.is(READY) && !livelock && !self.alarm.get() {
                    self.pending.lower(READY);
                    self.run_tasks();
                    self.end_round();
                }
                continue;
            }
            self.rest_rare();
            if self.next_phase(horizon) {
                continue;
            }
            if let Some(report) = self.escalated.borrow_mut().take() {
                return Err(SimError::Escalated(report));
            }
            if !self.next_instant(horizon) {
                break;
            }
        }
        if inclusive && limit != Time::MAX {
            self.move_to(limit);
        }
        Ok(Progress::Quiet { next: self.next_event() })
    }

    /// Lowers the bits of places that have become empty.
    fn rest_rare(&self) {
        let lower = |bit, empty: bool| self.pending.lower(if empty { bit } else { 0 });
        lower(INJECTED, self.injections.borrow().is_empty());
        lower(EXTERNAL, self.externals.borrow().is_idle(self.config.realtime));
        lower(SETTLED, self.settled.borrow().is_empty());
        lower(ESCALATED, self.escalated.borrow().is_none());
    }

    /// Handles inputs of the present time while an external operation is awaited.
    pub(crate) fn attend(&self) -> Result<(), SimError> {
        self.admit_injections();
        loop {
            if self.alarm.get() {
                self.settle_alarm();
                if let Some(error) = self.fatal.borrow_mut().take() {
                    return Err(error);
                }
            }
            if self.spent.get() >= self.config.livelock && self.is_busy() {
                let error = self.livelock();
                self.spent.set(0);
                return Err(error);
            }
            if !self.run_round() {
                return Ok(());
            }
        }
    }

    /// Whatever of the present instant has not happened yet, in the order of the phases.
    #[inline]
    pub(crate) fn next_phase(&self, horizon: Time) -> bool {
        let now = self.now.get();
        debug_assert!(now <= horizon);
        if !self.injections.borrow().is_empty() && self.admit_injections() {
            return true;
        }
        if self.settled.borrow().is_empty() && self.escalated.borrow().is_none() {
            // nothing waits for the end of this instant: timers of now are found as those of later are
            return false;
        }
        self.fire_timers(wheel_key(now)) || self.resume_settled() || self.fire_deadlines(wheel_key(now))
    }

    /// Moves on to the next instant at or before the horizon.
    #[inline]
    pub(crate) fn next_instant(&self, horizon: Time) -> bool {
        // inputs and external results of an instant come before its timers
        match self.next_input() {
            Some(input) if input <= horizon => {
                let before = input.checked_sub(Duration::from_nanos(1));
                if before.is_some_and(|before| before >= self.now.get() && self.fire_next(before)) {
                    return true;
                }
                self.move_to(input);
                // inputs are the first of the instant, in the same round as the results that are due
                self.admit_injections();
                true
            }
            _ => self.fire_next(horizon),
        }
    }

    /// The earliest input or external result that lies ahead.
    #[inline]
    pub(crate) fn next_input(&self) -> Option<Time> {
        if !self.pending.has(INJECTED | EXTERNAL) {
            return None;
        }
        let injections = self.injections.borrow();
        let externals = self.externals.borrow();
        if injections.is_empty() && externals.is_idle(self.config.realtime) {
            return None;
        }
        let injection = injections.keys().next().map(|(time, _)| *time);
        let external = if self.config.realtime {
            externals.has_results().then_some(self.now.get())
        } else {
            externals.earliest()
        };
        earlier(injection, external)
    }
}

#[inline]
fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
