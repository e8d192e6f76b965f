//! JSON as Python's `json` module writes and reads it.
//!
//! Why not serde_json: Python peers, mosaik among them, send `NaN`, `Infinity` and `-Infinity` (a diverged power
//! flow does), integers beyond 64 bits, and tell `10` from `10.0`. All of it survives here, bit by bit.
//!
//! Contract: [`decode`] takes exactly one value; white space may surround it. It accepts what Python accepts, except
//! what exceeds the [`Limits`](super::Limits), and a lone surrogate (`"\ud800"`), which a Rust string cannot hold: it is
//! refused on connections of aiomas, and read as U+FFFD where there are no custom types (mosaik), so that one odd
//! character does not stop a simulation. [`encode`] writes compact UTF-8; keys that are no strings are coerced as Python
//! does (`1` to `"1"`, `True` to `"true"`, `None` to `"null"`).
//!
//! Failure modes: bad input is an error with its byte offset, in time linear in the input (n log n for large
//! objects). Bytes, and lists as keys, cannot be encoded; the output is then left as it was.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::Reader;
pub use read::decode;
pub(super) use write::Json;
pub use write::encode;

/// For every byte of `word` that ends a plain run in a JSON string (a quote, a backslash, a control character) the
/// high bit of that byte; exact for the lowest such byte, which is the only one that is used.
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let below = |x: u64, n: u64| x.wrapping_sub(ONES * n) & !x & HIGH;
    below(word, 0x20) | below(word ^ (ONES * b'"' as u64), 1) | below(word ^ (ONES * b'\\' as u64), 1)
}

/// The first position at or after `from` whose byte ends a plain run, or the end of the input.
fn plain_run(input: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = input.get(at..at + 8) {
        let found = stops(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = input.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        at += 1;
    }
    at
}
