//! What one round collects for the next.
//!
//! Why: two vectors take turns, so no round allocates, and nothing is moved to begin one.
//!
//! Contract: one round at a time is gone through, and what is pushed meanwhile belongs to the next.

use std::cell::{Cell, Ref, RefCell, RefMut};

pub(crate) struct Collected<T> {
    lists: [RefCell<Vec<T>>; 2],
    /// Which one is being filled.
    filled: Cell<bool>,
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Collected { lists: Default::default(), filled: Cell::new(false) }
    }
}

impl<T> Collected<T> {
    #[inline(always)]
    fn list(&self) -> &RefCell<Vec<T>> {
        &self.lists[usize::from(self.filled.get())]
    }

    #[inline(always)]
    pub(crate) fn push(&self, item: T) {
        self.list().borrow_mut().push(item);
    }

    #[inline(always)]
    pub(crate) fn borrow(&self) -> Ref<'_, Vec<T>> {
        self.list().borrow()
    }

    #[inline(always)]
    pub(crate) fn borrow_mut(&self) -> RefMut<'_, Vec<T>> {
        self.list().borrow_mut()
    }

    /// Everything, to be gone through and left empty; what is pushed from now on belongs to the next round.
    #[inline(always)]
    pub(crate) fn begin(&self) -> RefMut<'_, Vec<T>> {
        let items = self.list().borrow_mut();
        self.filled.set(!self.filled.get());
        debug_assert!(self.borrow().is_empty(), "the round before was left empty");
        items
    }
}
