//! What happened, in 64 bits.
//!
//! **Why.** Two runs are the same if every agent sent, received and decided the same at the same instants. To
//! keep that as a log is dear; each agent keeps a running hash of it instead, and the hashes are summed, so that
//! neither the order of agents nor their placement matters.
//!
//! **Contract.** [`Fingerprint::mix`] costs one wide multiplication; the kernel shares the rest among events. [`payload_hash`] hashes a value by its shape and
//! contents as serde shows it, without allocating:
//!
//! | serialised as | hashed as |
//! |---|---|
//! | any integer that fits an `i64` | its value, so `1u8` and `1i64` are equal |
//! | a larger one | its width apart, its value |
//! | `f64`, `f32` | the bits as `f64`; all NaN equal; -0.0 is not 0.0 |
//! | `bool`, `char` | their own tag, the value |
//! | string, bytes | their own tag, 8 bytes at a time, the length |
//! | `None`, `Some(x)`, unit | a tag; a tag and x; a tag |
//! | sequence, map | its tag, the elements in order, the end and their number |
//! | tuple, struct | its tag and length, the elements in order |
//! | enum variant | its tag, the index of the variant, what it holds |
//! | newtype struct | what it holds |
//!
//! Names of types, fields and variants do not count, only positions: a rename does not change a fingerprint, a
//! reordering does. Golden values in the tests hold all this for every release and platform.
//!
//! **Failure modes.** Maps are hashed in the order of iteration: one without an order (`HashMap`) hashes
//! differently in each run, and must not be sent. A `Serialize` that fails hashes to a marker and what came
//! before it. The hash is made against accident, not malice: it is neither keyed nor collision-proof.

use std::fmt;

use serde::ser::{self, Serialize};

use crate::time::Time;

const K: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];

/// Mixes two words: the halves of their 128-bit product, folded.
///
/// A constant is combined with each first, so that no word one meets by chance (0, 1, small counts) is absorbing.
#[inline]
pub const fn fold(a: u64, b: u64) -> u64 {
    let product = (a ^ K[0]) as u128 * (b ^ K[1]) as u128;
    product as u64 ^ (product >> 64) as u64
}

/// What kind of event is mixed into a [`Fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Tag {
    /// A message was sent; the peer is its receiver.
    Send = 1,
    /// A message was received; the peer is its sender.
    Receive = 2,
    /// A timer fired.
    Timer = 3,
    /// An external operation's result arrived.
    External = 4,
    /// A port was written or read; the peer is the port.
    Port = 5,
    /// A call was answered; the peer is the caller.
    Reply = 6,
    /// An answer arrived; the peer is the callee.
    Answer = 7,
    /// A deadline fired.
    Deadline = 8,
}

/// The running hash of one agent.
///
/// ```
/// use isochrone_sim::fingerprint::{Fingerprint, Tag, payload_hash};
/// use isochrone_sim::time::Time;
/// let mut a = Fingerprint::new(1);
/// let mut b = a;
/// a.mix(Tag::Send, Time::ZERO, 0, 2, 0, payload_hash("on"));
/// b.mix(Tag::Send, Time::ZERO, 0, 2, 0, payload_hash("off"));
/// assert_ne!(a.finalise(), b.finalise());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The hash of an agent with this identity that did nothing yet.
    #[inline]
    pub const fn new(identity: u64) -> Fingerprint {
        Fingerprint(fold(identity, K[2]))
    }

    /// Mixes in one event: what, when, with whom, that peer's sequence number, and the payload's hash.
    #[inline]
    pub const fn mix(&mut self, tag: Tag, time: Time, round: u32, peer: u64, seq: u64, payload: u64) {
        self.mix_at(instant(time, round), tag, peer, content(payload, seq));
    }

    /// [`mix`](Fingerprint::mix) with its two halves done: [`instant`] is the same for all events of a round, [`content`]
    /// for a message's sender and receiver.
    #[inline(always)]
    pub(crate) const fn mix_at(&mut self, instant: u64, tag: Tag, peer: u64, content: u64) {
        // the tag is known where this is called, so that its product is a constant
        self.0 = fold(self.0 ^ instant.wrapping_add((tag as u64).wrapping_mul(K[3])), content ^ peer);
    }

    /// The hash to be added to those of the other agents, wrapping.
    ///
    /// Adding is blind to which agent has which hash, but the identity is in it from the start.
    #[inline]
    pub const fn finalise(self) -> u64 {
        let x = fold(self.0, K[3]);
        x ^ x >> 32
    }
}

/// When something happened, for [`Fingerprint::mix_at`]: time and round as multiples of odd constants. What mixes it in
/// multiplies it with everything else.
#[inline(always)]
pub(crate) const fn instant(time: Time, round: u32) -> u64 {
    (time.as_nanos() as u64).wrapping_mul(K[1]).wrapping_add((round as u64).wrapping_mul(K[2]))
}

/// The [`instant`] of the next round.
#[inline(always)]
pub(crate) const fn next_round(instant: u64) -> u64 {
    instant.wrapping_add(K[2])
}

