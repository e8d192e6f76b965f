//! Frames on their way to the file.
//!
//! Why not a vector alone: most frames have some forty bytes, in ten fields. In a window of a fixed size, of which there is
//! nearly always one after the last frame, a field is two stores, and that there was room is asked once, at the end.

use super::frame::{self, HEAD, LONG_HEAD};
use super::pack::{Out, SHORT, WINDOW};

#[derive(Debug)]
pub(super) struct Buffer {
    /// those that are used, then room, mostly for a window at least
    bytes: Vec<u8>,
    used: usize,
    /// so many have their sums
    sealed: usize,
}

impl Buffer {
    pub(super) fn new(room: usize) -> Buffer {
        Buffer { bytes: vec![0; room.max(WINDOW)], used: 0, sealed: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Appends a frame; the bytes it takes, or `None` if there is no window, it is not short, or `pack` says that it must
    /// not be kept.
    #[inline(always)]
    pub(super) fn short(&mut self, kind: u8, pack: impl FnOnce(&mut Room<'_>) -> bool) -> Option<usize> {
        let mut room = Room { bytes: self.bytes[self.used..].first_chunk_mut()?, at: HEAD };
        let keep = pack(&mut room);
        let Room { bytes, at } = room;
        if at > SHORT || !keep {
            return None;
        }
        *bytes.first_chunk_mut()? = frame::short_head(at - HEAD, kind, 0);
        self.used += at;
        Some(at)
    }

    /// Appends a frame; the bytes it takes, or the payload's length if that is too long for any.
    pub(super) fn long(
        &mut self,
        kind: u8,
        flags: u8,
        pack: impl FnOnce(&mut Buffer),
    ) -> Result<usize, usize> {
        let start = self.used;
        self.extend(&[0; LONG_HEAD]);
        pack(self);
        let len = self.used - start - LONG_HEAD;
        if len > frame::LONGEST {
            self.used = start;
            return Err(len);
        }
        let (head, count) = frame::head(len, kind, flags);
        let frame = &mut self.bytes[start..self.used];
        frame[..count].copy_from_slice(&head[..count]);
        // after a short head the payload stands nearer
        frame.copy_within(LONG_HEAD.., count);
        self.used = start + count + len;
        Ok(count + len)
    }

    /// Appends what is no frame and has a sum of its own.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.extend(bytes);
        self.sealed = self.used;
    }

    /// Makes room for so many more, and doubles it, so that this is seldom.
    #[cold]
    fn widen(&mut self, more: usize) {
        let least = self.used + more + WINDOW;
        self.bytes.resize(least.max(2 * self.bytes.len()), 0);
    }

    /// Adds the sums that frames do not have yet to them and to this chain, and returns it.
    pub(super) fn seal(&mut self, chain: u64) -> u64 {
        let chain = frame::seal(&mut self.bytes[self.sealed..self.used], chain);
        self.sealed = self.used;
        chain
    }

    /// All that was sealed.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.bytes[..self.sealed]
    }

    /// Forgets everything, and keeps no more room than this: one large record is no reason.
    pub(super) fn clear(&mut self, room: usize) {
        (self.used, self.sealed) = (0, 0);
        if self.bytes.len() > room {
            self.bytes.truncate(room.max(WINDOW));
            self.bytes.shrink_to_fit();
        }
    }
}

impl Out for Buffer {
    fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        self.extend(&bytes[..count]);
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.len() - self.used < bytes.len() + WINDOW {
            self.widen(bytes.len());
        }
        self.bytes[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

/// Where a short frame is packed. What is too long for it goes astray within it, which is noticed at the end.
pub(super) struct Room<'a> {
    bytes: &'a mut [u8; WINDOW],
    at: usize,
}

impl Out for Room<'_> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        // so that nothing needs to be asked
        let at = self.at % SHORT;
        self.bytes[at..at + N].copy_from_slice(&bytes);
        self.at += count;
    }

    #[inline(always)]
    fn extend(&mut self, bytes: &[u8]) {
        copy(self.bytes, self.at, bytes);
        self.at += bytes.len();
    }
}

/// Not a method: where only the bytes are given away, the place in them stays in a register.
#[inline(never)]
fn copy(room: &mut [u8; WINDOW], at: usize, bytes: &[u8]) {
    if let Some(room) = room.get_mut(at..).and_then(|room| room.get_mut(..bytes.len())) {
        room.copy_from_slice(bytes);
    }
}
