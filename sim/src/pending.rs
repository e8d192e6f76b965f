//! What waits for attention, in one byte.
//!
//! Why: a kernel has ten places where something may wait, and at nearly every moment nine of them are empty. A round looks
//! at this byte instead, and has a short way for each of the two cases that make up most of a run: mail alone, and
//! tasks alone.
//!
//! | bits | raised by | taken |
//! |------|-----------|-------|
//! | [`ROUND`]: mail, replies, ready, soon | what fills the queue | all together, when a round begins |
//! | [`RARE`]: injections, externals, settled, escalated | what fills the place | when the places are found empty |
//!
//! Contract: a bit that is down means that the place is empty. A bit of `RARE` may be up for nothing.

use std::cell::Cell;

/// Some class has mail, or agents that start.
pub(crate) const MAIL: u8 = 1;
/// Replies are on their way.
pub(crate) const REPLIES: u8 = 1 << 1;
/// Tasks are ready.
pub(crate) const READY: u8 = 1 << 2;
/// Waiters whose time has come already.
pub(crate) const SOON: u8 = 1 << 3;
/// What the next round of this instant is about.
pub(crate) const ROUND: u8 = MAIL | REPLIES | READY | SOON;

/// Inputs for now or later.
pub(crate) const INJECTED: u8 = 1 << 4;
/// External operations in flight; on the wall clock, results of such.
pub(crate) const EXTERNAL: u8 = 1 << 5;
/// Tasks that wait for this instant to settle.
pub(crate) const SETTLED: u8 = 1 << 6;
/// A failure that ends the run.
pub(crate) const ESCALATED: u8 = 1 << 7;
/// What has to be looked at when an instant is quiet, beside timers.
pub(crate) const RARE: u8 = INJECTED | EXTERNAL | SETTLED | ESCALATED;

/// A byte, since bits are raised in place, and what has just been written in part is slow to read as a whole.
#[derive(Default)]
pub(crate) struct Pending(Cell<u8>);

impl Pending {
    #[inline(always)]
    pub(crate) fn raise(&self, bits: u8) {
        self.0.set(self.0.get() | bits);
    }

    #[inline(always)]
    pub(crate) fn lower(&self, bits: u8) {
        self.0.set(self.0.get() & !bits);
    }

    #[inline(always)]
    pub(crate) fn has(&self, bits: u8) -> bool {
        self.0.get() & bits != 0
    }

    /// Whether these bits are up, and no other.
    #[inline(always)]
    pub(crate) fn is(&self, bits: u8) -> bool {
        self.0.get() == bits
    }

    /// All bits, of which those of the round are lowered: what is raised from now on belongs to the next one.
    #[inline(always)]
    pub(crate) fn begin_round(&self) -> u8 {
        let bits = self.0.get();
        self.0.set(bits & !ROUND);
        bits
    }
}
