//! Who is to be woken: by a message, a timer, a waker, or from outside.
//!
//! Why numbers: whatever waits keeps four bytes, not a waker.
//!
//! | waiter | wakes |
//! |--------|-------|
//! | task number | that task; our own wakers are told by their vtable |
//! | `SIDE` + slot | a foreign waker (`FuturesUnordered` and its like), kept on the side |
//! | `RESTART` + agent | the agent's constructor |
//! | `DOOR` + place | nobody: the call is put down as answered, for the driver |
//! | `BEAT` + number | the periodic code of a [beat](crate::beat); only in the wheel |
//!
//! Contract: a wake by code of the task's own agent puts it into the next round. One by another agent's code without a
//! message, or from outside while time is simulated, is an error that names the task (law 6).

use std::cell::RefCell;
use std::task::Waker;

use crate::agent::{AgentId, Status};
use crate::batch::{Batch, Seat};
use crate::core::Core;
use crate::core::wheel_key;
use crate::error::SimError;
use crate::pending::{SETTLED, SOON};
use crate::task::Label;
use crate::time::Time;
use crate::waker::{self, TaskKey};

pub(crate) const NO_TASK: u32 = u32::MAX;
/// Waiters with this bit are foreign wakers in [`Core::sides`].
pub(crate) const SIDE: u32 = 1 << 31;
/// Waiters with this bit are agents that restart.
pub(crate) const RESTART: u32 = 1 << 30;
/// Waiters with these bits are places of a driver, which is told of answers: see [`Core::answered`].
pub(crate) const DOOR: u32 = SIDE | RESTART;

/// A waker that is not ours, and the task that waits through it.
pub(crate) struct Side {
    pub(crate) waker: Waker,
    pub(crate) task: u32,
}

