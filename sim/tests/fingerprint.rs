//! What the fingerprint promises.

use std::collections::BTreeMap;

use isochrone_sim::fingerprint::{Fingerprint, PayloadHasher, Tag, fold, payload_hash as hash};
use isochrone_sim::time::Time;
use proptest::prelude::*;
use serde::{Serialize, Serializer};

#[derive(Clone, Debug, PartialEq, Serialize)]
enum Value {
    Unit,
    Bool(bool),
    Int(i64),
    Text(String),
    Maybe(Option<Box<Value>>),
    Seq(Vec<Value>),
    Pair(Box<(Value, Value)>),
    Map(BTreeMap<String, Value>),
    Fields { a: Box<Value>, b: u8 },
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Unit),
        any::<bool>().prop_map(Value::Bool),
        (-2..3i64).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        "[a\0]{0,3}|[a-z]{7,9}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::option::of(inner.clone()).prop_map(|v| Value::Maybe(v.map(Box::new))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Seq),
            (inner.clone(), inner.clone()).prop_map(|pair| Value::Pair(Box::new(pair))),
            prop::collection::btree_map("[a-b]{0,2}", inner.clone(), 0..3).prop_map(Value::Map),
            (inner, 0..3u8).prop_map(|(a, b)| Value::Fields { a: Box::new(a), b }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_that_differ_hash_differently(values in prop::collection::vec(value(), 2..12)) {
        let mut seen: BTreeMap<u64, &Value> = BTreeMap::new();
        for value in &values {
            let first = *seen.entry(hash(value)).or_insert(value);
            prop_assert_eq!(first, value);
            prop_assert_eq!(hash(value), hash(&value.clone()));
        }
    }

    #[test]
    fn integers_hash_by_value(v in any::<u8>(), w in any::<i32>()) {
        let byte = hash(&v);
        for wider in [hash(&u16::from(v)), hash(&u32::from(v)), hash(&u64::from(v)), hash(&u128::from(v)),
            hash(&i16::from(v)), hash(&i32::from(v)), hash(&i64::from(v)), hash(&i128::from(v))] {
            prop_assert_eq!(wider, byte);
        }
        prop_assert_eq!(hash(&w), hash(&i64::from(w)));
        prop_assert_eq!(hash(&w), hash(&i128::from(w)));
    }

    #[test]
    fn text_hashes_alike_however_it_is_written(parts in prop::collection::vec("\\PC{0,9}", 0..5)) {
        struct Shown(Vec<String>);
        impl std::fmt::Display for Shown {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|part| f.write_str(part))
            }
        }
        impl Serialize for Shown {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        prop_assert_eq!(hash(&parts.concat()), hash(&Shown(parts)));
    }
}

#[test]
fn one_nan_and_two_zeros() {
    let payload_nan = f64::from_bits(0xfff8_0000_0000_1234);
    for nan in [hash(&payload_nan), hash(&-f64::NAN), hash(&f32::NAN), hash(&-f32::NAN)] {
        assert_eq!(nan, hash(&f64::NAN));
    }
    assert_eq!(hash(&0.5f32), hash(&0.5f64));
    assert_ne!(hash(&0.1f32), hash(&0.1f64)); // they are different numbers
    assert_ne!(hash(&0.0), hash(&-0.0));
    assert_ne!(hash(&f64::NAN), hash(&f64::INFINITY));
    assert_ne!(hash(&1.0), hash(&1));
}

#[test]
fn structure_counts() {
    #[derive(Serialize)]
    struct Nothing;
    #[derive(Serialize)]
    struct Meters(i64);
    #[derive(Serialize)]
    struct Point {
        x: i64,
        y: i64,
    }
    #[derive(Serialize)]
    struct Renamed {
        y: i64,
        x: i64,
    }
    let different = [
        hash(&vec![vec![1], vec![2]]),
        hash(&vec![vec![1, 2]]),
        hash(&vec![vec![], vec![1, 2]]),
        hash(&vec![vec![1, 2], vec![]]),
        hash(&vec![1, 2]),
        hash(&(1, 2)),
        hash(&(2, 1)),
        hash(&(1, 2, 0)),
        hash(&((1, 2),)),
        hash(&((1,), 2)),
        hash(&Point { x: 1, y: 2 }),
        hash(&BTreeMap::from([(1, 2)])),
        hash(&BTreeMap::from([(2, 1)])),
        hash(&1),
        hash(&2),
        hash(&Some(1)),
        hash(&Some(Some(1))),
        hash(&None::<i64>),
        hash(&Some(None::<i64>)),
        hash(&()),
        hash(&Some(())),
        hash(&true),
        hash(&false),
        hash(&'\u{1}'),
        hash(&0),
        hash(&0.0),
        hash(""),
        hash("\0"),
        hash("\0\0"),
        hash("1"),
        hash("12345678"),
        hash("12345678\0"),
        hash(&vec![""]),
        hash(&Vec::<u8>::new()),
        hash(&u64::MAX),
        hash(&-1),
        hash(&i128::MIN),
        hash(&u128::MAX),
        hash(&(u128::MAX - 1)),
        hash(&(1u128 << 64)),
        hash(&i64::MAX),
        hash(&i64::MIN),
    ];
    for (i, a) in different.iter().enumerate() {
        assert!(!different[..i].contains(a), "number {i}");
    }
    assert_eq!(hash(&Nothing), hash(&()));
    assert_eq!(hash(&Meters(3)), hash(&3));
    assert_eq!(hash(&Point { x: 1, y: 2 }), hash(&Renamed { y: 1, x: 2 }));
}

