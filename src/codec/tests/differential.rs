//! The codecs against each other, and every way of reading against every other.

use proptest::prelude::*;

use super::values;
use crate::codec::{Codec, CodecError, Limits, Types, Value, to_value};

fn encode(codec: Codec, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    codec.encode(value, &values::types(), &mut out).unwrap_or_else(|e| panic!("{value}: {e}"));
    out
}

fn decode(codec: Codec, bytes: &[u8]) -> Result<Value, CodecError> {
    codec.decode(bytes, &Limits::default(), &values::types())
}

fn read(codec: Codec, bytes: &[u8]) -> Result<Value, CodecError> {
    codec.read(bytes, &Limits::default(), &values::types())
}

/// Bytes that resemble the codec's.
fn bytes(codec: Codec) -> BoxedStrategy<Vec<u8>> {
    let likely: Vec<u8> = match codec {
        Codec::Json => b"[]{}\",:\\u0123eE.-+ntfaNI \xc3\xa4_type".to_vec(),
        _ => (0x80..=0x84).chain(0x90..=0x94).chain(0xa0..=0xa4).chain(0xc0..=0xdf).chain(0..4).collect(),
    };
    let byte = prop_oneof![3 => proptest::sample::select(likely), 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..60).boxed()
}

/// A good payload with some bytes changed, left out or put in.
fn damaged(codec: Codec) -> impl Strategy<Value = Vec<u8>> {
    (values::common(), proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..4))
        .prop_map(move |(value, changes)| {
            let mut bytes = encode(codec, &value);
            for (index, byte, how) in changes {
                let at = index.index(bytes.len() + 1);
                match how {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            bytes
        })
}

fn all_ways_agree(codec: Codec, bytes: &[u8]) -> Result<(), TestCaseError> {
    let (limits, types) = (Limits::default(), values::types());
    let value = decode(codec, bytes);
    match (&value, read(codec, bytes)) {
        (Ok(value), Ok(read)) => prop_assert!(read.same(value), "{} and {}", read, value),
        (Err(error), Err(read)) => prop_assert_eq!(error, &read),
        (value, read) => prop_assert!(false, "{:?} and {:?}", value, read),
    }
    let mut scratch = Vec::new();
    let parts = codec.split::<2>(bytes, &mut scratch, &limits, &types);
    match value {
        Ok(Value::List(items)) if items.len() == 2 => {
            let parts = parts.unwrap().unwrap();
            for (part, item) in parts.iter().zip(&items) {
                prop_assert!(part.value().same(item));
                prop_assert!(part.read::<Value>().unwrap().same(item));
                let text = part.as_str();
                prop_assert_eq!(text.as_deref(), item.as_str());
                if let Some(list) = item.as_list() {
                    let items: Vec<Value> = part.items().unwrap().map(|item| item.value()).collect();
                    prop_assert!(Value::List(items).same(&Value::List(list.to_vec())));
                }
            }
        }
        Ok(_) => prop_assert!(matches!(parts, Ok(None))),
        Err(_) => prop_assert!(!matches!(parts, Ok(Some(_)))),
    }
    Ok(())
}

proptest! {
    #[test]
    fn json_and_msgpack_carry_the_same_values(value in values::common()) {
        for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
            let back = decode(codec, &encode(codec, &value)).unwrap();
            prop_assert!(back.same(&value), "{} from {}", back, value);
        }
        // one after the other, as a message that is passed on
        let first = decode(Codec::Json, &encode(Codec::Json, &value)).unwrap();
        let second = decode(Codec::MsgPack, &encode(Codec::MsgPack, &first)).unwrap();
        prop_assert!(second.same(&value));
    }

    #[test]
    fn json_loses_nothing(value in values::json()) {
        let back = decode(Codec::Json, &encode(Codec::Json, &value)).unwrap();
        prop_assert!(back.same(&value), "{} from {}", back, value);
    }

    #[test]
    fn msgpack_loses_nothing(value in values::msgpack()) {
        let back = decode(Codec::MsgPack, &encode(Codec::MsgPack, &value)).unwrap();
        prop_assert!(back.same(&value), "{} from {}", back, value);
    }

    #[test]
    fn values_survive_serde(value in prop_oneof![values::json(), values::msgpack()]) {
        prop_assert!(to_value(&value).unwrap().same(&value));
        prop_assert!(crate::codec::from_value::<Value>(value.clone()).unwrap().same(&value));
    }

    #[test]
    fn good_json_is_read_alike_in_every_way(value in values::json()) {
        all_ways_agree(Codec::Json, &encode(Codec::Json, &value))?;
        all_ways_agree(Codec::Json, &encode(Codec::Json, &Value::List(vec![value.clone(), value])))?;
    }

    #[test]
    fn good_msgpack_is_read_alike_in_every_way(value in values::msgpack()) {
        all_ways_agree(Codec::MsgPack, &encode(Codec::MsgPack, &value))?;
        all_ways_agree(Codec::MsgPack, &encode(Codec::MsgPack, &Value::List(vec![value.clone(), value])))?;
    }

    #[test]
    fn any_bytes_are_read_alike_in_every_way_as_json(bytes in prop_oneof![bytes(Codec::Json), damaged(Codec::Json)]) {
        all_ways_agree(Codec::Json, &bytes)?;
    }

    #[test]
    fn any_bytes_are_read_alike_in_every_way_as_msgpack(
        bytes in prop_oneof![bytes(Codec::MsgPack), damaged(Codec::MsgPack)]
    ) {
        all_ways_agree(Codec::MsgPack, &bytes)?;
    }

    #[test]
    fn any_bytes_are_read_alike_in_every_way_as_blosc(
        bytes in prop_oneof![bytes(Codec::MsgPackBlosc), damaged(Codec::MsgPackBlosc)]
    ) {
        all_ways_agree(Codec::MsgPackBlosc, &bytes)?;
    }

    #[test]
    fn what_cannot_be_written_leaves_the_buffer_as_it_was(value in values::msgpack(), with in any::<bool>()) {
        let types = if with { Types::channel([""; 0]) } else { Types::none() };
        for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
            let mut out = b"before".to_vec();
            match codec.encode(&value, &types, &mut out) {
                Ok(()) => prop_assert!(codec.decode(&out[6..], &Limits::default(), &types).is_ok()),
                Err(_) => prop_assert_eq!(out, b"before"),
            }
        }
    }
}

#[test]
fn a_truncated_payload_is_refused_at_every_byte() {
    let text = r#"[0, 6, ["stepä", [2, {"a0": {"level": {"Src.ä": -12.5e-3, "x": [true, null, NaN]}}}], {"long": "0123456789012345678901234567890123456789"}]]"#;
    let value = decode(Codec::Json, text.as_bytes()).unwrap();
    for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let bytes = encode(codec, &value);
        assert!(decode(codec, &bytes).unwrap().same(&value));
        for end in 0..bytes.len() {
            assert!(decode(codec, &bytes[..end]).is_err() && read(codec, &bytes[..end]).is_err());
        }
        let error = decode(codec, &[&bytes[..], b"1"].concat()).unwrap_err().to_string();
        assert!(
            error.contains("something follows the value") || error.contains("the announced length"),
            "{error}"
        );
    }
}