/// What happened, for [`Fingerprint::mix_at`].
#[inline(always)]
pub(crate) const fn content(payload: u64, seq: u64) -> u64 {
    fold(payload, seq)
}

/// What a payload adds up to; see the [module](self) for the rules.
#[inline]
pub fn payload_hash<T: Serialize + ?Sized>(value: &T) -> u64 {
    PayloadHasher::new(0).add(value).finish()
}

/// Hashes a call's arguments, one after the other.
///
/// ```
/// use isochrone_sim::fingerprint::PayloadHasher;
/// let call = |a: i64, b: i64| PayloadHasher::new(7).add(&a).add(&b).finish();
/// assert_ne!(call(1, 2), call(2, 1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PayloadHasher(u64);

impl PayloadHasher {
    /// Starts with the hash of what is called, or any other number.
    #[inline]
    pub const fn new(name_hash: u64) -> PayloadHasher {
        PayloadHasher(name_hash ^ K[3])
    }

    /// Mixes in one argument.
    #[inline]
    #[must_use]
    #[allow(clippy::should_implement_trait)] // takes a reference to anything, which `+` could not
    pub fn add<T: Serialize + ?Sized>(mut self, argument: &T) -> PayloadHasher {
        if argument.serialize(Writer(&mut self)).is_err() {
            self.word(kind::FAILED, 0);
        }
        self
    }

    /// The hash of all that was added.
    #[inline]
    pub const fn finish(self) -> u64 {
        self.0
    }

    /// Mixes in a word of a kind. The kind goes to the state's side of the product, as a multiple of an odd constant.
    #[inline]
    fn word(&mut self, kind: u64, word: u64) {
        self.0 = fold(self.0.wrapping_add(kind.wrapping_mul(K[2])), word);
    }

    /// Mixes in what stands before a value; cheap, since the value's first word multiplies it.
    #[inline]
    fn mark(&mut self, kind: u64, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ kind.wrapping_mul(K[2])).wrapping_add(n.wrapping_mul(K[3]));
    }

    fn bytes(&mut self, kind: u64, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(kind::PART, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(kind::PART, u64::from_le_bytes(last));
        }
        self.word(kind, bytes.len() as u64);
    }
}

/// What a word stands for.
mod kind {
    pub(super) const INT: u64 = 1;
    pub(super) const BIG_UNSIGNED: u64 = 2;
    pub(super) const BIG_SIGNED: u64 = 3;
    pub(super) const FLOAT: u64 = 4;
    pub(super) const BOOL: u64 = 5;
    pub(super) const CHAR: u64 = 6;
    pub(super) const STR: u64 = 7;
    pub(super) const BYTES: u64 = 8;
    pub(super) const PART: u64 = 9;
    pub(super) const UNIT: u64 = 10;
    pub(super) const NONE: u64 = 11;
    pub(super) const SOME: u64 = 12;
    pub(super) const SEQ: u64 = 13;
    pub(super) const TUPLE: u64 = 14;
    pub(super) const MAP: u64 = 15;
    pub(super) const STRUCT: u64 = 16;
    pub(super) const VARIANT: u64 = 17;
    pub(super) const END: u64 = 18;
    pub(super) const SKIPPED: u64 = 19;
    pub(super) const FAILED: u64 = 20;
}

/// A `Serialize` implementation gave up; says nothing more, since nobody reads it.
#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value could not be serialised")
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: fmt::Display>(_: T) -> Failed {
        Failed
    }
}

/// The serde side of a hasher.
struct Writer<'a>(&'a mut PayloadHasher);

impl<'a> Writer<'a> {
    #[inline]
    fn elements(self, kind: u64, len: usize) -> Result<Elements<'a>, Failed> {
        self.0.mark(kind, len as u64);
        Ok(Elements { hasher: self.0, count: 0 })
    }
}

/// A sequence, tuple, map or struct whose elements are being hashed.
struct Elements<'a> {
    hasher: &'a mut PayloadHasher,
    count: u64,
}

impl Elements<'_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.count += 1;
        value.serialize(Writer(self.hasher))
    }

    /// Ends what did not say its length in advance.
    #[inline]
    fn counted(self) -> Result<(), Failed> {
        self.hasher.word(kind::END, self.count);
        Ok(())
    }
}

