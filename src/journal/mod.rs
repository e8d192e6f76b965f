//! The flight recorder's file: what happened in a run, so that it can be replayed, compared and looked at.
//!
//! Why own files: a recording must survive the death of its writer at any byte, name damage instead of passing it on,
//! have the same bytes for the same run, and be readable for ever. No container format on the registry does all four.
//!
//! Contract: [`Writer`] appends records and [`Reader`] gives them back; equal runs give equal bytes, but for *volatile*
//! frames; damage is an error, and only a tail that was torn by the death of the writer is cut, when it is
//! [continued](Writer::append) or [repaired](repair). Failure modes are [`JournalError`]s.
//!
//! # The format, version 1.0
//!
//! A journal is one file, `run.jrn`, and from 1 GiB on further ones beside it, `run-00002.jrn` and so on. Numbers in
//! heads are little-endian.
//!
//! ```text
//! segment := magic 89 'I' 'J' 'R' 0D 0A 1A 0A | u8 major | u8 minor | u16 0 | u32 len | map [len] | u32 sum | frame*
//! frame   := u8 len | u8 kind | u8 flags | u8 check | u32 sum | payload [len]
//!          | u8 255 | u8 kind | u8 flags | u8 check | u32 sum | u24 len | u8 check | payload [len]
//! ```
//!
//! * A *sum* is the CRC-32C of the payload, or of everything before it in the segment's head. `len` is less than 16 MiB,
//!   in a segment's head at most 1 MiB. The long form of a frame's head is for payloads of 255 bytes and more.
//! * *check* is the upper 8 of the 64 bits of `(w + 1) * 0x9E3779B97F4A7C15`, where *w* are the three bytes before it. So a
//!   length can be trusted before the payload is there, and a frame that crosses the end of the file is one that was cut
//!   there. Behind the last frame zeros may stand, which are room of a writer that still writes, or was killed.
//! * *flags*: 2 volatile, may differ between two recordings of one run; 4 ignorable, a reader that does not know the kind
//!   passes it over; others are 0.
//! * A payload is MessagePack, integers in their shortest form but for hashes, which always have nine bytes.
//! * *kind* 1 gives the next number, from 0 in each segment, to a name: its payload is the name's text. Every other
//!   payload is an array `[delta, round, field..]`, whose kinds and fields [`Record`] lists: *delta* is the time in ns
//!   less that of the frame before it that is neither a name nor volatile (in a segment's first: less the `time` of its
//!   head); both are 0 in volatile frames.
//! * A field is a number, a truth value, a text, or: a *name*, by its number, or spelt out if the segment has no room for
//!   it; a *time*, in ns; an optional one, nil or an array of the one; an outcome, `[value]` or `[nil, error]`; a value as
//!   it is, where extension types stand for what MessagePack lacks: 1 an integer beyond 64 bits in decimal digits; 2 a
//!   date, seconds since 1970 (8 bytes), nanoseconds (4) and offset from UTC (4), big-endian; 3 a proxy's path or
//!   address; 4 an extension of the wire, its code and its bytes; and `[5 name, data]` or `[6 number, data]` for a custom
//!   type.
//! * *Event numbers* count the frames that are neither names nor volatile, from 0.
//! * The *chain* is 0 before the first frame; each frame that is not volatile makes it `fold(chain, 256 sum + kind)`,
//!   with [`fold`](isochrone_sim::fingerprint::fold).
//! * The map of a segment's head: `segment` (from 1), `event`, `time` and `chain` at its beginning, and the run's
//!   `scenario`, `clock`, `level`, `epoch`, `seeds` (seed, and shuffle's if there is one), `configuration`, `build`,
//!   `parent` (nil, or journal and event).
//!
//! A reader refuses another major version, and passes over what a later minor version adds. Each version's golden files
//! stay in `tests/golden/`.

mod buffer;
mod error;
pub mod export;
mod frame;
mod header;
mod name;
mod pack;
mod packed;
mod reader;
mod record;
mod segment;
mod story;
mod sum;
mod survey;
mod writer;

pub use error::JournalError;
pub use header::{Header, Level};
pub(crate) use name::Kept;
pub use name::Name;
pub use packed::Packed;
pub use reader::{Reader, Tail};
pub use record::{Entry, Hash, Record};
pub(crate) use record::{OUTSIDE, RESEED, Told};
pub use story::Story;
pub(crate) use story::sentence;
pub use survey::{Repair, Survey, repair};
pub use writer::{Fsync, OnFailure, Options, Writer};
