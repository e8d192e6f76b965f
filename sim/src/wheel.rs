//! The timer wheel: which timers are due next.
//!
//! **Why.** A binary heap moves an entry at every level of a tree that no longer fits the cache; at a million
//! timers that is most of an agent's wakeup. Here a timer is filed by the digits of its instant and moved once
//! or twice in its life, always at the end of a plain vector, so equal instants stay first in, first out
//! without a sequence number.
//!
//! **How.** Instants are `u64` and are read in base 64. A timer lies on the level of the highest digit in which
//! its instant differs from the *cursor* (the instant the wheel has come to), in the slot of that digit:
//!
//! | level | bits | a slot spans | in ns, a slot is |
//! |---|---|---|---|
//! | 0 | 0..6 | one instant | 1 ns |
//! | 1 | 6..12 | 64 | 64 ns |
//! | 2 | 12..18 | 64^2 | 4.1 us |
//! | 3 | 18..24 | 64^3 | 262 us |
//! | 4 | 24..30 | 64^4 | 16.8 ms |
//! | 5 | 30..36 | 64^5 | 1.07 s |
//! | 6 | 36..42 | 64^6 | 69 s |
//! | 7 | 42..48 | 64^7 | 73 min |
//! | 8 | 48..54 | 64^8 | 3.3 d |
//! | 9 | 54..60 | 64^9 | 209 d |
//! | 10 | 60..64 | 64^10 | 37 years, 16 slots used |
//!
//! So everything on a level is earlier than everything on the levels above, and the lowest occupied slot holds
//! the next timer. To reach it the cursor jumps to the earliest instant of that slot and the slot's timers are
//! filed again relative to it, in order, until all that is left in the lowest slot is due at one instant:
//! then it fires from where it lies. This changes no other timer's slot: they differ from old and new
//! cursor in the same digit. Hence the slot of any timer can be *computed* from its instant, which makes
//! [`Wheel::cancel`] cheap, and timers of one instant are always filed in one slot in the order of insertion,
//! which makes them first in, first out.
//!
//! **Contract.** The cursor moves only in [`Wheel::ready`], never beyond its horizon, in [`Wheel::advance`] and in [`Wheel::fire`]. Nothing may be inserted
//! before the cursor; the kernel's `now` never is.
//!
//! **Cancelling** bumps the timer's generation and takes it off its slot's live count; the dead entry stays
//! until the slot is drained or more than half dead. A slot without live timers is emptied at once, so a
//! cancelled timer never shows in [`Wheel::next`] and never causes a stop.
//!
//! **Memory.** 16 bytes a filed timer and 8 to 12 for its place in the table (which keeps its high-water
//! mark). An emptied slot keeps a small vector; larger ones are pooled per level, because a level fills one slot
//! while it empties another, and given back when the pools hold more than is live and a constant.
//!
//! **Failure modes.** A timer id is never valid again after its timer has fired or was cancelled: a place in
//! the table that has used up its 2^32 - 1 generations is retired. Inserting before the cursor, or cancelling
//! with an instant that is not the timer's, breaks the order of firing; debug builds assert against both.

const DIGIT_BITS: usize = 6;
const SLOTS_PER_LEVEL: usize = 1 << DIGIT_BITS;
const LEVELS: usize = 11; // 64 bits in digits of 6
const DIGIT_MASK: u64 = SLOTS_PER_LEVEL as u64 - 1;

/// Dead entries a slot may hold beside as many as are live; below this, sweeping costs more than it frees.
const DEAD_ALLOWED: usize = 32;
/// Entries (16 bytes each) for which an empty slot may keep room; larger vectors go to the level's pool.
const KEPT_IN_PLACE: usize = 64;
/// Places of the table (8 bytes each) that the processor's cache is trusted to hold.
const CACHED: usize = 1 << 17;
/// Entries of a slot whose places in a larger table are fetched when it is cascaded.
const FETCHED_AHEAD: usize = 1024;
/// Entries for which the pools may keep room beside as many as are live.
const SPARE_ALLOWED: usize = 4096;

