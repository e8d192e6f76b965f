//! What a run was, in a few lines at its end.

use std::fmt;
use std::time::Duration;

use isochrone_sim::{Counts, Kernel, Time, display_span};

/// What a run was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// What the kernel has counted.
    pub counts: Counts,
    /// Where the clock stood at first and at last.
    pub time: (Time, Time),
    /// How long it took.
    pub wall: Duration,
    /// Steps of an external simulator, if there was one.
    pub steps: Option<u64>,
    /// Calls without an answer.
    pub open_calls: usize,
    /// The sum of all agents' running hashes.
    pub fingerprint: u64,
}

impl Summary {
    /// Of a kernel's run that began at `from` and took `wall`.
    pub fn of(kernel: &Kernel, from: Time, wall: Duration) -> Self {
        Summary {
            counts: kernel.counts(),
            time: (from, kernel.now()),
            wall,
            steps: None,
            open_calls: kernel.open_calls().len(),
            fingerprint: kernel.fingerprint(),
        }
    }

    /// With the steps of an external simulator.
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = Some(steps);
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { agents, messages, activations, dead_letters, late_replies, failures, .. } = self.counts;
        let simulated = self.time.1.checked_since(self.time.0).unwrap_or_default();
        let wall = self.wall.as_secs_f64();
        write!(f, "{agents} agents, {messages} messages, {activations} activations")?;
        if let Some(steps) = self.steps {
            write!(f, ", {steps} steps")?;
        }
        write!(f, "\n{} simulated in {wall:.3} s", display_span(simulated))?;
        if wall > 0.0 && !simulated.is_zero() {
            write!(f, " ({:.0} times real time)", simulated.as_secs_f64() / wall)?;
        }
        write!(f, "\n{dead_letters} dead letters, {late_replies} late replies, {failures} failures")?;
        if self.open_calls > 0 {
            write!(f, ", {} calls still open", self.open_calls)?;
        }
        write!(f, "\nfingerprint {:016x}", self.fingerprint)
    }
}
