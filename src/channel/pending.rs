//! Own requests that wait for their answers.
//!
//! Why a sorted queue: ids count up and are never reused (so an answer can never meet the wrong request), hence adding
//! keeps the order, the usual answer is at the front, and the requests end in the order in which they were made
//! when the channel closes.
//!
//! Contract: [`remove`](Pending::remove) is true once for every id.

use std::collections::VecDeque;

use crate::codec::Value;

/// An own request on one channel: its id on the wire, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        self.0
    }

    pub(super) fn to_wire(self) -> Value {
        Value::from(self.0)
    }
}

/// What an id that came with an answer stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A request that waits for it.
    Open(RequestId),
    /// A request that was given up or answered before.
    Ended,
    /// No request of ours.
    Never,
}

/// The requests in flight, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    open: VecDeque<RequestId>,
    next: u64,
}

impl Pending {
    /// The id the next request will have.
    pub(super) fn next_id(&self) -> RequestId {
        RequestId(self.next)
    }

    /// Opens the request with the next id.
    pub(super) fn insert(&mut self) -> RequestId {
        let id = self.next_id();
        self.next += 1;
        self.open.push_back(id);
        id
    }

    /// Ends a request; false if it was not open.
    pub(super) fn remove(&mut self, id: RequestId) -> bool {
        match self.open.binary_search(&id) {
            Ok(at) => self.open.remove(at).is_some(),
            Err(_) => false,
        }
    }

    /// Ends the oldest request.
    pub(super) fn pop(&mut self) -> Option<RequestId> {
        self.open.pop_front()
    }

    /// Ends the request of an answer and says which it was.
    pub(super) fn answer(&mut self, id: &Value) -> Known {
        match id.as_u64().map(RequestId) {
            Some(id) if self.remove(id) => Known::Open(id),
            Some(id) if id.0 < self.next => Known::Ended,
            _ => Known::Never,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}
