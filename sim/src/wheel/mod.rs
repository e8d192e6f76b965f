//! The timer wheel: which timers are due next.
//!
//! **Why.** A binary heap moves an entry at every level of a tree that no longer fits the cache; at a million
//! timers that is most of an agent's wakeup. Here a timer is filed by the digits of its instant and moved once
//! or twice in its life, always at the end of a plain vector, so equal instants stay first in, first out
//! without a sequence number.
//!
//! **How.** Instants are `u64` and are read in base 1024, in [`Wheel`]; the table is for that. The earliest timers lie in the *run*, sorted; all others are later
//! than its *end*, and a timer lies on the level of the highest digit in which its instant differs from that end, in the
//! slot of that digit:
//!
//! | level | bits | a slot spans | in ns, a slot is |
//! |---|---|---|---|
//! | 0 | 0..10 | one instant | 1 ns |
//! | 1 | 10..20 | 1024 | 1.02 us |
//! | 2 | 20..30 | 1024^2 | 1.05 ms |
//! | 3 | 30..40 | 1024^3 | 1.07 s |
//! | 4 | 40..50 | 1024^4 | 18.3 min |
//! | 5 | 50..60 | 1024^5 | 13 d |
//! | 6 | 60..64 | 1024^6 | 36.5 years |
//!
//! People count in milliseconds and seconds, and the instants of such timers are one or two to a slot.
//!
//! So everything on a level is earlier than everything on the levels above, and the lowest occupied slot holds
//! the next timers. When the run is empty and they are due, that slot becomes the run, sorted by instant, and its last
//! instant the new end. If it holds too many to be sorted quickly, of several instants, only those of the first instant do,
//! that is the new end, and the others are filed again relative to it. Neither changes any other timer's slot: they differ
//! from old and new end in the same digit. Hence the slot of any timer can be *computed* from its instant, which makes
//! [`RadixWheel::cancel`] cheap; and timers of one instant are always together, in the order of insertion, and sorting is stable,
//! which makes them first in, first out.
//!
//! **Contract.** The end moves only in [`RadixWheel::ready`], to the slot of what is ready, and in [`RadixWheel::advance`]. Nothing may be
//! inserted before the *cursor*, which is what was ready last; the kernel's `now` never is.
//!
//! **Cancelling** bumps the timer's generation and is counted in its slot's grave; the dead entry stays
//! until the slot is emptied or more than half dead. A slot without live timers is emptied at once, and the run starts with
//! a live timer or is empty, so a cancelled timer never shows in [`RadixWheel::next`] and never causes a stop.
//!
//! **Memory.** 40 KiB for every level up to the highest that was needed. 16 bytes a filed timer and 8 for its place in the table (which keeps its high-water
//! mark). An emptied slot keeps a small vector; larger ones are pooled, because one slot fills
//! while another empties, and given back when the pool holds more than is live and a constant.
//!
//! **Failure modes.** A timer id is never valid again after its timer has fired or was cancelled: a place in
//! the table that has used up its 2^19 - 1 generations is retired. Inserting before the cursor, or cancelling
//! with an instant that is not the timer's, breaks the order of firing; debug builds assert against both.

mod occupied;
mod table;

use occupied::{Occupied, WORDS};
use table::{GENERATION_BITS, PLACE_BITS, Table};

/// Entries of several instants that are sorted rather than filed again.
const SORTED: usize = 256;
/// The same in a wheel whose table is out of the cache, where a long run pays: it is fetched together, see [`RadixWheel::near`].
const SORTED_LARGE: usize = 4096;
/// Entries that may lie behind the place where one more is put into the run.
const MOVED: usize = 64;
/// Dead entries a slot may hold beside as many as are live; below this, sweeping costs more than it frees.
const DEAD_ALLOWED: usize = 32;
/// Entries (16 bytes each) for which an empty slot may keep room; larger vectors go to the pool.
const KEPT_IN_PLACE: usize = 63;
/// Places of the table (8 bytes each) that the processor's cache is trusted to hold.
const CACHED: usize = 1 << 14;
/// Entries of a run that are worth being told about, see [`RadixWheel::near`].
const WORTH_TELLING: usize = 8;
/// Entries for which the pool may keep room beside as many as are live.
const SPARE_ALLOWED: usize = 4096;

