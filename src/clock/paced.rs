//! Simulated time at the pace of the wall clock, times a factor.
//!
//! Why: hardware in the loop, demonstrations, and partners that run in real time. What happens is what happens in a free
//! run, to the last bit; only the waiting is added.

use std::future::poll_fn;
use std::time::Duration;

use isochrone_sim::{Kernel, Time};
use tokio::time::Instant;

use super::{Drive, Interrupt, Live, RunError};
use crate::replay::Tape;

/// How far a paced run was behind the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// The largest lag of an event.
    pub worst: Duration,
    /// Events that came later than a millisecond.
    pub late: u64,
}

/// Runs at `factor` simulated seconds per second of wall time.
#[derive(Debug)]
pub struct Paced {
    drive: Drive,
    factor: f64,
    strict: Option<Duration>,
    lag: Lag,
}

impl Paced {
    /// Paces by a factor: 1 is real time, 60 a minute per second. Not a positive number counts as 1.
    pub fn new(factor: f64, interrupt: Interrupt) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        Paced { drive: Drive::new(interrupt), factor, strict: None, lag: Lag::default() }
    }

    /// With a recorder.
    pub fn tape(mut self, tape: Tape) -> Self {
        self.drive.set_tape(tape);
        self
    }

    /// As [`FreeRun::live`](super::FreeRun::live).
    pub fn live(&self) -> Live {
        self.drive.live()
    }

    /// Makes it an error to be behind the wall clock by more than `allowed`.
    pub fn strict(mut self, allowed: Duration) -> Self {
        self.strict = Some(allowed);
        self
    }

    /// How far behind it has been.
    pub fn lag(&self) -> Lag {
        self.lag
    }

    /// Lets everything up to `until` happen, each event not before its wall time.
    ///
    /// # Errors
    /// As [`FreeRun::run`](super::FreeRun::run), and in strict mode [`RunError::Lag`].
    pub async fn run(
        &mut self,
        kernel: &Kernel,
        until: Time,
        mut progress: impl FnMut(Time),
    ) -> Result<Option<Time>, RunError> {
        let (from, start) = (kernel.now(), Instant::now());
        let mut next = kernel.next_event();
        while let Some(event) = next.filter(|event| *event <= until) {
            self.wait(kernel, from, start, event).await?;
            next = self.drive.advance(kernel, event, true).await?;
            progress(event);
        }
        if until != Time::MAX {
            self.wait(kernel, from, start, until).await?;
            next = self.drive.advance(kernel, until, true).await?;
        }
        kernel.check_end()?;
        Ok(next)
    }

    async fn wait(
        &mut self,
        kernel: &Kernel,
        from: Time,
        start: Instant,
        event: Time,
    ) -> Result<(), RunError> {
        let span = event.checked_since(from).unwrap_or_default();
        // a float may hold a span of wall time: nothing simulated depends on it
        let wall = Duration::try_from_secs_f64(span.as_secs_f64() / self.factor).unwrap_or(Duration::MAX);
        let Some(due) = start.checked_add(wall) else { return Ok(()) };
        let interrupt = self.drive.interrupt().clone();
        loop {
            tokio::select! {
                biased;
                () = interrupt.wait() => return Err(RunError::Interrupted(kernel.now())),
                () = poll_fn(|cx| self.drive.poll_finished(kernel, cx)) => {}
                () = tokio::time::sleep_until(due) => break,
            }
        }
        let lag = Instant::now().saturating_duration_since(due);
        self.lag.worst = self.lag.worst.max(lag);
        self.lag.late += u64::from(lag > Duration::from_millis(1));
        match self.strict {
            Some(allowed) if lag > allowed => Err(RunError::Lag { at: event, lag, allowed }),
            _ => Ok(()),
        }
    }
}