/// Names one timer, from [`Wheel::insert`] until it fires or is cancelled. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    id: u32,
    generation: u32,
}

/// A filed timer; dead if its generation is not the table's any more.
#[derive(Clone, Copy)]
struct Entry {
    when: u64,
    id: u32,
    generation: u32,
}

/// A timer's place in the table.
#[derive(Clone, Copy)]
struct Timer {
    generation: u32,
    payload: u32,
}

/// One digit of one level. An empty slot is `EMPTY` but for its capacity.
struct Slot {
    entries: Vec<Entry>,
    /// Never later than the earliest live entry; exactly that unless `stale`.
    earliest: u64,
    /// Never earlier than the latest live entry.
    latest: u64,
    /// Entries that are not cancelled.
    live: u32,
    /// The entry at `earliest` was cancelled, and there may be no other there.
    stale: bool,
}

impl Slot {
    const EMPTY: Slot = Slot { entries: Vec::new(), earliest: u64::MAX, latest: 0, live: 0, stale: false };

    /// Empties the slot but for this vector's capacity.
    #[inline]
    fn reset(&mut self, mut entries: Vec<Entry>) {
        entries.clear();
        *self = Slot { entries, ..Slot::EMPTY };
    }

    /// Whether some entries are cancelled.
    #[inline]
    fn has_dead(&self) -> bool {
        self.live as usize != self.entries.len()
    }
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
/// let mut fired = Vec::new();
/// wheel.fire(|payload| fired.push(payload));
/// assert_eq!(fired, [1, 3]);
/// assert_eq!(wheel.next(), None);
/// ```
pub struct Wheel {
    /// `LEVELS` times `SLOTS_PER_LEVEL`.
    slots: Box<[Slot]>,
    /// Per level, a bit for every slot with live timers.
    occupied: [u64; LEVELS],
    /// A bit for every level with an occupied slot.
    levels: u32,
    cursor: u64,
    table: Vec<Timer>,
    free: Vec<u32>,
    /// Places in the table that ran out of generations.
    retired: usize,
    /// What `ready` last answered, until it is fired.
    ready: Option<u64>,
    /// Per level, empty vectors with room for more than `KEPT_IN_PLACE` entries.
    pools: [Vec<Vec<Entry>>; LEVELS],
    /// The capacity of all vectors in the pools.
    spare: usize,
}

impl Wheel {
    /// An empty wheel with its cursor at 0.
    pub fn new() -> Wheel {
        Wheel {
            slots: (0..LEVELS * SLOTS_PER_LEVEL).map(|_| Slot::EMPTY).collect(),
            occupied: [0; LEVELS],
            levels: 0,
            cursor: 0,
            table: Vec::new(),
            free: Vec::new(),
            retired: 0,
            ready: None,
            pools: [const { Vec::new() }; LEVELS],
            spare: 0,
        }
    }

    /// An empty wheel with its cursor at the given instant.
    pub fn starting_at(cursor: u64) -> Wheel {
        Wheel { cursor, ..Wheel::new() }
    }

    /// The instant the wheel has come to: no timer lies before it, and none may be inserted before it.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The number of timers neither fired nor cancelled.
    pub fn len(&self) -> usize {
        self.table.len() - self.free.len() - self.retired
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.levels == 0
    }

