use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{Object, Reference, TypeName, Value, from_value, to_value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Bus {
    name: String,
    p_mw: f64,
    #[serde(default)]
    phases: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Mode {
    Off,
    Fixed(f64),
    Ramp(i64, i64),
    Follow { source: String },
}

fn there_and_back<T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(
    value: T,
    text: &str,
) {
    let as_value = to_value(&value).unwrap();
    assert_eq!(as_value.to_string(), text);
    assert_eq!(from_value::<T>(as_value).unwrap(), value);
}

fn mismatch<T: for<'de> Deserialize<'de> + std::fmt::Debug>(value: Value) -> String {
    from_value::<T>(value).unwrap_err().to_string()
}

#[test]
fn rust_types_go_there_and_back() {
    there_and_back((), "null");
    there_and_back((1, "a".to_owned(), 'c', Some(2.5), None::<bool>), r#"[1,"a","c",2.5,null]"#);
    there_and_back(
        Bus { name: "b".into(), p_mw: 1.0, phases: Some(3) },
        r#"{"name":"b","p_mw":1.0,"phases":3}"#,
    );
    there_and_back(Mode::Off, r#""Off""#);
    there_and_back(Mode::Fixed(1.5), r#"{"Fixed":1.5}"#);
    there_and_back(Mode::Ramp(1, 2), r#"{"Ramp":[1,2]}"#);
    there_and_back(Mode::Follow { source: "pv".into() }, r#"{"Follow":{"source":"pv"}}"#);
    there_and_back(u64::MAX, "18446744073709551615");
    there_and_back(i128::MIN, "-170141183460469231731687303715884105728");
    there_and_back(u128::MAX, "340282366920938463463374607431768211455");
    there_and_back(BTreeMap::from([(3, true), (4, false)]), "{3:true,4:false}");
    there_and_back(vec![1u8, 2], "[1,2]");
}

#[test]
fn an_integer_is_accepted_where_a_float_is_asked_but_not_the_other_way_round() {
    assert_eq!(from_value::<f64>(Value::Int(10)).unwrap(), 10.0);
    assert_eq!(from_value::<f64>(Value::UInt(1 << 63)).unwrap(), 2f64.powi(63));
    assert_eq!(mismatch::<i64>(Value::Float(10.0)), "expected an int, got float 10.0");
    assert_eq!(mismatch::<f64>(Value::Bool(true)), "expected a float, got bool true");
    assert_eq!(mismatch::<u8>(Value::Int(300)), "expected u8, got int 300");
}

#[test]
fn keys_that_json_made_text_are_read_as_numbers_again() {
    let value = Value::map([("1", "a"), ("-2", "b")]);
    assert_eq!(
        from_value::<BTreeMap<i32, String>>(value).unwrap(),
        BTreeMap::from([(1, "a".into()), (-2, "b".into())])
    );
    let value = Value::map([("true", 1)]);
    assert_eq!(from_value::<BTreeMap<bool, u8>>(value).unwrap(), BTreeMap::from([(true, 1)]));
    assert_eq!(mismatch::<BTreeMap<i32, u8>>(Value::map([("x", 1)])), r#".x: expected an int, got str "x""#);
}

#[test]
fn a_struct_is_read_from_a_dict_or_a_list() {
    let bus = Bus { name: "b".into(), p_mw: 2.0, phases: None };
    let map = Value::Map(vec![
        (Value::from("unknown"), Value::list([1])),
        (Value::from("p_mw"), Value::Int(2)),
        (Value::from("name"), Value::from("b")),
    ]);
    assert_eq!(from_value::<Bus>(map).unwrap(), bus);
    let list = Value::list([Value::from("b"), Value::from(2), Value::Null]);
    assert_eq!(from_value::<Bus>(list).unwrap(), bus);
}

#[test]
fn errors_say_where_expected_and_got() {
    let wrong = Value::list([Value::map([("p_mw", "abc")])]);
    assert_eq!(mismatch::<Vec<Bus>>(wrong), r#"[0].p_mw: expected a float, got str "abc""#);
    assert_eq!(mismatch::<Bus>(Value::map([("name", "x")])), "missing field 'p_mw'");
    assert_eq!(mismatch::<f64>(Value::Null), "expected a float, got None");
    assert_eq!(mismatch::<String>(Value::list([1, 2])), "expected a str, got list [1,2]");
    assert_eq!(mismatch::<(f64, f64)>(Value::list([1, 2, 3])), "expected a list of 2, got 3 elements");
    assert!(
        mismatch::<(f64, f64)>(Value::list([1])).contains("1 element"),
        "{}",
        mismatch::<(f64, f64)>(Value::list([1]))
    );
    assert!(mismatch::<Mode>(Value::from("On")).contains("On"));
    let long = mismatch::<f64>(Value::from("x".repeat(1000)));
    assert!(long.len() < 100 && long.ends_with("..."), "{long}");
    let long = mismatch::<f64>(Value::list(vec![1; 1000]));
    assert!(long.len() < 100 && long.ends_with("..."), "{long}");
}

#[test]
fn a_value_within_a_type_is_kept_as_it_is() {
    let big = Value::BigInt("-".to_owned() + &"9".repeat(50));
    let value = Value::list([big.clone(), Value::Bytes(vec![1]), Value::Float(1.0), Value::Null]);
    assert_eq!(from_value::<Vec<Value>>(value.clone()).unwrap(), value.as_list().unwrap());
    assert_eq!(to_value(&value).unwrap(), value);
    let options = from_value::<Vec<Option<Value>>>(Value::list([big.clone(), Value::Null])).unwrap();
    assert_eq!(options, [Some(big), None]);
}

#[test]
fn same_knows_one_nan_and_two_zeros() {
    let nan = Value::map([(1, Value::list([f64::NAN]))]);
    assert_ne!(nan, nan.clone());
    assert!(nan.same(&Value::map([(1, Value::list([-f64::NAN]))])));
    assert!(!Value::from(0.0).same(&Value::from(-0.0)));
    assert!(!Value::from(1.0).same(&Value::from(1)));
}

/// Dates, a proxy, an integer beyond 64 bits, an extension, objects known and unknown.
fn marked() -> Vec<Value> {
    let object = |name, data| Value::Object(Box::new(Object { name, data }));
    let zone = chrono::FixedOffset::east_opt(3600).unwrap();
    vec![
        Value::from(chrono::DateTime::from_timestamp_nanos(1_451_602_800_123_456_789)),
        Value::Date(chrono::DateTime::UNIX_EPOCH.with_timezone(&zone)),
        Value::Proxy(Reference::from_text("agents/0")),
        Value::Proxy(Reference::from_text("tcp://localhost:5555/0")),
        Value::BigInt("-".to_owned() + &"9".repeat(50)),
        Value::Ext(-5, vec![0, 255]),
        object(TypeName::Known("Point".into()), Value::map([("x", 1)])),
        object(TypeName::Unknown(7), Value::list([Value::from("$isochrone::Date"), Value::Null])),
    ]
}

#[test]
fn what_serde_has_no_word_for_survives_it() {
    for value in marked() {
        let nested = Value::list([Value::map([("a", value.clone())]), value.clone()]);
        assert!(to_value(&nested).unwrap().same(&nested), "{nested}");
        assert!(from_value::<Value>(nested.clone()).unwrap().same(&nested), "{nested}");
        let options = from_value::<Vec<Option<Value>>>(Value::list([value.clone(), Value::Null])).unwrap();
        assert!(options[0].as_ref().unwrap().same(&value) && options[1].is_none());
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$type::Point")]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$type::Grid")]
struct Grid(Vec<Point>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$type::Origin")]
pub(super) struct Origin;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$type::Pair")]
struct Pair(i32, String);

#[test]
fn a_type_named_so_is_an_object_and_read_from_one() {
    there_and_back(Point { x: 1.0, y: 2.5 }, r#"Point({"x":1.0,"y":2.5})"#);
    there_and_back(Grid(vec![Point { x: 1.0, y: 2.5 }]), r#"Grid([Point({"x":1.0,"y":2.5})])"#);
    there_and_back(Some(Origin), "Origin(null)");
    there_and_back(Pair(1, "a".into()), r#"Pair([1,"a"])"#);
    let plain = Value::map([("x", 1), ("y", 2)]);
    assert_eq!(from_value::<Point>(plain).unwrap(), Point { x: 1.0, y: 2.0 });
    let origin = to_value(&Origin).unwrap();
    assert_eq!(mismatch::<Point>(origin), "expected Point, got object Origin(null)");
}
