//! Values that are checked but not yet read.
//!
//! Why: who takes a message must know its envelope before it knows which Rust types the rest is. So a payload is passed
//! over once, which finds everything that is wrong with it, and its parts are read when their types are known.
//!
//! Contract: a [`Raw`] is one value of its codec within the limits, so reading it as a [`Value`] cannot fail, and
//! reading it as a Rust type fails only by its shape: the connection is sound, the one call is not.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::read::{self, Open, Source, Token};
use super::{Codec, CodecError, Limits, Types, Value, from_value, json, msgpack, typed};

/// What was checked before has no limits.
static CHECKED: Limits = Limits { depth: usize::MAX, nodes: usize::MAX, unpacked: usize::MAX };

/// Where a value begins and ends.
type Span = (usize, usize);

/// What the bytes are once they are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Json,
    MsgPack,
}

/// A value that is checked but not yet read, made by [`Codec::split`](super::Codec::split). Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    bytes: &'a [u8],
    plain: Plain,
    types: &'a Types,
}

impl<'a> Raw<'a> {
    /// The parts of a list of `N`, of which all is checked; `None` if it is anything else, which is not.
    pub(super) fn parts<const N: usize>(
        plain: Plain,
        bytes: &'a [u8],
        limits: &'a Limits,
        types: &'a Types,
    ) -> Result<Option<[Raw<'a>; N]>, CodecError> {
        let mut spans = [(0, 0); N];
        let found = match plain {
            Plain::Json => read::all(bytes, limits, types, |s: &mut json::Reader<'_>| list(s, &mut spans)),
            Plain::MsgPack => {
                read::all(bytes, limits, types, |s: &mut msgpack::Reader<'_>| list(s, &mut spans))
            }
        };
        match found {
            Ok(()) => Ok(Some(spans.map(|(from, to)| Raw { bytes: &bytes[from..to], plain, types }))),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// A value that was checked before, from its own bytes.
    #[inline]
    pub(crate) fn checked(codec: Codec, bytes: &'a [u8], types: &'a Types) -> Self {
        let plain = match codec {
            Codec::Json => Plain::Json,
            _ => Plain::MsgPack,
        };
        Raw { bytes, plain, types }
    }

    /// Its bytes, unpacked.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The parts of a list of `N`; `None` if it is anything else.
    pub fn split<const N: usize>(&self) -> Option<[Raw<'a>; N]> {
        Raw::parts(self.plain, self.bytes, &CHECKED, self.types).ok().flatten()
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        let token = match self.plain {
            Plain::Json => json::Reader::new(self.bytes, &CHECKED, self.types).ok()?.token(),
            Plain::MsgPack => msgpack::Reader::new(self.bytes, &CHECKED, self.types).ok()?.token(),
        };
        match token {
            Ok(Token::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; `None` if it is anything else.
    pub fn items(&self) -> Option<impl Iterator<Item = Raw<'a>> + use<'a>> {
        let mut inside = Inside::open(*self, false)?;
        Some(std::iter::from_fn(move || inside.next().map(|(_, item)| item)))
    }

    /// Whether it is an empty dict or list.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match self.plain {
            Plain::MsgPack => matches!(self.bytes, [0x80 | 0x90]),
            Plain::Json => {
                matches!(self.bytes, b"{}" | b"[]")
                    || self.items().is_some_and(|mut items| items.next().is_none())
                    || self.entries().is_some_and(|mut entries| entries.next().is_none())
            }
        }
    }

    /// The entries of a dict, as they come: of equal keys the last counts. `None` if it is anything else.
    pub fn entries(&self) -> Option<impl Iterator<Item = (Raw<'a>, Raw<'a>)> + use<'a>> {
        let mut inside = Inside::open(*self, true)?;
        Some(std::iter::from_fn(move || inside.next()))
    }

    /// The value.
    pub fn value(&self) -> Value {
        let value = match self.plain {
            Plain::Json => read::all(self.bytes, &CHECKED, self.types, read::value::<json::Reader<'_>>),
            Plain::MsgPack => read::all(self.bytes, &CHECKED, self.types, read::value::<msgpack::Reader<'_>>),
        };
        value.unwrap_or_default()
    }

    /// The value as a Rust type.
    ///
    /// # Errors
    /// It has not the shape of the type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let read = match self.plain {
            Plain::Json => read::all(self.bytes, &CHECKED, self.types, typed::read::<T, json::Reader<'_>>),
            Plain::MsgPack => {
                read::all(self.bytes, &CHECKED, self.types, typed::read::<T, msgpack::Reader<'_>>)
            }
        };
        read.or_else(|typed::Bail| from_value(self.value()))
    }
}

/// Where the items of a list of `N` are; no error if the next value is none.
#[inline]
fn list<'de, S: Source<'de>, const N: usize>(
    source: &mut S,
    spans: &mut [Span; N],
) -> Result<(), Option<CodecError>> {
    let Token::List(mut open) = source.token()? else { return Err(None) };
    for span in spans {
        if !source.item(&mut open)? {
            return Err(None);
        }
        *span = passed(source)?;
    }
    if source.item(&mut open)? { Err(None) } else { Ok(()) }
}

/// Passes over the next value and says where it is.
#[inline]
fn passed<'de, S: Source<'de>>(source: &mut S) -> Result<Span, CodecError> {
    let from = source.at();
    read::skip(source)?;
    Ok((from, source.at()))
}

/// A list or dict on the way through its items or entries.
struct Inside<'a> {
    outside: Raw<'a>,
    reader: Reader<'a>,
    open: Open,
    map: bool,
}

enum Reader<'a> {
    Json(json::Reader<'a>),
    MsgPack(msgpack::Reader<'a>),
}

impl<'a> Inside<'a> {
    fn open(outside: Raw<'a>, map: bool) -> Option<Self> {
        let (token, reader) = match outside.plain {
            Plain::Json => {
                let mut reader = json::Reader::new(outside.bytes, &CHECKED, outside.types).ok()?;
                (reader.token(), Reader::Json(reader))
            }
            Plain::MsgPack => {
                let mut reader = msgpack::Reader::new(outside.bytes, &CHECKED, outside.types).ok()?;
                (reader.token(), Reader::MsgPack(reader))
            }
        };
        match token {
            Ok(Token::List(open)) if !map => Some(Inside { outside, reader, open, map }),
            Ok(Token::Map(open)) if map => Some(Inside { outside, reader, open, map }),
            _ => None,
        }
    }

    /// Key and value, or the item twice.
    fn next(&mut self) -> Option<(Raw<'a>, Raw<'a>)> {
        let (key, value) = match &mut self.reader {
            Reader::Json(reader) => step(reader, &mut self.open, self.map),
            Reader::MsgPack(reader) => step(reader, &mut self.open, self.map),
        }
        .ok()??;
        let part = |(from, to)| Raw { bytes: &self.outside.bytes[from..to], ..self.outside };
        Some((part(key), part(value)))
    }
}

fn step<'de, S: Source<'de>>(
    source: &mut S,
    open: &mut Open,
    map: bool,
) -> Result<Option<(Span, Span)>, CodecError> {
    if !map {
        return if source.item(open)? { passed(source).map(|item| Some((item, item))) } else { Ok(None) };
    }
    if !source.entry(open)? {
        return Ok(None);
    }
    let key = passed(source)?;
    source.colon()?;
    Ok(Some((key, passed(source)?)))
}