    /// Files a timer for `when`, behind those already filed for the same instant.
    ///
    /// `when` must not lie before [`Wheel::cursor`], or timers fire in the wrong order; debug builds assert it.
    ///
    /// # Panics
    ///
    /// At 2^32 timers.
    #[inline]
    pub fn insert(&mut self, when: u64, payload: u32) -> TimerId {
        debug_assert!(when >= self.cursor, "a timer for {when}, before the cursor at {}", self.cursor);
        let (id, generation) = match self.free.pop() {
            Some(id) => {
                let timer = &mut self.table[id as usize];
                timer.payload = payload;
                (id, timer.generation)
            }
            None => {
                let id = u32::try_from(self.table.len()).expect("fewer than 2^32 timers");
                self.table.push(Timer { generation: 0, payload });
                (id, 0)
            }
        };
        self.file(Entry { when, id, generation });
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
        release(&mut self.table, &mut self.free, &mut self.retired, timer.id);
        let index = self.slot_of(when);
        let slot = &mut self.slots[index];
        debug_assert!(slot.earliest <= when && when <= slot.latest, "the timer was not inserted for {when}");
        slot.live -= 1;
        slot.stale |= slot.earliest == when && slot.latest != when;
        let live = slot.live as usize;
        if live == 0 {
            self.vacate(index);
            let entries = std::mem::take(&mut self.slots[index].entries);
            self.recycle(index, entries);
        } else if slot.entries.len() > DEAD_ALLOWED + 2 * live {
            self.sweep(index);
        }
        true
    }

    /// What the timer hands out when it fires; 0 if it has fired or was cancelled.
    #[inline]
    pub fn payload(&self, timer: TimerId) -> u32 {
        let place = self.table.get(timer.id as usize).filter(|place| place.generation == timer.generation);
        place.map_or(0, |place| place.payload)
    }

    /// Changes what a timer hands out when it fires; nothing happens if it has fired or was cancelled.
    #[inline]
    pub fn set_payload(&mut self, timer: TimerId, payload: u32) {
        if let Some(place) = self.table.get_mut(timer.id as usize)
            && place.generation == timer.generation
        {
            place.payload = payload;
        }
    }

    /// Whether the timer has neither fired nor been cancelled.
    #[inline]
    pub fn is_live(&self, timer: TimerId) -> bool {
        self.table.get(timer.id as usize).is_some_and(|place| place.generation == timer.generation)
    }

    /// Gets the earliest timers ready to [`fire`](Wheel::fire) if they are due at or before `horizon`.
    ///
    /// `Ok` is their instant, and the cursor is now at or before it; nothing earlier may be inserted any more.
    /// `Err` is the earliest instant beyond the horizon, or `None` without timers.
    #[inline]
    pub fn ready(&mut self, horizon: u64) -> Result<u64, Option<u64>> {
        self.ready = None;
        loop {
            let Some(index) = self.lowest() else { return Err(None) };
            if self.slots[index].stale {
                self.sweep(index);
            }
            let earliest = self.slots[index].earliest;
            if earliest > horizon {
                return Err(Some(earliest));
            }
            if self.slots[index].latest == earliest {
                self.ready = Some(earliest);
                return Ok(earliest);
            }
            self.cascade(index, earliest);
        }
    }

    /// The instant of the earliest timer, exactly, as [`next`](Wheel::next); a search is remembered.
    #[inline]
    pub fn earliest(&mut self) -> Option<u64> {
        let index = self.lowest()?;
        if self.slots[index].stale {
            self.sweep(index);
        }
        Some(self.slots[index].earliest)
    }

    /// Moves the cursor on to an instant before which nothing is filed and nothing will be inserted; not beyond the
    /// earliest timer. A wheel that seldom fires files everything far from its cursor, thousands to a slot, where
    /// cancelling and searching are slow.
    #[inline]
    pub fn advance(&mut self, to: u64) {
        self.ready = None;
        let Some(index) = self.lowest() else { return };
        if to <= self.cursor || to > self.slots[index].earliest {
            return;
        }
        if self.slot_of(to) == index && index >= SLOTS_PER_LEVEL {
            self.cascade(index, to);
        } else {
            // not within the lowest slot, or on level 0: every timer differs from both cursors in the same digit
            self.cursor = to;
        }
    }

