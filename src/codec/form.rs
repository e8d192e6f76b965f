//! What a codec has to know to write: the looks of scalars, lists and dicts. The rest is `write`.
//!
//! Contract: every method appends to the buffer. Those that cannot fail always have a form; of the others, what was
//! appended before an error is taken back by the caller.

use super::CodecError;

/// How one codec writes.
pub(super) trait Form {
    /// Whether keys of dicts can only be text: scalars are then quoted.
    const TEXT_KEYS: bool;

    fn null(out: &mut Vec<u8>);
    fn bool(b: bool, out: &mut Vec<u8>);
    fn int(n: i64, out: &mut Vec<u8>);
    fn uint(n: u64, out: &mut Vec<u8>);
    /// An integer beyond 64 bits.
    fn big_int(digits: &str, out: &mut Vec<u8>) -> Result<(), CodecError>;
    fn float(x: f64, out: &mut Vec<u8>);
    fn str(text: &str, out: &mut Vec<u8>) -> Result<(), CodecError>;
    fn bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError>;
    fn ext(code: i8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Opens a list of so many items, if that is known.
    fn open_list(len: Option<usize>, out: &mut Vec<u8>) -> Open;
    /// Opens a dict of so many entries, if that is known.
    fn open_map(len: Option<usize>, out: &mut Vec<u8>) -> Open;
    /// Stands before every item and every entry.
    fn item(open: &mut Open, out: &mut Vec<u8>);
    /// Stands between a key and its value.
    fn colon(out: &mut Vec<u8>);
    fn close_list(open: Open, out: &mut Vec<u8>) -> Result<(), CodecError>;
    fn close_map(open: Open, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// A list or dict that is being written.
#[derive(Debug)]
pub(super) struct Open {
    /// Where it begins.
    pub(super) at: usize,
    /// How many items were announced.
    pub(super) announced: usize,
    /// How many have been written.
    pub(super) count: usize,
}
