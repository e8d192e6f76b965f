//! What all drivers share: a turn of the kernel, beside everything else on this thread.
//!
//! Why: in live and coupled runs the kernel is one future beside sockets on a current-thread runtime. It is polled
//! outside tokio's cooperative budget, which would otherwise fake quiescence, and gives way at a round boundary with
//! `yield_now`, which lets sockets be polled too (waking itself would not).
//!
//! Contract: [`Drive::advance`] returns when every event up to the limit has happened and no external operation that
//! resumes by then is outstanding. Externals are run here, all of them at once, in order of their start. While one is awaited
//! time stands, and whoever asks meanwhile is answered.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use isochrone_sim::{ExternalId, ExternalOutcome, ExternalRunning, Kernel, Progress, SimError, Time};

use super::Interrupt;
use super::door::{Answered, Door, Input, Live};
use crate::journal::JournalError;
use crate::replay::{Left, Tape};
use crate::rpc::CallError;

/// After so long a run gives way. Not after a number of rounds: one round takes a hundred nanoseconds in one program and
/// ten milliseconds in another, where 2,000 of them kept `Ctrl-C` and every socket waiting for twenty seconds.
const SLICE: Duration = Duration::from_micros(500);
/// Rounds between two looks at the wall's clock, which cost as much as one short round.
const ROUNDS: u32 = 64;

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An error of the simulation.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The journal of the run cannot be written.
    #[error("the recording: {0}")]
    Journal(JournalError),
    /// A replay has come to its verdict, which its tape tells.
    #[error("the replay has ended")]
    Replayed,
    /// Somebody asked it to stop: `Ctrl-C`.
    #[error("interrupted at {0}")]
    Interrupted(Time),
    /// A strict real-time run fell behind.
    #[error("the run fell behind the wall clock by {} at {at}; at most {} were allowed",
        isochrone_sim::display_span(*lag), isochrone_sim::display_span(*allowed))]
    Lag {
        /// Simulated time.
        at: Time,
        /// How far behind.
        lag: Duration,
        /// How far it may be.
        allowed: Duration,
    },
}

/// A kernel's turns, with its external operations.
#[derive(Debug, Default)]
pub struct Drive {
    externals: FuturesUnordered<ExternalRunning>,
    interrupt: Interrupt,
    door: Door,
    tape: Tape,
    /// when it has last given way
    since: Option<Instant>,
}

impl Drive {
    /// Ends with [`RunError::Interrupted`] when `interrupt` is set.
    pub fn new(interrupt: Interrupt) -> Self {
        Drive { interrupt, ..Drive::default() }
    }

    /// The request that ends its runs.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// With a recorder, or a recording in the place of the outside.
    pub fn with_tape(mut self, tape: Tape) -> Self {
        self.tape = tape;
        self
    }

    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    pub(crate) fn set_tape(&mut self, tape: Tape) {
        self.tape = tape;
    }

    /// The way into its kernel.
    pub fn live(&self) -> Live {
        self.door.live().clone()
    }

    /// Ends that way.
    pub(crate) fn close(&mut self) {
        self.door = Door::default();
    }

    /// Lets everything at or before `limit` happen (before it, if not `inclusive`), and returns the time of the next event.
    ///
    /// # Errors
    /// What the kernel says, or that the run was interrupted: this is asked whenever it gives way.
    pub async fn advance(
        &mut self,
        kernel: &Kernel,
        limit: Time,
        inclusive: bool,
    ) -> Result<Option<Time>, RunError> {
        kernel.begin_step();
        loop {
            let turn = poll_fn(|_| Poll::Ready(kernel.turn(limit, inclusive, ROUNDS)));
            let progress = match tokio::task::unconstrained(turn).await {
                Ok(progress) => progress,
                Err(error) => return Err(self.fail(kernel, error)),
            };
            self.tape.check()?;
            self.start_externals(kernel)?;
            match progress {
                Progress::Blocked => self.wait_for_external(kernel).await?,
                // when it is quiet as well: a run of many short steps is as long as one of few long ones
                _ => self.give_way(kernel).await?,
            }
            if let Progress::Quiet { next } = progress {
                return Ok(next);
            }
        }
    }

    async fn give_way(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        let now = wall();
        if now.duration_since(*self.since.get_or_insert(now)) >= SLICE {
            tokio::task::yield_now().await;
            self.since = Some(wall());
            if self.interrupt.is_set() {
                return Err(RunError::Interrupted(kernel.now()));
            }
        }
        Ok(())
    }

