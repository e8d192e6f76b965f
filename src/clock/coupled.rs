//! Time that an external simulator moves.

use isochrone_sim::{Kernel, Time};

use super::{Drive, Interrupt, RunError};

/// Advanced from outside, step by step. What a step means beside the time, its inputs and outputs, is told in
/// [`coupling`](crate::coupling).
#[derive(Debug, Default)]
pub struct Coupled {
    drive: Drive,
}

impl Coupled {
    /// Ends early when `interrupt` is set.
    pub fn new(interrupt: Interrupt) -> Self {
        Coupled { drive: Drive::new(interrupt) }
    }

    /// Lets everything at or before `time` happen; returns the time of the next event.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn advance(&mut self, kernel: &Kernel, time: Time) -> Result<Option<Time>, RunError> {
        self.drive.advance(kernel, time, true).await
    }

    /// Lets everything before `time` happen; returns the time of the next event.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn advance_before(&mut self, kernel: &Kernel, time: Time) -> Result<Option<Time>, RunError> {
        self.drive.advance(kernel, time, false).await
    }
}
