//! Tasks: the futures of agents, in a slab.
//!
//! Why: an agent waits far more often than it works. A task is one slot of 32 bytes beside its boxed future, found by
//! index, so waking, polling and cancelling touch one cache line.
//!
//! | state    | `future` | `queued` | `alive` |
//! |----------|----------|----------|---------|
//! | waiting  | some     | no       | yes |
//! | ready    | some     | yes      | yes |
//! | polled   | none     | no, or yes when woken meanwhile | yes |
//! | ended    | none     | yes: its entry in the run queue is still there | no |
//! | free     | none     | no       | no |
//!
//! Contract: a slot's generation grows when its task ends, so a stale key names nobody. A run queue holds a slot once if
//! and only if it is `queued`, and the slot of a task that ends in there is not reused before it comes up: the entry
//! would run a stranger in the wrong round. Futures are polled and dropped
//! by the kernel while no borrow of the slab is held.

use std::future::Future;
use std::pin::Pin;

use crate::agent::AgentId;
use crate::call::CallRef;

/// What a task is, for error messages: `plan`, `on_start`, ..
pub type Label = &'static str;

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) struct Slot {
    pub(crate) future: Option<TaskFuture>,
    pub(crate) agent: AgentId,
    pub(crate) generation: u32,
    /// index into the labels
    label: u16,
    pub(crate) queued: bool,
    pub(crate) alive: bool,
}

#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) slots: Vec<Slot>,
    /// the call each task answers; apart from the slots, since nobody looks at it while all is well
    serves: Vec<CallRef>,
    labels: Vec<Label>,
    free: Vec<u32>,
    alive: usize,
}

impl Tasks {
    /// A new slot, alive and without a future; `None` when 2^28 tasks are alive.
    pub(crate) fn add(&mut self, agent: AgentId, label: Label, serves: CallRef) -> Option<u32> {
        let label = self.number(label);
        let task = match self.free.pop() {
            Some(task) => task,
            None if self.slots.len() < crate::waker::MAX_TASKS => {
                let fresh = Slot { future: None, agent, generation: 0, label, queued: false, alive: false };
                self.slots.push(fresh);
                self.serves.push(CallRef::NONE);
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let slot = &mut self.slots[task as usize];
        (slot.agent, slot.label, slot.alive, slot.queued) = (agent, label, true, false);
        self.serves[task as usize] = serves;
        self.alive += 1;
        Some(task)
    }

    /// The number of a label: a program has few of them, and mostly asks for the same one again.
    fn number(&mut self, label: Label) -> u16 {
        let known = self.labels.iter().rposition(|known| std::ptr::eq(*known, label));
        let number = known.unwrap_or_else(|| {
            self.labels.push(label);
            self.labels.len() - 1
        });
        u16::try_from(number).unwrap_or(0)
    }

    pub(crate) fn label(&self, task: u32) -> Label {
        self.labels[usize::from(self.slots[task as usize].label)]
    }

    pub(crate) fn serves(&self, task: u32) -> CallRef {
        self.serves[task as usize]
    }

    /// Ends a task; its future, if it is here, is the caller's to drop outside any borrow.
    pub(crate) fn end(&mut self, task: u32) -> Option<TaskFuture> {
        let slot = &mut self.slots[task as usize];
        if !slot.alive {
            return None;
        }
        slot.alive = false;
        slot.generation = slot.generation.wrapping_add(1);
        self.serves[task as usize] = CallRef::NONE;
        if !slot.queued {
            self.free.push(task);
        }
        self.alive -= 1;
        slot.future.take()
    }

    /// The run queue has come to this task; false if it has ended meanwhile.
    #[inline]
    pub(crate) fn take_turn(&mut self, task: u32) -> bool {
        let slot = &mut self.slots[task as usize];
        slot.queued = false;
        if !slot.alive {
            self.free.push(task);
        }
        slot.alive
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// The agent's tasks that answer calls.
    pub(crate) fn answering(&self, agent: AgentId) -> impl Iterator<Item = u32> {
        let answers = move |(task, slot): &(usize, &Slot)| {
            slot.alive && slot.agent == agent && !self.serves[*task].is_none()
        };
        self.slots.iter().enumerate().filter(answers).map(|(task, _)| task as u32)
    }

    pub(crate) fn of_agent(&self, agent: AgentId) -> Vec<u32> {
        let of_agent = |(_, slot): &(usize, &Slot)| slot.alive && slot.agent == agent;
        self.slots.iter().enumerate().filter(of_agent).map(|(task, _)| task as u32).collect()
    }

    pub(crate) fn all(&self) -> Vec<u32> {
        let alive = |(_, slot): &(usize, &Slot)| slot.alive;
        self.slots.iter().enumerate().filter(alive).map(|(task, _)| task as u32).collect()
    }
}