    /// Takes over operations the agents have asked for.
    pub(crate) fn start_externals(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        for started in self.tape.start(kernel, kernel.take_external())? {
            self.externals.push(started.run());
        }
        for left in self.tape.take_left() {
            match left {
                Left::Ended(id, outcome) => kernel.finish_external(id, outcome),
                Left::Runs(started) => self.externals.push(started.run()),
            }
        }
        Ok(())
    }

    /// An operation has ended.
    pub(crate) fn finish(&self, kernel: &Kernel, id: ExternalId, outcome: ExternalOutcome) {
        self.tape.finished(kernel, id, &outcome);
        kernel.finish_external(id, outcome);
    }

    /// Lets an input happen at `at`.
    pub(crate) fn admit(&mut self, kernel: &Kernel, at: Time, input: Input) -> Result<(), RunError> {
        let round = if at == kernel.now() { kernel.round() } else { 0 };
        let number = self.tape.input((at, round), &input);
        Ok(self.door.admit(kernel, at, number, input)?)
    }

    /// An input that has come already.
    pub(crate) fn try_recv(&mut self, kernel: &Kernel) -> Option<Input> {
        if self.tape.is_playing() {
            return self.tape.next_input((kernel.now(), kernel.round()));
        }
        self.door.try_recv()
    }

    /// The next input; waits for one.
    pub(crate) async fn recv(&mut self) -> Input {
        self.door.recv().await
    }

    async fn wait_for_external(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        if self.tape.is_playing() {
            return self.replay_blocked(kernel);
        }
        let interrupt = self.interrupt.clone();
        tokio::select! {
            biased;
            () = interrupt.wait() => Err(RunError::Interrupted(kernel.now())),
            input = self.door.recv() => self.attend(kernel, input),
            Some((id, outcome)) = self.externals.next() => {
                self.finish(kernel, id, outcome);
                Ok(())
            }
        }
    }

    /// What the recording says while an operation is awaited.
    fn replay_blocked(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        if let Some(Some(input)) = self.tape.unblock(kernel) {
            self.attend(kernel, input)?;
        }
        self.tape.check()
    }

    /// Handles an input at the present instant, at which time stands.
    fn attend(&mut self, kernel: &Kernel, input: Input) -> Result<(), RunError> {
        self.admit(kernel, kernel.now(), input)?;
        while let Some(input) = self.try_recv(kernel) {
            self.admit(kernel, kernel.now(), input)?;
        }
        match kernel.attend() {
            Ok(_) => self.answer(kernel),
            Err(error) => Err(self.fail(kernel, error)),
        }
    }

    /// The run has failed: whoever waits for an answer from outside gets it, if it is there, or hears why there is none.
    #[cold]
    fn fail(&mut self, kernel: &Kernel, error: SimError) -> RunError {
        let why = CallError::stopped(format!("the run has failed: {error}"));
        let ended = self.door.fail(kernel, &why);
        // the run's own failure says more than that of its recording
        if let Err(other) = self.let_out(kernel, ended) {
            tracing::error!("{other}");
        }
        error.into()
    }

    /// Lets the answers out that the last turn has brought.
    pub(crate) fn answer(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        let answers = self.door.answers(kernel);
        if answers.is_empty() { Ok(()) } else { self.let_out(kernel, answers) }
    }

    fn let_out(&mut self, kernel: &Kernel, answers: Vec<Answered>) -> Result<(), RunError> {
        for answered in &answers {
            self.tape.answered((kernel.now(), kernel.round()), answered.number, &answered.answer);
        }
        self.tape.commit()?;
        for answered in answers {
            answered.reply.send(answered.answer);
        }
        Ok(())
    }

    /// What may come in while the run sleeps.
    pub(crate) fn split(&mut self) -> (&mut Door, &mut FuturesUnordered<ExternalRunning>) {
        (&mut self.door, &mut self.externals)
    }

    /// Runs the operations until one has finished; never returns while there is none.
    pub(crate) async fn finished(&mut self) -> (ExternalId, ExternalOutcome) {
        match self.externals.next().await {
            Some(finished) => finished,
            None => std::future::pending().await,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how long the thread was kept is no part of the simulation")]
fn wall() -> Instant {
    Instant::now()
}
