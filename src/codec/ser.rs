//! Rust types into values.
//!
//! Contract: serde's usual shapes. Structs and maps become dicts, tuples and sequences lists, `None` and `()` null,
//! enums are externally tagged (`"Off"`, `{"Ramp": [1, 2]}`). A [`Value`] becomes itself.
//!
//! A date of chrono becomes a date, and a type whose serde name starts with `$type::` an [`Object`].
//!
//! Failure modes: only what a type's own `Serialize` reports.

use std::fmt::Display;

use serde::ser::{self, Serialize};

use super::{CodecError, Object, TypeName, Value, date, marks};

/// Turns anything serializable into a value.
///
/// ```
/// use isochrone::codec::to_value;
/// assert_eq!(to_value(&("kw", 1.5, None::<bool>)).unwrap().to_string(), r#"["kw",1.5,null]"#);
/// ```
///
/// # Errors
/// What the type's `Serialize` reports.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, CodecError> {
    value.serialize(ToValue)
}

impl Serialize for Value {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Int(n) => serializer.serialize_i64(*n),
            Value::UInt(n) => serializer.serialize_u64(*n),
            Value::BigInt(digits) => serializer.serialize_newtype_struct(marks::BIG_INT, digits),
            Value::Float(x) => serializer.serialize_f64(*x),
            Value::Str(s) => serializer.serialize_str(s),
            Value::Bytes(b) => serializer.serialize_bytes(b),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => serializer.collect_map(entries.iter().map(|(k, v)| (k, v))),
            Value::Date(date) => date::serialize(date, serializer),
            Value::Proxy(reference) => reference.serialize(serializer),
            Value::Ext(code, bytes) => serializer.serialize_newtype_struct(marks::EXT, &(code, Bytes(bytes))),
            Value::Object(object) => match &object.name {
                TypeName::Known(name) => {
                    serializer.serialize_newtype_struct(marks::OBJECT, &(&**name, &object.data))
                }
                TypeName::Unknown(number) => {
                    serializer.serialize_newtype_struct(marks::OBJECT, &(number, &object.data))
                }
            },
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Clone, Copy)]
struct ToValue;

macro_rules! scalars {
    ($($method:ident($t:ty))*) => {$(
        fn $method(self, v: $t) -> Result<Value, CodecError> {
            Ok(Value::from(v))
        }
    )*};
}

impl ser::Serializer for ToValue {
    type Ok = Value;
    type Error = CodecError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    scalars! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_f32(f32) serialize_f64(f64) serialize_str(&str)
    }

    fn serialize_char(self, c: char) -> Result<Value, CodecError> {
        Ok(Value::Str(c.to_string()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, CodecError> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn serialize_none(self) -> Result<Value, CodecError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, CodecError> {
        to_value(value)
    }

    fn serialize_unit(self) -> Result<Value, CodecError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Value, CodecError> {
        Ok(named(name, Value::Null))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<Value, CodecError> {
        let text = Value::Str(value.to_string());
        Ok(if date::is_chrono::<T>() { joined(marks::DATE, text) } else { text })
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, CodecError> {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, CodecError> {
        let content = to_value(value)?;
        Ok(if name.starts_with('$') { named(name, joined(name, content)) } else { content })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, CodecError> {
        Ok(tagged(Some(variant), to_value(value)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, CodecError> {
        Ok(Items { name: "", variant: None, items: Vec::new() })
    }

    fn serialize_tuple(self, len: usize) -> Result<Items, CodecError> {
        Ok(Items { name: "", variant: None, items: Vec::with_capacity(len) })
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Items, CodecError> {
        Ok(Items { name, variant: None, items: Vec::with_capacity(len) })
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items, CodecError> {
        Ok(Items { name: "", variant: Some(variant), items: Vec::with_capacity(len) })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, CodecError> {
        Ok(Entries { name: "", variant: None, entries: Vec::new(), key: None })
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Entries, CodecError> {
        Ok(Entries { name, variant: None, entries: Vec::with_capacity(len), key: None })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries, CodecError> {
        Ok(Entries { name: "", variant: Some(variant), entries: Vec::with_capacity(len), key: None })
    }
}

/// `value`, or `{variant: value}` within an enum.
fn tagged(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(variant) => Value::Map(vec![(Value::from(variant), value)]),
        None => value,
    }
}

fn joined(mark: &str, content: Value) -> Value {
    marks::join(mark, content).unwrap_or_else(|content| content)
}

/// `data`, or an object if the type's serde name says so.
fn named(serde_name: &'static str, data: Value) -> Value {
    match marks::custom(serde_name) {
        Some(name) => Value::Object(Box::new(Object { name: TypeName::Known(name.into()), data })),
        None => data,
    }
}

struct Items {
    /// serde's name of the type.
    name: &'static str,
    variant: Option<&'static str>,
    items: Vec<Value>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let value = to_value(value).map_err(|e| e.in_item(self.items.len()))?;
        self.items.push(value);
        Ok(())
    }

    fn finish(self) -> Value {
        named(self.name, tagged(self.variant, Value::List(self.items)))
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident)*) => {$(
        impl ser::$trait for Items {
            type Ok = Value;
            type Error = CodecError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
                self.push(value)
            }

            fn end(self) -> Result<Value, CodecError> {
                Ok(self.finish())
            }
        }
    )*};
}
items! {
    SerializeSeq::serialize_element SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field SerializeTupleVariant::serialize_field
}

struct Entries {
    /// serde's name of the type.
    name: &'static str,
    variant: Option<&'static str>,
    entries: Vec<(Value, Value)>,
    /// A key whose value is still to come.
    key: Option<Value>,
}

impl Entries {
    fn push<T: Serialize + ?Sized>(&mut self, key: Value, value: &T) -> Result<(), CodecError> {
        let value = to_value(value).map_err(|e| e.in_entry(&key.to_string()))?;
        self.entries.push((key, value));
        Ok(())
    }

    fn finish(self) -> Value {
        named(self.name, tagged(self.variant, Value::Map(self.entries)))
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        self.key = Some(to_value(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        let key = self
            .key
            .take()
            .ok_or_else(|| <CodecError as ser::Error>::custom("a value of a dict without its key"))?;
        self.push(key, value)
    }

    fn end(self) -> Result<Value, CodecError> {
        Ok(self.finish())
    }
}

macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Entries {
            type Ok = Value;
            type Error = CodecError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), CodecError> {
                self.push(Value::from(name), value)
            }

            fn end(self) -> Result<Value, CodecError> {
                Ok(self.finish())
            }
        }
    )*};
}
fields! { SerializeStruct SerializeStructVariant }
