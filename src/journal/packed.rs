//! A value inside a record: what a call brought, what an operation gave.
//!
//! Why bytes: most values of a journal are compared or skipped, not looked at. They stay as they are in the file,
//! equal exactly if their bytes are (a NaN equals itself, `0.0` is not `-0.0`), and become a [`Value`] on demand.

use std::fmt;

use chrono::{DateTime, FixedOffset, SecondsFormat};

use super::pack::{self, Item, Malformed, Unpack};
use crate::codec::{Limits, Object, Reference, TypeName, Value};
use crate::rpc::{Args, Request};

/// Extension type: an integer beyond 64 bits, as decimal digits.
const BIG_INT: u8 = 1;
/// Seconds since 1970 (8 bytes), nanoseconds (4), offset from UTC in seconds (4), big-endian.
const DATE: u8 = 2;
/// A path or an address.
const PROXY: u8 = 3;
/// An extension of the wire's MsgPack: its code, then its bytes.
const FOREIGN: u8 = 4;
/// The first of two in an array: the name of a custom type; the second is what its serializer made of the value.
const OBJECT: u8 = 5;
/// The same for a type that has only a number, in decimal digits.
const NUMBERED: u8 = 6;

/// A [`Value`] as MessagePack.
///
/// ```
/// use isochrone::codec::Value;
/// use isochrone::journal::Packed;
/// let packed = Packed::new(&Value::list([1.5, f64::NAN]));
/// assert_eq!(packed.to_string(), r#"[1.5,"NaN"]"#);
/// assert!(packed.value().is_some_and(|value| value.same(&Value::list([1.5, f64::NAN]))));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs a value; nothing is lost.
    pub fn new(value: &Value) -> Packed {
        let mut out = Vec::new();
        write(&mut out, value);
        Packed(out.into())
    }

    /// Packs the arguments of a call: a list of those by position, then a dict of those by name.
    pub fn from_args(args: &Args) -> Packed {
        let mut out = Vec::new();
        pack::array(&mut out, 2);
        arguments(&mut out, args);
        Packed(out.into())
    }

    /// Packs a request as it is written: a list of its path, of the arguments by position, and of the dict of those by name.
    pub fn from_request(request: &Request) -> Packed {
        let mut out = Vec::new();
        pack::array(&mut out, 3);
        pack::str(&mut out, &request.path);
        arguments(&mut out, &request.args);
        Packed(out.into())
    }

    /// Packs a request whose arguments, by position only, are packed already.
    pub fn request_of(path: &str, arguments: &[Packed]) -> Packed {
        let mut out =
            Vec::with_capacity(16 + path.len() + arguments.iter().map(|one| one.0.len()).sum::<usize>());
        pack::array(&mut out, 3);
        pack::str(&mut out, path);
        pack::array(&mut out, arguments.len());
        arguments.iter().for_each(|one| out.extend_from_slice(&one.0));
        pack::map(&mut out, 0);
        Packed(out.into())
    }

    /// Packs a list of values that need not stand in one. They are gone through twice: the head, which comes first, needs
    /// their number.
    pub fn list<'v>(values: impl Iterator<Item = &'v Value> + Clone) -> Packed {
        let count = values.clone().count();
        let mut out = Vec::with_capacity(5 + 9 * count);
        pack::array(&mut out, count);
        for value in values {
            match value {
                // as nearly all are
                Value::Float(value) => pack::float(&mut out, *value),
                value => write(&mut out, value),
            }
        }
        Packed(out.into())
    }

    /// The value; `None` if it exceeds the default [`Limits`] or is no value of ours, as only a foreign writer's can.
    pub fn value(&self) -> Option<Value> {
        let mut nodes = 0;
        read(&mut Unpack(&self.0), 0, &mut nodes).ok()
    }

    /// The arguments that [`from_args`](Packed::from_args) packed; `None` if it is something else.
    pub fn args(&self) -> Option<Args> {
        let Value::List(parts) = self.value()? else { return None };
        let Ok([Value::List(positional), Value::Map(keyword)]) = <[Value; 2]>::try_from(parts) else {
            return None;
        };
        let named = keyword.into_iter().map(|(name, value)| match name {
            Value::Str(name) => Some((name, value)),
            _ => None,
        });
        Some(Args::new(positional, named.collect::<Option<_>>()?))
    }

    /// The MessagePack bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn unpack(from: &mut Unpack<'_>) -> Result<Packed, Malformed> {
        from.element().map(|bytes| Packed(bytes.into()))
    }
}