/// Names one timer, from [`RadixWheel::insert`] until it fires or is cancelled. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    id: u32,
    generation: u32,
}

impl TimerId {
    /// How many bits of a word it takes.
    pub(crate) const BITS: u32 = PLACE_BITS + GENERATION_BITS;

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << PLACE_BITS | u64::from(self.id)
    }

    /// What [`to_bits`](TimerId::to_bits) has made, among other bits above.
    #[inline(always)]
    pub(crate) fn from_bits(bits: u64) -> Self {
        let (place, generation) = (bits as u32, (bits >> PLACE_BITS) as u32);
        TimerId { id: place % (1 << PLACE_BITS), generation: generation % (1 << GENERATION_BITS) }
    }
}

/// A filed timer; dead if its generation is not the table's any more.
///
/// Two words, and not three fields: such a pair stays in registers. One that is put together in memory, of parts, is waited
/// for when it is copied as a whole.
#[derive(Clone, Copy)]
struct Entry {
    when: u64,
    /// generation and id
    timer: u64,
}

impl Entry {
    #[inline(always)]
    fn new(when: u64, id: u32, generation: u32) -> Self {
        Entry { when, timer: u64::from(generation) << 32 | u64::from(id) }
    }

    #[inline(always)]
    fn id(&self) -> u32 {
        self.timer as u32
    }

    #[inline(always)]
    fn generation(&self) -> u32 {
        (self.timer >> 32) as u32
    }
}

/// One digit of one level. An empty slot is `EMPTY` but for its capacity.
struct Slot {
    entries: Vec<Entry>,
    /// Never later than the earliest live entry; exactly that unless the grave is `stale`.
    earliest: u64,
}

const _: () = assert!(size_of::<Slot>() == 32, "half a cache line");

impl Slot {
    const EMPTY: Slot = Slot { entries: Vec::new(), earliest: u64::MAX };
}

/// What was cancelled in a slot; apart from it, since mostly nothing was.
#[derive(Clone, Copy, Default)]
struct Grave {
    dead: u32,
    /// The entry at `earliest` is dead, and there may be no other there.
    stale: bool,
}

/// The timers of one kernel. See the [module](self) for how it works.
///
/// ```
/// use isochrone_sim::wheel::Wheel;
/// let mut wheel = Wheel::new();
/// wheel.insert(70, 1);
/// let cancelled = wheel.insert(50, 2);
/// wheel.insert(70, 3);
/// assert!(wheel.cancel(50, cancelled));
/// assert_eq!(wheel.ready(60), Err(Some(70)));
/// assert_eq!(wheel.ready(100), Ok(70));
/// assert_eq!([wheel.pop(), wheel.pop(), wheel.pop()], [Some(1), Some(3), None]);
/// assert_eq!(wheel.next(), None);
/// ```
pub type Wheel = RadixWheel<10>;

/// A wheel that reads instants in digits of so many bits, 6 to 10. Fewer bits are fewer slots, which stay in the processor's
/// cache, and more moves of a timer before it fires: good for deadlines, most of which are cancelled long before.
pub struct RadixWheel<const BITS: usize> {
    /// The earliest timers, in order, from `head` on; the entry there is live.
    run: Vec<Entry>,
    head: usize,
    /// Entries of the run, from `head` on, that are cancelled.
    dead: usize,
    /// All timers up to this instant are in the run, all later ones in the slots.
    end: u64,
    /// 2^`BITS` for every level up to the highest that was needed.
    slots: Vec<Slot>,
    /// Of each slot.
    graves: Vec<Grave>,
    /// Dead entries in all slots.
    buried: usize,
    occupied: Occupied,
    cursor: u64,
    /// Whether the run is new and worth being told about.
    near: bool,
    table: Table,
    /// Empty vectors with room for more than `KEPT_IN_PLACE` entries.
    pool: Vec<Vec<Entry>>,
    /// The capacity of all vectors in the pool.
    spare: usize,
}

impl<const BITS: usize> RadixWheel<BITS> {
    const SLOTS_PER_LEVEL: usize = 1 << BITS;