impl Core {
    /// What a waker of ours does when it is used on this thread, in this kernel.
    pub(crate) fn wake_from_code(&self, key: TaskKey) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.slots.get_mut(key.task() as usize) else { return };
        if !slot.alive || key != slot.key {
            return;
        }
        let (owner, by) = (slot.agent, self.agent.get());
        if by != AgentId::OUTSIDE && by != owner && !self.config.realtime {
            let label = tasks.label(key.task());
            drop(tasks);
            let by = format!("by code of agent {} without a message", self.path(by));
            self.foreign_wake(owner, label, by);
            return;
        }
        if !slot.queued {
            slot.queued = true;
            drop(tasks);
            self.enqueue(key.task());
        }
    }

    pub(crate) fn foreign_wake(&self, agent: AgentId, task: Label, by: String) {
        let agent = self.path(agent);
        self.set_fatal(SimError::ForeignWake { time: self.now.get(), agent, task: task.into(), by });
    }

    /// Wakes whoever waits under this number.
    #[inline]
    pub(crate) fn wake_waiter(&self, waiter: u32) {
        if waiter & (SIDE | RESTART) != 0 {
            return self.wake_special(waiter);
        }
        let mut tasks = self.tasks.borrow_mut();
        if let Some(slot) = tasks.slots.get_mut(waiter as usize)
            && slot.alive
            && !slot.queued
        {
            slot.queued = true;
            self.enqueue(waiter);
        }
    }

    #[cold]
    pub(crate) fn wake_special(&self, waiter: u32) {
        if waiter == NO_TASK {
            return;
        }
        if waiter & SIDE == 0 {
            return self.restart(AgentId::new(waiter & !RESTART));
        }
        if let Some(side) = self.take_side(waiter) {
            side.waker.wake();
        }
    }

    /// The task that waits under this number.
    pub(crate) fn task_behind(&self, waiter: u32) -> Option<u32> {
        if waiter & (SIDE | RESTART) == 0 {
            return Some(waiter);
        }
        if waiter & SIDE == 0 || waiter == NO_TASK {
            return None;
        }
        let sides = self.sides.borrow();
        let side = sides.get(waiter & !SIDE)?.as_ref()?;
        Some(side.task)
    }

    pub(crate) fn take_side(&self, waiter: u32) -> Option<Side> {
        let mut sides = self.sides.borrow_mut();
        let waker = sides.get_mut(waiter & !SIDE)?.take()?;
        sides.release(waiter & !SIDE);
        Some(waker)
    }

    /// The number under which the owner of this waker can be woken: the task itself for our own wakers.
    #[inline]
    pub(crate) fn waiter(&self, waker: &Waker) -> u32 {
        match waker::key_of(waker) {
            Some(key) if key.kernel() == self.id => key.task(),
            _ => self.side(waker.clone()),
        }
    }

    #[cold]
    pub(crate) fn side(&self, waker: Waker) -> u32 {
        let side = Side { waker, task: self.task.get() };
        self.sides.borrow_mut().add(Some(side)) | SIDE
    }

    /// The number for the present waker, given the one of an earlier poll.
    pub(crate) fn renew_waiter(&self, old: u32, waker: &Waker) -> u32 {
        if let Some(key) = waker::key_of(waker)
            && key.kernel() == self.id
            && key.task() == old
        {
            return old;
        }
        let kept = old & SIDE != 0 && old != NO_TASK && {
            let sides = self.sides.borrow();
            let known = sides.get(old & !SIDE);
            known.is_some_and(|known| known.as_ref().is_some_and(|known| known.waker.will_wake(waker)))
        };
        if kept {
            return old;
        }
        self.release_waiter(old);
        self.waiter(waker)
    }

    /// Nobody waits under this number any more.
    #[inline]
    pub(crate) fn release_waiter(&self, waiter: u32) {
        if waiter & SIDE != 0 && waiter != NO_TASK {
            drop(self.take_side(waiter));
        }
    }

    /// Wakes the waiter in the next round.
    pub(crate) fn wake_soon(&self, waiter: u32) -> Seat {
        self.pending.raise(SOON);
        self.soon.borrow_mut().push(waiter)
    }

    /// Nobody waits with this seat for the next round any more: it would wake a stranger.
    pub(crate) fn leave_soon(&self, seat: Seat) {
        self.leave(&self.soon, seat);
        if self.soon.borrow().is_empty() {
            self.pending.lower(SOON);
        }
    }

    /// Registers a waiter for the moment when this instant is quiet.
    pub(crate) fn settle(&self, waiter: u32) -> Seat {
        self.pending.raise(SETTLED);
        self.settled.borrow_mut().push(waiter)
    }

    /// The same for the instant to settle.
    pub(crate) fn leave_settled(&self, seat: Seat) {
        self.leave(&self.settled, seat);
    }

    fn leave(&self, batch: &RefCell<Batch>, seat: Seat) {
        let waiter = batch.borrow_mut().leave(seat);
        self.release_waiter(waiter);
    }

    /// The present waker of a task stands in for that of an earlier poll.
    pub(crate) fn renew_in(&self, batch: &RefCell<Batch>, seat: Seat, waker: &Waker) {
        let Some(old) = batch.borrow_mut().waiter(seat).copied() else { return };
        let new = self.renew_waiter(old, waker);
        if let Some(waiter) = batch.borrow_mut().waiter(seat) {
            *waiter = new;
        }
    }

    /// Lets the agent's tasks and mail go on after an exclusive method.
    pub(crate) fn unlock(&self, agent: AgentId) {
        self.locks.borrow_mut().remove(&agent);
        {
            let mut agents = self.agents.borrow_mut();
            let Some(meta) = agents.meta.get_mut(agent.index()) else { return };
            if meta.status != Status::Locked {
                return;
            }
            meta.status = Status::Running;
        }
        self.unpark(agent);
        if let Some((class, index)) = self.class_of(agent) {
            class.resume(self, index);
        }
    }

    pub(crate) fn unpark(&self, agent: AgentId) {
        for task in self.parked.borrow_mut().remove(&agent).unwrap_or_default() {
            self.wake_waiter(task);
        }
    }

    pub(crate) fn schedule_restart(&self, agent: AgentId, at: Time) {
        if at <= self.now.get() {
            self.wake_soon(agent.ordinal() | RESTART);
        } else if at < Time::MAX {
            self.set_apart(wheel_key(at));
            self.timers.borrow_mut().insert(wheel_key(at), agent.ordinal() | RESTART);
        }
    }
}
