//! What the tests of the laws share.
#![allow(dead_code, reason = "each test uses its part")]

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use isochrone::sim::Time;

#[allow(unused_imports, reason = "each test uses its part")]
pub(crate) use example::example;

mod example;

/// What agents saw, in the order in which they saw it. The agents of a container share one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<(Time, String)>>>);

impl Log {
    pub(crate) fn note(&self, at: Time, what: impl Into<String>) {
        self.0.borrow_mut().push((at, what.into()));
    }

    pub(crate) fn entries(&self) -> Vec<(Time, String)> {
        self.0.borrow().clone()
    }

    /// What was seen, without the times.
    pub(crate) fn words(&self) -> Vec<String> {
        self.0.borrow().iter().map(|(_, what)| what.clone()).collect()
    }

    pub(crate) fn times(&self) -> Vec<Time> {
        self.0.borrow().iter().map(|(at, _)| *at).collect()
    }
}

/// Runs a future as a program does: on a current-thread runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
