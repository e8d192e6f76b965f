use crate::codec::{Codec, CodecErrorKind, Limits, Types, Value};

fn read(bytes: &[u8]) -> Result<Value, String> {
    Codec::MsgPack.decode(bytes, &Limits::default(), &Types::none()).map_err(|e| e.to_string())
}

fn write(value: &Value) -> Vec<u8> {
    let mut out = b"before".to_vec();
    Codec::MsgPack.encode(value, &Types::none(), &mut out).unwrap();
    out.split_off(6)
}

/// Value and bytes as Python's `msgpack` writes them.
#[test]
fn everything_is_written_in_its_shortest_form() {
    for (value, bytes) in [
        (Value::Null, b"\xc0".to_vec()),
        (Value::from(false), b"\xc2".to_vec()),
        (Value::from(true), b"\xc3".to_vec()),
        (Value::from(0), b"\x00".to_vec()),
        (Value::from(127), b"\x7f".to_vec()),
        (Value::from(128), b"\xcc\x80".to_vec()),
        (Value::from(255), b"\xcc\xff".to_vec()),
        (Value::from(256), b"\xcd\x01\x00".to_vec()),
        (Value::from(65_535), b"\xcd\xff\xff".to_vec()),
        (Value::from(65_536), b"\xce\x00\x01\x00\x00".to_vec()),
        (Value::from(u32::MAX), b"\xce\xff\xff\xff\xff".to_vec()),
        (Value::from(1u64 << 32), b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00".to_vec()),
        (Value::from(u64::MAX), b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        (Value::from(-1), b"\xff".to_vec()),
        (Value::from(-32), b"\xe0".to_vec()),
        (Value::from(-33), b"\xd0\xdf".to_vec()),
        (Value::from(-128), b"\xd0\x80".to_vec()),
        (Value::from(-129), b"\xd1\xff\x7f".to_vec()),
        (Value::from(-32_768), b"\xd1\x80\x00".to_vec()),
        (Value::from(-32_769), b"\xd2\xff\xff\x7f\xff".to_vec()),
        (Value::from(i32::MIN), b"\xd2\x80\x00\x00\x00".to_vec()),
        (Value::from(i64::MIN), b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00".to_vec()),
        (Value::from(1.5), b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00".to_vec()),
        (Value::from(""), b"\xa0".to_vec()),
        (Value::from("\u{e4}"), b"\xa2\xc3\xa4".to_vec()),
        (Value::from("x".repeat(31)), [b"\xbf".to_vec(), vec![b'x'; 31]].concat()),
        (Value::from("x".repeat(32)), [b"\xd9\x20".to_vec(), vec![b'x'; 32]].concat()),
        (Value::from("x".repeat(256)), [b"\xda\x01\x00".to_vec(), vec![b'x'; 256]].concat()),
        (Value::from("x".repeat(65_536)), [b"\xdb\x00\x01\x00\x00".to_vec(), vec![b'x'; 65_536]].concat()),
        (Value::Bytes(vec![]), b"\xc4\x00".to_vec()),
        (Value::Bytes(vec![7; 256]), [b"\xc5\x01\x00".to_vec(), vec![7; 256]].concat()),
        (Value::Bytes(vec![7; 65_536]), [b"\xc6\x00\x01\x00\x00".to_vec(), vec![7; 65_536]].concat()),
        (Value::Ext(-1, vec![1, 2, 3, 4]), b"\xd6\xff\x01\x02\x03\x04".to_vec()),
        (Value::Ext(5, vec![1, 2, 3]), b"\xc7\x03\x05\x01\x02\x03".to_vec()),
        (Value::Ext(5, vec![]), b"\xc7\x00\x05".to_vec()),
        (Value::Ext(5, vec![9; 16]), [b"\xd8\x05".to_vec(), vec![9; 16]].concat()),
        (Value::Ext(5, vec![9; 256]), [b"\xc8\x01\x00\x05".to_vec(), vec![9; 256]].concat()),
        (Value::Ext(5, vec![9; 65_536]), [b"\xc9\x00\x01\x00\x00\x05".to_vec(), vec![9; 65_536]].concat()),
        (Value::list([1, 2]), b"\x92\x01\x02".to_vec()),
        (Value::list(vec![0; 16]), [b"\xdc\x00\x10".to_vec(), vec![0; 16]].concat()),
        (Value::list(vec![0; 65_536]), [b"\xdd\x00\x01\x00\x00".to_vec(), vec![0; 65_536]].concat()),
        (Value::map([("a", 1)]), b"\x81\xa1a\x01".to_vec()),
        (
            Value::map((0..16).map(|n| (n, n))),
            [b"\xde\x00\x10".to_vec(), (0..16).flat_map(|n| [n, n]).collect()].concat(),
        ),
    ] {
        assert_eq!(write(&value).escape_ascii().to_string(), bytes.escape_ascii().to_string());
        assert_eq!(read(&bytes), Ok(value));
    }
}

#[test]
fn longer_forms_than_needed_are_read_too() {
    for (bytes, value) in [
        (b"\xcc\x01".as_slice(), Value::from(1)),
        (b"\xcd\x00\x01", Value::from(1)),
        (b"\xce\x00\x00\x00\x01", Value::from(1)),
        (b"\xcf\x00\x00\x00\x00\x00\x00\x00\x01", Value::from(1)),
        (b"\xd0\x01", Value::from(1)),
        (b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", Value::from(-1)),
        (b"\xca\x3f\xc0\x00\x00", Value::from(1.5)),
        (b"\xdb\x00\x00\x00\x01a", Value::from("a")),
        (b"\xdd\x00\x00\x00\x01\x01", Value::list([1])),
        (b"\xdf\x00\x00\x00\x01\x01\x02", Value::map([(1, 2)])),
    ] {
        assert_eq!(read(bytes), Ok(value));
    }
}

#[test]
fn keys_of_any_kind_are_read_and_occur_once() {
    let value =
        read(b"\x86\x01\xa1a\xc0\xa1b\x92\x01\x02\xa1c\xc4\x01x\xa1d\xa1x\xa1e\x92\x01\x02\xa1f").unwrap();
    assert_eq!(value.to_string(), r#"{1:"a",null:"b",[1,2]:"f",b"x":"d","x":"e"}"#);
    assert_eq!(read(&write(&value)), Ok(value));
    let many: Vec<u8> = [
        b"\xde\x0f\xa0".to_vec(),
        (0..4000u16)
            .flat_map(|n| {
                let [high, low] = (n % 1000).to_be_bytes();
                let [a, b] = n.to_be_bytes();
                [0x92, 0xcc, high, 0xcc, low, 0xcd, a, b]
            })
            .collect(),
    ]
    .concat();
    let entries = read(&many).unwrap();
    let entries = entries.as_map().unwrap();
    assert_eq!(entries.len(), 1000);
    assert_eq!(entries[999], (Value::list([3, 231]), Value::from(3999)));
}

#[test]
fn what_python_cannot_hash_is_no_key() {
    for key in [Value::map([("a", 1)]), Value::list([Value::map([("a", 1)])])] {
        let mut out = b"before".to_vec();
        let value = Value::Map(vec![(key, Value::Null)]);
        let error = Codec::MsgPack.encode(&value, &Types::none(), &mut out).unwrap_err();
        assert_eq!(error.to_string(), "a dict cannot be the key of a dict, for Python could not read it");
        assert_eq!(out, b"before");
    }
}

#[test]
fn an_integer_beyond_64_bits_fails_alone() {
    let mut out = b"before".to_vec();
    let value = Value::list([Value::from(1), Value::from(u128::MAX)]);
    let error = Codec::MsgPack.encode(&value, &Types::none(), &mut out).unwrap_err();
    assert!(
        error.to_string().starts_with("MsgPack has no integers beyond 64 bits, got 3402823669"),
        "{error}"
    );
    assert_eq!(out, b"before");
    assert_eq!(write(&Value::BigInt("5".into())), b"\x05");
    assert_eq!(write(&Value::BigInt("18446744073709551615".into())), write(&Value::from(u64::MAX)));
}

#[test]
fn bad_bytes_are_refused_with_their_place() {
    for (bytes, error) in [
        (b"".as_slice(), "invalid MsgPack at byte 0: expected a value (near the end)"),
        (b"\xc1", r"invalid MsgPack at byte 0: 0xc1 is never used (near `\xc1`)"),
        (b"\x92\x01\xc1", r"invalid MsgPack at byte 2: 0xc1 is never used (near `\xc1`)"),
        (b"\x01\x02", r"invalid MsgPack at byte 1: something follows the value (near `\x02`)"),
        (b"\xa2\xff\xfe", r"invalid MsgPack at byte 1: not UTF-8 (near `\xff\xfe`)"),
        (b"\xa3\xed\xa0\x80", r"invalid MsgPack at byte 1: not UTF-8 (near `\xed\xa0\x80`)"),
        (b"\xdb\xff\xff\xff\xffab", "invalid MsgPack at byte 5: the value is cut off (near `ab`)"),
        (b"\xc6\xff\xff\xff\xffab", "invalid MsgPack at byte 5: the value is cut off (near `ab`)"),
        (b"\xdd\xff\xff\xff\xffab", "invalid MsgPack at byte 5: the value is cut off (near `ab`)"),
        (
            b"\xdf\x00\x00\x00\x02\x01\x01\x01",
            r"invalid MsgPack at byte 5: the value is cut off (near `\x01\x01\x01`)",
        ),
        (b"\xc9\xff\xff\xff\xff\x01ab", "invalid MsgPack at byte 6: the value is cut off (near `ab`)"),
    ] {
        assert_eq!(read(bytes).unwrap_err(), error);
    }
}

#[test]
fn nesting_and_number_end_at_the_limits_before_anything_is_reserved() {
    assert!(read(&[vec![0x91; 128], vec![0xc0]].concat()).is_ok());
    let deep = [vec![0x91; 129], vec![0xc0]].concat();
    let error = Codec::MsgPack.decode(&deep, &Limits::default(), &Types::none()).unwrap_err();
    assert!(matches!(error.kind(), CodecErrorKind::Depth { limit: 128, .. }), "{error}");
    assert!(read(&vec![0x91; 1 << 20]).is_err());
    assert!(read(&[0x81, 0x01].repeat(1 << 20)).is_err());
    // as many bytes as values are announced, again and again
    let claims = [0xdd, 0x00, 0x03, 0xff, 0xff].repeat(100);
    let mut bytes = claims.clone();
    bytes.resize(claims.len() + 300_000, 0);
    let error = Codec::MsgPack.decode(&bytes, &Limits::default(), &Types::none()).unwrap_err();
    assert!(matches!(error.kind(), CodecErrorKind::Nodes { limit: 262_144, .. }), "{error}");
    let limits = Limits { nodes: 4, ..Limits::default() };
    for (bytes, good) in [
        (b"\x93\x01\x01\x01".as_slice(), true),
        (b"\x94\x01\x01\x01\x01", false),
        (b"\x82\x01\x01\x02\x02", false),
    ] {
        assert_eq!(Codec::MsgPack.decode(bytes, &limits, &Types::none()).is_ok(), good);
        assert_eq!(Codec::MsgPack.read::<Value>(bytes, &limits, &Types::none()).is_ok(), good);
    }
}

#[test]
fn what_is_too_deep_for_a_peer_is_not_written() {
    let mut value = Value::Null;
    for _ in 0..128 {
        value = Value::List(vec![value]);
    }
    for codec in [Codec::Json, Codec::MsgPack] {
        let mut out = Vec::new();
        codec.encode(&value, &Types::none(), &mut out).unwrap();
        assert!(codec.decode(&out, &Limits::default(), &Types::none()).is_ok());
        let deeper = Value::List(vec![value.clone()]);
        let error = codec.encode(&deeper, &Types::none(), &mut out).unwrap_err();
        assert!(matches!(error.kind(), CodecErrorKind::Depth { limit: 128, .. }), "{error}");
    }
}
