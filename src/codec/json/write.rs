//! The writer: compact, straight into the caller's buffer.
//!
//! Contract: on error the buffer is as it was, so one value that JSON cannot hold does not spoil what was written
//! before.

use serde::Serialize;

use crate::codec::{CodecError, Value, to_value};

/// Appends `value` as compact JSON.
///
/// # Errors
/// The value holds bytes, or a list, dict or bytes as a key; `out` is then as it was.
pub fn encode(value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    undone_on_error(out, |out| write_value(value, out))
}

/// Appends the JSON list of `items`, without needing them in one [`Value::List`].
///
/// # Errors
/// As [`encode`].
pub fn encode_list(items: &[&Value], out: &mut Vec<u8>) -> Result<(), CodecError> {
    undone_on_error(out, |out| write_list(items.iter().copied(), out))
}

/// Appends anything serializable as compact JSON.
///
/// # Errors
/// As [`encode`], and what the type's `Serialize` reports.
pub fn encode_serialize<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode(&to_value(value)?, out)
}

fn undone_on_error(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let mark = out.len();
    write(out).inspect_err(|_| out.truncate(mark))
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
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
        Value::List(items) => return write_list(items.iter(), out),
        Value::Map(entries) => return write_map(entries, out),
    }
    Ok(())
}

fn write_list<'a>(items: impl Iterator<Item = &'a Value>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(item, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_map(entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.push(b'{');
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_key(key, out)?;
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_key(key: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match key {
        Value::Str(s) => write_str(s, out),
        Value::List(_) | Value::Map(_) | Value::Bytes(_) => {
            return Err(CodecError::unsupported(format!(
                "JSON keys must be str, int, float, bool or None, not {}",
                key.kind()
            )));
        }
        _ => {
            out.push(b'"');
            write_value(key, out)?;
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
