//! The writer: compact, straight into the caller's buffer.

use crate::codec::form::{Form, Open};
use crate::codec::write;
use crate::codec::{CodecError, Types, Value};

/// Appends `value` as compact JSON. Dates and proxies are text, instances of custom types their data.
///
/// # Errors
/// The value holds bytes, or a list, dict or bytes as a key; `out` is then as it was.
pub fn encode(value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    write::encode::<Json, _>(value, &Types::none(), out)
}

#[derive(Debug)]
pub(in crate::codec) struct Json;

impl Form for Json {
    const TEXT_KEYS: bool = true;

    fn null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }

    fn bool(b: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if b { b"true".as_slice() } else { b"false" });
    }

    fn int(n: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn uint(n: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn big_int(digits: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(digits.as_bytes());
        Ok(())
    }

    fn float(x: f64, out: &mut Vec<u8>) {
        if x.is_finite() {
            out.extend_from_slice(zmij::Buffer::new().format_finite(x).as_bytes());
        } else if x.is_nan() {
            out.extend_from_slice(b"NaN");
        } else {
            out.extend_from_slice(if x > 0.0 { b"Infinity".as_slice() } else { b"-Infinity" });
        }
    }

    fn str(text: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let bytes = text.as_bytes();
        out.push(b'"');
        let mut from = 0;
        loop {
            let stop = super::plain_run(bytes, from);
            out.extend_from_slice(&bytes[from..stop]);
            let Some(&byte) = bytes.get(stop) else { break };
            escape(byte, out);
            from = stop + 1;
        }
        out.push(b'"');
        Ok(())
    }

    fn bytes(bytes: &[u8], _: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::unsupported(format!(
            "JSON has no bytes, got {} of them; send a str or a list of int, or use MsgPack",
            bytes.len()
        )))
    }

    fn ext(code: i8, _: &[u8], _: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::unsupported(format!("JSON has no extension types, got one of code {code}")))
    }

    fn open_list(_: Option<usize>, out: &mut Vec<u8>) -> Open {
        out.push(b'[');
        Open { at: 0, announced: 0, count: 0 }
    }

    fn open_map(_: Option<usize>, out: &mut Vec<u8>) -> Open {
        out.push(b'{');
        Open { at: 0, announced: 0, count: 0 }
    }

    fn item(open: &mut Open, out: &mut Vec<u8>) {
        if open.count > 0 {
            out.push(b',');
        }
        open.count += 1;
    }

    fn colon(out: &mut Vec<u8>) {
        out.push(b':');
    }

    fn close_list(_: Open, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(b']');
        Ok(())
    }

    fn close_map(_: Open, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(b'}');
        Ok(())
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
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
