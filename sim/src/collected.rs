//! What one round collects for the next.
//!
//! Why: two vectors take turns, so no round allocates; and a round in which nothing was collected costs one look.

use std::cell::{Ref, RefCell, RefMut};

pub(crate) struct Collected<T> {
    items: RefCell<Vec<T>>,
    spare: RefCell<Vec<T>>,
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Collected { items: RefCell::default(), spare: RefCell::default() }
    }
}

impl<T> Collected<T> {
    #[inline(always)]
    pub(crate) fn push(&self, item: T) {
        self.items.borrow_mut().push(item);
    }

    #[inline(always)]
    pub(crate) fn borrow(&self) -> Ref<'_, Vec<T>> {
        self.items.borrow()
    }

    #[inline(always)]
    pub(crate) fn borrow_mut(&self) -> RefMut<'_, Vec<T>> {
        self.items.borrow_mut()
    }

    /// Takes everything; what is pushed from now on belongs to the next round. To be [given back](Collected::give_back).
    #[inline(always)]
    pub(crate) fn take(&self) -> Vec<T> {
        let mut items = self.items.borrow_mut();
        if items.is_empty() { Vec::new() } else { std::mem::replace(&mut items, self.spare.take()) }
    }

    /// Keeps the room of what was taken, which is empty by now.
    #[inline(always)]
    pub(crate) fn give_back(&self, taken: Vec<T>) {
        debug_assert!(taken.is_empty());
        if taken.capacity() != 0 {
            *self.spare.borrow_mut() = taken;
        }
    }
}