    /// Hands out, in the order of insertion, the payload of every timer due at the instant that
    /// [`ready`](Wheel::ready) last answered with `Ok`, including those inserted since.
    ///
    /// Without such an answer, or if those timers were cancelled, nothing happens.
    #[inline]
    pub fn fire(&mut self, mut out: impl FnMut(u32)) {
        let Some(instant) = self.ready else { return };
        // once more, in case something was inserted or cancelled since
        if self.ready(instant) != Ok(instant) {
            return;
        }
        self.ready = None;
        let Some(index) = self.lowest() else { return };
        self.vacate(index);
        self.cursor = instant;
        let entries = std::mem::take(&mut self.slots[index].entries);
        for entry in &entries {
            let timer = self.table[entry.id as usize];
            if timer.generation == entry.generation {
                release(&mut self.table, &mut self.free, &mut self.retired, entry.id);
                out(timer.payload);
            }
        }
        self.recycle(index, entries);
    }

    /// The instant of the earliest timer, exactly. O(1) unless the earliest was just cancelled.
    pub fn next(&self) -> Option<u64> {
        let slot = &self.slots[self.lowest()?];
        if !slot.stale {
            return Some(slot.earliest);
        }
        live_entries(slot, &self.table).map(|entry| entry.when).min()
    }

    /// An instant not before the cursor and not after [`Wheel::next`], in O(1); `None` without timers.
    #[inline]
    pub fn lower_bound(&self) -> Option<u64> {
        Some(self.slots[self.lowest()?].earliest)
    }

    /// The bytes allocated.
    pub fn held_bytes(&self) -> usize {
        let entries: usize = self.slots.iter().map(|slot| slot.entries.capacity()).sum();
        let pools: usize = self.pools.iter().map(Vec::capacity).sum();
        std::mem::size_of_val(&*self.slots)
            + (entries + self.spare) * size_of::<Entry>()
            + pools * size_of::<Vec<Entry>>()
            + self.table.capacity() * size_of::<Timer>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// Instant and payload of every timer, in no particular order: for diagnostics.
    pub fn live_payloads(&self) -> impl Iterator<Item = (u64, u32)> {
        let entries = self.slots.iter().flat_map(|slot| live_entries(slot, &self.table));
        entries.map(|entry| (entry.when, self.table[entry.id as usize].payload))
    }

    /// The slot in which a timer for `when` is filed while the cursor is where it is.
    #[inline]
    fn slot_of(&self, when: u64) -> usize {
        let highest_bit = 63 - ((when ^ self.cursor) | 1).leading_zeros() as usize;
        let level = highest_bit / DIGIT_BITS;
        level * SLOTS_PER_LEVEL + ((when >> (level * DIGIT_BITS)) & DIGIT_MASK) as usize
    }

    #[inline]
    fn file(&mut self, entry: Entry) {
        let index = self.slot_of(entry.when);
        let level = index / SLOTS_PER_LEVEL;
        self.occupied[level] |= 1 << (index % SLOTS_PER_LEVEL);
        self.levels |= 1 << level;
        if self.slots[index].entries.len() == self.slots[index].entries.capacity() {
            self.grow(index);
        }
        let slot = &mut self.slots[index];
        slot.earliest = slot.earliest.min(entry.when);
        slot.latest = slot.latest.max(entry.when);
        slot.live += 1;
        slot.entries.push(entry);
    }

    /// Makes room in a full slot: a small one's own, then what the level's pool has, then twice as much.
    #[cold]
    fn grow(&mut self, index: usize) {
        let entries = &mut self.slots[index].entries;
        let held = entries.len();
        if held < KEPT_IN_PLACE {
            entries.reserve_exact((4 * held).clamp(4, KEPT_IN_PLACE) - held);
            return;
        }
        if let Some(mut larger) = self.pools[index / SLOTS_PER_LEVEL].pop() {
            self.spare -= larger.capacity();
            if larger.capacity() > held {
                larger.extend_from_slice(entries);
                *entries = larger;
                return;
            }
        }
        entries.reserve(1); // doubles
    }

    #[inline]
    fn vacate(&mut self, index: usize) {
        let level = index / SLOTS_PER_LEVEL;
        self.occupied[level] &= !(1 << (index % SLOTS_PER_LEVEL));
        self.levels &= !(u32::from(self.occupied[level] == 0) << level);
    }

    /// The slot with the earliest timer.
    #[inline]
    fn lowest(&self) -> Option<usize> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some(level * SLOTS_PER_LEVEL + self.occupied[level].trailing_zeros() as usize)
    }

