//! The writer: compact, straight into the caller's buffer.
//!
//! Contract: on error the buffer is as it was, so one value that JSON cannot hold does not spoil what was written
//! before.

use crate::codec::types::{self, Types};
use crate::codec::{CodecError, TypeName, Value, date};

/// Appends `value` as compact JSON. Dates and proxies are text, instances of custom types their data.
///
/// # Errors
/// The value holds bytes, or a list, dict or bytes as a key; `out` is then as it was.
pub fn encode(value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode_typed(value, &Types::none(), out)
}

pub(in crate::codec) fn encode_typed(
    value: &Value,
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    undone_on_error(out, |out| write_value(value, types, out))
}

pub(in crate::codec) fn encode_list(
    items: &[&Value],
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    undone_on_error(out, |out| write_list(items.iter().copied(), types, out))
}

fn undone_on_error(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let mark = out.len();
    write(out).inspect_err(|_| out.truncate(mark))
}

fn write_value(value: &Value, types: &Types, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::UInt(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::BigInt(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Float(x) => write_float(*x, out),
        Value::Str(s) => write_str(s, out),
        Value::Bytes(b) => {
            return Err(CodecError::unsupported(format!(
                "JSON has no bytes, got {} of them; send a str or a list of int, or use MsgPack",
                b.len()
            )));
        }
        Value::List(items) => return write_list(items.iter(), types, out),
        Value::Map(entries) => return write_map(entries, types, out),
        Value::Date(date) => {
            let text = date::to_wire(date)
                .ok_or_else(|| CodecError::unsupported(format!("Python has no date {value}")))?;
            return write_custom(types.date()?, &Value::Str(text), types, out);
        }
        Value::Proxy(reference) => {
            let text = reference.as_text();
            return write_custom(types.proxy(text)?, &Value::from(text), types, out);
        }
        Value::Object(object) => {
            let number = match &object.name {
                TypeName::Known(name) => types.user(name)?,
                TypeName::Unknown(number) => Some(*number),
            };
            return write_custom(number, &object.data, types, out);
        }
        Value::Ext(code, _) => {
            return Err(CodecError::unsupported(format!(
                "JSON has no extension types, got one of code {code}"
            )));
        }
    }
    Ok(())
}

fn write_custom(
    number: Option<u32>,
    data: &Value,
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let Some(number) = number else { return write_value(data, types, out) };
    out.extend_from_slice(b"{\"__type__\":[");
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.push(b',');
    write_value(data, types, out)?;
    out.extend_from_slice(b"]}");
    Ok(())
}

fn write_list<'a>(
    items: impl Iterator<Item = &'a Value>,
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(item, types, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_map(entries: &[(Value, Value)], types: &Types, out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.push(b'{');
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if types.exist() && key.as_str() == Some(types::KEY) {
            return Err(types::reserved());
        }
        write_key(key, out)?;
        out.push(b':');
        write_value(value, types, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_key(key: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match key {
        Value::Str(s) => write_str(s, out),
        Value::List(_)
        | Value::Map(_)
        | Value::Bytes(_)
        | Value::Date(_)
        | Value::Proxy(_)
        | Value::Object(_)
        | Value::Ext(..) => {
            return Err(CodecError::unsupported(format!(
                "JSON keys must be str, int, float, bool or None, not {}",
                key.kind()
            )));
        }
        _ => {
            out.push(b'"');
            write_value(key, &Types::none(), out)?;
            out.push(b'"');
        }
    }
    Ok(())
}

fn write_float(x: f64, out: &mut Vec<u8>) {
    if x.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(x).as_bytes());
    } else if x.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if x > 0.0 { b"Infinity".as_slice() } else { b"-Infinity" });
    }
}

fn write_str(s: &str, out: &mut Vec<u8>) {
    let bytes = s.as_bytes();
    out.push(b'"');
    let mut from = 0;
    loop {
        let stop = super::plain_run(bytes, from);
        out.extend_from_slice(&bytes[from..stop]);
        let Some(&byte) = bytes.get(stop) else { break };
        write_escape(byte, out);
        from = stop + 1;
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => out.extend_from_slice(&[
            b'\\',
            b'u',
            b'0',
            b'0',
            HEX[usize::from(byte >> 4)],
            HEX[usize::from(byte & 15)],
        ]),
    }
}