    /// Of the highest bit in which an instant differs from the end: where the digit begins that it is in, and the first slot
    /// of that level.
    const DIGITS: [(u32, u32); 64] = {
        let mut digits = [(0, 0); 64];
        let mut bit = 0;
        while bit < 64 {
            let level = bit / BITS;
            digits[bit] = ((level * BITS) as u32, (level * Self::SLOTS_PER_LEVEL) as u32);
            bit += 1;
        }
        assert!(digits[63].1 as usize + Self::SLOTS_PER_LEVEL <= 64 * WORDS);
        digits
    };

    /// An empty wheel with its cursor at 0.
    pub fn new() -> Self {
        Self::starting_at(0)
    }

    /// An empty wheel with its cursor at the given instant.
    pub fn starting_at(cursor: u64) -> Self {
        RadixWheel {
            run: Vec::new(),
            head: 0,
            dead: 0,
            end: cursor,
            slots: Vec::new(),
            graves: Vec::new(),
            buried: 0,
            occupied: Occupied::NONE,
            cursor,
            near: false,
            table: Table::default(),
            pool: Vec::new(),
            spare: 0,
        }
    }

    /// The instant the wheel has come to: no timer lies before it, and none may be inserted before it.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The number of timers neither fired nor cancelled.
    pub fn len(&self) -> usize {
        self.table.live()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.occupied.is_empty() && self.head == self.run.len()
    }

    /// Files a timer for `when`, behind those already filed for the same instant.
    ///
    /// `when` must not lie before [`RadixWheel::cursor`], or timers fire in the wrong order; debug builds assert it.
    ///
    /// # Panics
    ///
    /// At 2^28 timers.
    #[inline(always)]
    pub fn insert(&mut self, when: u64, payload: u32) -> TimerId {
        debug_assert!(when >= self.cursor, "a timer for {when}, before the cursor at {}", self.cursor);
        let (id, generation) = self.table.take(payload);
        let entry = Entry::new(when, id, generation);
        if when <= self.end {
            self.insert_in_run(entry);
        } else {
            self.file(entry);
        }
        TimerId { id, generation }
    }

    /// Takes a timer out; false, and nothing happens, if it has fired or was cancelled already.
    ///
    /// `when` must be what it was inserted for. Amortised O(1).
    #[inline]
    pub fn cancel(&mut self, when: u64, timer: TimerId) -> bool {
        if !self.is_live(timer) {
            return false;
        }
        debug_assert!(
            when >= self.cursor,
            "no timer is filed for {when}, before the cursor at {}",
            self.cursor
        );
        self.table.release(timer.id);
        if when <= self.end {
            self.dead += 1;
            self.bury();
            return true;
        }
        let index = self.slot_of(when);
        let (slot, grave) = (&mut self.slots[index], &mut self.graves[index]);
        debug_assert!(slot.entries.len() > grave.dead as usize, "the timer was not inserted for {when}");
        let (dead, live) = (grave.dead as usize + 1, slot.entries.len() - grave.dead as usize - 1);
        if live == 0 {
            self.clear(index);
            self.discard(index);
            return true;
        }
        grave.dead += 1;
        grave.stale |= slot.earliest == when;
        self.buried += 1;
        if dead > DEAD_ALLOWED + live {
            self.sweep(index);
        }
        true
    }

    /// What the timer hands out when it fires; 0 if it has fired or was cancelled.
    #[inline]
    pub fn payload(&self, timer: TimerId) -> u32 {
        if self.is_live(timer) { self.table.payload(timer.id) } else { 0 }
    }

    /// Changes what a timer hands out when it fires; nothing happens if it has fired or was cancelled.
    #[inline]
    pub fn set_payload(&mut self, timer: TimerId, payload: u32) {
        if self.is_live(timer) {
            self.table.set_payload(timer.id, payload);
        }
    }

    /// Whether the timer has neither fired nor been cancelled.
    #[inline]
    pub fn is_live(&self, timer: TimerId) -> bool {
        self.table.is_live(timer.id, timer.generation)
    }

