//! What waits for a driver: inputs, and results of operations that others carry out for its agents.
//!
//! Why not a channel: a call between two containers of one process is little more than two of these hand-overs. One lock
//! holds everything, whoever drives takes all of it at once, and nothing is allocated for what comes.
//!
//! | what is sent | waits | the driver |
//! |--------------|-------|------------|
//! | by a run of the driver's thread | beside the lock, if nothing is behind it | has its turn then, see [`abreast`] |
//! | by anybody else | behind the lock | is woken, once |
//!
//! Contract: each kind is in the order in which it came. What is sent when the driver is gone is dropped. Nothing is dropped
//! or woken under the lock.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use isochrone_sim::ExternalId;

use super::abreast::{self, Key};
use super::door::Input;
use crate::agent::far;

/// Inputs that wait for the next turn.
pub(crate) const CAPACITY: usize = 65_536;

/// Things that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) results: VecDeque<(ExternalId, far::Answer)>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.results.is_empty()
    }

    fn append(&mut self, others: &mut Waiting) {
        self.inputs.append(&mut others.inputs);
        self.results.append(&mut others.results);
    }
}

/// What waits for a driver and was left by others of its thread.
pub(super) type Near = Rc<RefCell<Waiting>>;

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    /// to be woken by whatever comes
    driver: Option<Waker>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Place {
    state: Mutex<State>,
    /// whether something waits, or the driver has been woken for something else; changed under the lock, looked at without
    some: AtomicBool,
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
pub(crate) struct Sender(Arc<Place>);

impl Sender {
    fn lock(&self) -> MutexGuard<'_, State> {
        // every critical section is a few moves
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, input: Input) -> Sent {
        if let Some(near) = self.near() {
            let inputs = &mut near.borrow_mut().inputs;
            if inputs.len() >= CAPACITY {
                return Sent::Refused(input);
            }
            inputs.push_back(input);
            return Sent::Waits;
        }
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
        self.came(state);
        Sent::Waits
    }

    /// An operation of the driver's agents has ended.
    pub(crate) fn finish(&self, id: ExternalId, answer: far::Answer) {
        if let Some(near) = self.near() {
            near.borrow_mut().results.push_back((id, answer));
            return;
        }
        let mut state = self.lock();
        if !state.closed {
            state.waiting.results.push_back((id, answer));
            self.came(state);
        }
    }

    /// Where something may be left beside the lock.
    fn near(&self) -> Option<Near> {
        // else it would overtake what is behind the lock
        if self.0.some.load(Ordering::Relaxed) { None } else { abreast::near(self.key()) }
    }

    /// Tells the driver apart from others.
    pub(super) fn key(&self) -> Key {
        Arc::as_ptr(&self.0) as usize
    }

    /// Wakes the driver, if nothing else has.
    pub(super) fn wake_driver(&self) {
        self.came(self.lock());
    }

    /// Something has come.
    fn came(&self, mut state: MutexGuard<'_, State>) {
        if self.0.some.load(Ordering::Relaxed) {
            // whatever has come before it has woken the driver
            return;
        }
        self.0.some.store(true, Ordering::Release);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// The driver's end.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    sender: Sender,
    near: Near,
    /// who is woken by what comes next, if nothing is there: to find that out then takes no lock
    armed: Option<Waker>,
}

impl Queue {
    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Where others of its thread may leave something.
    pub(super) fn near(&self) -> &Near {
        &self.near
    }

    /// The next input.
    pub(crate) fn poll_input(&mut self, cx: &Context<'_>) -> Poll<Input> {
        self.poll(cx, |waiting| waiting.inputs.pop_front())
    }

    /// The next result.
    pub(crate) fn poll_result(&mut self, cx: &Context<'_>) -> Poll<(ExternalId, far::Answer)> {
        self.poll(cx, |waiting| waiting.results.pop_front())
    }

    /// Everything that there is, at least something; `all` is empty before.
    pub(crate) fn poll_all(&mut self, cx: &Context<'_>, all: &mut Waiting) -> Poll<()> {
        std::mem::swap(all, &mut self.near.borrow_mut());
        if !all.is_empty() && !self.has_some() {
            return Poll::Ready(());
        }
        self.poll(cx, |waiting| {
            all.append(waiting);
            (!all.is_empty()).then_some(())
        })
    }

    /// Whether something is behind the lock.
    fn has_some(&self) -> bool {
        self.sender.0.some.load(Ordering::Acquire)
    }

    fn poll<T>(&mut self, cx: &Context<'_>, mut take: impl FnMut(&mut Waiting) -> Option<T>) -> Poll<T> {
        if let Some(taken) = take(&mut self.near.borrow_mut()) {
            return Poll::Ready(taken);
        }
        let armed = self.armed.as_ref().is_some_and(|armed| armed.will_wake(cx.waker()));
        if armed && !self.has_some() {
            // whoever is sending just now has the waker, or is going to take it
            return Poll::Pending;
        }
        let mut state = self.sender.lock();
        let taken = take(&mut state.waiting);
        self.sender.0.some.store(!state.waiting.is_empty(), Ordering::Release);
        let known = state.driver.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
        let before = if known { None } else { state.driver.replace(cx.waker().clone()) };
        drop(state);
        drop(before);
        if !armed {
            self.armed = Some(cx.waker().clone());
        }
        taken.map_or(Poll::Pending, Poll::Ready)
    }

    /// An input that is there already.
    pub(crate) fn try_input(&mut self) -> Option<Input> {
        let near = self.near.borrow_mut().inputs.pop_front();
        near.or_else(|| self.look(|waiting| waiting.inputs.pop_front()))
    }

    /// Everything that is there already; `all` is empty before.
    pub(crate) fn take(&mut self, all: &mut Waiting) {
        std::mem::swap(all, &mut self.near.borrow_mut());
        if self.has_some() {
            self.look(|waiting| all.append(waiting));
        }
    }

    fn look<T>(&mut self, take: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut state = self.sender.lock();
        let taken = take(&mut state.waiting);
        self.sender.0.some.store(!state.waiting.is_empty(), Ordering::Release);
        // what came before may have woken the driver already
        self.armed = None;
        taken
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut state = self.sender.lock();
        state.closed = true;
        let left = (std::mem::take(&mut state.waiting), state.driver.take(), self.near.take());
        drop(state);
        // calls among them are told that the run is over
        drop(left);
    }
}
