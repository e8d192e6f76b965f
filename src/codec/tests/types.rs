use super::super::{Codec, Limits, Reference, Types, Value, json, to_value};
use super::serde::{Origin, Point};

#[test]
fn custom_types_have_the_numbers_of_their_place() {
    let date = Value::from(chrono::DateTime::UNIX_EPOCH);
    let proxy = Value::Proxy(Reference::Path("sub".into()));
    let point = to_value(&Point { x: 1.0, y: 2.0 }).unwrap();
    let origin = to_value(&Origin).unwrap();
    let users = ["Point", "Origin"];
    let number = |value: &Value, types: &Types| {
        let mut out = b"x".to_vec();
        match Codec::Json.encode(value, types, &mut out) {
            Ok(()) => {
                let back = Codec::Json.decode(&out[1..], &Limits::default(), types).unwrap();
                assert!(back.same(value), "{back} from {value}");
                let Value::Map(entries) = json::decode(&out[1..], &Limits::default()).unwrap() else {
                    panic!()
                };
                assert_eq!(entries[0].0, Value::from("__type__"));
                Ok(entries[0].1.as_list().unwrap()[0].as_i64().unwrap())
            }
            Err(e) => {
                assert_eq!(out, b"x");
                Err(e.to_string())
            }
        }
    };
    for (types, expected) in [
        (Types::channel(users), [None, Some(0), Some(1), None]),
        (Types::rpc(users), [None, Some(0), Some(1), Some(2)]),
        (Types::rpc([""; 0]), [None, None, None, Some(0)]),
        (Types::container(users), [Some(0), Some(1), Some(2), Some(3)]),
        (Types::container([""; 0]), [Some(0), None, None, Some(1)]),
    ] {
        let numbers = [&date, &point, &origin, &proxy].map(|value| number(value, &types).ok());
        assert_eq!(numbers, expected, "{types:?}");
    }
    assert_eq!(
        number(&point, &Types::container(["A", "B"])).unwrap_err(),
        "the type Point is not registered for this connection, which knows A, B"
    );
    let address = Value::Proxy(Reference::from_text("tcp://localhost:5555/0"));
    let types = Types::container(users);
    assert!(number(&address, &types).unwrap_err().contains("cannot be passed on"));
    assert_eq!(number(&address, &types.with_addresses()), Ok(3));
}

#[test]
fn what_a_peer_numbers_otherwise_is_kept_and_goes_back_as_it_came() {
    let types = Types::container(["Point"]);
    for text in [
        r#"{"__type__":[3,{"a":1}]}"#,
        r#"{"__type__":[4294967295,null]}"#,
        r#"{"__type__":[0,"not a date"]}"#,
        r#"{"__type__":[0,5]}"#,
        r#"[{"k":{"__type__":[9,{"__type__":[0,"1970-01-01T00:00:00+00:00"]}]}}]"#,
    ] {
        let value = Codec::Json.decode(text.as_bytes(), &Limits::default(), &types).unwrap();
        let mut out = Vec::new();
        Codec::Json.encode(&value, &types, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}

#[test]
fn a_dict_that_would_be_a_custom_type_is_refused_on_sending() {
    let types = Types::rpc([""; 0]);
    for text in [
        r#"{"__type__":"boom"}"#,
        r#"{"__type__":[-1,2]}"#,
        r#"{"__type__":[1]}"#,
        r#"{"a":1,"__type__":[0,"x"]}"#,
    ] {
        let value = Codec::Json.decode(text.as_bytes(), &Limits::default(), &types).unwrap();
        assert!(value.as_map().is_some(), "{value}");
        let mut out = b"before".to_vec();
        let error =
            Codec::Json.encode(&Value::list([value.clone()]), &types, &mut out).unwrap_err().to_string();
        assert!(error.starts_with(r#"a dict with the key "__type__" cannot be sent"#), "{error}");
        assert_eq!(out, b"before");
        // where the key means nothing it is a key as any other
        out.clear();
        Codec::Json.encode(&value, &Types::none(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}

#[test]
fn without_custom_types_dates_and_proxies_are_text() {
    let value = Value::List(vec![
        Value::from(chrono::DateTime::UNIX_EPOCH),
        Value::Proxy(Reference::Path("agents/0".into())),
        to_value(&Point { x: 1.0, y: 2.0 }).unwrap(),
    ]);
    let mut out = Vec::new();
    json::encode(&value, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"["1970-01-01T00:00:00+00:00","agents/0",{"x":1.0,"y":2.0}]"#
    );
}
