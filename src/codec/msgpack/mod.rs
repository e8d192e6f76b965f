//! MsgPack as Python's `msgpack` reads and writes it for aiomas.
//!
//! Why by hand: rmp-serde recurses 1,024 deep, which overflows a 2 MiB stack in debug builds, and ignores what follows
//! the value. Here the limits are those of the other codecs, and no length that a peer merely claims reserves anything.
//!
//! Contract: every form of every type is read, minimal or not; the shortest is written, as `msgpack.packb(x,
//! use_bin_type=True)` does. Text and bytes are kept apart, lists and tuples are arrays, structs dicts with their fields'
//! names. Any key is read; dicts as keys are not written, for Python cannot hash them. Extension types, timestamps among
//! them, are [`Value::Ext`](super::Value::Ext). Floats are written as 64 bits.
//!
//! Failure modes: bad input is an error with its byte offset. An integer beyond 64 bits cannot be encoded; the output is
//! then left as it was.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::Reader;
pub(super) use write::MsgPack;
