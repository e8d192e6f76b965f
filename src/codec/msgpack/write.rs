//! The writer: the shortest form of everything, straight into the caller's buffer.

use crate::codec::CodecError;
use crate::codec::form::{Form, Open};

#[derive(Debug)]
pub(in crate::codec) struct MsgPack;

impl Form for MsgPack {
    const TEXT_KEYS: bool = false;

    fn null(out: &mut Vec<u8>) {
        out.push(0xc0);
    }

    fn bool(b: bool, out: &mut Vec<u8>) {
        out.push(0xc2 + u8::from(b));
    }

    #[inline]
    fn int(n: i64, out: &mut Vec<u8>) {
        match n {
            0.. => MsgPack::uint(n as u64, out),
            -0x20.. => out.push(n as u8),
            -0x80.. => out.extend_from_slice(&[0xd0, n as u8]),
            -0x8000.. => number(0xd1, (n as i16).to_be_bytes(), out),
            -0x8000_0000.. => number(0xd2, (n as i32).to_be_bytes(), out),
            _ => number(0xd3, n.to_be_bytes(), out),
        }
    }

    #[inline]
    fn uint(n: u64, out: &mut Vec<u8>) {
        if n < 0x80 { out.push(n as u8) } else { long_uint(n, out) }
    }

    fn big_int(digits: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if let Ok(n) = digits.parse() {
            MsgPack::int(n, out);
        } else if let Ok(n) = digits.parse() {
            MsgPack::uint(n, out);
        } else {
            let brief: String = digits.chars().take(40).collect();
            let dots = if brief.len() < digits.len() { "..." } else { "" };
            return Err(CodecError::unsupported(format!(
                "MsgPack has no integers beyond 64 bits, got {brief}{dots}; send a str or a float, or use JSON"
            )));
        }
        Ok(())
    }

    #[inline]
    fn float(x: f64, out: &mut Vec<u8>) {
        number(0xcb, x.to_be_bytes(), out);
    }

    #[inline]
    fn str(text: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match text.len() {
            len @ ..32 => out.push(0xa0 | len as u8),
            len => header((0xd9, 0xda, 0xdb), len, out)?,
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        header((0xc4, 0xc5, 0xc6), bytes.len(), out)?;
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn ext(code: i8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        match bytes.len() {
            len @ (1 | 2 | 4 | 8 | 16) => out.push(0xd4 + len.trailing_zeros() as u8),
            len => header((0xc7, 0xc8, 0xc9), len, out)?,
        }
        out.push(code as u8);
        out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn open_list(len: Option<usize>, out: &mut Vec<u8>) -> Open {
        open(len, LIST, out)
    }

    #[inline]
    fn open_map(len: Option<usize>, out: &mut Vec<u8>) -> Open {
        open(len, MAP, out)
    }

    #[inline]
    fn item(open: &mut Open, _: &mut Vec<u8>) {
        open.count += 1;
    }

    #[inline]
    fn colon(_: &mut Vec<u8>) {}

    #[inline]
    fn close_list(open: Open, out: &mut Vec<u8>) -> Result<(), CodecError> {
        close(open, LIST, out)
    }

    #[inline]
    fn close_map(open: Open, out: &mut Vec<u8>) -> Result<(), CodecError> {
        close(open, MAP, out)
    }
}

fn long_uint(n: u64, out: &mut Vec<u8>) {
    match n {
        0..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => number(0xcd, (n as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => number(0xce, (n as u32).to_be_bytes(), out),
        _ => number(0xcf, n.to_be_bytes(), out),
    }
}

/// The markers for short, medium and long.
type Markers = (u8, u8, u8);
const LIST: Markers = (0x90, 0xdc, 0xdd);
const MAP: Markers = (0x80, 0xde, 0xdf);

#[inline]
fn open(len: Option<usize>, markers: Markers, out: &mut Vec<u8>) -> Open {
    // What is too long for any header is found out when it closes.
    let announced = len.and_then(|len| u32::try_from(len).ok()).unwrap_or(0);
    let at = out.len();
    collection(announced, markers, out);
    Open { at, announced: announced as usize, count: 0 }
}

#[inline]
fn close(open: Open, markers: Markers, out: &mut Vec<u8>) -> Result<(), CodecError> {
    if open.count == open.announced { Ok(()) } else { correct(open, markers, out) }
}

/// Puts the right header in place of one that announced too many or too few.
#[cold]
fn correct(open: Open, markers: Markers, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let len = u32::try_from(open.count).map_err(|_| too_long(open.count))?;
    let mut wrong = Vec::new();
    let mut right = Vec::new();
    collection(open.announced as u32, markers, &mut wrong);
    collection(len, markers, &mut right);
    out.splice(open.at..open.at + wrong.len(), right);
    Ok(())
}

#[inline]
fn collection(len: u32, (short, medium, long): Markers, out: &mut Vec<u8>) {
    match len {
        0..=15 => out.push(short | len as u8),
        _ => long_collection(len, medium, long, out),
    }
}

fn long_collection(len: u32, medium: u8, long: u8, out: &mut Vec<u8>) {
    match u16::try_from(len) {
        Ok(len) => number(medium, len.to_be_bytes(), out),
        Err(_) => number(long, len.to_be_bytes(), out),
    }
}

/// The marker for a length of 8, 16 or 32 bits, and the length.
fn header((byte, medium, long): Markers, len: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let len = u32::try_from(len).map_err(|_| too_long(len))?;
    match len {
        0..=0xff => out.extend_from_slice(&[byte, len as u8]),
        0x100..=0xffff => number(medium, (len as u16).to_be_bytes(), out),
        _ => number(long, len.to_be_bytes(), out),
    }
    Ok(())
}

#[inline]
fn number<const N: usize>(marker: u8, digits: [u8; N], out: &mut Vec<u8>) {
    out.reserve(1 + N);
    out.push(marker);
    out.extend_from_slice(&digits);
}

#[cold]
fn too_long(len: usize) -> CodecError {
    CodecError::unsupported(format!("MsgPack has no lengths beyond 32 bits, got {len}"))
}
