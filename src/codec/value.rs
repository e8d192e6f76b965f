//! The one self-describing value that all codecs share.
//!
//! Why an own type: `serde_json::Value` turns NaN into null and knows neither bytes nor integers beyond 64 bits nor
//! keys that are no strings, and Python peers send all of these.
//!
//! Contract: reading and writing a value loses nothing: integers stay integers and floats floats (`10` is not
//! `10.0`), floats keep every bit, dicts keep their order, and dates their offset. An integer has one form only:
//! [`Value::Int`] if it fits, else [`Value::UInt`], else [`Value::BigInt`].

use std::fmt::{self, Write as _};

use chrono::{DateTime, FixedOffset};

use super::{Object, Reference, date};

/// A value as Python peers exchange it.
///
/// `==` compares structure, order of dict entries included, dates as instants, and floats as IEEE does, so a value that
/// holds a NaN is unequal to itself; [`same`](Value::same) knows one NaN, and the offsets of dates.
///
/// ```
/// use isochrone::codec::Value;
/// let value = Value::map([("kw", Value::from(1.5)), ("phases", Value::from(3))]);
/// assert_eq!(value.get("kw").and_then(Value::as_f64), Some(1.5));
/// assert_eq!(value.to_string(), r#"{"kw":1.5,"phases":3}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Python's `None`.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// An integer above `i64::MAX`, and only such.
    UInt(u64),
    /// An integer beyond 64 bits, as its decimal digits with an optional minus sign.
    BigInt(String),
    /// A float, NaN and infinities included.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes; JSON has none.
    Bytes(Vec<u8>),
    /// A list or tuple.
    List(Vec<Value>),
    /// A dict, in its order. Decoders yield every key once.
    Map(Vec<(Value, Value)>),
    /// A date with its offset from UTC; arrow's in Python.
    Date(DateTime<FixedOffset>),
    /// A service or an agent.
    Proxy(Reference),
    /// An instance of a custom type, known or not.
    Object(Box<Object>),
    /// An extension of MsgPack: its code and its bytes. JSON has none.
    Ext(i8, Vec<u8>),
}

impl Value {
    /// A list of anything that becomes a value.
    pub fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }

    /// A dict of anything that becomes a value, in the given order.
    pub fn map<K: Into<Value>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
        Value::Map(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The name of the Python type: `int`, `float`, `str`, `list`, `dict`, `bool`, `NoneType`, `bytes` or `ExtType`; for
    /// the custom types `date`, `proxy` or `object`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::UInt(_) | Value::BigInt(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "dict",
            Value::Date(_) => "date",
            Value::Proxy(_) => "proxy",
            Value::Object(_) => "object",
            Value::Ext(..) => "ExtType",
        }
    }

    /// Whether this is `None`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(b) = self { Some(*b) } else { None }
    }

    /// The integer, if it is one and fits. A float is none, be it integral.
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int(n) = self { Some(*n) } else { None }
    }

    /// The integer, if it is one, is not negative and fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::UInt(n) => Some(*n),
            _ => None,
        }
    }

    /// The number, if it is one: integers are converted, as Python does.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            Value::Int(n) => Some(*n as f64),
            Value::UInt(n) => Some(*n as f64),
            Value::BigInt(digits) => digits.parse().ok().filter(|x: &f64| x.is_finite()),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(s) = self { Some(s) } else { None }
    }

    /// The bytes, if they are.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(b) = self { Some(b) } else { None }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// The entries, if it is a dict.
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        if let Value::Map(entries) = self { Some(entries) } else { None }
    }

    /// The date, if it is one.
    pub fn as_date(&self) -> Option<&DateTime<FixedOffset>> {
        if let Value::Date(date) = self { Some(date) } else { None }
    }

    /// The proxy, if it is one.
    pub fn as_proxy(&self) -> Option<&Reference> {
        if let Value::Proxy(reference) = self { Some(reference) } else { None }
    }

    /// The instance of a custom type, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }

    /// The entry of a dict under this text; `None` also if it is no dict. Linear in the number of entries.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    /// Equality with one NaN: whether both print and behave alike. `0.0` and `-0.0` differ, and so do dates whose
    /// offsets differ.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0.same(&b.0) && a.1.same(&b.1))
            }
            (Value::Date(a), Value::Date(b)) => a == b && a.offset() == b.offset(),
            (Value::Object(a), Value::Object(b)) => a.name == b.name && a.data.same(&b.data),
            _ => self == other,
        }
    }

    /// Type and value for error messages, shortened: `str "abc"`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Value::Null => "None".to_owned(),
            Value::Str(s) => Value::describe_str(s),
            _ => {
                let mut brief = Brief { text: format!("{} ", self.kind()), left: 60 };
                // The only error is that the text is long enough.
                if write!(brief, "{self}").is_err() {
                    brief.text.push_str("...");
                }
                brief.text
            }
        }
    }

    pub(crate) fn describe_str(s: &str) -> String {
        let mut brief = Brief { text: "str ".to_owned(), left: 60 };
        if write_str(&mut brief, s).is_err() {
            brief.text.push_str("...");
        }
        brief.text
    }
}

