//! The frame around each record: how long it is, whether it is whole, what it is.
//!
//! Why a check of the head besides the payload's: a length with a flipped bit would make its frame seem to cross the end
//! of the file, as one that the writer was killed in does, and everything after it would be cut off as a torn tail.

use isochrone_sim::fingerprint::fold;

use super::sum::crc32c;

/// Bytes before the payload.
pub(super) const HEAD: usize = 12;
/// The longest payload.
pub(super) const LONGEST: usize = 16 << 20;
/// Bytes at the head of a segment before its map.
pub(super) const PREFIX: usize = 16;
/// The longest map at the head of a segment.
pub(super) const LONGEST_HEADER: usize = 1 << 20;

/// As PNG's: a byte that is no text, line ends that a careless copy would change, an end of file for old terminals.
pub(super) const MAGIC: [u8; 8] = *b"\x89IJR\r\n\x1a\n";
pub(super) const MAJOR: u8 = 1;
pub(super) const MINOR: u8 = 0;

/// The kind of a frame that gives the next number to a name.
pub(super) const NAME: u8 = 1;

/// May differ between two recordings of one run.
pub(super) const VOLATILE: u8 = 2;
/// A reader that does not know the kind may pass it over.
pub(super) const IGNORABLE: u8 = 4;

/// Covers everything in the head but the payload's sum; never 0 for a head of zeros.
///
/// Any single flipped bit changes it: the product changes by the factor times a power of two, and the test below holds
/// that this reaches the upper 16 bits.
#[inline]
fn check(len: u32, kind: u8, flags: u8) -> u16 {
    let word = u64::from(len) | u64::from(kind) << 32 | u64::from(flags) << 40;
    ((word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) sum: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
}

impl Head {
    /// `None` if it is damaged, or longer than any frame.
    pub(super) fn read(bytes: &[u8; HEAD]) -> Option<Head> {
        let [l0, l1, l2, l3, s0, s1, s2, s3, kind, flags, c0, c1] = *bytes;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let whole = check(len, kind, flags) == u16::from_le_bytes([c0, c1]) && len as usize <= LONGEST;
        let sum = u32::from_le_bytes([s0, s1, s2, s3]);
        whole.then_some(Head { len: len as usize, sum, kind, flags })
    }

    /// Whether the payload is what was written.
    #[inline]
    pub(super) fn covers(&self, payload: &[u8]) -> bool {
        crc32c(payload) == self.sum
    }
}

impl Head {
    /// Without the payload's sum.
    #[inline(always)]
    pub(super) fn unsealed(len: usize, kind: u8, flags: u8) -> [u8; HEAD] {
        let len = len as u32;
        let [l0, l1, l2, l3] = len.to_le_bytes();
        let [c0, c1] = check(len, kind, flags).to_le_bytes();
        [l0, l1, l2, l3, 0, 0, 0, 0, kind, flags, c0, c1]
    }
}

/// Adds the sums of frames, and returns the chain up to and with the last of them.
///
/// Why all at once and later: a processor that is to read in words what it has just written in bytes waits until that has
/// reached its cache, at each frame.
pub(super) fn seal(mut frames: &mut [u8], mut chain: u64) -> u64 {
    while let Some((head, rest)) = frames.split_first_chunk_mut::<HEAD>() {
        let [l0, l1, l2, l3, _, _, _, _, kind, flags, _, _] = *head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some((payload, rest)) = rest.split_at_mut_checked(len) else { break };
        let sum = crc32c(payload);
        head[4..8].copy_from_slice(&sum.to_le_bytes());
        if flags & VOLATILE == 0 {
            chain = link(chain, kind, sum);
        }
        frames = rest;
    }
    chain
}

/// The chain of all frames that are not volatile, up to and with this one.
#[inline]
pub(super) fn link(chain: u64, kind: u8, sum: u32) -> u64 {
    fold(chain, u64::from(sum) << 8 | u64::from(kind))
}

/// The head of a segment.
pub(super) fn segment(map: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + map.len() + 4);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[MAJOR, MINOR, 0, 0]);
    out.extend_from_slice(&(map.len() as u32).to_le_bytes());
    out.extend_from_slice(map);
    let sum = crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_of_a_head_is_noticed() {
        for (len, kind, flags) in
            [(0, 0, 0), (0, NAME, 0), (17, 68, 0), (1 << 24, 255, 255), (12_345, 2, VOLATILE)]
        {
            let mut out = Head::unsealed(len, kind, flags).to_vec();
            out.resize(HEAD + len, 7);
            seal(&mut out, 0);
            let head: [u8; HEAD] = out[..HEAD].try_into().unwrap();
            assert!(Head::read(&head).is_some_and(|head| head.covers(&out[HEAD..])));
            for bit in 0..8 * HEAD {
                let mut flipped = head;
                flipped[bit / 8] ^= 1 << (bit % 8);
                let read = Head::read(&flipped);
                assert!(!read.is_some_and(|head| head.covers(&out[HEAD..])), "bit {bit}");
                // only a flip in the sum itself leaves the head believable
                assert_eq!(read.is_some(), (32..64).contains(&bit), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_head_of_zeros_is_none() {
        assert_eq!(Head::read(&[0; HEAD]), None);
    }
}
