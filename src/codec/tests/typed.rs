//! Rust types written and read straight, against the way by a value.

use std::collections::BTreeMap;
use std::fmt::Debug;

use chrono::{DateTime, FixedOffset, Utc};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::serde::Point;
use super::values;
use crate::codec::{Codec, CodecError, Limits, Reference, Value, from_value, to_value};

const CODECS: [Codec; 3] = [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc];

/// Something of everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    small: i8,
    large: u64,
    huge: Option<i128>,
    power: f64,
    single: f32,
    letter: char,
    name: String,
    unit: (),
    pair: (u16, String),
    list: Vec<Option<i64>>,
    by_name: BTreeMap<String, Shape>,
    by_number: BTreeMap<i32, bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<u8>,
    point: Point,
    at: DateTime<Utc>,
    zoned: DateTime<FixedOffset>,
    proxy: Reference,
    wrapped: Meters,
    any: Value,
    #[serde(flatten)]
    flat: Flat,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Flat {
    depth: u32,
    tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle(f64),
    Maybe(Option<u8>),
    Line(i64, i64),
    Named { name: String, points: Vec<Point> },
}

fn shape() -> impl Strategy<Value = Shape> {
    let point = (-9i32..9, -9i32..9).prop_map(|(x, y)| Point { x: x.into(), y: f64::from(y) / 8.0 });
    prop_oneof![
        Just(Shape::Nothing),
        (-1e9..1e9).prop_map(Shape::Circle),
        any::<Option<u8>>().prop_map(Shape::Maybe),
        any::<(i64, i64)>().prop_map(|(a, b)| Shape::Line(a, b)),
        (any::<String>(), proptest::collection::vec(point, 0..3))
            .prop_map(|(name, points)| Shape::Named { name, points }),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let scalars =
        (any::<bool>(), any::<i8>(), any::<u64>(), -1e9..1e9, any::<i16>(), any::<char>(), any::<String>());
    let maps = (
        proptest::collection::btree_map("[a-z_]{0,9}", shape(), 0..4),
        proptest::collection::btree_map(any::<i32>(), any::<bool>(), 0..20),
        proptest::collection::vec(any::<Option<i64>>(), 0..20),
        any::<(u16, String)>(),
        proptest::collection::vec("[a-z]{0,40}", 0..3),
    );
    let rest = (any::<Option<u8>>(), 0i64..2_000_000_000, -1400i32..1400, values::common(), "[a-z/]{0,9}");
    (scalars, maps, rest).prop_map(|(scalars, maps, rest)| {
        let (flag, small, large, power, single, letter, name) = scalars;
        let (by_name, by_number, list, pair, tags) = maps;
        let (left_out, seconds, minutes, any, path) = rest;
        let at = DateTime::from_timestamp(seconds, 250_000_000).unwrap();
        Everything {
            flag,
            small,
            large,
            huge: left_out.map(|n| i128::from(n) - 100),
            power,
            single: single.into(),
            letter,
            name,
            unit: (),
            pair,
            list,
            by_name,
            by_number,
            left_out,
            point: Point { x: power, y: 0.5 },
            at,
            zoned: at.with_timezone(&FixedOffset::east_opt(minutes * 60).unwrap()),
            proxy: Reference::Path(path),
            wrapped: Meters(-power),
            // what is null is as good as left out
            any: Value::List(vec![any]),
            flat: Flat { depth: 7, tags },
        }
    })
}

/// Written straight and by a value, read straight and by a value: four ways, one result.
fn four_ways<T: Serialize + DeserializeOwned + Debug>(value: &T) -> Result<(), TestCaseError> {
    for codec in CODECS {
        let (mut direct, mut by_value) = (Vec::new(), Vec::new());
        codec.write(value, &values::types(), &mut direct).unwrap();
        codec.encode(&to_value(value).unwrap(), &values::types(), &mut by_value).unwrap();
        prop_assert_eq!(direct.escape_ascii().to_string(), by_value.escape_ascii().to_string());
        prop_assert_eq!(again::<T>(codec, &direct).unwrap(), format!("{value:?}"));
    }
    Ok(())
}

/// What is read straight, after comparing it with what is read by a value.
fn again<T: DeserializeOwned + Debug>(codec: Codec, bytes: &[u8]) -> Result<String, CodecError> {
    let (limits, types) = (Limits::default(), values::types());
    let direct = codec.read::<T>(bytes, &limits, &types).map(|value| format!("{value:?}"));
    let by_value =
        codec.decode(bytes, &limits, &types).and_then(from_value::<T>).map(|value| format!("{value:?}"));
    assert_eq!(direct, by_value);
    direct
}

proptest! {
    #[test]
    fn types_are_written_and_read_straight_as_by_a_value(value in everything()) {
        four_ways(&value)?;
    }

    #[test]
    fn enums_are_written_and_read_straight_as_by_a_value(value in proptest::collection::vec(shape(), 0..4)) {
        four_ways(&value)?;
    }

    /// Whatever arrives, both ways accept and refuse the same, with the same words.
    #[test]
    fn any_value_is_read_straight_as_by_a_value(value in values::common()) {
        for codec in CODECS {
            let mut bytes = Vec::new();
            codec.encode(&value, &values::types(), &mut bytes).unwrap();
            macro_rules! every {
                ($($type:ty),*) => { $(let _ = again::<$type>(codec, &bytes);)* };
            }
            every!(
                bool, i8, u64, i128, f32, f64, char, String, (), (i64, f64), Vec<i64>, Vec<Value>, Option<String>,
                BTreeMap<String, Value>, BTreeMap<i64, f64>, BTreeMap<bool, Option<i8>>, Point, Shape, Flat, Meters,
                DateTime<Utc>, Reference, Everything, Vec<Shape>, serde::de::IgnoredAny
            );
        }
    }
}

fn straight<T: DeserializeOwned + Debug>(text: &str) -> Result<String, String> {
    again::<T>(Codec::Json, text.as_bytes()).map_err(|e| e.to_string())
}

#[test]
fn reading_straight_has_the_same_corners() {
    // an integer where a float is asked, a struct from a list, keys as numbers
    assert_eq!(
        straight::<(f64, Flat)>(r#"[1, [2, ["a"]]]"#).unwrap(),
        r#"(1.0, Flat { depth: 2, tags: ["a"] })"#
    );
    assert_eq!(
        straight::<BTreeMap<i8, bool>>(r#"{"-1": true, "2": false}"#).unwrap(),
        "{-1: true, 2: false}"
    );
    // equal keys
    assert_eq!(straight::<BTreeMap<String, i8>>(r#"{"a": 1, "a": 2}"#).unwrap(), r#"{"a": 2}"#);
    assert_eq!(
        straight::<Flat>(r#"{"depth": 1, "tags": [], "depth": 2}"#).unwrap(),
        "Flat { depth: 2, tags: [] }"
    );
    assert_eq!(
        straight::<Value>(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap(),
        r#"Map([(Str("a"), Int(3)), (Str("b"), Int(2))])"#
    );
    // unknown fields are passed over and yet checked
    assert_eq!(
        straight::<Flat>(r#"{"x": [{}], "depth": 1, "tags": []}"#).unwrap(),
        "Flat { depth: 1, tags: [] }"
    );
    assert!(
        straight::<Flat>(r#"{"x": [{]], "depth": 1, "tags": []}"#)
            .unwrap_err()
            .contains("invalid JSON at byte 8")
    );
    assert_eq!(straight::<(i8, i8)>("[1, 2, 3]").unwrap_err(), "expected a list of 2, got 3 elements");
    // custom types, spelled so that they are not seen at first sight
    for key in ["__type__", r"\u005f_type__", r"_\u005ftype__"] {
        let text = format!(r#"{{ "{key}" : [1, {{"x": 1, "y": 2}}] }}"#);
        assert_eq!(straight::<Point>(&text).unwrap(), "Point { x: 1.0, y: 2.0 }");
        assert!(
            straight::<BTreeMap<String, Value>>(&text)
                .unwrap_err()
                .contains("expected a dict, got object Point(")
        );
    }
    assert_eq!(straight::<Shape>(r#""Maybe""#).unwrap(), "Maybe(None)");
    assert!(straight::<Shape>(r#"{"Circle": 1, "Line": 2}"#).is_err());
    assert!(straight::<Shape>("{}").is_err());
}

#[test]
fn a_number_of_entries_that_was_announced_wrongly_is_corrected() {
    struct Liar(Option<usize>, usize);
    impl Serialize for Liar {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::{SerializeMap, SerializeSeq};
            if self.1.is_multiple_of(2) {
                let mut list = serializer.serialize_seq(self.0)?;
                (0..self.1).try_for_each(|n| list.serialize_element(&n))?;
                list.end()
            } else {
                let mut map = serializer.serialize_map(self.0)?;
                (0..self.1).try_for_each(|n| map.serialize_entry(&n, &n))?;
                map.end()
            }
        }
    }
    for announced in [None, Some(0), Some(3), Some(15), Some(16), Some(70_000), Some(usize::MAX)] {
        for count in [0, 1, 15, 16, 17, 300, 65_536, 65_537] {
            let liar = Liar(announced, count);
            let mut bytes = Vec::new();
            Codec::MsgPack.write(&(1, liar, 2), &values::types(), &mut bytes).unwrap();
            let limits = Limits { nodes: 1 << 20, ..Limits::default() };
            let value = Codec::MsgPack.decode(&bytes, &limits, &values::types()).unwrap();
            let inner = &value.as_list().unwrap()[1];
            assert_eq!(inner.as_list().map_or_else(|| inner.as_map().unwrap().len(), <[Value]>::len), count);
        }
    }
}

/// The error of writing straight, after comparing it with that of the way by a value.
fn unwritable<T: Serialize>(codec: Codec, value: T) -> String {
    let (mut direct, mut by_value) = (b"before".to_vec(), b"before".to_vec());
    let error = codec.write(&value, &values::types(), &mut direct).unwrap_err();
    let other = codec.encode(&to_value(&value).unwrap(), &values::types(), &mut by_value).unwrap_err();
    assert_eq!((error.to_string(), b"before".as_slice()), (other.to_string(), &*direct));
    error.to_string()
}

#[test]
fn what_cannot_be_written_says_the_same_straight_and_by_a_value() {
    #[derive(Serialize)]
    struct Reserved {
        #[serde(rename = "__type__")]
        kind: u8,
    }
    #[derive(Serialize)]
    #[serde(rename = "$type::Unheard")]
    struct Unheard(u8);
    for codec in CODECS {
        let reserved = "a dict with the key \"__type__\" cannot be sent";
        assert!(unwritable(codec, [Some(Reserved { kind: 1 })]).starts_with(reserved));
        assert!(unwritable(codec, BTreeMap::from([("__type__", 1), ("a", 2)])).starts_with(reserved));
        assert!(unwritable(codec, BTreeMap::from([('a', Reserved { kind: 1 })])).starts_with(reserved));
        assert!(unwritable(codec, Unheard(1)).contains("Unheard is not registered"));
        let early = "+10000-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
        assert!(unwritable(codec, early).contains("outside the years 1 to 9999"));
        assert!(unwritable(codec, BTreeMap::from([(BTreeMap::<u8, u8>::new(), 1)])).contains("dict"));
    }
    assert!(unwritable(Codec::MsgPack, (1, u128::MAX)).contains("beyond 64 bits"));
    assert!(unwritable(Codec::Json, BTreeMap::from([((1, 2), 3)])).contains("JSON keys must be"));
}

#[test]
fn recursive_types_are_read_to_the_limit_and_not_to_the_end_of_the_stack() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Tree {
        Leaf,
        Node {
            children: Vec<Tree>,
            #[serde(default)]
            note: Option<String>,
        },
    }
    let mut deep = Tree::Leaf;
    // each is an enum, a struct and a list
    for _ in 0..42 {
        deep = Tree::Node { children: vec![deep], note: None };
    }
    four_ways(&deep).unwrap();
    let deeper = Tree::Node { children: vec![deep], note: None };
    for codec in CODECS {
        assert!(unwritable(codec, &deeper).starts_with("nested deeper than 128"));
    }
    let text = [r#"{"Node":{"children":["#.repeat(5000), "]}}".repeat(5000)].concat();
    assert!(straight::<Tree>(&text).unwrap_err().starts_with("nested deeper than 128"));
}