/// As JSON. What JSON lacks is text: NaN and infinities, dates, proxies, bytes as two hex digits each; so are keys of dicts
/// that are numbers; lists and dicts as keys are the hex digits of their MessagePack; custom types are
/// `{"__type__":[name,data]}`.
impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        json(&mut Unpack(&self.0), f, 0)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({self})")
    }
}

impl From<&Value> for Packed {
    fn from(value: &Value) -> Packed {
        Packed::new(value)
    }
}

/// A list of the arguments by position, then a dict of those by name.
fn arguments(out: &mut Vec<u8>, args: &Args) {
    pack::array(out, args.positional.len());
    for value in &args.positional {
        write(out, value);
    }
    pack::map(out, args.keyword.len());
    for (name, value) in &args.keyword {
        pack::str(out, name);
        write(out, value);
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => pack::nil(out),
        Value::Bool(value) => pack::bool(out, *value),
        Value::Int(value) => pack::int(out, *value),
        Value::UInt(value) => pack::uint(out, *value),
        Value::BigInt(digits) => pack::ext(out, BIG_INT, digits.as_bytes()),
        Value::Float(value) => pack::float(out, *value),
        Value::Str(text) => pack::str(out, text),
        Value::Bytes(bytes) => pack::bin(out, bytes),
        Value::List(items) => {
            pack::array(out, items.len());
            for item in items {
                write(out, item);
            }
        }
        Value::Map(entries) => {
            pack::map(out, entries.len());
            for (key, value) in entries {
                write(out, key);
                write(out, value);
            }
        }
        Value::Date(date) => {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&date.timestamp().to_be_bytes());
            bytes[8..12].copy_from_slice(&date.timestamp_subsec_nanos().to_be_bytes());
            bytes[12..].copy_from_slice(&date.offset().local_minus_utc().to_be_bytes());
            pack::ext(out, DATE, &bytes);
        }
        Value::Proxy(reference) => pack::ext(out, PROXY, reference.as_text().as_bytes()),
        Value::Object(object) => {
            pack::array(out, 2);
            match &object.name {
                TypeName::Known(name) => pack::ext(out, OBJECT, name.as_bytes()),
                TypeName::Unknown(number) => pack::ext(out, NUMBERED, number.to_string().as_bytes()),
            }
            write(out, &object.data);
        }
        Value::Ext(code, bytes) => {
            let coded: Vec<u8> = code.to_be_bytes().iter().chain(bytes).copied().collect();
            pack::ext(out, FOREIGN, &coded);
        }
    }
}

fn digits(bytes: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(bytes).unwrap_or("");
    let number = text.strip_prefix('-').unwrap_or(text);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("an integer's digits are expected");
    }
    Ok(text)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")
}

fn date(bytes: &[u8]) -> Option<DateTime<FixedOffset>> {
    let (seconds, rest) = bytes.split_first_chunk()?;
    let (nanos, offset) = rest.split_first_chunk()?;
    let utc = DateTime::from_timestamp(i64::from_be_bytes(*seconds), u32::from_be_bytes(*nanos))?;
    let offset = FixedOffset::east_opt(i32::from_be_bytes(offset.try_into().ok()?))?;
    // near the ends of the calendar there may be no local date
    utc.naive_utc().checked_add_offset(offset)?;
    Some(utc.with_timezone(&offset))
}

/// The name of a custom type, if that is what stands at the head of an array of two.
fn type_name(from: &Unpack<'_>, len: usize) -> Option<TypeName> {
    let mut ahead = *from;
    match ahead.item() {
        Ok(Item::Ext(OBJECT, name)) if len == 2 => text(name).ok().map(|name| TypeName::Known(name.into())),
        Ok(Item::Ext(NUMBERED, number)) if len == 2 => text(number).ok()?.parse().ok().map(TypeName::Unknown),
        _ => None,
    }
}

