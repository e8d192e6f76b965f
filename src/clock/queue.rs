//! What waits for a driver: inputs, and results of operations that others carry out for its agents.
//!
//! Why not a channel: a call between two containers of one process is little more than two of these hand-overs. One lock
//! holds everything, whoever drives takes all of it at once, and nothing is allocated for what comes.
//!
//! Contract: each kind is in the order in which it came. What is sent when the driver is gone is dropped. Nothing is dropped
//! or woken under the lock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use isochrone_sim::ExternalId;

use super::door::Input;
use crate::agent::far;

/// Inputs that wait for the next turn.
pub(crate) const CAPACITY: usize = 65_536;

/// Things that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) results: Vec<(ExternalId, far::Answer)>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.results.is_empty()
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    /// to be woken by whatever comes
    driver: Option<Waker>,
    closed: bool,
}

impl State {
    /// Asks for the driver to be woken.
    fn watch(&mut self, cx: &Context<'_>) {
        if self.driver.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            self.driver = Some(cx.waker().clone());
        }
    }
}

/// What became of an input.
#[derive(Debug)]
pub(crate) enum Sent {
    Waits,
    /// too many wait already
    Refused(Input),
    /// the driver is gone
    Dropped,
}

/// The way in; clones lead to the same driver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender(Arc<Mutex<State>>);

impl Sender {
    fn lock(&self) -> MutexGuard<'_, State> {
        // every critical section is a few moves
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, input: Input) -> Sent {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            drop(input);
            return Sent::Dropped;
        }
        if state.waiting.inputs.len() >= CAPACITY {
            return Sent::Refused(input);
        }
        state.waiting.inputs.push_back(input);
        wake(state);
        Sent::Waits
    }

    /// An operation of the driver's agents has ended.
    pub(crate) fn finish(&self, id: ExternalId, answer: far::Answer) {
        let mut state = self.lock();
        if !state.closed {
            state.waiting.results.push((id, answer));
            wake(state);
        }
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let driver = state.driver.take();
    drop(state);
    if let Some(driver) = driver {
        driver.wake();
    }
}

/// The driver's end.
#[derive(Debug, Default)]
pub(crate) struct Queue(Sender);

impl Queue {
    pub(crate) fn sender(&self) -> &Sender {
        &self.0
    }

    /// The next input.
    pub(crate) fn poll_input(&self, cx: &Context<'_>) -> Poll<Input> {
        let mut state = self.0.lock();
        match state.waiting.inputs.pop_front() {
            Some(input) => Poll::Ready(input),
            None => {
                state.watch(cx);
                Poll::Pending
            }
        }
    }

    /// An input that is there already.
    pub(crate) fn try_input(&self) -> Option<Input> {
        self.0.lock().waiting.inputs.pop_front()
    }

    /// The results that there are, at least one; `results` is empty before.
    pub(crate) fn poll_results(
        &self,
        cx: &Context<'_>,
        results: &mut Vec<(ExternalId, far::Answer)>,
    ) -> Poll<()> {
        let mut state = self.0.lock();
        if state.waiting.results.is_empty() {
            state.watch(cx);
            return Poll::Pending;
        }
        std::mem::swap(&mut state.waiting.results, results);
        Poll::Ready(())
    }

    /// Everything that is there already; `all` is empty before.
    pub(crate) fn take(&self, all: &mut Waiting) {
        std::mem::swap(&mut self.0.lock().waiting, all);
    }

    /// Everything that there is, at least something; `all` is empty before.
    pub(crate) fn poll_all(&self, cx: &Context<'_>, all: &mut Waiting) -> Poll<()> {
        let mut state = self.0.lock();
        if state.waiting.is_empty() {
            state.watch(cx);
            return Poll::Pending;
        }
        std::mem::swap(&mut state.waiting, all);
        Poll::Ready(())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let left = (std::mem::take(&mut state.waiting), state.driver.take());
        drop(state);
        // calls among them are told that the run is over
        drop(left);
    }
}
