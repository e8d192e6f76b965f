//! Messages and calls in their usual form, taken apart by their first bytes.
//!
//! Why beside [`Codec::split`]: the call `add(1, 2)` is 18 bytes, of which a general reader makes nine tokens, once to check
//! and once to read. Here the head of a message is compared with what nearly all messages begin with, and the arguments
//! are read as their types at once, which checks them.
//!
//! Contract: `None` says nothing about the bytes; the general way then finds out. What is taken apart here is *not* checked
//! behind the head: whoever does not read all of it, by [`arguments`], has to check it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::form::Form;
use super::read::{Source, Token};
use super::{Codec, CodecError, Limits, Types, blosc, json, msgpack, typed};

/// Kind, id and content of a message `[kind, id, content]`.
#[inline]
pub(crate) fn message(codec: Codec, payload: &[u8]) -> Option<(u8, u64, &[u8])> {
    match codec {
        Codec::MsgPack => {
            let [0x93, kind @ 0..=2, rest @ ..] = payload else { return None };
            let (id, content) = match rest {
                [id @ 0..=0x7f, content @ ..] => (u64::from(*id), content),
                [0xcc, id, content @ ..] => (u64::from(*id), content),
                [0xcd, a, b, content @ ..] => (u64::from(u16::from_be_bytes([*a, *b])), content),
                [0xce, a, b, c, d, content @ ..] => {
                    (u64::from(u32::from_be_bytes([*a, *b, *c, *d])), content)
                }
                _ => return None,
            };
            Some((*kind, id, content))
        }
        Codec::Json => {
            let [inside @ .., b']'] = payload else { return None };
            json_message(inside)
        }
        Codec::MsgPackBlosc => None,
    }
}

/// The same of JSON without the bracket at the end.
#[inline]
fn json_message(begun: &[u8]) -> Option<(u8, u64, &[u8])> {
    let [b'[', kind @ b'0'..=b'2', b',', rest @ ..] = begun else { return None };
    let mut rest = spaced(rest);
    let mut id = 0_u64;
    let mut digits = 0;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        // leading zeros are not JSON, and longer numbers are rare
        if digits == 18 || (digits == 1 && id == 0) {
            return None;
        }
        id = 10 * id + u64::from(digit - b'0');
        digits += 1;
        rest = after;
    }
    let [b',', content @ ..] = rest else { return None };
    (digits > 0).then(|| (kind - b'0', id, spaced(content)))
}

/// Kind and id of a message of which the first bytes are there.
#[cold]
pub(crate) fn head(codec: Codec, begun: &[u8]) -> Option<(u8, u64)> {
    let message = match codec {
        Codec::Json => json_message(begun),
        Codec::MsgPack => message(Codec::MsgPack, begun),
        Codec::MsgPackBlosc => message(Codec::MsgPack, blosc::stored(begun)?),
    };
    message.map(|(kind, id, _)| (kind, id))
}

/// Kind and id of a message that is packed in a container, which is unpacked for it.
#[cold]
pub(crate) fn unpacked_head(
    codec: Codec,
    payload: &[u8],
    scratch: &mut Vec<u8>,
    limits: &Limits,
) -> Option<(u8, u64)> {
    match codec {
        Codec::MsgPackBlosc => head(Codec::MsgPack, blosc::unpack(payload, scratch, limits).ok()?),
        _ => None,
    }
}

/// Path and arguments of a call `[path, [positional...], {keyword: ...}]`, the latter for [`arguments`].
#[inline]
pub(crate) fn call(codec: Codec, content: &[u8]) -> Option<(&str, &[u8])> {
    let (path, arguments) = match codec {
        Codec::MsgPack => {
            let [0x93, len @ 0xa0..=0xbf, rest @ ..] = content else { return None };
            rest.split_at_checked(usize::from(len & 0x1f))?
        }
        Codec::Json => {
            let [b'[', b'"', rest @ .., b']'] = content else { return None };
            let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
            let (path, rest) = rest.split_at(end);
            let [b'"', b',', arguments @ ..] = rest else { return None };
            (path, spaced(arguments))
        }
        Codec::MsgPackBlosc => return None,
    };
    Some((std::str::from_utf8(path).ok()?, arguments))
}

/// The arguments as these types, if they are all of them given by position and there is nothing else.
#[inline]
pub(crate) fn arguments<T: DeserializeOwned>(
    codec: Codec,
    bytes: &[u8],
    limits: &Limits,
    types: &Types,
) -> Option<T> {
    match codec {
        Codec::MsgPack => {
            let (positional, [0x80]) = bytes.split_at_checked(bytes.len().checked_sub(1)?)? else {
                return None;
            };
            let mut reader = msgpack::Reader::new(positional, limits, types).ok()?;
            let arguments = typed::read(&mut reader).ok()?;
            reader.end().ok().map(|()| arguments)
        }
        Codec::Json => {
            let positional = bytes.strip_suffix(b"{}")?.trim_ascii_end().strip_suffix(b",")?;
            let mut reader = json::Reader::new(positional, limits, types).ok()?;
            let arguments = typed::read(&mut reader).ok()?;
            reader.end().ok().map(|()| arguments)
        }
        Codec::MsgPackBlosc => None,
    }
}

