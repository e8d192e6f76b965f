//! The frame around each record: how long it is, whether it is whole, what it is.
//!
//! Why a check of the head besides the payload's: a length with a flipped bit would make its frame seem to cross the end
//! of the file, as one that the writer was killed in does, and everything after it would be cut off as a torn tail.
//!
//! Why two forms of it: nearly all payloads have some twenty bytes.

use isochrone_sim::fingerprint::fold;

use super::sum::crc32c;
#[cfg(target_arch = "x86_64")]
use super::sum::sum_here;

/// Bytes before the payload, if that is short.
pub(super) const HEAD: usize = 8;
/// Bytes before one whose length is [`BEYOND`].
pub(super) const LONG_HEAD: usize = 12;
/// Says, in the place of a length, that this one stands at the end of the head: the payload is at least as long.
pub(super) const BEYOND: usize = 255;
/// The longest payload.
pub(super) const LONGEST: usize = (16 << 20) - 1;
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

/// Three bytes, and one that covers them; never 0 for zeros.
///
/// Any single flipped bit changes it: the product changes by the factor times a power of two, and the test below holds
/// that this reaches the upper 8 bits.
#[inline(always)]
fn checked(word: u32) -> u32 {
    let product = (u64::from(word) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word | (product >> 56 << 24) as u32
}

/// The three bytes, if they are what was written.
#[inline(always)]
fn unchecked(bytes: [u8; 4]) -> Option<u32> {
    let whole = u32::from_le_bytes(bytes);
    let word = whole & 0xff_ffff;
    (checked(word) == whole).then_some(word)
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// of the payload, or [`BEYOND`]
    pub(super) len: usize,
    pub(super) sum: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
}

impl Head {
    /// `None` if it is damaged.
    #[inline(always)]
    pub(super) fn read(&[w0, w1, w2, w3, s0, s1, s2, s3]: &[u8; HEAD]) -> Option<Head> {
        let [len, kind, flags, _] = unchecked([w0, w1, w2, w3])?.to_le_bytes();
        Some(Head { len: len.into(), sum: u32::from_le_bytes([s0, s1, s2, s3]), kind, flags })
    }

    /// The length of a payload that is not short, from the end of its head; `None` if it is damaged.
    pub(super) fn read_len(bytes: [u8; LONG_HEAD - HEAD]) -> Option<usize> {
        unchecked(bytes).map(|len| len as usize).filter(|len| *len >= BEYOND)
    }

    /// Whether the payload is what was written.
    #[inline]
    pub(super) fn covers(&self, payload: &[u8]) -> bool {
        crc32c(payload) == self.sum
    }
}

/// The head of a frame whose payload is short, without its sum.
#[inline(always)]
pub(super) fn short_head(len: usize, kind: u8, flags: u8) -> [u8; HEAD] {
    u64::from(checked(u32::from_le_bytes([len as u8, kind, flags, 0]))).to_le_bytes()
}

/// The head of any frame, and how many bytes of it count, without the payload's sum.
pub(super) fn head(len: usize, kind: u8, flags: u8) -> ([u8; LONG_HEAD], usize) {
    let mut head = [0; LONG_HEAD];
    head[..HEAD].copy_from_slice(&short_head(len.min(BEYOND), kind, flags));
    head[HEAD..].copy_from_slice(&checked(len as u32).to_le_bytes());
    (head, if len < BEYOND { HEAD } else { LONG_HEAD })
}

/// Adds the sums of frames, and returns the chain up to and with the last of them.
///
/// Why all at once and later: a processor that is to read in words what it has just written in bytes waits until that has
/// reached its cache, at each frame.
pub(super) fn seal(frames: &mut [u8], chain: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = fearless_simd::Level::new().as_sse4_2() {
        return seal_here(sse, frames, chain);
    }
    seal_by(frames, chain, crc32c)
}

/// How many of these bytes are whole frames with short payloads that are what was written.
pub(super) fn sound(bytes: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = fearless_simd::Level::new().as_sse4_2() {
        return sound_here(sse, bytes);
    }
    sound_by(bytes, crc32c)
}

// where it is known how a sum is done, it is done in the loop
#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    fn seal_here(sse: Sse4_2, frames: &mut [u8], chain: u64) -> u64 {
        let _ = sse;
        seal_by(frames, chain, |payload| sum_here!(payload))
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    fn sound_here(sse: Sse4_2, bytes: &[u8]) -> usize {
        let _ = sse;
        sound_by(bytes, |payload| sum_here!(payload))
    }
);

