//! Waiters that are woken together: by the next round, or when an instant has settled.
//!
//! Why: whoever waits here may leave, or be polled through another waker. Its seat tells whether the batch it was in has
//! gone, and where in the batch it is if not.
//!
//! Contract: a seat is the waiter's number among all that have ever come, modulo 2^47. Who leaves leaves a gap; a batch of
//! gaps alone is empty.

use crate::waiter::NO_TASK;

/// Who waits in a [`Batch`], and in which.
#[derive(Clone, Copy)]
pub(crate) struct Seat(u64);

impl Seat {
    /// How many bits of a word it takes.
    pub(crate) const BITS: u32 = 47;

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The seat in the lowest bits.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Seat(bits % (1 << Seat::BITS))
    }
}

#[derive(Default)]
pub(crate) struct Batch {
    waiters: Vec<u32>,
    /// how many of them are gaps
    left: usize,
    /// how many came before the first one here
    gone: u64,
}

impl Batch {
    pub(crate) fn push(&mut self, waiter: u32) -> Seat {
        self.waiters.push(waiter);
        Seat::from_bits(self.gone.wrapping_add(self.waiters.len() as u64 - 1))
    }

    fn place(&self, seat: Seat) -> Option<usize> {
        let place = Seat::from_bits(seat.0.wrapping_sub(self.gone)).0 as usize;
        (place < self.waiters.len()).then_some(place)
    }

    /// Whether the batch of this seat is still here.
    pub(crate) fn waits(&self, seat: Seat) -> bool {
        self.place(seat).is_some()
    }

    /// Who waits with this seat, and may be replaced.
    pub(crate) fn waiter(&mut self, seat: Seat) -> Option<&mut u32> {
        let place = self.place(seat)?;
        self.waiters.get_mut(place)
    }

    /// Nobody waits with this seat any more; who it was.
    pub(crate) fn leave(&mut self, seat: Seat) -> u32 {
        let Some(waiter) = self.waiter(seat) else { return NO_TASK };
        let waiter = std::mem::replace(waiter, NO_TASK);
        self.left += 1;
        if self.is_empty() {
            self.take();
        }
        waiter
    }

    /// The seat of this waiter, of which there is one.
    pub(crate) fn seat_of(&self, waiter: u32) -> Option<Seat> {
        let place = self.waiters.iter().rposition(|other| *other == waiter)?;
        Some(Seat::from_bits(self.gone.wrapping_add(place as u64)))
    }

    /// Who is to be woken now, and gaps; whoever comes from now on is in the next batch.
    pub(crate) fn take(&mut self) -> Vec<u32> {
        self.gone = self.gone.wrapping_add(self.waiters.len() as u64);
        self.left = 0;
        std::mem::take(&mut self.waiters)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left == self.waiters.len()
    }

    /// All that wait, and gaps.
    pub(crate) fn waiters(&self) -> &[u32] {
        &self.waiters
    }
}