#[test]
fn a_value_that_fails_to_serialise_hashes_to_a_marker() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    assert_eq!(hash(&Fails), hash(&Fails));
    assert_ne!(hash(&Fails), hash(&()));
    assert_ne!(hash(&(1, Fails)), hash(&(2, Fails)));
}

#[test]
fn arguments_are_kept_apart() {
    let two = |a: &str, b: &str| PayloadHasher::new(9).add(a).add(b).finish();
    assert_ne!(two("ab", "c"), two("a", "bc"));
    assert_ne!(PayloadHasher::new(1).add(&1).finish(), PayloadHasher::new(2).add(&1).finish());
    assert_eq!(PayloadHasher::new(0).add(&1).finish(), hash(&1));
    assert_ne!(PayloadHasher::new(0).finish(), PayloadHasher::new(1).finish());
}

#[test]
fn any_changed_bit_of_an_event_changes_the_fingerprint() {
    type Event = (Tag, i64, u32, u64, u64, u64);
    let print = |events: &[Event]| {
        let mut print = Fingerprint::new(5);
        for &(tag, time, round, peer, seq, payload) in events {
            print.mix(tag, Time::from_nanos(time), round, peer, seq, payload);
        }
        print.finalise()
    };
    let e: Event = (Tag::Send, 1_000, 2, 3, 4, 5);
    let mut prints = vec![print(&[]), print(&[e]), print(&[e, e]), print(&[e, e, e])];
    for tag in [Tag::Receive, Tag::Timer, Tag::External, Tag::Port, Tag::Reply] {
        prints.push(print(&[(tag, e.1, e.2, e.3, e.4, e.5)]));
        prints.push(print(&[e, (tag, e.1, e.2, e.3, e.4, e.5)]));
        prints.push(print(&[(tag, e.1, e.2, e.3, e.4, e.5), e]));
    }
    for bit in 0..64 {
        prints.push(print(&[(e.0, e.1 ^ 1 << bit, e.2, e.3, e.4, e.5)]));
        prints.push(print(&[(e.0, e.1, e.2, e.3 ^ 1 << bit, e.4, e.5)]));
        prints.push(print(&[(e.0, e.1, e.2, e.3, e.4 ^ 1 << bit, e.5)]));
        prints.push(print(&[(e.0, e.1, e.2, e.3, e.4, e.5 ^ 1 << bit)]));
        if bit < 32 {
            prints.push(print(&[(e.0, e.1, e.2 ^ 1 << bit, e.3, e.4, e.5)]));
        }
    }
    let count = prints.len();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), count);
    assert_ne!(Fingerprint::new(1).finalise(), Fingerprint::new(2).finalise());
}

#[test]
fn no_release_and_no_platform_changes_a_fingerprint() {
    assert_eq!(fold(1, 2), 0xbd60_66e6_b2ae_ea0c);
    assert_eq!(hash(&1), 0xaee0_dd96_d540_7bf7);
    assert_eq!(hash(&(1, -2)), 0xaee9_2a5e_a161_9495);
    assert_eq!(hash(&1.5), 0x6f75_cc68_7874_8501);
    assert_eq!(hash("a string of more than eight bytes"), 0xa5be_6a50_2728_77db);
    let map = BTreeMap::from([("a".to_owned(), Value::Maybe(None))]);
    let nested = Value::Seq(vec![
        Value::Unit,
        Value::Map(map),
        Value::Fields { a: Box::new(Value::Bool(true)), b: 1 },
    ]);
    assert_eq!(hash(&nested), 0x4698_7442_6a74_06d6);
    let mut print = Fingerprint::new(7);
    print.mix(Tag::Receive, Time::from_nanos(-1), 3, 8, 2, hash(&1));
    assert_eq!(print.finalise(), 0xc2d0_4408_8ad3_552d);
}
