//! From tokens straight into Rust types, without a [`Value`] in between.
//!
//! Why two ways to the same end: a call of `add(i64, i64)` costs 100 ns of decoding by the detour and a third of that
//! without. The detour stays the measure of what a type accepts and of what an error says, so this way gives up at the
//! first surprise ([`Bail`]), and the caller goes the other one.
//!
//! Contract: what this way yields, the detour yields too. What may be an instance of a custom type is read as a value
//! here as well, and goes on from there.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::de::FromValue;
use super::read::{self, Open, Source, Token};
use super::{CodecError, Value, marks};

/// Reads the next value as a `T`.
pub(super) fn read<'de, T: Deserialize<'de>, S: Source<'de>>(source: &mut S) -> Result<T, Bail> {
    T::deserialize(Typed::<S, false>(source))
}

/// That it did not work out; the other way says why.
#[derive(Debug)]
pub(super) struct Bail;

impl fmt::Display for Bail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value has not the shape of the type")
    }
}

impl std::error::Error for Bail {}

impl de::Error for Bail {
    #[cold]
    fn custom<T: fmt::Display>(_: T) -> Self {
        Bail
    }

    #[cold]
    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Bail
    }
}

impl From<CodecError> for Bail {
    #[cold]
    fn from(_: CodecError) -> Self {
        Bail
    }
}

/// The next value of a source; as the key of a dict, text may stand for a number.
struct Typed<'s, S, const KEY: bool>(&'s mut S);

impl<'de, S: Source<'de>, const KEY: bool> Typed<'_, S, KEY> {
    /// The next value by the other way.
    #[cold]
    fn detour(self) -> Result<FromValue, Bail> {
        Ok(FromValue::new(read::value(self.0)?))
    }

    #[inline(always)]
    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        if let Some(n) = self.0.small()? {
            return visitor.visit_i64(n);
        }
        match self.0.token()? {
            Token::Int(n) => visitor.visit_i64(n),
            Token::UInt(n) => visitor.visit_u64(n),
            Token::BigInt(digits) => Ok(big_int(digits).deserialize_i128(visitor)?),
            Token::Str(text) if KEY => Ok(FromValue::key(text.into_owned()).deserialize_i64(visitor)?),
            _ => Err(Bail),
        }
    }

    #[inline]
    fn float<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        match self.0.token()? {
            Token::Float(x) => visitor.visit_f64(x),
            Token::Int(n) => visitor.visit_f64(n as f64),
            Token::UInt(n) => visitor.visit_f64(n as f64),
            Token::BigInt(digits) => Ok(big_int(digits).deserialize_f64(visitor)?),
            Token::Str(text) if KEY => Ok(FromValue::key(text.into_owned()).deserialize_f64(visitor)?),
            _ => Err(Bail),
        }
    }

    /// What a [`Value`] asks for.
    fn any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        let marked = if self.0.at_custom() {
            read::value(self.0)?
        } else {
            match self.0.token()? {
                Token::BigInt(digits) => Value::BigInt(digits.to_owned()),
                Token::Ext(code, bytes) => Value::Ext(code, bytes.to_vec()),
                token => return self.visit(token, visitor),
            }
        };
        Ok(FromValue::new(marked).deserialize_newtype_struct(marks::ANY, visitor)?)
    }

    /// Whatever it is.
    fn visit<V: Visitor<'de>>(self, token: Token<'de>, visitor: V) -> Result<V::Value, Bail> {
        match token {
            Token::Null => visitor.visit_unit(),
            Token::Bool(b) => visitor.visit_bool(b),
            Token::Int(n) => visitor.visit_i64(n),
            Token::UInt(n) => visitor.visit_u64(n),
            Token::BigInt(digits) => Ok(big_int(digits).deserialize_any(visitor)?),
            Token::Float(x) => visitor.visit_f64(x),
            Token::Str(text) => visit_text(text, visitor),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Ext(..) => Err(Bail),
            Token::List(open) => self.list(open, visitor),
            Token::Map(open) => self.map(open, visitor),
        }
    }

    #[inline(always)]
    fn list<V: Visitor<'de>>(self, open: Open, visitor: V) -> Result<V::Value, Bail> {
        let mut items = Items { source: self.0, open, done: false };
        let value = visitor.visit_seq(&mut items)?;
        if items.done || !items.source.item(&mut items.open)? { Ok(value) } else { Err(Bail) }
    }

    #[inline(always)]
    fn map<V: Visitor<'de>>(self, open: Open, visitor: V) -> Result<V::Value, Bail> {
        let mut entries = Entries { source: self.0, open, done: false };
        let value = visitor.visit_map(&mut entries)?;
        if entries.done || !entries.source.entry(&mut entries.open)? { Ok(value) } else { Err(Bail) }
    }

    fn bytes<V: Visitor<'de>>(bytes: &[u8], visitor: V) -> Result<V::Value, Bail> {
        let mut items = SeqDeserializer::<_, Bail>::new(bytes.iter().copied());
        let value = visitor.visit_seq(&mut items)?;
        items.end()?;
        Ok(value)
    }
}

fn big_int(digits: &str) -> FromValue {
    FromValue::new(Value::BigInt(digits.to_owned()))
}

#[inline]
fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Bail> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

macro_rules! asked_for {
    ($($how:ident: $($method:ident)*;)*) => {$($(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
            self.$how(visitor)
        }
    )*)*};
}

