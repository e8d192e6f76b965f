//! Own requests that wait for their answers.
//!
//! Why a slab: a call takes the place of one that has ended, so that ids stay short on the wire (two or three bytes) and
//! finding the request of an answer is one index.
//!
//! ```text
//!   free --insert--> open --answer--> held --release--> free, generation + 1
//!                     |  \
//!                  forget  close, oldest first
//!                     v
//!                 forgotten --answer (late)--> free, generation + 1
//! ```
//!
//! Contract: the place of a request that was given up stays taken until its answer has come, so a late answer never meets
//! another request, whatever its id. The generation, of which the wire carries eight bits, is the second guard: against
//! peers that answer twice, and (all of it) against an old [`RequestId`] on our own side.

/// An own request on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    index: u32,
    generation: u32,
}

impl RequestId {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        u64::from(self.index) << 8 | u64::from(self.generation & 0xFF)
    }

    /// Its place among the requests in flight, which is taken again once it has ended.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

/// What an id that came with an answer stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A request that waits for it.
    Open(RequestId),
    /// A request that was given up.
    Forgotten,
    /// No request of ours.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next free place, if there is one.
    Free(Option<u32>),
    /// Made as the n-th request.
    Open(u64),
    Forgotten,
    /// Answered; the owner keeps the answer under this number.
    Held,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    state: State,
}

/// The requests in flight.
#[derive(Debug, Default)]
pub(super) struct Pending {
    places: Vec<Place>,
    free: Option<u32>,
    open: usize,
    forgotten: usize,
    made: u64,
    /// Those that a close has ended and nobody was told of yet, the oldest last.
    closing: Option<Vec<RequestId>>,
}

impl Pending {
    /// The id the next request will have; `None` when `limit` requests are in flight.
    pub(super) fn next_id(&self, limit: usize) -> Option<RequestId> {
        if self.open + self.forgotten >= limit {
            return None;
        }
        match self.free {
            Some(index) => Some(RequestId { index, generation: self.places[index as usize].generation }),
            None => Some(RequestId { index: u32::try_from(self.places.len()).ok()?, generation: 0 }),
        }
    }

    /// Opens the request with the id that [`next_id`](Pending::next_id) has given.
    pub(super) fn insert(&mut self, id: RequestId) {
        let state = State::Open(self.made);
        match self.places.get_mut(id.index()) {
            Some(place) => {
                let State::Free(next) = place.state else { return };
                self.free = next;
                place.state = state;
            }
            None => self.places.push(Place { generation: 0, state }),
        }
        self.made += 1;
        self.open += 1;
    }

    /// Gives a request up: its place stays taken until the answer comes. False if it was not open.
    pub(super) fn forget(&mut self, id: RequestId) -> bool {
        match self.places.get_mut(id.index()) {
            Some(place) if place.generation == id.generation && matches!(place.state, State::Open(_)) => {
                place.state = State::Forgotten;
                self.open -= 1;
                self.forgotten += 1;
                true
            }
            _ => false,
        }
    }

    /// Ends the request of an answer and says which it was. An open one's place is held until it is
    /// [released](Pending::release).
    pub(super) fn answer(&mut self, wire: Option<u64>) -> Known {
        let Some(wire) = wire else { return Known::Never };
        let Ok(index) = u32::try_from(wire >> 8) else { return Known::Never };
        let Some(place) = self.places.get_mut(index as usize) else { return Known::Never };
        let generation = place.generation;
        if u64::from(generation & 0xFF) != wire & 0xFF {
            return Known::Never;
        }
        let known = match place.state {
            State::Free(_) | State::Held => return Known::Never,
            State::Open(_) => Known::Open(RequestId { index, generation }),
            State::Forgotten => Known::Forgotten,
        };
        if known == Known::Forgotten {
            self.forgotten -= 1;
            self.vacate(index);
        } else {
            self.open -= 1;
            place.state = State::Held;
        }
        known
    }

    /// The same, and hands over the request if it is open.
    #[inline]
    pub(super) fn settle(&mut self, wire: Option<u64>, open: impl FnOnce(RequestId)) -> Known {
        let known = self.answer(wire);
        if let Known::Open(request) = known {
            open(request);
        }
        known
    }

    /// Gives the place of an answered request free.
    pub(super) fn release(&mut self, id: RequestId) {
        let held = |place: &Place| place.generation == id.generation && place.state == State::Held;
        if self.places.get(id.index()).is_some_and(held) {
            self.vacate(id.index);
        }
    }

    fn vacate(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        place.state = State::Free(self.free);
        self.free = Some(index);
    }

    /// Ends the oldest request, because the channel is closed: no further one is opened.
    pub(super) fn pop(&mut self) -> Option<RequestId> {
        let places = &mut self.places;
        let closing = self.closing.get_or_insert_with(|| {
            let open = places.iter().zip(0..).filter_map(|(place, index)| match place.state {
                State::Open(made) => Some((made, RequestId { index, generation: place.generation })),
                _ => None,
            });
            let mut open: Vec<_> = open.collect();
            open.sort_unstable_by(|a, b| b.cmp(a));
            self.forgotten = 0;
            open.into_iter().map(|(_, id)| id).collect()
        });
        loop {
            // One that was given up meanwhile is told to nobody.
            let id = closing.pop()?;
            let place = &mut places[id.index()];
            if matches!(place.state, State::Open(_)) {
                place.state = State::Forgotten;
                self.open -= 1;
                return Some(id);
            }
        }
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// Requests that nobody waits for and that are not answered yet.
    pub(super) fn forgotten(&self) -> usize {
        self.forgotten
    }
}