fn read(from: &mut Unpack<'_>, depth: usize, nodes: &mut usize) -> Result<Value, Malformed> {
    let limits = Limits::default();
    *nodes += 1;
    if depth > limits.depth || *nodes > limits.nodes {
        return Err("a value is nested too deeply or has too many parts");
    }
    Ok(match from.item()? {
        Item::Nil => Value::Null,
        Item::Bool(value) => Value::Bool(value),
        Item::Int(value) => Value::Int(value),
        Item::UInt(value) => Value::UInt(value),
        Item::Float(value) => Value::Float(value),
        Item::Str(text) => Value::Str(text.to_owned()),
        Item::Bin(bytes) => Value::Bytes(bytes.to_owned()),
        Item::Ext(BIG_INT, bytes) => Value::BigInt(digits(bytes)?.to_owned()),
        Item::Ext(DATE, bytes) => Value::Date(date(bytes).ok_or("a date is none")?),
        Item::Ext(PROXY, bytes) => Value::Proxy(Reference::from_text(text(bytes)?)),
        Item::Ext(FOREIGN, bytes) => {
            let (code, bytes) = bytes.split_first().ok_or("an extension has no code")?;
            Value::Ext(*code as i8, bytes.to_owned())
        }
        Item::Ext(..) => return Err("an extension type that the journal does not have"),
        Item::Array(len) => {
            if let Some(name) = type_name(from, len) {
                from.item()?;
                let data = read(from, depth + 1, nodes)?;
                return Ok(Value::Object(Box::new(Object { name, data })));
            }
            let mut items = Vec::new();
            for _ in 0..len {
                items.push(read(from, depth + 1, nodes)?);
            }
            Value::List(items)
        }
        Item::Map(len) => {
            let mut entries = Vec::new();
            for _ in 0..len {
                entries.push((read(from, depth + 1, nodes)?, read(from, depth + 1, nodes)?));
            }
            Value::Map(entries)
        }
    })
}

/// Writes one element as JSON, without building it.
fn json(from: &mut Unpack<'_>, out: &mut dyn fmt::Write, depth: usize) -> fmt::Result {
    if depth > Limits::default().depth {
        return out.write_str("\"(nested too deeply)\"");
    }
    let Ok(item) = from.item() else { return out.write_str("\"(malformed)\"") };
    match item {
        Item::Nil => out.write_str("null"),
        Item::Bool(value) => write!(out, "{value}"),
        Item::Int(value) => write!(out, "{value}"),
        Item::UInt(value) => write!(out, "{value}"),
        Item::Float(value) => json_float(out, value),
        Item::Str(text) => json_text(out, text),
        Item::Ext(BIG_INT, bytes) => out.write_str(digits(bytes).unwrap_or("0")),
        Item::Ext(DATE, bytes) => match date(bytes) {
            Some(date) => write!(out, "\"{}\"", date.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => hex(out, bytes),
        },
        Item::Ext(PROXY, bytes) => json_text(out, text(bytes).unwrap_or_default()),
        Item::Bin(bytes) | Item::Ext(_, bytes) => hex(out, bytes),
        Item::Array(len) => {
            if let Some(name) = type_name(from, len) {
                out.write_str("{\"__type__\":[")?;
                json_text(out, &name.to_string())?;
                out.write_char(',')?;
                let _ = from.item();
                json(from, out, depth + 1)?;
                return out.write_str("]}");
            }
            out.write_char('[')?;
            for at in 0..len {
                if at > 0 {
                    out.write_char(',')?;
                }
                json(from, out, depth + 1)?;
            }
            out.write_char(']')
        }
        Item::Map(len) => {
            out.write_char('{')?;
            for at in 0..len {
                if at > 0 {
                    out.write_char(',')?;
                }
                json_key(from, out)?;
                out.write_char(':')?;
                json(from, out, depth + 1)?;
            }
            out.write_char('}')
        }
    }
}

/// Writes a dict's key, which JSON wants to be a text.
fn json_key(from: &mut Unpack<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut ahead = *from;
    match ahead.item() {
        Ok(Item::Str(_)) => json(from, out, 0),
        // quoting a key inside a key inside a key would double at each level
        Ok(Item::Array(_) | Item::Map(_)) | Err(_) => hex(out, from.element().unwrap_or_default()),
        Ok(Item::Bin(_)) => json(from, out, 0),
        Ok(Item::Ext(kind, _)) if kind != BIG_INT => json(from, out, 0),
        Ok(_) => {
            out.write_char('"')?;
            json(from, out, 0)?;
            out.write_char('"')
        }
    }
}

fn hex(out: &mut dyn fmt::Write, bytes: &[u8]) -> fmt::Result {
    out.write_char('"')?;
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    out.write_char('"')
}

/// The shortest digits that give the same float, always with a point or an exponent.
fn json_float(out: &mut dyn fmt::Write, value: f64) -> fmt::Result {
    if value.is_nan() {
        out.write_str("\"NaN\"")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
    } else {
        write!(out, "{value:?}")
    }
}

/// Writes a text as a JSON string.
pub(super) fn json_text(out: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(char)?;
            }
            '\n' => out.write_str("\\n")?,
            '\u{0}'..='\u{1f}' | '\u{7f}' => write!(out, "\\u{:04x}", u32::from(char))?,
            _ => out.write_char(char)?,
        }
    }
    out.write_char('"')
}