impl<'de, S: Source<'de>, const KEY: bool> Deserializer<'de> for Typed<'_, S, KEY> {
    type Error = Bail;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            return Ok(self.detour()?.deserialize_any(visitor)?);
        }
        let token = self.0.token()?;
        self.visit(token, visitor)
    }

    asked_for! {
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        float: deserialize_f32 deserialize_f64;
        deserialize_str: deserialize_string deserialize_char deserialize_identifier;
        deserialize_bytes: deserialize_byte_buf;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        match self.0.token()? {
            Token::Bool(b) => visitor.visit_bool(b),
            Token::Str(text) if KEY => Ok(FromValue::key(text.into_owned()).deserialize_bool(visitor)?),
            _ => Err(Bail),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            // a date, which chrono reads from text
            return Ok(self.detour()?.deserialize_str(visitor)?);
        }
        match self.0.token()? {
            Token::Str(text) => visit_text(text, visitor),
            _ => Err(Bail),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        match self.0.token()? {
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::List(open) => self.list(open, visitor),
            _ => Err(Bail),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        if self.0.null()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        if self.0.null()? { visitor.visit_unit() } else { Err(Bail) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            return Ok(self.detour()?.deserialize_unit_struct(name, visitor)?);
        }
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Bail> {
        if name == marks::ANY {
            return self.any(visitor);
        }
        if marks::custom(name).is_some() && self.0.at_custom() {
            return Ok(self.detour()?.deserialize_newtype_struct(name, visitor)?);
        }
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        match self.0.token()? {
            Token::List(open) => self.list(open, visitor),
            Token::Bytes(bytes) => Self::bytes(bytes, visitor),
            _ => Err(Bail),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Bail> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            return Ok(self.detour()?.deserialize_tuple_struct(name, len, visitor)?);
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            return Ok(self.detour()?.deserialize_map(visitor)?);
        }
        match self.0.token()? {
            Token::Map(open) => self.map(open, visitor),
            _ => Err(Bail),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            return Ok(self.detour()?.deserialize_struct(name, fields, visitor)?);
        }
        match self.0.token()? {
            Token::Map(open) => self.map(open, visitor),
            Token::List(open) => self.list(open, visitor),
            _ => Err(Bail),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Bail> {
        if self.0.at_custom() {
            return Ok(self.detour()?.deserialize_enum(name, variants, visitor)?);
        }
        match self.0.token()? {
            Token::Str(name) if KEY => visitor.visit_enum(name.into_deserializer()),
            Token::Str(name) => visitor.visit_enum(Name(name)),
            Token::Map(mut open) => {
                if !self.0.entry(&mut open)? {
                    return Err(Bail);
                }
                let value = visitor.visit_enum(Variant(&mut *self.0))?;
                if self.0.entry(&mut open)? { Err(Bail) } else { Ok(value) }
            }
            _ => Err(Bail),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Bail> {
        read::skip(self.0)?;
        visitor.visit_unit()
    }
}

struct Items<'s, S> {
    source: &'s mut S,
    open: Open,
    done: bool,
}

impl<'de, S: Source<'de>> de::SeqAccess<'de> for &mut Items<'_, S> {
    type Error = Bail;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Bail> {
        if self.done || !self.source.item(&mut self.open)? {
            self.done = true;
            return Ok(None);
        }
        seed.deserialize(Typed::<S, false>(self.source)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        match self.source.hint(&self.open) {
            0 => None,
            len => Some(len),
        }
    }
}

struct Entries<'s, S> {
    source: &'s mut S,
    open: Open,
    done: bool,
}

impl<'de, S: Source<'de>> de::MapAccess<'de> for &mut Entries<'_, S> {
    type Error = Bail;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Bail> {
        if self.done || !self.source.entry(&mut self.open)? {
            self.done = true;
            return Ok(None);
        }
        seed.deserialize(Typed::<S, true>(self.source)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Bail> {
        self.source.colon()?;
        seed.deserialize(Typed::<S, false>(self.source))
    }

    fn size_hint(&self) -> Option<usize> {
        match self.source.hint(&self.open) {
            0 => None,
            len => Some(len),
        }
    }
}

/// An enum as the one entry of a dict: its variant's name, then its content.
struct Variant<'s, S>(&'s mut S);

impl<'de, S: Source<'de>> de::EnumAccess<'de> for Variant<'_, S> {
    type Error = Bail;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Bail> {
        let name = seed.deserialize(Typed::<S, false>(self.0))?;
        self.0.colon()?;
        Ok((name, self))
    }
}

impl<'de, S: Source<'de>> de::VariantAccess<'de> for Variant<'_, S> {
    type Error = Bail;

    fn unit_variant(self) -> Result<(), Bail> {
        read(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Bail> {
        seed.deserialize(Typed::<S, false>(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Bail> {
        Typed::<S, false>(self.0).deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Bail> {
        Typed::<S, false>(self.0).deserialize_struct("", fields, visitor)
    }
}

/// An enum as text: its variant's name, with null as content.
struct Name<'de>(Cow<'de, str>);

impl<'de> de::EnumAccess<'de> for Name<'de> {
    type Error = Bail;
    type Variant = Nothing;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Nothing), Bail> {
        Ok((seed.deserialize(IntoDeserializer::<Bail>::into_deserializer(self.0))?, Nothing))
    }
}

struct Nothing;

impl<'de> de::VariantAccess<'de> for Nothing {
    type Error = Bail;

    fn unit_variant(self) -> Result<(), Bail> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Bail> {
        Ok(seed.deserialize(FromValue::new(Value::Null))?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Bail> {
        Err(Bail)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Bail> {
        Err(Bail)
    }
}
