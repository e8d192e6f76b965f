//! Time that an external simulator moves.

use isochrone_sim::{Kernel, Time};

use super::door::Input;
use super::{Drive, Interrupt, Live, RunError};
use crate::replay::Tape;

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

    /// The request that ends its run.
    pub fn interrupt(&self) -> &Interrupt {
        self.drive.interrupt()
    }

    /// With a recorder, or a recording in the place of the outside.
    pub fn set_tape(&mut self, tape: Tape) {
        self.drive.set_tape(tape);
    }

    /// What it is recorded with, or replayed from.
    pub fn tape(&self) -> &Tape {
        self.drive.tape()
    }

    /// The way in for the outside beside the simulator. What comes while time moves is handled before the advance
    /// returns; while it stands, whoever drives hands it to [`handle`](Coupled::handle).
    pub fn live(&self) -> Live {
        self.drive.live()
    }

    /// Ends that way: whoever waits for an answer there hears that the run is over.
    pub fn close(&mut self) {
        self.drive.close();
    }

    /// Waits for the next input.
    pub async fn next_input(&mut self) -> Input {
        self.drive.recv().await
    }

    /// Lets an input happen at once, at (now, next round), with all that follows at this instant; returns the time of the
    /// next event.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn handle(&mut self, kernel: &Kernel, input: Input) -> Result<Option<Time>, RunError> {
        self.drive.admit(kernel, input)?;
        self.advance(kernel, kernel.now()).await
    }

    /// Lets everything at or before `time` happen; returns the time of the next event.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn advance(&mut self, kernel: &Kernel, time: Time) -> Result<Option<Time>, RunError> {
        loop {
            let next = self.drive.advance(kernel, time, true).await?;
            self.drive.answer(kernel)?;
            let Some(input) = self.drive.try_recv(kernel) else { return Ok(next) };
            self.drive.admit(kernel, input)?;
        }
    }

    /// Lets everything before `time` happen; returns the time of the next event.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn advance_before(&mut self, kernel: &Kernel, time: Time) -> Result<Option<Time>, RunError> {
        self.drive.advance(kernel, time, false).await
    }
}