/// Implements a method of `Serializer` for each type, as a word of one kind.
macro_rules! words {
    ($($method:ident($type:ty) as $kind:ident;)*) => {$(
        #[inline]
        fn $method(self, v: $type) -> Result<(), Failed> {
            self.0.word(kind::$kind, v as i64 as u64);
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Elements<'a>;
    type SerializeStruct = Elements<'a>;
    type SerializeStructVariant = Elements<'a>;

    words! {
        serialize_i8(i8) as INT;
        serialize_i16(i16) as INT;
        serialize_i32(i32) as INT;
        serialize_i64(i64) as INT;
        serialize_u8(u8) as INT;
        serialize_u16(u16) as INT;
        serialize_u32(u32) as INT;
        serialize_bool(bool) as BOOL;
    }

    #[inline]
    fn serialize_u64(self, v: u64) -> Result<(), Failed> {
        self.0.word(if v > i64::MAX as u64 { kind::BIG_UNSIGNED } else { kind::INT }, v);
        Ok(())
    }

    #[inline]
    fn serialize_i128(self, v: i128) -> Result<(), Failed> {
        if let Ok(v) = i64::try_from(v) {
            return self.serialize_i64(v);
        }
        match u128::try_from(v) {
            Ok(v) => self.serialize_u128(v),
            Err(_) => {
                self.0.word(kind::BIG_SIGNED, v as u64);
                self.0.word(kind::BIG_SIGNED, (v >> 64) as u64);
                Ok(())
            }
        }
    }

    #[inline]
    fn serialize_u128(self, v: u128) -> Result<(), Failed> {
        if let Ok(v) = u64::try_from(v) {
            return self.serialize_u64(v);
        }
        self.0.word(kind::BIG_SIGNED, v as u64);
        self.0.word(kind::BIG_UNSIGNED, (v >> 64) as u64);
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, v: f32) -> Result<(), Failed> {
        self.serialize_f64(v.into())
    }

    #[inline]
    fn serialize_f64(self, v: f64) -> Result<(), Failed> {
        let bits = if v.is_nan() { 0x7ff8_0000_0000_0000 } else { v.to_bits() };
        self.0.word(kind::FLOAT, bits);
        Ok(())
    }

    #[inline]
    fn serialize_char(self, v: char) -> Result<(), Failed> {
        self.0.word(kind::CHAR, u32::from(v).into());
        Ok(())
    }

    fn serialize_str(self, v: &str) -> Result<(), Failed> {
        self.0.bytes(kind::STR, v.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), Failed> {
        self.0.bytes(kind::BYTES, v);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Failed> {
        self.0.word(kind::NONE, 0);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        self.0.mark(kind::SOME, 0);
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Failed> {
        self.0.word(kind::UNIT, 0);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Failed> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Failed> {
        self.0.mark(kind::VARIANT, index.into());
        self.serialize_unit()
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.0.mark(kind::VARIANT, index.into());
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Failed> {
        self.elements(kind::SEQ, 0)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Elements<'a>, Failed> {
        self.elements(kind::TUPLE, len)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Elements<'a>, Failed> {
        self.elements(kind::TUPLE, len)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Elements<'a>, Failed> {
        self.0.mark(kind::VARIANT, index.into());
        self.elements(kind::TUPLE, len)
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Elements<'a>, Failed> {
        self.elements(kind::MAP, 0)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Elements<'a>, Failed> {
        self.elements(kind::STRUCT, len)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Elements<'a>, Failed> {
        self.0.mark(kind::VARIANT, index.into());
        self.elements(kind::STRUCT, len)
    }

    /// Hashed in pieces would depend on how they are cut, so: formatted, and hashed byte by byte.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Failed> {
        struct Pieces<'a> {
            hasher: &'a mut PayloadHasher,
            word: [u8; 8],
            len: usize,
        }
        impl fmt::Write for Pieces<'_> {
            fn write_str(&mut self, piece: &str) -> fmt::Result {
                for byte in piece.bytes() {
                    self.word[self.len % 8] = byte;
                    self.len += 1;
                    if self.len.is_multiple_of(8) {
                        self.hasher.word(kind::PART, u64::from_le_bytes(self.word));
                        self.word = [0; 8];
                    }
                }
                Ok(())
            }
        }
        let mut pieces = Pieces { hasher: self.0, word: [0; 8], len: 0 };
        fmt::Write::write_fmt(&mut pieces, format_args!("{value}")).map_err(|_| Failed)?;
        if !pieces.len.is_multiple_of(8) {
            pieces.hasher.word(kind::PART, u64::from_le_bytes(pieces.word));
        }
        pieces.hasher.word(kind::STR, pieces.len as u64);
        Ok(())
    }

    /// So that types with a compact form are not written out as text first.
    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Failed;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Failed> {
        self.counted()
    }
}

impl ser::SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Failed;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        self.element(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        value.serialize(Writer(self.hasher))
    }

    #[inline]
    fn end(self) -> Result<(), Failed> {
        self.counted()
    }
}

/// Implements serde's traits of tuples, whose length went ahead.
macro_rules! tuples {
    ($($trait:ident::$method:ident;)*) => {$(
        impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Failed;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Result<(), Failed> {
                Ok(())
            }
        }
    )*};
}

tuples! {
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

/// Implements serde's traits of values with field names, which are left out; a skipped field keeps its position.
macro_rules! structs {
    ($($trait:ident;)*) => {$(
        impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = Failed;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Failed> {
                self.element(value)
            }

            #[inline]
            fn skip_field(&mut self, _: &'static str) -> Result<(), Failed> {
                self.hasher.mark(kind::SKIPPED, 0);
                Ok(())
            }

            #[inline]
            fn end(self) -> Result<(), Failed> {
                Ok(())
            }
        }
    )*};
}

structs! {
    SerializeStruct;
    SerializeStructVariant;
}
