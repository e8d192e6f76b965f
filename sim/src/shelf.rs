//! A vector that grows while its items are looked at.
//!
//! Why: agents' code runs with its agent's handle borrowed and may create further agents meanwhile. A `RefCell<Vec>` would
//! need a reference count taken and given back for every message; here an item never moves and never goes, so that it
//! can simply be borrowed.
//!
//! | board | 5 | 6 | 7 | .. | 31 |
//! |-------|---|---|---|----|----|
//! | items | 0..32 | 32..96 | 96..224 | .. | up to 2^32 - 33 |
//!
//! Contract: items are added at the end and stay until the shelf is dropped.

use std::cell::{Cell, OnceCell};

/// Board 5 holds the first 32 items.
const FIRST: u32 = 32;

type Board<T> = OnceCell<Box<[OnceCell<T>]>>;

pub(crate) struct Shelf<T> {
    boards: [Board<T>; 32],
    len: Cell<u32>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf { boards: [const { OnceCell::new() }; 32], len: Cell::new(0) }
    }
}

/// Board and place on it.
#[inline(always)]
fn place(index: u32) -> (usize, usize) {
    let shifted = index.wrapping_add(FIRST);
    // never of zero, and the compiler sees it
    let board = (shifted | 1).ilog2();
    (board as usize, (shifted ^ 1 << board) as usize)
}

impl<T> Shelf<T> {
    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (board, at) = place(index);
        self.boards[board].get()?.get(at)?.get()
    }

    /// Adds an item and returns its index; after 2^32 - 33 items it is dropped.
    pub(crate) fn push(&self, item: T) -> u32 {
        let index = self.len.get();
        let (board, at) = place(index);
        let board = self.boards[board].get_or_init(|| (0..1u64 << board).map(|_| OnceCell::new()).collect());
        if let Some(slot) = board.get(at) {
            let _ = slot.set(item);
            self.len.set(index + 1);
        }
        index
    }

    pub(crate) fn len(&self) -> u32 {
        self.len.get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}
