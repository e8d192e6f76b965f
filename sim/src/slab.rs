//! Items by number, where the place of one that has gone is taken by the next.
//!
//! Why: whoever waits keeps four bytes, and what it waits for is found by one look. Numbers stay small, and nothing moves.
//!
//! Contract: the item of a place that was released stays in it until another takes the place; whoever holds a number for
//! longer tells by the item whether it is still its own.

pub(crate) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// The number of the new item.
    #[inline]
    pub(crate) fn add(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.items[number as usize] = item;
                number
            }
            None => {
                self.items.push(item);
                self.items.len() as u32 - 1
            }
        }
    }

    /// The place may be taken by another: once, or it would have two owners.
    #[inline]
    pub(crate) fn release(&mut self, number: u32) {
        self.free.push(number);
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.items.get(number as usize)
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.items.get_mut(number as usize)
    }

    /// Whether every place has been released.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.items.len() == self.free.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }
}