    /// Moves the cursor to an instant of the lowest slot, not after its earliest, and files the slot's timers again.
    fn cascade(&mut self, index: usize, to: u64) {
        self.vacate(index);
        self.cursor = to;
        let slot = &mut self.slots[index];
        let has_dead = slot.has_dead();
        let entries = std::mem::take(&mut slot.entries);
        // Reading the table also fetches the places of the timers that fire next, all at once; without it each is
        // waited for when it fires. For a large slot they would be gone from the cache by then.
        if has_dead || (entries.len() <= FETCHED_AHEAD && self.table.len() > CACHED) {
            for &entry in &entries {
                if self.table[entry.id as usize].generation == entry.generation {
                    self.file(entry);
                }
            }
        } else {
            for &entry in &entries {
                self.file(entry);
            }
        }
        self.recycle(index, entries);
    }

    /// Drops the dead entries of an occupied slot and finds its bounds again.
    #[cold]
    fn sweep(&mut self, index: usize) {
        let (slot, table) = (&mut self.slots[index], &self.table);
        let mut entries = std::mem::take(&mut slot.entries);
        entries.retain(|entry| table[entry.id as usize].generation == entry.generation);
        if entries.capacity() > 4 * entries.len() + DEAD_ALLOWED {
            entries.shrink_to(2 * entries.len());
        }
        slot.earliest = entries.iter().map(|entry| entry.when).min().unwrap_or(u64::MAX);
        slot.latest = entries.iter().map(|entry| entry.when).max().unwrap_or(0);
        slot.live = entries.len() as u32;
        slot.stale = false;
        slot.entries = entries;
    }

    /// Leaves a vacated slot its vector if it is small, and pools it if not.
    #[inline]
    fn recycle(&mut self, index: usize, entries: Vec<Entry>) {
        if entries.capacity() <= KEPT_IN_PLACE {
            self.slots[index].reset(entries);
        } else {
            self.pool(index, entries);
        }
        if self.spare > SPARE_ALLOWED && self.spare > SPARE_ALLOWED + self.len() {
            self.give_back();
        }
    }

    #[cold]
    fn pool(&mut self, index: usize, mut entries: Vec<Entry>) {
        entries.clear();
        self.spare += entries.capacity();
        self.pools[index / SLOTS_PER_LEVEL].push(entries);
        self.slots[index].reset(Vec::new());
    }

    /// Empties the pools, largest vectors first, until they hold no more than is allowed.
    #[cold]
    fn give_back(&mut self) {
        let allowed = SPARE_ALLOWED + self.len();
        for pool in self.pools.iter_mut().rev() {
            while self.spare > allowed
                && let Some(entries) = pool.pop()
            {
                self.spare -= entries.capacity();
            }
        }
    }
}

/// Makes a timer's id invalid and its place free, unless that ran out of generations.
#[inline]
fn release(table: &mut [Timer], free: &mut Vec<u32>, retired: &mut usize, id: u32) {
    let timer = &mut table[id as usize];
    timer.generation += 1;
    if timer.generation == u32::MAX {
        *retired += 1;
    } else {
        free.push(id);
    }
}

fn live_entries<'a>(slot: &'a Slot, table: &'a [Timer]) -> impl Iterator<Item = &'a Entry> {
    slot.entries.iter().filter(|entry| table[entry.id as usize].generation == entry.generation)
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel::new()
    }
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Wheel");
        out.field("len", &self.len()).field("cursor", &self.cursor).field("next", &self.next());
        out.finish_non_exhaustive()
    }
}