/// Whether these bytes are one scalar or text, and nothing else: a reply as most are.
#[inline]
pub(crate) fn is_scalar(codec: Codec, bytes: &[u8], limits: &Limits, types: &Types) -> bool {
    fn check<'de, S: Source<'de>>(bytes: &'de [u8], limits: &'de Limits, types: &'de Types) -> Option<()> {
        let mut reader = S::new(bytes, limits, types).ok()?;
        match reader.token().ok()? {
            Token::List(_) | Token::Map(_) => None,
            _ => reader.end().ok(),
        }
    }
    match codec {
        Codec::MsgPack => check::<msgpack::Reader<'_>>(bytes, limits, types).is_some(),
        Codec::Json => check::<json::Reader<'_>>(bytes, limits, types).is_some(),
        Codec::MsgPackBlosc => false,
    }
}

/// Appends a message `[kind, id, content]`.
///
/// # Errors
/// As [`Codec::write`]; `out` then holds the beginning.
#[inline]
pub(crate) fn write<T: Serialize + ?Sized>(
    codec: Codec,
    message: (u8, u64),
    value: &T,
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    around(codec, message, out, |out| content(codec, value, types, out))
}

/// Appends a message whose [`content`] has been written before.
#[inline]
pub(crate) fn write_around(
    codec: Codec,
    message: (u8, u64),
    content: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    around(codec, message, out, |out| {
        out.extend_from_slice(content);
        Ok(())
    })
}

/// Appends what is to be the content of a message, not packed.
///
/// # Errors
/// As [`Codec::write`].
#[inline]
pub(crate) fn content<T: Serialize + ?Sized>(
    codec: Codec,
    content: &T,
    types: &Types,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    match codec {
        Codec::Json => Codec::Json.write(content, types, out),
        // a container is around the whole message
        Codec::MsgPack | Codec::MsgPackBlosc => Codec::MsgPack.write(content, types, out),
    }
}

#[inline]
fn around(
    codec: Codec,
    (kind, id): (u8, u64),
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let plain = |out: &mut Vec<u8>| {
        out.extend_from_slice(&[0x93, kind]);
        msgpack::MsgPack::uint(id, out);
    };
    match codec {
        Codec::MsgPack => {
            plain(out);
            content(out)
        }
        Codec::Json => {
            out.extend_from_slice(&[b'[', b'0' + kind, b',']);
            json::Json::uint(id, out);
            out.push(b',');
            content(out)?;
            out.push(b']');
            Ok(())
        }
        Codec::MsgPackBlosc => blosc::pack(out, |out| {
            plain(out);
            content(out)
        }),
    }
}

/// Without the space that Python writes behind commas.
#[inline]
fn spaced(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b" ").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::default()
    }

    #[test]
    fn the_usual_call_is_taken_apart() {
        let types = Types::none();
        let packed = b"\x93\x00\xcd\x03\x09\x93\xa3add\x92\x01\xcd\x01\x00\x80";
        for (codec, payload) in [
            (Codec::MsgPack, &packed[..]),
            (Codec::Json, br#"[0,777,["add",[1,256],{}]]"#),
            (Codec::Json, br#"[0, 777, ["add", [1, 256], {}]]"#),
        ] {
            let (kind, id, content) = message(codec, payload).unwrap();
            assert_eq!((kind, id), (0, 777));
            let (path, rest) = call(codec, content).unwrap();
            assert_eq!(path, "add");
            assert_eq!(arguments::<(i64, i64)>(codec, rest, &limits(), &types), Some((1, 256)));
            assert_eq!(arguments::<(i64,)>(codec, rest, &limits(), &types), None);
            assert_eq!(arguments::<(i64, String)>(codec, rest, &limits(), &types), None);
        }
    }

    #[test]
    fn what_is_written_is_what_the_general_way_writes() {
        let types = Types::none();
        for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
            for id in [0, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::MAX] {
                let (mut short, mut general) = (Vec::new(), Vec::new());
                write(codec, (1, id), &("add", [1, 2]), &types, &mut short).unwrap();
                codec.write(&(1, id, ("add", [1, 2])), &types, &mut general).unwrap();
                assert_eq!(short, general);
            }
        }
    }

    /// Whatever is read here, the general way reads as the same.
    #[test]
    fn what_is_unusual_or_wrong_is_left_to_the_general_way() {
        let types = Types::none();
        for payload in
            ["[0,01,[]]", "[0,-1,[]]", "[0,1.5,[]]", "[3,1,[]]", "[0,,1]", "[0,1", "0,1,2]", "", "[0,1e3,[]]"]
        {
            assert_eq!(message(Codec::Json, payload.as_bytes()), None, "{payload}");
        }
        for content in
            [r#"["a\"b",[],{}]"#, r#"["add" ,[],{}]"#, r#"[1,[],{}]"#, r#"["add"]"#, "[\"a\nb\",[],{}]"]
        {
            assert_eq!(call(Codec::Json, content.as_bytes()), None, "{content}");
        }
        for rest in ["[1,2],{\"a\":1}", "[1,2] 3,{}", "[1,2],{},{}", "[1,2]{}", "{}", "[1,2],[]"] {
            assert_eq!(
                arguments::<(i64, i64)>(Codec::Json, rest.as_bytes(), &limits(), &types),
                None,
                "{rest}"
            );
        }
        for rest in [&b"\x92\x01\x02\x81\x01\x02"[..], b"\x92\x01\x02\x03\x80", b"\x92\x01\x80", b"\x80", b""]
        {
            assert_eq!(arguments::<(i64, i64)>(Codec::MsgPack, rest, &limits(), &types), None, "{rest:?}");
        }
        assert_eq!(message(Codec::MsgPack, b"\x93\x00\xcf\0\0\0\0\0\0\0\x01\x90"), None);
        assert_eq!(call(Codec::MsgPack, b"\x93\xa3ad"), None);
        assert_eq!(call(Codec::MsgPack, b"\x93\xa2\xff\xfe\x90\x80"), None);
    }
}
