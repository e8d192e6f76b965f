//! Which slots of a wheel have live timers.
//!
//! Why: the next timers are in the lowest slot that has some, and mostly nearly all slots are empty. Two looks at a word find
//! it among 8,192.
//!
//! Contract: slots are numbered through, level after level, so the lowest is that of the earliest timers.

/// Words of 64 slots, enough for 7 levels of 1024.
pub(super) const WORDS: usize = 128;

/// A bit for every slot with live timers, and one for every word of these that is not 0. The slots are numbered through,
/// so the lowest bit is that of the earliest timers.
pub(super) struct Occupied {
    words: [u64; WORDS],
    some: [u64; WORDS / 64],
}

impl Occupied {
    pub(super) const NONE: Occupied = Occupied { words: [0; WORDS], some: [0; WORDS / 64] };

    #[inline(always)]
    pub(super) fn set(&mut self, slot: usize) {
        let word = slot / 64 % WORDS;
        self.words[word] |= 1 << (slot % 64);
        self.some[word / 64] |= 1 << (word % 64);
    }

    #[inline(always)]
    pub(super) fn clear(&mut self, slot: usize) {
        let word = slot / 64 % WORDS;
        self.words[word] &= !(1 << (slot % 64));
        if self.words[word] == 0 {
            self.some[word / 64] &= !(1 << (word % 64));
        }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.some == [0; WORDS / 64]
    }

    #[inline(always)]
    pub(super) fn first(&self) -> Option<usize> {
        let group = self.some.iter().position(|some| *some != 0)?;
        let word = group * 64 + self.some[group].trailing_zeros() as usize;
        Some(word * 64 + self.words[word % WORDS].trailing_zeros() as usize)
    }
}