    /// Gets the earliest timers ready to [`pop`](RadixWheel::pop) if they are due at or before `horizon`.
    ///
    /// `Ok` is their instant, and nothing earlier may be inserted any more. `Err` is the earliest instant beyond the horizon,
    /// or `None` without timers.
    #[inline]
    pub fn ready(&mut self, horizon: u64) -> Result<u64, Option<u64>> {
        if self.head == self.run.len() {
            self.load(horizon)?;
        }
        let next = self.run[self.head].when;
        if next > horizon {
            return Err(Some(next));
        }
        self.cursor = next;
        Ok(next)
    }

    /// Payloads of timers that have come near, once: what they stand for will soon be needed, and can be fetched into the
    /// cache together. Only told of large wheels.
    #[inline]
    pub fn near(&mut self) -> Option<impl Iterator<Item = u32> + Clone> {
        let (run, table) = (&self.run[self.head..], &self.table);
        std::mem::take(&mut self.near).then(|| run.iter().map(|entry| table.payload(entry.id())))
    }

    /// As [`next`](RadixWheel::next); a search is remembered.
    #[inline]
    pub fn earliest(&mut self) -> Option<u64> {
        if self.head == self.run.len()
            && let Some(index) = self.occupied.first()
            && self.graves[index].stale
        {
            self.sweep(index);
        }
        self.next()
    }

    /// Moves the end on to an instant before which nothing will be inserted, if nothing is filed before it either, and returns
    /// an instant that is not after the earliest timer, in O(1). For a wheel that seldom fires: everything would be filed far
    /// from its end, thousands to a slot, where cancelling and searching are slow.
    #[inline]
    pub fn advance(&mut self, to: u64) -> Option<u64> {
        if let Some(first) = self.run.get(self.head) {
            return Some(first.when);
        }
        let index = self.occupied.first();
        let bound = index.map(|index| self.slots[index].earliest);
        if to > self.end && bound.is_none_or(|bound| bound > to) {
            match index {
                Some(index) if self.slot_of(to) == index => self.refile(index, to),
                // every timer differs from both ends in the same digit
                _ => self.end = to,
            }
            self.cursor = to;
        }
        bound
    }

