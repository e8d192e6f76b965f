//! What serde has no word for, marked so that it survives the way from a Rust type to the bytes and back.
//!
//! Why: serde's data model ends at numbers, text, bytes, lists and dicts. A date, a proxy, an integer beyond 128 bits
//! travels as a newtype struct of one of these names around a plain content; whoever writes or reads on our side looks
//! at the name, everybody else sees the content.
//!
//! Contract: [`split`] and [`join`] are inverse. In the other direction a [`Value`] asks for [`ANY`] and is given what
//! is marked as an enum whose variant is the mark.

use super::{Object, Reference, TypeName, Value, date};

/// An integer beyond 64 bits, as digits.
pub(super) const BIG_INT: &str = "$isochrone::BigInt";
/// A date, as ISO text.
pub(super) const DATE: &str = "$isochrone::Date";
/// A service or agent, as path or address.
pub(super) const PROXY: &str = "$isochrone::Proxy";
/// An extension of MsgPack, as code and bytes.
pub(super) const EXT: &str = "$isochrone::Ext";
/// An instance of a custom type, as name (or number) and data.
pub(super) const OBJECT: &str = "$isochrone::Object";
/// Asked for by a `Value`: anything.
pub(super) const ANY: &str = "$isochrone::Any";

/// What a user's type starts its serde name with to travel as a custom type.
const CUSTOM: &str = "$type::";

/// The name of the custom type that a Rust type of this serde name is.
#[inline]
pub(super) fn custom(serde_name: &'static str) -> Option<&'static str> {
    // nearly every name fails on its first byte
    if !serde_name.starts_with('$') {
        return None;
    }
    serde_name.strip_prefix(CUSTOM)
}

/// Mark and content of a value that needs a mark; else the value itself.
pub(super) fn split(value: Value) -> Result<(&'static str, Value), Value> {
    match value {
        Value::BigInt(digits) => Ok((BIG_INT, Value::Str(digits))),
        Value::Date(date) => Ok((DATE, Value::Str(date::to_text(&date)))),
        Value::Proxy(reference) => Ok((PROXY, Value::Str(reference.into_text()))),
        Value::Ext(code, bytes) => Ok((EXT, Value::List(vec![code.into(), Value::Bytes(bytes)]))),
        Value::Object(object) => {
            let name = match object.name {
                TypeName::Known(name) => Value::from(&*name),
                TypeName::Unknown(number) => Value::from(number),
            };
            Ok((OBJECT, Value::List(vec![name, object.data])))
        }
        plain => Err(plain),
    }
}

/// The value of a mark and its content; the content itself if they do not belong together.
pub(super) fn join(mark: &str, content: Value) -> Result<Value, Value> {
    match (mark, content) {
        (BIG_INT, Value::Str(digits)) if is_integer(&digits) => Ok(Value::BigInt(digits)),
        (DATE, Value::Str(text)) => date::from_text(&text).map(Value::Date).ok_or(Value::Str(text)),
        (PROXY, Value::Str(text)) => Ok(Value::Proxy(Reference::from_text(text))),
        (EXT, Value::List(parts)) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::Int(code), Value::Bytes(bytes)]) if i8::try_from(code).is_ok() => {
                Ok(Value::Ext(code as i8, bytes))
            }
            Ok(parts) => Err(Value::List(parts.into())),
            Err(parts) => Err(Value::List(parts)),
        },
        (OBJECT, Value::List(parts)) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::Str(name), data]) => {
                Ok(Value::Object(Box::new(Object { name: TypeName::Known(name.into()), data })))
            }
            Ok([Value::Int(number), data]) if u32::try_from(number).is_ok() => {
                Ok(Value::Object(Box::new(Object { name: TypeName::Unknown(number as u32), data })))
            }
            Ok(parts) => Err(Value::List(parts.into())),
            Err(parts) => Err(Value::List(parts)),
        },
        (_, content) => Err(content),
    }
}

fn is_integer(digits: &str) -> bool {
    let plain = digits.strip_prefix('-').unwrap_or(digits);
    !plain.is_empty() && plain.bytes().all(|digit| digit.is_ascii_digit())
}
