//! Runs of one thread that call each other: whose turn is next is known without the runtime.
//!
//! Why: when containers of one thread call each other, half of such a call would be the runtime's: to wake the task of the
//! other's driver, to find it in a queue, to poll it, and the same back. So while one run of a thread is polled, the others
//! to which it sends something are not woken but listed, and have a turn each before it sleeps. What is sent to them, and
//! what they answer, needs no lock then.
//!
//! | a listed run | has |
//! |--------------|-----|
//! | sleeps, and nothing but inputs is due | its turn, here and now |
//! | is due to give way, has timers due, is at its end, or does not get done at once | its task woken, as ever |
//! | is on its way (it has given way amidst its turn) | nothing: it looks for what has come before it sleeps |
//!
//! Contract: a turn is the same whoever lets it happen. Turns never nest. A run is due to give way after the same slice of
//! time as ever, so nobody else on the thread waits longer.
//!
//! When: to read the clock takes longer than to deliver a message. A turn that another one has caused is of the same reading,
//! as if both were one container, in which what is sent arrives at the time of the turn. Whatever follows from it, the
//! answer first, is of a reading of its own: so nobody's time falls behind by more than one turn, and whoever has waited for
//! a long one sees how long it was.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use tokio::time::Instant;

use super::queue::Near;
use super::wall::Run;

/// Tells the runs of a thread apart: where the queue of each lies.
pub(super) type Key = usize;

#[derive(Default)]
struct Here {
    runs: RefCell<BTreeMap<Key, Rc<Run>>>,
    listed: RefCell<VecDeque<Rc<Run>>>,
    /// the run that is polled
    polled: RefCell<Option<Rc<Run>>>,
}

thread_local! {
    static HERE: Here = Here::default();
}

/// A run takes part until this is dropped.
pub(super) struct Part(Key);

pub(super) fn take_part(run: Rc<Run>) -> Part {
    let key = run.key();
    HERE.with(|here| here.runs.borrow_mut().insert(key, run));
    Part(key)
}

impl Drop for Part {
    fn drop(&mut self) {
        let gone = HERE.try_with(|here| here.runs.borrow_mut().remove(&self.0));
        drop(gone);
    }
}

/// Where to leave something for a run that is to be listed instead of being woken: it is of this thread, and another one, or
/// itself, is polled.
pub(super) fn near(key: Key) -> Option<Near> {
    let found = HERE.try_with(|here| {
        let polled = here.polled.borrow();
        let polled = polled.as_ref()?;
        if polled.key() == key {
            // it looks for what has come before it sleeps
            return Some(polled.near().clone());
        }
        let runs = here.runs.borrow();
        let run = runs.get(&key)?;
        // what has been left there before has listed it
        if run.near().borrow().is_empty() {
            here.listed.borrow_mut().push_back(run.clone());
        }
        Some(run.near().clone())
    });
    found.ok().flatten()
}

/// Lets the run that is polled send something to others, which then have their turns. `read` is of the turn that has brought
/// what is sent, if it has ended just now.
pub(super) fn in_turns(run: &Rc<Run>, read: Option<Instant>, send: impl FnOnce()) {
    /// It is over, also when a turn panics: whoever is listed then is woken.
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            HERE.with(|here| {
                let polled = here.polled.take();
                drop(polled);
                while let Some(run) = next(here) {
                    run.wake();
                }
            });
        }
    }
    fn next(here: &Here) -> Option<Rc<Run>> {
        here.listed.borrow_mut().pop_front()
    }
    let _over = Over;
    HERE.with(|here| {
        here.polled.replace(Some(run.clone()));
        send();
        let first = here.listed.borrow().len();
        for _ in 0..first {
            next(here).into_iter().for_each(|run| run.turn_at_once(read));
        }
        while let Some(run) = next(here) {
            run.turn_at_once(None);
        }
    });
}
