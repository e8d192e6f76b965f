//! Requests that are being answered on all connections together.
//!
//! Why: each connection has its limit, but a thousand of them with a thousand requests each would be a million. And since
//! nobody is to be disturbed by what others send (law 9), it is those with many requests that wait:
//!
//! | unanswered in all | a connection takes requests |
//! |-------------------|------------------------------|
//! | below the limit | as many as there is room for, at most its own limit |
//! | at the limit | while it has fewer than [`SHARE`] |
//!
//! Contract: a connection that waits is woken when an eighth of the limit is free. What it does not take stays in its socket,
//! and is not lost.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// Requests that a connection may have unanswered whatever others do.
const SHARE: usize = 16;

/// How many requests may be unanswered on all connections that share this, which clones do.
#[derive(Clone)]
pub struct Load(Arc<Shared>);

struct Shared {
    limit: usize,
    count: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Load({} of {})", self.unanswered(), self.0.limit)
    }
}

impl Load {
    /// At most so many; a connection may have 16 all the same.
    pub fn new(limit: usize) -> Self {
        Load(Arc::new(Shared { limit, count: AtomicUsize::new(0), waiting: Mutex::default() }))
    }

    /// How many there are.
    pub fn unanswered(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// How many a connection may have that has `own` of them now.
    fn allowed(&self, own: usize) -> usize {
        (own + self.0.limit.saturating_sub(self.unanswered())).max(SHARE)
    }

    fn wait(&self, waker: &Waker) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn add(&self, more: usize) {
        self.0.count.fetch_add(more, Ordering::Relaxed);
    }

    fn remove(&self, less: usize) {
        let before = self.0.count.fetch_sub(less, Ordering::Relaxed);
        let enough = self.0.limit - self.0.limit / 8;
        if before > enough && before - less <= enough {
            let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// What one connection adds to it.
#[derive(Debug)]
pub(super) struct Part {
    load: Load,
    own: usize,
}

impl Part {
    pub(super) fn new(load: Load) -> Self {
        Part { load, own: 0 }
    }

    /// The connection has so many unanswered now. How many it may have, at most `limit`; it is woken when it may have more
    /// and has as many already.
    pub(super) fn update(&mut self, own: usize, limit: usize, waker: Option<&Waker>) -> usize {
        if own > self.own {
            self.load.add(own - self.own);
        } else if own < self.own {
            self.load.remove(self.own - own);
        }
        self.own = own;
        let allowed = self.load.allowed(own).min(limit);
        match waker {
            Some(waker) if own >= allowed && allowed < limit => {
                self.load.wait(waker);
                // others may have ended meanwhile
                self.load.allowed(own).min(limit)
            }
            _ => allowed,
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.load.remove(self.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_many_wait_and_those_with_few_do_not() {
        let load = Load::new(80);
        let (mut heavy, mut light) = (Part::new(load.clone()), Part::new(load.clone()));
        assert_eq!(heavy.update(0, 1024, None), 80);
        assert_eq!(heavy.update(0, 50, None), 50, "its own limit");
        assert_eq!(heavy.update(80, 1024, None), 80);
        assert_eq!(light.update(3, 1024, None), SHARE);
        assert_eq!((light.update(SHARE, 1024, None), load.unanswered()), (SHARE, 96));
        assert_eq!(heavy.update(70, 1024, None), 70, "there is no room yet");
        assert_eq!(heavy.update(60, 1024, None), 64);
        drop(light);
        assert_eq!((heavy.update(60, 1024, None), load.unanswered()), (80, 60));
        drop(heavy);
        assert_eq!(load.unanswered(), 0);
    }
}
