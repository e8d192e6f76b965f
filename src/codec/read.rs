//! From tokens to values: what all codecs have in common when they read.
//!
//! Why one mechanism: a codec only knows how its bytes are cut into tokens ([`Source`]). What is built of them, a
//! [`Value`], a Rust type (`typed`) or nothing at all ([`skip`]), is the same for all, so that a peer's bytes mean the
//! same however they are read, and meet the same [`Limits`].
//!
//! Contract: a source counts every value and every key against [`Limits::nodes`], and every list and dict that is open
//! against [`Limits::depth`], before anything is allocated for them. Recursion never exceeds `depth`.

use std::borrow::Cow;

use super::{CodecError, CodecErrorKind, Limits, Types, Value, keys};

/// The beginning of a value: all of it, or that a list or dict opens.
#[derive(Debug)]
pub(super) enum Token<'de> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    UInt(u64),
    /// Digits of an integer beyond 64 bits.
    BigInt(&'de str),
    Float(f64),
    Str(Cow<'de, str>),
    Bytes(&'de [u8]),
    Ext(i8, &'de [u8]),
    List(Open),
    Map(Open),
}

/// A list or dict that is being read. What the number says is the source's business.
#[derive(Debug)]
pub(super) struct Open(pub(super) usize);

/// Bytes of one codec, cut into tokens.
pub(super) trait Source<'de>: Sized {
    /// From the start of these bytes.
    fn new(bytes: &'de [u8], limits: &'de Limits, types: &'de Types) -> Result<Self, CodecError>;

    /// Says that nothing may follow.
    fn end(&mut self) -> Result<(), CodecError>;

    /// The next value, or its beginning.
    fn token(&mut self) -> Result<Token<'de>, CodecError>;

    /// Whether the list has another item, which is then the next token; else it is closed.
    fn item(&mut self, list: &mut Open) -> Result<bool, CodecError>;

    /// Whether the dict has another entry, whose key is then the next token; else it is closed.
    fn entry(&mut self, map: &mut Open) -> Result<bool, CodecError>;

    /// Goes on from a key to its value.
    fn colon(&mut self) -> Result<(), CodecError>;

    /// Takes the next value if it is null.
    fn null(&mut self) -> Result<bool, CodecError>;

    /// Takes the next value if it is an integer that is cheaply read.
    fn small(&mut self) -> Result<Option<i64>, CodecError>;

    /// Passes over the next value if that is cheaply done; it is checked all the same.
    #[inline]
    fn pass(&mut self) -> Result<bool, CodecError> {
        Ok(false)
    }

    /// Whether the next value may be a dict with the one key `__type__`; never false if it is one.
    fn at_custom(&mut self) -> bool;

    /// How many items or entries an open list or dict has, if that is known: checked, so that room may be made.
    fn hint(&self, open: &Open) -> usize;

    /// Where it is.
    fn at(&mut self) -> usize;

    /// The types that dicts may stand for.
    fn types(&self) -> &'de Types;
}

/// What a source may still spend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget<'de> {
    depth: usize,
    nodes: usize,
    limits: &'de Limits,
}

impl<'de> Budget<'de> {
    pub(super) fn new(limits: &'de Limits) -> Self {
        Budget { depth: limits.depth, nodes: limits.nodes, limits }
    }

    /// So many values more.
    #[inline]
    pub(super) fn take(&mut self, nodes: usize, offset: usize) -> Result<(), CodecError> {
        match self.nodes.checked_sub(nodes) {
            Some(left) => {
                self.nodes = left;
                Ok(())
            }
            None => Err(self.spent(offset)),
        }
    }

    #[cold]
    fn spent(&self, offset: usize) -> CodecError {
        CodecErrorKind::Nodes { limit: self.limits.nodes, offset }.into()
    }

    /// One list or dict more is open.
    #[inline]
    pub(super) fn enter(&mut self, offset: usize) -> Result<(), CodecError> {
        match self.depth.checked_sub(1) {
            Some(left) => {
                self.depth = left;
                Ok(())
            }
            None => Err(CodecErrorKind::Depth { limit: self.limits.depth, offset }.into()),
        }
    }

    /// And is closed again.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }
}

/// Reads exactly these bytes in whatever way.
#[inline(always)]
pub(super) fn all<'de, S: Source<'de>, T, E: From<CodecError>>(
    bytes: &'de [u8],
    limits: &'de Limits,
    types: &'de Types,
    read: impl FnOnce(&mut S) -> Result<T, E>,
) -> Result<T, E> {
    let mut source = S::new(bytes, limits, types)?;
    let value = read(&mut source)?;
    source.end()?;
    Ok(value)
}

/// Reads the next value.
pub(super) fn value<'de, S: Source<'de>>(source: &mut S) -> Result<Value, CodecError> {
    let token = source.token()?;
    Ok(match token {
        Token::Null => Value::Null,
        Token::Bool(b) => Value::Bool(b),
        Token::Int(n) => Value::Int(n),
        Token::UInt(n) => Value::UInt(n),
        Token::BigInt(digits) => Value::BigInt(digits.to_owned()),
        Token::Float(x) => Value::Float(x),
        Token::Str(text) => Value::Str(text.into_owned()),
        Token::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Token::Ext(code, bytes) => Value::Ext(code, bytes.to_vec()),
        Token::List(list) => return list_value(source, list),
        Token::Map(map) => return map_value(source, map),
    })
}

fn list_value<'de, S: Source<'de>>(source: &mut S, mut list: Open) -> Result<Value, CodecError> {
    let mut items = Vec::with_capacity(source.hint(&list));
    while source.item(&mut list)? {
        items.push(value(source)?);
    }
    Ok(Value::List(items))
}

fn map_value<'de, S: Source<'de>>(source: &mut S, mut map: Open) -> Result<Value, CodecError> {
    let mut entries = Vec::with_capacity(source.hint(&map));
    while source.entry(&mut map)? {
        let key = value(source)?;
        source.colon()?;
        entries.push((key, value(source)?));
    }
    keys::merge_equal(&mut entries);
    Ok(source.types().revive(entries))
}

/// Passes over the next value, which is checked all the same.
pub(super) fn skip<'de, S: Source<'de>>(source: &mut S) -> Result<(), CodecError> {
    if source.pass()? {
        return Ok(());
    }
    match source.token()? {
        Token::List(mut list) => {
            while source.item(&mut list)? {
                skip(source)?;
            }
        }
        Token::Map(mut map) => {
            while source.entry(&mut map)? {
                skip(source)?;
                source.colon()?;
                skip(source)?;
            }
        }
        _ => {}
    }
    Ok(())
}