    /// Fires the next timer, in the order of insertion, of those that are due at the instant which
    /// [`ready`](RadixWheel::ready) last answered with `Ok`, including those inserted since: its payload, and `None` when all have
    /// fired.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<u32> {
        let first = self.run.get(self.head)?;
        if first.when != self.cursor {
            return None;
        }
        self.head += 1;
        // the run starts with a live timer
        let payload = self.table.release(first.id());
        if self.dead > 0 {
            self.bury();
        }
        Some(payload)
    }

    /// The instant of the earliest timer, exactly. O(1) unless the earliest was just cancelled.
    #[inline]
    pub fn next(&self) -> Option<u64> {
        if let Some(first) = self.run.get(self.head) {
            return Some(first.when);
        }
        let index = self.occupied.first()?;
        let slot = &self.slots[index];
        if !self.graves[index].stale {
            return Some(slot.earliest);
        }
        slot.entries.iter().filter(|entry| self.table.has(entry)).map(|entry| entry.when).min()
    }

    /// The bytes allocated.
    pub fn held_bytes(&self) -> usize {
        let entries: usize = self.slots.iter().map(|slot| slot.entries.capacity()).sum();
        self.slots.capacity() * (size_of::<Slot>() + size_of::<Grave>())
            + (self.run.capacity() + entries + self.spare) * size_of::<Entry>()
            + self.pool.capacity() * size_of::<Vec<Entry>>()
            + self.table.held_bytes()
    }

    /// Instant and payload of every timer, in no particular order: for diagnostics.
    pub fn live_payloads(&self) -> impl Iterator<Item = (u64, u32)> {
        let filed = self.slots.iter().flat_map(|slot| &slot.entries);
        self.run[self.head..]
            .iter()
            .chain(filed)
            .filter(|entry| self.table.has(entry))
            .map(|entry| (entry.when, self.table.payload(entry.id())))
    }

    /// The slot in which a timer for `when`, beyond the end, is filed.
    #[inline]
    fn slot_of(&self, when: u64) -> usize {
        let highest_bit = 63 - ((when ^ self.end) | 1).leading_zeros();
        let (begin, first) = Self::DIGITS[highest_bit as usize % 64];
        first as usize + (when >> begin) as usize % Self::SLOTS_PER_LEVEL
    }

    #[inline(always)]
    fn file(&mut self, entry: Entry) {
        let index = self.slot_of(entry.when);
        self.occupied.set(index);
        if index >= self.slots.len() {
            self.add_levels(index / Self::SLOTS_PER_LEVEL);
        }
        let slot = &mut self.slots[index];
        slot.earliest = slot.earliest.min(entry.when);
        if slot.entries.len() == slot.entries.capacity() {
            grow(&mut slot.entries, &mut self.pool, &mut self.spare);
        }
        slot.entries.push(entry);
    }

    /// A level is needed for the first time.
    #[cold]
    fn add_levels(&mut self, level: usize) {
        let slots = (level + 1) * Self::SLOTS_PER_LEVEL;
        self.slots.reserve_exact(slots - self.slots.len());
        self.slots.resize_with(slots, || Slot::EMPTY);
        self.graves.reserve_exact(slots - self.graves.len());
        self.graves.resize(slots, Grave::default());
    }

    /// Puts a timer into the run, behind those of the same instant.
    #[inline(never)]
    fn insert_in_run(&mut self, entry: Entry) {
        if self.head == self.run.len() {
            self.run.clear();
            self.head = 0;
        }
        if self.run.last().is_none_or(|last| last.when <= entry.when) {
            return self.run.push(entry);
        }
        let at = self.head + self.run[self.head..].partition_point(|other| other.when <= entry.when);
        if at == self.head && self.head > 0 {
            // what has been fired makes room
            self.head -= 1;
            self.run[self.head] = entry;
        } else if self.run.len() - at < MOVED {
            self.run.insert(at, entry);
        } else {
            self.run.insert(at, entry);
            self.spill();
        }
    }

    /// Files a run that has become too long, but for what is due at the cursor.
    #[cold]
    fn spill(&mut self) {
        let mut run = std::mem::take(&mut self.run);
        run.drain(..std::mem::take(&mut self.head));
        let table = &self.table;
        run.retain(|entry| table.has(entry));
        self.dead = 0;
        // within the slot that was the run, so that no other timer's slot changes, and before it nothing will be inserted
        self.end = self.cursor;
        let stay = run.partition_point(|entry| entry.when <= self.end);
        for entry in run.drain(stay..) {
            self.file(entry);
        }
        self.run = run;
    }

    /// Drops dead entries of the run: those at its head, and all when they are too many.
    fn bury(&mut self) {
        let table = &self.table;
        let is_dead = |entry: &Entry| !table.has(entry);
        while self.run.get(self.head).is_some_and(is_dead) {
            self.head += 1;
            self.dead -= 1;
        }
        let left = self.run.len() - self.head;
        if self.dead > DEAD_ALLOWED + left / 2 {
            self.run.drain(..self.head);
            self.run.retain(|entry| !is_dead(entry));
            (self.head, self.dead) = (0, 0);
        }
    }

    /// Fills the empty run, if the earliest timers are due by the horizon; else says when they are.
    fn load(&mut self, horizon: u64) -> Result<(), Option<u64>> {
        let Some(index) = self.occupied.first() else { return Err(None) };
        if self.buried > 0 && self.graves[index].stale {
            self.sweep(index);
        }
        let earliest = self.slots[index].earliest;
        if earliest > horizon {
            return Err(Some(earliest));
        }
        if self.buried > 0 && self.graves[index].dead > 0 {
            self.sweep(index);
        }
        let entries = &self.slots[index].entries;
        let is_one = entries.iter().all(|entry| entry.when == earliest);
        let is_large = self.table.room() > CACHED;
        if is_one || entries.len() <= if is_large { SORTED_LARGE } else { SORTED } {
            self.take_over(index);
            if !is_one {
                // stable: first in, first out
                self.run.sort_by_key(|entry| entry.when);
            }
            let shift = index / Self::SLOTS_PER_LEVEL * BITS;
            self.end = earliest | ((1 << shift) - 1);
        } else {
            self.refile(index, earliest);
        }
        self.near = is_large && self.run.len() >= WORTH_TELLING;
        Ok(())
    }

    /// Makes the entries of a slot the run. The vectors change places.
    #[inline]
    fn take_over(&mut self, index: usize) {
        self.clear(index);
        self.run.clear();
        self.head = 0;
        std::mem::swap(&mut self.run, &mut self.slots[index].entries);
        if self.slots[index].entries.capacity() > KEPT_IN_PLACE {
            let entries = std::mem::take(&mut self.slots[index].entries);
            self.recycle(index, entries);
        }
    }

    /// Moves the end to an instant of the lowest slot, not after its earliest, and files its timers again.
    fn refile(&mut self, index: usize, end: u64) {
        self.run.clear();
        self.head = 0;
        let has_dead = self.graves[index].dead > 0;
        let entries = self.vacate(index);
        self.end = end;
        for &entry in &entries {
            if has_dead && !self.table.has(&entry) {
                continue;
            }
            if entry.when == end { self.run.push(entry) } else { self.file(entry) }
        }
        self.recycle(index, entries);
    }

    /// Takes all out of a slot.
    #[inline]
    fn vacate(&mut self, index: usize) -> Vec<Entry> {
        self.clear(index);
        std::mem::take(&mut self.slots[index].entries)
    }

    /// The slot holds nothing that counts.
    #[inline]
    fn clear(&mut self, index: usize) {
        self.occupied.clear(index);
        self.slots[index].earliest = u64::MAX;
        if self.buried > 0 {
            self.unbury(index);
        }
    }

    /// The dead entries of a slot are gone.
    fn unbury(&mut self, index: usize) {
        self.buried -= self.graves[index].dead as usize;
        self.graves[index] = Grave::default();
    }

    /// Drops the dead entries of an occupied slot, and finds its earliest.
    #[cold]
    fn sweep(&mut self, index: usize) {
        let (slot, table) = (&mut self.slots[index], &self.table);
        slot.entries.retain(|entry| table.has(entry));
        if slot.entries.capacity() > 4 * slot.entries.len() + KEPT_IN_PLACE {
            slot.entries.shrink_to(2 * slot.entries.len());
        }
        slot.earliest = slot.entries.iter().map(|entry| entry.when).min().unwrap_or(u64::MAX);
        self.unbury(index);
    }

    /// Drops the entries of a cleared slot.
    #[inline]
    fn discard(&mut self, index: usize) {
        let entries = &mut self.slots[index].entries;
        entries.clear();
        if entries.capacity() > KEPT_IN_PLACE {
            let entries = std::mem::take(entries);
            self.recycle(index, entries);
        }
    }

    /// Leaves a vacated slot this vector if it is small, and pools it if not.
    #[inline]
    fn recycle(&mut self, index: usize, mut entries: Vec<Entry>) {
        entries.clear();
        if entries.capacity() <= KEPT_IN_PLACE {
            self.slots[index].entries = entries;
        } else {
            self.spare += entries.capacity();
            self.pool.push(entries);
        }
        if self.spare > SPARE_ALLOWED && self.spare > SPARE_ALLOWED + self.len() {
            self.give_back();
        }
    }

    /// Empties the pool until it holds no more than is allowed.
    #[cold]
    fn give_back(&mut self) {
        let allowed = SPARE_ALLOWED + self.len();
        while self.spare > allowed
            && let Some(entries) = self.pool.pop()
        {
            self.spare -= entries.capacity();
        }
    }
}

/// Makes room in a full slot: a small one's own, then what the pool has, then twice as much.
#[cold]
fn grow(entries: &mut Vec<Entry>, pool: &mut Vec<Vec<Entry>>, spare: &mut usize) {
    let held = entries.len();
    if held < KEPT_IN_PLACE {
        entries.reserve_exact((4 * held + 3).min(KEPT_IN_PLACE) - held);
        return;
    }
    if let Some(mut larger) = pool.pop() {
        *spare -= larger.capacity();
        if larger.capacity() > held {
            larger.extend_from_slice(entries);
            *entries = larger;
            return;
        }
    }
    entries.reserve(1); // doubles
}

impl<const BITS: usize> Default for RadixWheel<BITS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BITS: usize> std::fmt::Debug for RadixWheel<BITS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Wheel");
        out.field("len", &self.len()).field("cursor", &self.cursor).field("next", &self.next());
        out.finish_non_exhaustive()
    }
}
