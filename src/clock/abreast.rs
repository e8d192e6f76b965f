//! Runs of one thread that call each other: whose turn is next is known without the runtime.
//!
//! Why: when containers of one thread call each other, half of such a call would be the runtime's: to wake the task of the
//! other's driver, to find it in a queue, to poll it, and the same back. So while one run of a thread is polled, the others
//! to which it sends something are not woken but listed, and have a turn each before it sleeps.
//!
//! | a listed run | has |
//! |--------------|-----|
//! | sleeps, and nothing but inputs is due | its turn, here and now |
//! | is due to give way, has timers due, is at its end, or does not get done at once | its task woken, as ever |
//! | is on its way (it has given way amidst its turn) | nothing: it looks for what has come before it sleeps |
//!
//! Contract: a turn is the same whoever lets it happen. Turns never nest. A run is due to give way after the same slice of
//! time as ever, so nobody else on the thread waits longer.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::wall::Run;

/// Tells the runs of a thread apart: where the queue of each lies.
pub(super) type Key = usize;

#[derive(Default)]
struct Here {
    runs: BTreeMap<Key, Rc<Run>>,
    listed: VecDeque<Rc<Run>>,
    /// the run that is polled
    polled: Option<Key>,
}

thread_local! {
    static HERE: RefCell<Here> = RefCell::default();
}

/// A run takes part until this is dropped.
pub(super) struct Part(Key);

pub(super) fn take_part(key: Key, run: Rc<Run>) -> Part {
    HERE.with(|here| here.borrow_mut().runs.insert(key, run));
    Part(key)
}

impl Drop for Part {
    fn drop(&mut self) {
        let gone = HERE.try_with(|here| here.borrow_mut().runs.remove(&self.0));
        drop(gone);
    }
}

/// Lists the run instead of its being woken, if it is of this thread and another one is polled.
pub(super) fn list(key: Key) -> bool {
    let listed = HERE.try_with(|here| {
        let Here { runs, listed, polled } = &mut *here.borrow_mut();
        if *polled == Some(key) {
            // it looks for what has come before it sleeps
            return true;
        }
        let run = runs.get(&key).filter(|_| polled.is_some());
        listed.extend(run.cloned());
        run.is_some()
    });
    listed.unwrap_or(false)
}

/// Lets the run that is polled send something to others, which then have their turns.
pub(super) fn in_turns(key: Key, send: impl FnOnce()) {
    /// It is over, also when a turn panics: whoever is listed then is woken.
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            let left = HERE.with(|here| {
                let mut here = here.borrow_mut();
                here.polled = None;
                if here.listed.is_empty() { VecDeque::new() } else { std::mem::take(&mut here.listed) }
            });
            left.iter().for_each(|run| run.wake());
        }
    }
    HERE.with(|here| here.borrow_mut().polled = Some(key));
    let _over = Over;
    send();
    while let Some(run) = HERE.with(|here| here.borrow_mut().listed.pop_front()) {
        run.turn_at_once();
    }
}
