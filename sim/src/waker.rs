//! A waker that is an integer.
//!
//! Why: `Arc`-based wakers cost an allocation per task and two atomic operations per wait; a simulated agent waits
//! millions of times. Here the pointer of the waker *is* the identity of the task, so cloning copies, dropping does
//! nothing and waking looks the task up in the kernel that runs on this thread.
//!
//! | bits    | field      | meaning |
//! |---------|------------|---------|
//! | 63..48  | kernel     | which kernel of this process, 1 to 65,535 |
//! | 47..28  | generation | how often the slot has been reused, modulo 2^20 |
//! | 27..0   | task       | index of the slot, up to 268 M tasks |
//!
//! Contract: nothing ever dereferences the pointer, therefore a waker may be cloned, sent, woken and dropped anywhere
//! and at any time, also after its kernel is gone. A wake of a task that has ended is dropped.
//!
//! This is the one file of the workspace with `unsafe`, in one expression.
#![allow(unsafe_code)]

use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// Highest task index plus one that fits the waker.
pub(crate) const MAX_TASKS: usize = 1 << 28;
/// Generations are compared modulo this.
const GENERATIONS: u32 = 1 << 20;

/// The identity of a task, as it travels inside a waker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskKey(u64);

impl TaskKey {
    pub(crate) fn new(kernel: u16, generation: u32, task: u32) -> Self {
        debug_assert!((task as usize) < MAX_TASKS);
        TaskKey(u64::from(kernel) << 48 | u64::from(generation % GENERATIONS) << 28 | u64::from(task))
    }

    pub(crate) fn kernel(self) -> u16 {
        (self.0 >> 48) as u16
    }

    pub(crate) fn task(self) -> u32 {
        self.0 as u32 & (MAX_TASKS as u32 - 1)
    }

    /// The key of the next task in the same slot.
    pub(crate) fn next(self) -> Self {
        let generation = (self.0 >> 28) as u32 % GENERATIONS;
        TaskKey::new(self.kernel(), generation.wrapping_add(1), self.task())
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    crate::current::wake(TaskKey(data.addr() as u64));
}

fn drop(_: *const ()) {}

/// The waker of a task.
pub(crate) fn waker(key: TaskKey) -> Waker {
    const { assert!(size_of::<usize>() == 8, "the packed waker needs 64-bit pointers") }
    // SAFETY: no function of the table dereferences the pointer, and all of them may be called from any thread.
    unsafe { Waker::new(ptr::without_provenance(key.0 as usize), &VTABLE) }
}

/// The task behind a waker, if it is one of ours.
pub(crate) fn key_of(waker: &Waker) -> Option<TaskKey> {
    ptr::eq(waker.vtable(), &VTABLE).then(|| TaskKey(waker.data().addr() as u64))
}
