//! The timers of a wheel by id: what each hands out, and whether it is still to fire.
//!
//! Why: a timer moves from slot to slot, and whoever may cancel it knows an id only. To cancel is to make the id invalid; the
//! wheel comes upon the dead entry later.
//!
//! Contract: an id with its generation is valid from [`Table::take`] to [`Table::release`], and never again: a place that has
//! used up its 2^19 - 1 generations is retired. So an id is 47 bits, and who waits for a timer keeps one word with it.

use super::Entry;

/// Of an id: up to 268 M timers.
pub(super) const PLACE_BITS: u32 = 28;
/// Of an id: with 8 bytes lost for every 524,287 timers, it can go on for ever.
pub(super) const GENERATION_BITS: u32 = 19;

/// A timer's place in the table.
#[derive(Clone, Copy)]
struct Timer {
    generation: u32,
    /// of a free place, the next one that is free
    payload: u32,
}

/// The timers by id.
pub(super) struct Table {
    places: Vec<Timer>,
    /// The place that was freed last, or `NO_PLACE`.
    free: u32,
    /// Places without a timer: those that are free, and those that ran out of generations.
    idle: usize,
}

/// No timer has this id.
const NO_PLACE: u32 = u32::MAX;

impl Default for Table {
    fn default() -> Table {
        Table { places: Vec::new(), free: NO_PLACE, idle: 0 }
    }
}

impl Table {
    /// A place for a new timer: its id and generation.
    #[inline(always)]
    pub(super) fn take(&mut self, payload: u32) -> (u32, u32) {
        let id = self.free;
        let Some(place) = self.places.get_mut(id as usize) else { return self.grow(payload) };
        self.free = std::mem::replace(&mut place.payload, payload);
        self.idle -= 1;
        (id, place.generation)
    }

    #[cold]
    fn grow(&mut self, payload: u32) -> (u32, u32) {
        let id = u32::try_from(self.places.len()).ok().filter(|id| *id < 1 << PLACE_BITS);
        self.places.push(Timer { generation: 0, payload });
        (id.expect("at most 2^28 timers"), 0)
    }

    /// Makes a timer's id invalid and its place free, unless that ran out of generations. Returns what it held.
    #[inline(always)]
    pub(super) fn release(&mut self, id: u32) -> u32 {
        let place = &mut self.places[id as usize];
        let payload = place.payload;
        place.generation += 1;
        self.idle += 1;
        if place.generation != (1 << GENERATION_BITS) - 1 {
            place.payload = std::mem::replace(&mut self.free, id);
        }
        payload
    }

    /// How many are to fire.
    #[inline]
    pub(super) fn live(&self) -> usize {
        self.places.len() - self.idle
    }

    /// How many there ever were at once.
    #[inline(always)]
    pub(super) fn room(&self) -> usize {
        self.places.len()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Timer>()
    }

    /// What the timer at this place hands out.
    #[inline(always)]
    pub(super) fn payload(&self, id: u32) -> u32 {
        self.places[id as usize].payload
    }

    #[inline]
    pub(super) fn set_payload(&mut self, id: u32, payload: u32) {
        self.places[id as usize].payload = payload;
    }

    #[inline(always)]
    pub(super) fn is_live(&self, id: u32, generation: u32) -> bool {
        self.places.get(id as usize).is_some_and(|place| place.generation == generation)
    }

    #[inline(always)]
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.is_live(entry.id(), entry.generation())
    }
}