/// Compact text that resembles JSON; bytes print as `b"..."`, dates and proxies as text, objects as `Name(data)`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::UInt(n) => write!(f, "{n}"),
            Value::BigInt(digits) => f.write_str(digits),
            Value::Float(x) if x.is_nan() => f.write_str("NaN"),
            Value::Float(x) if x.is_infinite() => {
                f.write_str(if *x > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Value::Float(x) => write!(f, "{x:?}"),
            Value::Str(s) => write_str(f, s),
            Value::Bytes(b) => write!(f, "b\"{}\"", b.escape_ascii()),
            Value::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Value::Map(entries) => {
                f.write_char('{')?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    key.fmt(f)?;
                    f.write_char(':')?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
            Value::Date(date) => write_str(f, &date::to_text(date)),
            Value::Proxy(reference) => write_str(f, reference.as_text()),
            Value::Object(object) => write!(f, "{}({})", object.name, object.data),
            Value::Ext(code, bytes) => write!(f, "ext({code}, b\"{}\")", bytes.escape_ascii()),
        }
    }
}

fn write_str(out: &mut impl fmt::Write, s: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in s.chars() {
        match c {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(c)?;
            }
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c < ' ' => write!(out, "\\u{:04x}", c as u32)?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// Takes so many characters, then stops whoever writes: a long value is not printed first and cut afterwards.
struct Brief {
    text: String,
    left: usize,
}

impl fmt::Write for Brief {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}

macro_rules! from_int {
    ($($small:ty)*) => {$(
        impl From<$small> for Value {
            fn from(n: $small) -> Value {
                Value::Int(n.into())
            }
        }
    )*};
}
from_int!(i8 i16 i32 i64 u8 u16 u32);

impl From<u64> for Value {
    fn from(n: u64) -> Value {
        i64::try_from(n).map_or(Value::UInt(n), Value::Int)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Value {
        Value::from(n as u64)
    }
}

impl From<i128> for Value {
    fn from(n: i128) -> Value {
        match (i64::try_from(n), u64::try_from(n)) {
            (Ok(n), _) => Value::Int(n),
            (_, Ok(n)) => Value::UInt(n),
            _ => Value::BigInt(n.to_string()),
        }
    }
}

impl From<u128> for Value {
    fn from(n: u128) -> Value {
        u64::try_from(n).map_or_else(|_| Value::BigInt(n.to_string()), Value::from)
    }
}

impl From<()> for Value {
    fn from((): ()) -> Value {
        Value::Null
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::Float(x)
    }
}

impl From<f32> for Value {
    fn from(x: f32) -> Value {
        Value::Float(x.into())
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::Str(s.to_owned())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Value {
        Value::Str(s)
    }
}

impl From<Reference> for Value {
    fn from(reference: Reference) -> Value {
        Value::Proxy(reference)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::List(items)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Value {
        option.map_or(Value::Null, Into::into)
    }
}
