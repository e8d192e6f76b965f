//! Simulated time, as fast as the agents can work.

use isochrone_sim::{Kernel, Time};

use super::{Drive, Interrupt, Live, RunError};
use crate::replay::Tape;

/// Runs to a time as fast as possible.
#[derive(Debug, Default)]
pub struct FreeRun {
    drive: Drive,
}

impl FreeRun {
    /// Ends early when `interrupt` is set.
    pub fn new(interrupt: Interrupt) -> Self {
        FreeRun { drive: Drive::new(interrupt) }
    }

    /// With a recorder, or a recording in the place of the outside.
    pub fn tape(mut self, tape: Tape) -> Self {
        self.drive.set_tape(tape);
        self
    }

    /// The way in for the outside. What comes is handled while an agent waits for an external operation: then time stands.
    pub fn live(&self) -> Live {
        self.drive.live()
    }

    /// Lets everything up to `until` happen, `progress` being told the time now and then. Nothing is left to happen when
    /// `None` comes back.
    ///
    /// # Errors
    /// See [`RunError`]; also an error when nothing is left to happen and calls are open that can never end.
    pub async fn run(
        &mut self,
        kernel: &Kernel,
        until: Time,
        mut progress: impl FnMut(Time),
    ) -> Result<Option<Time>, RunError> {
        const PARTS: i64 = 1_000;
        // in parts, so that a progress bar can move; the parts change nothing about what happens
        let from = kernel.now().as_nanos();
        let part = until.as_nanos().saturating_sub(from) / PARTS;
        let mut next = kernel.next_event();
        if part > 0 && until != Time::MAX {
            for n in 1..PARTS {
                let stop = Time::from_nanos(from + n * part);
                if next.is_some_and(|next| next <= stop) {
                    next = self.drive.advance(kernel, stop, true).await?;
                    progress(stop);
                }
            }
        }
        let next = self.drive.advance(kernel, until, true).await?;
        progress(kernel.now());
        kernel.check_end()?;
        Ok(next)
    }
}
