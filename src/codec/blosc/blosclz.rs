//! blosclz, blosc's own compressor: literals and matches, as in FastLZ.
//!
//! ```text
//! control < 32               so many + 1 literal bytes follow (of the first control only these bits count)
//! control >= 32              a match: LLL DDDDD, at least 3 bytes
//!   LLL  = 1..6              length LLL + 2
//!   LLL  = 7                 length 9, and the bytes that follow are added, up to the first that is not 255
//!   then one byte D          distance DDDDD * 256 + D + 1
//!   DDDDD D = 31, 255        far: the next two bytes, big-endian, + 8192
//! ```
//!
//! Contract: [`unpack`] appends exactly the wanted number of bytes, or says that it cannot; it never appends more. A match
//! reaches back at most to where its own stream began, and may overlap what it appends.

/// The distance from which on two more bytes hold it.
const FAR: usize = 8192;

/// Appends the `wanted` bytes that the stream stands for; `None` if it stands for anything else.
pub(super) fn unpack(stream: &[u8], wanted: usize, out: &mut Vec<u8>) -> Option<()> {
    let begin = out.len();
    let end = begin + wanted;
    let (&first, mut rest) = stream.split_first()?;
    let mut control = first & 31;
    loop {
        if control < 32 {
            let (literals, after) = rest.split_at_checked(usize::from(control) + 1)?;
            if literals.len() > end - out.len() {
                return None;
            }
            out.extend_from_slice(literals);
            rest = after;
        } else {
            let mut len = usize::from(control >> 5) + 2;
            if control >> 5 == 7 {
                loop {
                    let more = next(&mut rest)?;
                    len += usize::from(more);
                    if more != 255 {
                        break;
                    }
                }
            }
            let mut distance = usize::from(control & 31) << 8 | usize::from(next(&mut rest)?);
            if distance == FAR - 1 {
                distance = FAR + (usize::from(next(&mut rest)?) << 8 | usize::from(next(&mut rest)?)) - 1;
            }
            copy(distance + 1, len, begin, end, out)?;
        }
        match rest.split_first() {
            Some((&next, after)) => (control, rest) = (next, after),
            None => return (out.len() == end).then_some(()),
        }
    }
}

fn next(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

/// Appends `len` bytes that begin `distance` before the end.
fn copy(distance: usize, len: usize, begin: usize, end: usize, out: &mut Vec<u8>) -> Option<()> {
    if len > end - out.len() || distance > out.len() - begin {
        return None;
    }
    let from = out.len() - distance;
    let mut left = len;
    while left > 0 {
        // What was appended repeats, so every round can copy twice as much.
        let part = left.min(out.len() - from);
        out.extend_from_within(from..from + part);
        left -= part;
    }
    Some(())
}
