use proptest::prelude::*;

use super::{decode, encode};
use crate::codec::{CodecErrorKind, Limits, Value, from_value, to_value};

fn read(text: &str) -> Value {
    decode(text.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(bytes: &[u8]) -> String {
    match decode(bytes, &Limits::default()) {
        Ok(value) => panic!("{} was read as {value}", bytes.escape_ascii()),
        Err(e) => e.to_string(),
    }
}

fn write(value: &Value) -> String {
    let mut out = b"before".to_vec();
    encode(value, &mut out).unwrap();
    String::from_utf8(out).unwrap().split_off(6)
}

fn from_serde(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => n
            .as_i64()
            .map(Value::Int)
            .or(n.as_u64().map(Value::UInt))
            .unwrap_or(Value::Float(n.as_f64().unwrap())),
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(from_serde).collect()),
        serde_json::Value::Object(map) => Value::map(map.iter().map(|(k, v)| (k.as_str(), from_serde(v)))),
    }
}

/// Entries by key, as serde_json keeps them.
fn sorted(value: Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.into_iter().map(sorted).collect()),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.as_str().cmp(&b.0.as_str()));
            Value::Map(entries)
        }
        other => other,
    }
}

/// Values that JSON can hold, as the reader would build them.
fn values(finite: bool) -> impl Strategy<Value = Value> {
    let float = if finite {
        (proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO).boxed()
    } else {
        proptest::num::f64::ANY.boxed()
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000i64..1000).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        float.prop_map(Value::from),
        (-100_000i64..100_000).prop_map(|n| Value::from(n as f64 / 1000.0)),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 12, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::List),
            proptest::collection::btree_map("[a-c\u{e4}\"]{0,9}", inner, 0..12).prop_map(Value::map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_bit_by_bit(value in values(false)) {
        let text = write(&value);
        prop_assert!(read(&text).same(&value), "{} from {}", read(&text), text);
    }

    #[test]
    fn we_and_serde_json_read_each_other(value in values(true)) {
        let text = write(&value);
        let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert!(from_serde(&theirs).same(&sorted(value.clone())));
        for text in [serde_json::to_string(&theirs).unwrap(), serde_json::to_string_pretty(&theirs).unwrap()] {
            prop_assert!(sorted(read(&text)).same(&sorted(value.clone())));
        }
    }

    #[test]
    fn decimals_are_read_as_the_standard_library_reads_them(
        text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"
    ) {
        let Value::Float(x) = read(&text) else { return Ok(()) };
        prop_assert_eq!(x.to_bits(), text.parse::<f64>().unwrap().to_bits());
    }

    #[test]
    fn values_survive_serde(value in values(false)) {
        prop_assert!(to_value(&value).unwrap().same(&value));
        prop_assert!(from_value::<Value>(value.clone()).unwrap().same(&value));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![
        proptest::sample::select(b"[]{}\",:\\u0123eE.-+ntfaNI \xc3\xa4".to_vec()), any::<u8>()], 0..60)
    ) {
        let _ = decode(&bytes, &Limits::default());
    }
}

#[test]
fn a_truncated_payload_is_refused_at_every_byte() {
    let text = "[0, 6, [\"step\\u00e4 \\\"\", [2, {\"a0\": {\"level\": {\"Src.ä\": -12.5e-3, \"x\": [true, null, NaN]}}}, -Infinity], {}]]";
    read(text);
    for end in 0..text.len() {
        refused(&text.as_bytes()[..end]);
    }
}

