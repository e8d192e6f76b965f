//! Values into Rust types.
//!
//! Contract: the reverse of `ser`, and what Python callers expect: an integer is accepted where a float is asked, never
//! the other way round; a bool is no number; a struct is read from a dict or, in order of its fields, from a list;
//! keys that JSON turned into text are read back as the numbers they were.
//!
//! Failure modes: a [`CodecError`] that says where, expected and got: `[3].p_mw: expected a float, got str "abc"`.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{CodecError, TypeName, Value, date, marks};

/// Turns a value into a Rust type.
///
/// ```
/// use isochrone::codec::{Value, from_value};
/// let value = Value::list([Value::from(1), Value::from("abc")]);
/// let error = from_value::<Vec<f64>>(value).unwrap_err();
/// assert_eq!(error.to_string(), r#"[1]: expected a float, got str "abc""#);
/// ```
///
/// # Errors
/// The value does not have the shape of the type.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, CodecError> {
    T::deserialize(FromValue { value, key: false })
}

pub(super) struct FromValue {
    value: Value,
    /// Whether it is the key of a dict: JSON has only text there.
    key: bool,
}

impl FromValue {
    pub(super) fn new(value: Value) -> Self {
        FromValue { value, key: false }
    }

    /// The key of a dict that is text, where it may stand for a number.
    pub(super) fn key(text: String) -> Self {
        FromValue { value: Value::Str(text), key: true }
    }

    /// The value of a key that may stand for a number.
    fn number(self) -> Value {
        match self.value {
            Value::Str(text) if self.key => {
                if let Ok(n) = text.parse() {
                    Value::Int(n)
                } else if let Ok(n) = text.parse::<u64>() {
                    Value::UInt(n)
                } else if let Ok(x) = text.parse() {
                    Value::Float(x)
                } else {
                    Value::Str(text)
                }
            }
            value => value,
        }
    }

    /// The data of an object if a type of this serde name is one; a dict that a caller without the type sent in its
    /// place stays itself.
    fn data(self, serde_name: &'static str) -> Result<Self, CodecError> {
        let Some(name) = marks::custom(serde_name) else { return Ok(self) };
        match self.value {
            Value::Object(object) if matches!(&object.name, TypeName::Known(known) if **known == *name) => {
                Ok(FromValue::new(object.data))
            }
            value @ Value::Object(_) => Err(CodecError::mismatch(&name, &value)),
            value => Ok(FromValue { value, key: self.key }),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let value = self.number();
        match value.as_f64() {
            Some(x) => visitor.visit_f64(x),
            None => Err(CodecError::mismatch(&"a float", &value)),
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if let Value::Int(n) = self.value {
            return visitor.visit_i64(n);
        }
        match self.number() {
            Value::Int(n) => visitor.visit_i64(n),
            Value::UInt(n) => visitor.visit_u64(n),
            ref value @ Value::BigInt(ref digits) => {
                if let Ok(n) = digits.parse() {
                    visitor.visit_i128(n)
                } else if let Ok(n) = digits.parse() {
                    visitor.visit_u128(n)
                } else {
                    Err(CodecError::mismatch(&"an int of at most 128 bits", value))
                }
            }
            value => Err(CodecError::mismatch(&"an int", &value)),
        }
    }
}

/// What a visitor says it expects.
fn visitor_expects<'de, V: Visitor<'de>>(visitor: &V) -> String {
    struct Expects<'a, V>(&'a V);
    impl<'de, V: Visitor<'de>> fmt::Display for Expects<'_, V> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.expecting(f)
        }
    }
    Expects(visitor).to_string()
}

macro_rules! asked_for {
    ($($how:ident: $($method:ident)*;)*) => {$($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            self.$how(visitor)
        }
    )*)*};
}

