//! What all drivers share: a turn of the kernel, beside everything else on this thread.
//!
//! Why: in live and coupled runs the kernel is one future beside sockets on a current-thread runtime. It is polled
//! outside tokio's cooperative budget, which would otherwise fake quiescence, and gives way at a round boundary with
//! `yield_now`, which lets sockets be polled too (waking itself would not).
//!
//! Contract: [`Drive::advance`] returns when every event up to the limit has happened and no external operation that
//! resumes by then is outstanding. Externals are run here, all of them at once, in order of their start; a call to a container
//! of this process is handed over to its driver instead. While one is awaited time stands, and whoever asks meanwhile is
//! answered.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use isochrone_sim::{
    ExternalId, ExternalOutcome, ExternalRunning, Kernel, Progress, SimError, Started, Time,
};

use super::Interrupt;
use super::door::{Answered, Door, Input, Live};
use super::queue::{Near, Sender};
use crate::agent::far;
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
    /// operations that begin when the driver waits next
    begun: VecDeque<Started>,
    externals: FuturesUnordered<ExternalRunning>,
    /// of those that have ended, and are to be told at the next turn
    outcomes: VecDeque<(ExternalId, ExternalOutcome)>,
    interrupt: Interrupt,
    door: Door,
    answered: Vec<Answered>,
    tape: Tape,
    /// until when it need not give way
    kept: Option<Instant>,
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
        self.door.live()
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
        let next = self.turn(kernel, limit, inclusive).await?;
        // when it is quiet as well: a run of many short steps is as long as one of few long ones
        self.give_way(kernel, wall()).await?;
        Ok(next)
    }

    /// As [`advance`](Drive::advance), without giving way at the end.
    pub(crate) async fn turn(
        &mut self,
        kernel: &Kernel,
        limit: Time,
        inclusive: bool,
    ) -> Result<Option<Time>, RunError> {
        kernel.begin_step();
        loop {
            match self.rounds(kernel, limit, inclusive)? {
                Progress::Quiet { next } => return Ok(next),
                Progress::Blocked => self.wait_for_external(kernel).await?,
                _ => self.give_way(kernel, wall()).await?,
            }
        }
    }

    /// As [`turn`](Drive::turn), if it gets done at once: the time of the next event then.
    pub(crate) fn turn_at_once(
        &mut self,
        kernel: &Kernel,
        limit: Time,
    ) -> Result<Option<Option<Time>>, RunError> {
        kernel.begin_step();
        match self.rounds(kernel, limit, true)? {
            Progress::Quiet { next } => Ok(Some(next)),
            _ => Ok(None),
        }
    }

    fn rounds(&mut self, kernel: &Kernel, limit: Time, inclusive: bool) -> Result<Progress, RunError> {
        let mut progress = Ok(Progress::More);
        let turn = poll_fn(|_| {
            progress = kernel.turn(limit, inclusive, ROUNDS);
            Poll::Ready(())
        });
        let _ready = tokio::task::unconstrained(turn).now_or_never();
        let progress = match progress {
            Ok(progress) => progress,
            Err(error) => return Err(self.fail(kernel, error)),
        };
        self.tape.check()?;
        self.start_externals(kernel)?;
        Ok(progress)
    }

    /// Whether others on this thread are to go on now.
    pub(crate) fn must_give_way(&mut self, now: Instant) -> bool {
        now >= *self.kept.get_or_insert_with(|| now + SLICE)
    }

    /// It sleeps, and so gives way.
    pub(crate) fn rests(&mut self) {
        self.kept = None;
    }

    /// A turn of a live run has ended: what it has brought leaves.
    pub(crate) fn end_turn(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        self.tape.foreign(kernel);
        self.answer(kernel)?;
        self.tape.checkpoint_if_due(kernel);
        // whatever the turn's operations ask the outside comes after this
        self.tape.commit()
    }

    /// Lets others on this thread go on if the run has kept it for long.
    pub(crate) async fn give_way(&mut self, kernel: &Kernel, now: Instant) -> Result<(), RunError> {
        if self.must_give_way(now) {
            tokio::task::yield_now().await;
            self.kept = Some(wall() + SLICE);
            if self.interrupt.is_set() {
                return Err(RunError::Interrupted(kernel.now()));
            }
        }
        Ok(())
    }

    /// Takes over operations the agents have asked for.
    pub(crate) fn start_externals(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        self.tape.start(kernel, &mut self.begun)?;
        if !self.tape.is_on() {
            return Ok(());
        }
        for left in self.tape.take_left() {
            match left {
                Left::Ended(id, outcome) => kernel.finish_external(id, outcome),
                Left::Runs(started) => self.begun.push_back(started),
            }
        }
        Ok(())
    }

    /// An operation has ended.
    pub(crate) fn finish(&self, kernel: &Kernel, id: ExternalId, outcome: ExternalOutcome) {
        self.tape.finished(kernel, id, &outcome);
        kernel.finish_external(id, outcome);
    }

    /// Lets an input happen at the present instant.
    pub(crate) fn admit(&mut self, kernel: &Kernel, input: Input) -> Result<(), RunError> {
        let number = self.tape.input((kernel.now(), kernel.round()), &input);
        if let Input::Notice(notice) = &input
            && notice.what == "bound"
            && self.tape.is_playing()
        {
            far::Outside::moves(kernel, &notice.from);
        }
        Ok(self.door.admit(kernel, number, input)?)
    }

    /// Lets everything happen at the present instant that has come by [`poll_came`](Drive::poll_came).
    pub(crate) fn admit_all(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        while let Some((id, answer)) = self.door.kept_result() {
            self.finish(kernel, id, far::outcome(answer));
        }
        while let Some((id, outcome)) = self.outcomes.pop_front() {
            self.finish(kernel, id, outcome);
        }
        while let Some(input) = self.door.kept_input() {
            self.admit(kernel, input)?;
        }
        Ok(())
    }

    /// An input that has come already.
    pub(crate) fn try_recv(&mut self, kernel: &Kernel) -> Option<Input> {
        if self.tape.is_playing() {
            return self.tape.next_input(kernel);
        }
        self.door.try_input()
    }

    /// The next input; waits for one.
    pub(crate) async fn recv(&mut self) -> Input {
        poll_fn(|cx| self.door.poll_input(cx)).await
    }

    /// Begins the operations that have been asked for: a call to a container of this process is handed over, all others are
    /// futures, of which it says whether there are some.
    pub(crate) fn begin(&mut self) -> bool {
        let mut some = false;
        while let Some(started) = self.begun.pop_front() {
            let asked = started.order::<far::Asked>();
            if !asked.is_some_and(|asked| asked.hand_over(started.id, self.door.results())) {
                self.externals.push(started.run());
                some = true;
            }
        }
        some
    }

    /// What comes leads to it.
    pub(crate) fn way(&self) -> &Sender {
        self.door.results()
    }

    /// Where other drivers of its thread leave things.
    pub(super) fn near(&self) -> &Near {
        self.door.near()
    }

    /// What has come already is of the next turn; whether there is something.
    pub(crate) fn keep(&mut self) -> bool {
        self.door.keep()
    }

    /// Something has come for the next turn; operations run meanwhile.
    pub(crate) fn poll_came(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.begin();
        let came = self.door.poll_came(cx);
        // one turn for all that are there
        while let Some(ended) = self.poll_future(cx) {
            self.outcomes.push_back(ended);
        }
        if self.outcomes.is_empty() { came } else { Poll::Ready(()) }
    }

    fn poll_future(&mut self, cx: &mut Context<'_>) -> Option<(ExternalId, ExternalOutcome)> {
        if self.externals.is_empty() {
            return None;
        }
        match self.externals.poll_next_unpin(cx) {
            Poll::Ready(ended) => ended,
            Poll::Pending => None,
        }
    }

    /// Hands in the outcome of an operation that has ended; they run meanwhile.
    pub(crate) fn poll_finished(&mut self, kernel: &Kernel, cx: &mut Context<'_>) -> Poll<()> {
        self.begin();
        let ended = match self.door.poll_result(cx) {
            Poll::Ready((id, answer)) => Some((id, far::outcome(answer))),
            Poll::Pending => self.poll_future(cx),
        };
        let Some((id, outcome)) = ended else { return Poll::Pending };
        self.finish(kernel, id, outcome);
        Poll::Ready(())
    }

    async fn wait_for_external(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        if self.tape.is_playing() {
            return self.replay_blocked(kernel);
        }
        let interrupt = self.interrupt.clone();
        let input = tokio::select! {
            biased;
            () = interrupt.wait() => return Err(RunError::Interrupted(kernel.now())),
            input = poll_fn(|cx| match self.door.poll_input(cx) {
                Poll::Ready(input) => Poll::Ready(Some(input)),
                Poll::Pending => self.poll_finished(kernel, cx).map(|()| None),
            }) => input,
        };
        match input {
            Some(input) => self.attend(kernel, input),
            None => Ok(()),
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
        self.admit(kernel, input)?;
        while let Some(input) = self.try_recv(kernel) {
            self.admit(kernel, input)?;
        }
        match kernel.attend() {
            Ok(()) => self.answer(kernel),
            Err(error) => Err(self.fail(kernel, error)),
        }
    }

    /// The run has failed: whoever waits for an answer from outside gets it, if it is there, or hears why there is none.
    #[cold]
    fn fail(&mut self, kernel: &Kernel, error: SimError) -> RunError {
        let why = CallError::stopped(format!("the run has failed: {error}"));
        self.door.fail(kernel, &why, &mut self.answered);
        // the run's own failure says more than that of its recording
        if let Err(other) = self.let_out(kernel) {
            tracing::error!("{other}");
        }
        error.into()
    }

    /// Lets the answers out that the last turn has brought.
    pub(crate) fn answer(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        self.door.answers(kernel, &mut self.answered);
        if self.answered.is_empty() { Ok(()) } else { self.let_out(kernel) }
    }

    fn let_out(&mut self, kernel: &Kernel) -> Result<(), RunError> {
        for answered in &self.answered {
            self.tape.answered(kernel, answered.number, &answered.answer);
        }
        self.tape.commit()?;
        for answered in self.answered.drain(..) {
            answered.reply.send(answered.answer);
        }
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "how long the thread was kept is no part of the simulation")]
fn wall() -> Instant {
    Instant::now()
}
