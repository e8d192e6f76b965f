//! What the fuzzer does with its bytes as the payload of a frame; the tests do the same with those that it has kept.
//!
//! The first byte chooses the custom types. Then all ways of reading have to agree, what was read can be written again
//! unless an error says why not, and the other codec carries the same value.

use isochrone::codec::{Codec, Limits, Types, Value, from_value};

/// Bytes as JSON.
pub(crate) fn json(data: &[u8]) {
    run(Codec::Json, data);
}

/// Bytes as MsgPack.
pub(crate) fn msgpack(data: &[u8]) {
    run(Codec::MsgPack, data);
}

/// Bytes as a container of blosc.
pub(crate) fn blosc(data: &[u8]) {
    run(Codec::MsgPackBlosc, data);
}

fn run(codec: Codec, data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let types = match choice % 4 {
        0 => Types::rpc([""; 0]),
        1 => Types::container(["Point", "Grid"]),
        2 => Types::channel(["Point"]),
        _ => Types::none(),
    };
    let limits = Limits::default();
    let read = codec.read::<Value>(data, &limits, &types);
    let mut scratch = Vec::new();
    let parts = codec.split::<3>(data, &mut scratch, &limits, &types);
    let value = match codec.decode(data, &limits, &types) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.to_string().len() < 500, "{error}");
            assert_eq!(read.unwrap_err(), error);
            assert!(!matches!(parts, Ok(Some(_))));
            return;
        }
    };
    assert!(read.expect("the other way can").same(&value));
    match (value.as_list(), parts.expect("the other way can")) {
        (Some(items), Some(parts)) => {
            assert_eq!(items.len(), 3);
            for (item, part) in items.iter().zip(parts) {
                assert!(part.value().same(item));
                // as a server reads its arguments, whatever comes
                let typed = part.read::<(String, Vec<f64>, Option<i64>)>();
                let detour = from_value::<(String, Vec<f64>, Option<i64>)>(item.clone());
                // as text, in which NaN equals itself
                assert_eq!(format!("{typed:?}"), format!("{detour:?}"));
                assert_eq!(part.items().map(Iterator::count), item.as_list().map(<[Value]>::len));
            }
        }
        (items, parts) => assert!(items.is_none_or(|items| items.len() != 3) && parts.is_none()),
    }

    for other in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let mut out = b"before".to_vec();
        match other.encode(&value, &types, &mut out) {
            // it may have used half as many bytes as are allowed for the way back
            Ok(()) => {
                let back = other.decode(&out[6..], &limits, &types).expect("we read what we write");
                assert!(back.same(&value) || other == Codec::Json || types_are_text(&types, &back, &value));
            }
            Err(_) => assert_eq!(out, b"before"),
        }
    }
}

/// Without custom types dates and proxies come back as text.
fn types_are_text(types: &Types, back: &Value, value: &Value) -> bool {
    let (mut once, mut again) = (Vec::new(), Vec::new());
    Codec::MsgPack.encode(back, types, &mut once).is_ok()
        && Codec::MsgPack.encode(value, types, &mut again).is_ok()
        && once == again
}