impl<'de> Deserializer<'de> for FromValue {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(b),
            Value::Int(_) | Value::UInt(_) | Value::BigInt(_) => self.integer(visitor),
            Value::Float(x) => visitor.visit_f64(x),
            Value::Str(s) => visitor.visit_string(s),
            Value::Bytes(b) => visitor.visit_byte_buf(b),
            Value::List(items) => visit_list(items, visitor),
            Value::Map(entries) => visit_map(entries, visitor),
            Value::Date(date) => visitor.visit_string(date::to_text(&date)),
            Value::Proxy(reference) => visitor.visit_string(reference.into_text()),
            Value::Object(object) => FromValue::new(object.data).deserialize_any(visitor),
            value @ Value::Ext(..) => Err(CodecError::mismatch(&visitor_expects(&visitor), &value)),
        }
    }

    asked_for! {
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        float: deserialize_f32 deserialize_f64;
        deserialize_str: deserialize_string deserialize_char deserialize_identifier;
        deserialize_bytes: deserialize_byte_buf;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Bool(b) => visitor.visit_bool(b),
            Value::Str(s) if self.key && s == "true" => visitor.visit_bool(true),
            Value::Str(s) if self.key && s == "false" => visitor.visit_bool(false),
            value => Err(CodecError::mismatch(&"a bool", &value)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Str(s) => visitor.visit_string(s),
            // chrono reads its dates from text
            Value::Date(date) => visitor.visit_string(date::to_text(&date)),
            value => Err(CodecError::mismatch(&"a str", &value)),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Bytes(b) => visitor.visit_byte_buf(b),
            Value::List(items) => visit_list(items, visitor),
            value => Err(CodecError::mismatch(&"bytes", &value)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            value => Err(CodecError::mismatch(&"None", &value)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.data(name)?.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        if name != marks::ANY {
            return visitor.visit_newtype_struct(self.data(name)?);
        }
        // A `Value` asks, and takes what comes as an enum for what is marked so.
        match marks::split(self.value) {
            Ok((mark, content)) => visitor.visit_enum(Variant { name: Value::from(mark), content }),
            Err(value) => FromValue { value, key: self.key }.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::List(items) => visit_list(items, visitor),
            Value::Bytes(bytes) => visit_list(bytes.into_iter().map(Value::from).collect(), visitor),
            value => Err(CodecError::mismatch(&"a list", &value)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, CodecError> {
        match &self.value {
            Value::List(_) | Value::Bytes(_) => self.deserialize_seq(visitor),
            value => Err(CodecError::mismatch(&format_args!("a list of {len}"), value)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.data(name)?.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Map(entries) => visit_map(entries, visitor),
            value => Err(CodecError::mismatch(&"a dict", &value)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        let data = self.data(name)?;
        match data.value {
            Value::List(items) => visit_list(items, visitor),
            _ => data.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        match self.value {
            Value::Str(name) => visitor.visit_enum(Variant { name: Value::Str(name), content: Value::Null }),
            Value::Map(mut entries) if entries.len() == 1 => {
                let (name, content) = entries.pop().unwrap_or_default();
                visitor.visit_enum(Variant { name, content })
            }
            value => Err(CodecError::mismatch(&"a str or a dict with one entry", &value)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }
}

fn visit_list<'de, V: Visitor<'de>>(items: Vec<Value>, visitor: V) -> Result<V::Value, CodecError> {
    let len = items.len();
    let mut items = Items { items: items.into_iter(), index: 0 };
    let value = visitor.visit_seq(&mut items)?;
    match items.items.len() {
        0 => Ok(value),
        left => Err(de::Error::invalid_length(len, &&*format!("a list of {}", len - left))),
    }
}

fn visit_map<'de, V: Visitor<'de>>(entries: Vec<(Value, Value)>, visitor: V) -> Result<V::Value, CodecError> {
    visitor.visit_map(Entries { entries: entries.into_iter(), next: None })
}

struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Items {
    type Error = CodecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CodecError> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(FromValue::new(value)).map(Some).map_err(|e| e.in_item(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries {
    entries: std::vec::IntoIter<(Value, Value)>,
    /// The value whose key was handed out last, and the key as text for the path of an error.
    next: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = CodecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let (name, key) = match key {
            Value::Str(name) => {
                let key = seed.deserialize(FromKey(&name));
                (name, key)
            }
            key => (key.to_string(), seed.deserialize(FromValue::new(key))),
        };
        let key = key.map_err(|e| e.in_entry(&name))?;
        self.next = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CodecError> {
        let (name, value) = self
            .next
            .take()
            .ok_or_else(|| <CodecError as de::Error>::custom("asked for a value before its key"))?;
        seed.deserialize(FromValue::new(value)).map_err(|e| e.in_entry(&name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Variant {
    name: Value,
    content: Value,
}

impl<'de> de::EnumAccess<'de> for Variant {
    type Error = CodecError;
    type Variant = FromValue;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, FromValue), CodecError> {
        Ok((seed.deserialize(FromValue::new(self.name))?, FromValue::new(self.content)))
    }
}

impl<'de> de::VariantAccess<'de> for FromValue {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CodecError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_struct("", fields, visitor)
    }
}

/// A key that is text: lent to the visitor, so that the path of an error can still name it.
struct FromKey<'a>(&'a str);

impl FromKey<'_> {
    fn by_value(&self) -> FromValue {
        FromValue::key(self.0.to_owned())
    }
}

macro_rules! key_by_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            self.by_value().$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for FromKey<'_> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_str(self.0)
    }

    key_by_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