#[test]
fn numbers_keep_their_python_type() {
    for (text, value) in [
        ("10", Value::Int(10)),
        ("10.0", Value::Float(10.0)),
        ("-0", Value::Int(0)),
        ("-0.0", Value::Float(-0.0)),
        ("1e3", Value::Float(1000.0)),
        ("1E+3", Value::Float(1000.0)),
        ("1e999", Value::Float(f64::INFINITY)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("9223372036854775808", Value::UInt(1 << 63)),
        ("18446744073709551615", Value::UInt(u64::MAX)),
        ("18446744073709551616", Value::BigInt("18446744073709551616".into())),
        ("-9223372036854775809", Value::BigInt("-9223372036854775809".into())),
        ("11.111111111111109", Value::Float(11.111111111111109)),
        ("0.1", Value::Float(0.1)),
        ("5e-324", Value::Float(5e-324)),
        ("NaN", Value::Float(f64::NAN)),
        ("Infinity", Value::Float(f64::INFINITY)),
        ("-Infinity", Value::Float(f64::NEG_INFINITY)),
    ] {
        assert!(read(text).same(&value), "{text} was read as {:?}", read(text));
        assert!(read(&write(&value)).same(&value));
    }
    for text in
        ["01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "0x10", "-NaN", "nan", "inf", "1_000", "--1"]
    {
        refused(text.as_bytes());
    }
}

#[test]
fn ten_megabytes_of_digits_are_one_integer() {
    let mut text = "1".repeat(10_000_000);
    assert_eq!(read(&text), Value::BigInt(text.clone()));
    text.insert(1, '.');
    assert_eq!(read(&text), Value::Float(1.111_111_111_111_111_2));
}

#[test]
fn strings_are_unescaped_as_python_does() {
    for (text, string) in [
        (r#""Gr\u00f6\u00dfe""#, "Größe"),
        (r#""\ud83d\ude00 raw 😀""#, "😀 raw 😀"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""a longer text \u0041 with plain runs around""#, "a longer text A with plain runs around"),
        ("\"\u{7f}\"", "\u{7f}"),
    ] {
        assert_eq!(read(text), Value::from(string));
        assert_eq!(read(&write(&Value::from(string))), Value::from(string));
    }
    assert_eq!(write(&Value::from("\u{1}\u{1f}\n\"\\ß")), r#""\u0001\u001f\n\"\\ß""#);
}

#[test]
fn half_a_surrogate_pair_is_refused_or_becomes_a_replacement_character() {
    for (text, string) in [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\udc00x""#, "\u{fffd}x"),
        (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ud800\n""#, "\u{fffd}\n"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
    ] {
        assert_eq!(read(text), Value::from(string));
        // where losing nothing matters more than going on
        let types = crate::codec::Types::rpc([""; 0]);
        let error =
            crate::codec::Codec::Json.decode(text.as_bytes(), &Limits::default(), &types).unwrap_err();
        assert!(error.to_string().contains("half a surrogate pair"), "{error}");
    }
}

#[test]
fn bad_strings_are_refused() {
    for bytes in [
        b"\"\\x41\"".as_slice(),
        b"\"\\u12\"",
        b"\"\\u12g4\"",
        b"\"\\u+123\"",
        b"\"\n\"",
        b"\"\0\"",
        b"\"abc",
        b"\"abc\\",
        b"'abc'",
    ] {
        refused(bytes);
    }
    for bytes in [b"\"\xff\"".as_slice(), b"\"\xed\xa0\x80\"", b"\"\xc3\"", b"\xc0\x80", b"[1]\xf8"] {
        assert!(refused(bytes).contains("not UTF-8"));
    }
    assert!(refused("\u{feff}[1]".as_bytes()).contains("byte order mark"));
}

#[test]
fn of_equal_keys_the_last_wins_at_the_place_of_the_first() {
    assert_eq!(write(&read(r#"{"a":1,"b":2,"a":3,"\u0061":4}"#)), r#"{"a":4,"b":2}"#);
    let keys: Vec<String> = (0..3000).map(|i| format!("\"k{}\":{i}", i % 1000)).collect();
    let value = read(&format!("{{{}}}", keys.join(",")));
    let entries = value.as_map().unwrap();
    assert_eq!(entries.len(), 1000);
    for (i, (key, value)) in entries.iter().enumerate() {
        assert_eq!((key, value), (&Value::from(format!("k{i}")), &Value::from(2000 + i)));
    }
}

#[test]
fn nesting_ends_at_the_limit_and_not_at_the_stack() {
    let deep = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
    assert!(decode(&deep(128), &Limits::default()).is_ok());
    let error = decode(&deep(129), &Limits::default()).unwrap_err();
    assert_eq!(*error.kind(), CodecErrorKind::Depth { limit: 128, offset: 128 });
    refused(&vec![b'['; 100_000]);
    refused(&b"{\"a\":".repeat(100_000));
    let wide = vec!["[]"; 1000].join(",");
    read(&format!("[{wide}]"));
}

#[test]
fn the_number_of_values_ends_at_the_limit() {
    let limits = Limits { nodes: 4, ..Limits::default() };
    assert!(decode(b"[1,2,3]", &limits).is_ok());
    assert!(decode(b"{\"a\":1}", &limits).is_ok());
    for text in ["[1,2,3,4]", r#"{"a":1,"b":2}"#] {
        let error = decode(text.as_bytes(), &limits).unwrap_err();
        assert!(matches!(error.kind(), CodecErrorKind::Nodes { limit: 4, .. }), "{error}");
    }
}

#[test]
fn punctuation_is_strict() {
    for text in [
        "",
        " ",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "[1]]",
        "1 2",
        "nul",
        "// 1",
    ] {
        refused(text.as_bytes());
    }
    assert_eq!(read(" \t\r\n[ 1 , { \"a\" : [ ] } ]\n").to_string(), r#"[1,{"a":[]}]"#);
    assert_eq!(refused(b"[1, x]"), "invalid JSON at byte 4: expected a value (near `x]`)");
}

#[test]
fn keys_are_coerced_as_python_does() {
    let value = Value::Map(vec![
        (Value::Int(1), Value::Null),
        (Value::Bool(true), Value::Null),
        (Value::Null, Value::Null),
        (Value::Float(1.5), Value::Null),
        (Value::from("s"), Value::Null),
    ]);
    assert_eq!(write(&value), r#"{"1":null,"true":null,"null":null,"1.5":null,"s":null}"#);
}

#[test]
fn bytes_are_refused_and_nothing_stays_in_the_buffer() {
    let mut out = b"before".to_vec();
    let value = Value::list([Value::from(1), Value::Bytes(vec![1, 2])]);
    let error = encode(&value, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "JSON has no bytes, got 2 of them; send a str or a list of int, or use MsgPack"
    );
    assert_eq!(out, b"before");
    let error = encode(&Value::Map(vec![(Value::List(vec![]), Value::Null)]), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "JSON keys must be str, int, float, bool or None, not list");
    assert_eq!(out, b"before");
}