#[inline(always)]
fn seal_by(mut frames: &mut [u8], mut chain: u64, of: impl Fn(&[u8]) -> u32) -> u64 {
    while let Some((head, mut rest)) = frames.split_first_chunk_mut::<HEAD>() {
        let [len, kind, flags, _, sum @ ..] = head;
        let mut len = usize::from(*len);
        if len == BEYOND {
            let Some((&mut [l0, l1, l2, _], after)) = rest.split_first_chunk_mut() else { break };
            (len, rest) = (u32::from_le_bytes([l0, l1, l2, 0]) as usize, after);
        }
        let Some((payload, after)) = rest.split_at_mut_checked(len) else { break };
        let of_payload = of(payload);
        *sum = of_payload.to_le_bytes();
        if *flags & VOLATILE == 0 {
            chain = link(chain, *kind, of_payload);
        }
        frames = after;
    }
    chain
}

#[inline(always)]
fn sound_by(bytes: &[u8], of: impl Fn(&[u8]) -> u32) -> usize {
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk()
        && let Some(head) = Head::read(head)
        && head.len < BEYOND
        && let Some((payload, after)) = after.split_at_checked(head.len)
        && of(payload) == head.sum
    {
        rest = after;
    }
    bytes.len() - rest.len()
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

    /// As the reader reads it.
    fn read(frame: &[u8]) -> Option<(Head, &[u8])> {
        let (head, rest) = frame.split_first_chunk()?;
        let mut head = Head::read(head)?;
        if head.len < BEYOND {
            return Some((head, rest));
        }
        let (len, rest) = rest.split_first_chunk()?;
        head.len = Head::read_len(*len)?;
        Some((head, rest))
    }

    #[test]
    fn a_flipped_bit_of_a_head_is_noticed() {
        for (len, kind, flags) in [
            (0, 0, 0),
            (0, NAME, 0),
            (17, 68, 0),
            (127, 68, 0),
            (254, 68, VOLATILE),
            (255, 3, 0),
            (256, 69, 0),
            (LONGEST, 255, 255),
            (12_345, 2, VOLATILE),
        ] {
            let (head, count) = head(len, kind, flags);
            let mut frame = head[..count].to_vec();
            frame.resize(count + len, 7);
            seal(&mut frame, 0);
            let (head, payload) = read(&frame).unwrap();
            assert_eq!((head.len, head.kind, head.flags), (len, kind, flags));
            assert!(head.covers(payload) && payload.len() == len);
            let short = if len < BEYOND { frame.len() } else { 0 };
            assert_eq!(sound(&[&frame[..], &[0; HEAD]].concat()), short);
            for bit in 0..8 * count {
                let mut flipped = frame[..count].to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                flipped.extend_from_slice(&frame[count..][..len.min(4)]);
                let head = read(&flipped).map(|(head, _)| head);
                assert!(!head.is_some_and(|head| head.covers(payload)), "bit {bit} of {len}");
                let mut whole = frame.clone();
                whole[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(sound(&whole), 0, "bit {bit} of {len}");
                // only a flip in the sum itself leaves the head believable
                assert_eq!(head.is_some(), (32..64).contains(&bit), "bit {bit} of {len}");
            }
        }
    }

    #[test]
    fn a_head_of_zeros_is_none() {
        assert_eq!(Head::read(&[0; HEAD]), None);
    }
}
