//! Values at random, as a reader would build them.

use chrono::{FixedOffset, TimeZone};
use proptest::prelude::*;

use crate::codec::{Object, Reference, TypeName, Types, Value};

/// The types that the values below are of.
pub(crate) fn types() -> Types {
    Types::container(["Point", "Grid"]).with_addresses()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~]{0,40}", "[a-c_]{7,9}", "[0-9]{1,3}", Just("null".to_owned())]
}

/// What both codecs can hold.
fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200i64..1000).prop_map(Value::from),
        (0u32..64, any::<i64>()).prop_map(|(shift, n)| Value::from(n >> shift)),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::ANY.prop_map(Value::from),
        (-100_000i64..100_000).prop_map(|n| Value::from(n as f64 / 1000.0)),
        text().prop_map(Value::from),
        date(),
        prop_oneof!["([a-z0-9]{1,5}/){0,2}[a-z0-9]{0,5}", "tcp://[a-z]{1,9}:[0-9]{1,4}/[0-9]"]
            .prop_map(|text| Value::Proxy(Reference::from_text(text))),
    ]
}

/// A date within Python's calendar, to the microsecond.
fn date() -> impl Strategy<Value = Value> {
    (
        -62_000_000_000i64..253_000_000_000,
        0u32..1_000_000,
        prop_oneof![Just(0), -80_000i32..80_000, Just(3600)],
    )
        .prop_map(|(seconds, micros, offset)| {
            let zone = FixedOffset::east_opt(offset).unwrap();
            Value::Date(zone.timestamp_opt(seconds, micros * 1000).unwrap())
        })
}

fn object(data: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just(TypeName::Known("Point".into())),
        Just(TypeName::Known("Grid".into())),
        (4u32..).prop_map(TypeName::Unknown),
    ];
    (name, data).prop_map(|(name, data)| Value::Object(Box::new(Object { name, data })))
}

/// What both codecs can hold, with text as keys.
pub(crate) fn common() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 12, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
            3 => proptest::collection::btree_map(text(), inner.clone(), 0..20).prop_map(Value::map),
            1 => object(inner),
        ]
    })
}

/// What JSON can hold: integers of any size, too.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let big = "-?[1-9][0-9]{20,60}".prop_map(Value::BigInt);
    prop_oneof![3 => common(), 1 => (common(), big).prop_map(|(a, b)| Value::List(vec![a, b]))]
}

/// What MsgPack can hold: bytes, extensions, and keys of any kind but dicts.
pub(crate) fn msgpack() -> impl Strategy<Value = Value> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        3 => leaf(),
        1 => bytes().prop_map(Value::Bytes),
        1 => (any::<i8>(), bytes()).prop_map(|(code, bytes)| Value::Ext(code, bytes)),
    ]
    .boxed();
    let key = prop_oneof![leaf.clone(), proptest::collection::vec(leaf.clone(), 0..4).prop_map(Value::List),]
        .boxed();
    leaf.prop_recursive(5, 60, 20, move |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
            3 => proptest::collection::vec((key.clone(), inner.clone()), 0..20).prop_map(|mut entries| {
                crate::codec::keys::merge_equal(&mut entries);
                Value::Map(entries)
            }),
            1 => object(inner),
        ]
    })
}
