//! Our codecs and the real aiomas's: what one writes the other reads, frame by frame and at random.
//!
//! The frames in `golden/aiomas_frames.json` were taken from the wire between aiomas programs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use isochrone::codec::{Codec, Limits, Object, Reference, TypeName, Types, Value, json};
use proptest::prelude::*;

#[path = "peers/setup.rs"]
mod peers;

/// The program `peers/aiomas/codecs.py`.
struct Aiomas {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Aiomas {
    fn start() -> Self {
        let mut process = Command::new(peers::python())
            .arg(peers::root().join("tests/peers/aiomas/codecs.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peers' Python runs");
        let stdin = process.stdin.take().expect("piped");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        Aiomas { process, stdin, stdout }
    }

    fn ask<const N: usize>(&mut self, request: [(&str, Value); N]) -> Value {
        let mut line = Vec::new();
        json::encode(&Value::map(request), &mut line).unwrap();
        line.push(b'\n');
        self.stdin.write_all(&line).unwrap();
        line.clear();
        self.stdout.read_until(b'\n', &mut line).unwrap();
        let limits = Limits::default();
        json::decode(&line, &limits).unwrap_or_else(|e| panic!("{}: {e}", line.escape_ascii()))
    }

    /// What aiomas makes of these bytes.
    fn decode(&mut self, codec: &str, types: &str, bytes: &[u8]) -> Result<Value, String> {
        let said = self.ask([("decode", hex(bytes)), ("codec", codec.into()), ("types", types.into())]);
        said.get("content").map(build).ok_or_else(|| said.to_string())
    }

    /// What aiomas makes of this content.
    fn encode(&mut self, codec: &str, types: &str, value: &Value) -> Result<Vec<u8>, String> {
        let said = self.ask([("encode", describe(value)), ("codec", codec.into()), ("types", types.into())]);
        said.get("hex").and_then(Value::as_str).map(unhex).ok_or_else(|| said.to_string())
    }
}

impl Drop for Aiomas {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> Value {
    Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A value as `codecs.py` describes it.
fn describe(value: &Value) -> Value {
    let named = |kind: &str, content: Value| Value::map([(kind, content)]);
    match value {
        Value::Null => Value::Null,
        Value::Bool(b) => named("bool", (*b).into()),
        Value::Int(_) | Value::UInt(_) | Value::BigInt(_) => named("int", value.to_string().into()),
        Value::Float(x) if x.is_infinite() => named("float", if *x > 0.0 { "inf" } else { "-inf" }.into()),
        Value::Float(x) => named("float", format!("{x:?}").to_lowercase().into()),
        Value::Str(text) => named("str", text.as_str().into()),
        Value::Bytes(bytes) => named("bytes", hex(bytes)),
        Value::List(items) => named("list", Value::list(items.iter().map(describe))),
        Value::Map(entries) => {
            named("dict", Value::list(entries.iter().map(|(k, v)| Value::list([describe(k), describe(v)]))))
        }
        Value::Date(date) => named("date", date.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false).into()),
        Value::Proxy(reference) => named("proxy", reference.as_text().into()),
        Value::Object(object) => {
            named("object", Value::list([object.name.to_string().into(), describe(&object.data)]))
        }
        Value::Ext(code, bytes) => named("ext", Value::list([Value::from(*code), hex(bytes)])),
        other => panic!("{other}"),
    }
}

/// The value of a description.
fn build(description: &Value) -> Value {
    let Some([(Value::Str(kind), content)]) = description.as_map() else { return description.clone() };
    let text = || content.as_str().unwrap();
    let parts = || content.as_list().unwrap();
    match kind.as_str() {
        "bool" | "str" => content.clone(),
        "int" => json::decode(text().as_bytes(), &Limits::default()).unwrap(),
        "float" => Value::from(text().parse::<f64>().unwrap()),
        "bytes" => Value::Bytes(unhex(text())),
        "list" => Value::list(parts().iter().map(build)),
        "dict" => {
            let pair = |entry: &Value| <[Value; 2]>::try_from(entry.as_list().unwrap().to_vec()).unwrap();
            Value::map(parts().iter().map(pair).map(|[key, value]| (build(&key), build(&value))))
        }
        "date" => Value::Date(text().parse().unwrap()),
        "proxy" => Value::Proxy(Reference::from_text(text())),
        "object" => {
            let name = TypeName::Known(parts()[0].as_str().unwrap().into());
            Value::Object(Box::new(Object { name, data: build(&parts()[1]) }))
        }
        "ext" => Value::Ext(parts()[0].as_i64().unwrap() as i8, unhex(parts()[1].as_str().unwrap())),
        other => panic!("a description of kind {other}"),
    }
}

fn codec(name: &str) -> Codec {
    match name {
        "json" => Codec::Json,
        "msgpack" => Codec::MsgPack,
        "blosc" => Codec::MsgPackBlosc,
        other => panic!("no codec {other}"),
    }
}

fn types(name: &str) -> Types {
    let users = ["Point", "Grid"];
    match name {
        "channel" => Types::channel(users),
        "rpc" => Types::rpc(users),
        "container" => Types::container(users),
        // as it was when the frames were recorded
        "recorded container" => Types::container([""; 0]),
        _ => Types::rpc([""; 0]),
    }
}

fn golden() -> Vec<Value> {
    let frames = include_bytes!("golden/aiomas_frames.json");
    json::decode(frames, &Limits::default()).unwrap().as_list().unwrap().to_vec()
}

/// A frame's case without its codec, its codec, its payload, and its content as we read it.
fn read(frame: &Value) -> (String, String, Vec<u8>, Value) {
    let text = |key: &str| frame.get(key).unwrap().as_str().unwrap().to_owned();
    let (_, case) =
        text("case").split_once(": ").map(|(codec, case)| (codec.to_owned(), case.to_owned())).unwrap();
    let bytes = unhex(&text("hex"));
    let (header, payload) = bytes.split_at(4);
    assert_eq!(u32::from_be_bytes(header.try_into().unwrap()) as usize, payload.len());
    let types =
        types(if case.contains("agent") || case.contains("Manager") { "recorded container" } else { "" });
    let content = codec(&text("codec")).decode(payload, &Limits::default(), &types).unwrap();
    (format!("{case}, from {}", text("from")), text("codec"), payload.to_vec(), content)
}

/// The content of a frame as it is written in the golden file: JSON, with custom types as they are on the wire.
fn meaning(frame: &Value) -> Option<Value> {
    let text = frame.get("meaning").unwrap().as_str().unwrap();
    json::decode(text.as_bytes(), &Limits::default()).ok()
}

#[test]
fn every_golden_frame_decodes_to_its_content() {
    let frames = golden();
    let mut json_frames = Vec::new();
    let mut compared = 0;
    for frame in &frames {
        let (case, codec, payload, content) = read(frame);
        let parts = content.as_list().unwrap();
        assert!(parts.len() == 3 && matches!(parts[0], Value::Int(0..=2)), "{case}: {content}");
        if codec == "json" {
            let plain = json::decode(&payload, &Limits::default()).unwrap();
            assert_eq!(Some(&plain), meaning(frame).as_ref(), "{case}");
            json_frames.push((case, content));
        } else {
            // the same conversation was held in all codecs; a case with several frames has them in order
            let nth = compared_before(&frames, frame);
            let (_, same) = json_frames.iter().filter(|(other, _)| *other == case).nth(nth).unwrap();
            assert!(content.same(same), "{case}: {content} in {codec}, {same} in JSON");
            compared += 1;
        }
    }
    assert_eq!((json_frames.len(), compared), (41, 38));

    let contents: Vec<Value> = json_frames.into_iter().map(|(_, content)| content).collect();
    let all = Value::List(contents).to_string();
    for expected in [
        r#"[0,1,["agents/0/hello",["agents/0","2016-01-01T00:00:00+01:00"],{"n":2}]]"#,
        r#"{"got":"ohai","pi":3.5,"none":null,"l":[true,-1,"ü"]}"#,
        r#"[2,1,"ValueError: 42\n"]"#,
    ] {
        assert!(all.contains(expected), "{expected} in {all}");
    }
}

/// How many frames of the same case, codec and sender stand before this one.
fn compared_before(frames: &[Value], frame: &Value) -> usize {
    let key = |frame: &Value| ["case", "from", "codec"].map(|key| frame.get(key).cloned());
    frames
        .iter()
        .take_while(|other| !std::ptr::eq(*other, frame))
        .filter(|other| key(other) == key(frame))
        .count()
}

#[test]
fn what_we_encode_for_the_content_of_a_golden_frame_aiomas_decodes_to_the_same() {
    let mut aiomas = Aiomas::start();
    for frame in golden() {
        let (case, name, payload, content) = read(&frame);
        // aiomas itself, with the types as they were numbered then
        let mut ours = Vec::new();
        codec(&name).encode(&content, &types("container"), &mut ours).unwrap();
        let theirs = aiomas.decode(&name, "container", &ours).unwrap();
        assert!(theirs.same(&content), "{case}: {theirs} from {content}");
        // and byte for byte, but for the spaces of Python's JSON and the escapes of what is not ASCII
        if name != "json" {
            let mut again = Vec::new();
            let recorded = types(if case.contains("agent") { "recorded container" } else { "" });
            codec(&name).encode(&content, &recorded, &mut again).unwrap();
            assert_eq!(again, payload, "{case}");
        }
    }
}

/// What aiomas can hold and hash, in all codecs.
fn contents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u32..64, any::<i64>()).prop_map(|(shift, n)| Value::from(n >> shift)),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::ANY.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        (-2_000_000_000i64..250_000_000_000, 0u32..1_000_000, -1439i32..1440).prop_map(
            |(seconds, micros, minutes)| {
                let zone = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
                let date = chrono::DateTime::from_timestamp(seconds, micros * 1000).unwrap();
                Value::Date(date.with_timezone(&zone))
            }
        ),
        "[a-z0-9/]{0,9}".prop_map(|path| Value::Proxy(Reference::Path(path))),
    ];
    let object =
        |name: &str, data| Value::Object(Box::new(Object { name: TypeName::Known(name.into()), data }));
    leaf.prop_recursive(4, 40, 18, move |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..18).prop_map(Value::List),
            3 => proptest::collection::btree_map("[a-z\u{e4}]{0,9}", inner.clone(), 0..18).prop_map(Value::map),
            1 => (inner.clone(), inner.clone()).prop_map(move |(x, y)| object("Point", Value::map([("x", x), ("y", y)]))),
            1 => ("[a-z]{3}", inner).prop_map(move |(name, points)| {
                object("Grid", Value::map([("name", Value::from(name)), ("points", points)]))
            }),
        ]
    })
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn what_one_writes_the_other_reads() {
    let mut aiomas = Aiomas::start();
    let mut runner = proptest::test_runner::TestRunner::new(cases(150));
    let aiomas = std::cell::RefCell::new(&mut aiomas);
    let result = runner.run(&contents(), |value| {
        for name in ["json", "msgpack", "blosc"] {
            let mut ours = Vec::new();
            codec(name).encode(&value, &types("container"), &mut ours).unwrap();
            let read = aiomas.borrow_mut().decode(name, "container", &ours).map_err(TestCaseError::fail)?;
            prop_assert!(read.same(&value), "{}: aiomas read {} from {}", name, read, value);
            let theirs =
                aiomas.borrow_mut().encode(name, "container", &value).map_err(TestCaseError::fail)?;
            let read = codec(name).decode(&theirs, &Limits::default(), &types("container")).unwrap();
            prop_assert!(read.same(&value), "{}: we read {} from {}", name, read, value);
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn custom_types_are_numbered_as_aiomas_numbers_them() {
    let mut aiomas = Aiomas::start();
    let point = Value::map([("x", 1), ("y", 2)]);
    let point = Value::Object(Box::new(Object { name: TypeName::Known("Point".into()), data: point }));
    let proxy = Value::Proxy(Reference::Path("sub".into()));
    let date = Value::from(chrono::DateTime::UNIX_EPOCH);
    for (kind, known) in
        [("channel", vec![&point]), ("rpc", vec![&point, &proxy]), ("container", vec![&point, &proxy, &date])]
    {
        for name in ["json", "msgpack", "blosc"] {
            for value in [&point, &proxy, &date] {
                let mut ours = Vec::new();
                let sent = codec(name).encode(value, &types(kind), &mut ours);
                if known.contains(&value) {
                    sent.unwrap();
                    assert!(aiomas.decode(name, kind, &ours).unwrap().same(value), "{value} on a {kind}");
                    let theirs = aiomas.encode(name, kind, value).unwrap();
                    assert!(
                        codec(name).decode(&theirs, &Limits::default(), &types(kind)).unwrap().same(value)
                    );
                } else {
                    sent.unwrap_err();
                }
            }
        }
    }
    // what neither can send
    let big = Value::BigInt("9".repeat(30));
    assert!(aiomas.encode("msgpack", "rpc", &big).is_err());
    assert!(Codec::MsgPack.encode(&big, &types("rpc"), &mut Vec::new()).is_err());
    // what aiomas would die of, and we do not send
    let reserved = br#"{"__type__": [9, 1]}"#;
    assert!(aiomas.decode("json", "rpc", reserved).unwrap_err().contains("KeyError"));
    let value = json::decode(reserved, &Limits::default()).unwrap();
    assert!(Codec::Json.encode(&value, &types("rpc"), &mut Vec::new()).is_err());
}

#[test]
fn what_only_msgpack_has_is_the_same_in_python() {
    let mut aiomas = Aiomas::start();
    let value = Value::Map(vec![
        (Value::Bytes(vec![0, 255]), Value::Ext(5, vec![1, 2, 3])),
        (Value::Int(-1), Value::Ext(-1, vec![0, 0, 0, 1])),
        (Value::Null, Value::Bytes(vec![])),
        (Value::list([Value::Int(1), Value::from("a")]), Value::UInt(u64::MAX)),
        (Value::Float(1.5), Value::Bytes(vec![7; 70_000])),
        (Value::from("long"), Value::from("x".repeat(70_000))),
        (Value::from("list"), Value::list((0..70_000).map(|n| n - 35_000))),
        (Value::from("dict"), Value::map((0..300).map(|n| (n * 1000, n)))),
    ]);
    for name in ["msgpack", "blosc"] {
        let mut ours = Vec::new();
        codec(name).encode(&value, &types("rpc"), &mut ours).unwrap();
        assert!(aiomas.decode(name, "rpc", &ours).unwrap() == value);
        let theirs = aiomas.encode(name, "rpc", &value).unwrap();
        assert!(codec(name).decode(&theirs, &Limits::default(), &types("rpc")).unwrap() == value);
        assert!(name == "blosc" || theirs == ours, "the same bytes");
    }
}

/// Bytes that compress more or less.
fn sample(kind: usize, len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::new();
    while bytes.len() < len {
        match kind {
            0 => bytes.extend(random().to_le_bytes()),
            1 => bytes.extend((random() % 3).to_le_bytes()),
            2 => bytes.resize(bytes.len() + 1 + random() as usize % 300, random() as u8 & 7),
            3 => bytes.extend((bytes.len() as f64 / 7.0).to_le_bytes()),
            _ => {
                // noise, and again what was written far before
                let from = bytes.len().saturating_sub(9000 + random() as usize % 50_000);
                let until = (from + random() as usize % 900).min(bytes.len());
                bytes.extend((0..60).map(|_| random() as u8));
                bytes.extend_from_within(from..until);
            }
        }
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn containers_of_the_real_blosc_are_unpacked_and_ours_by_it() {
    let mut aiomas = Aiomas::start();
    let mut seen = [0; 4];
    for len in [1, 7, 8, 100, 127, 128, 1000, 1024, 1030, 4099, 33_000, 140_001, 600_003] {
        for (kind, typesize) in (0..5).flat_map(|kind| (1..=8).map(move |typesize| (kind, typesize))) {
            if len > 5000 && typesize % 4 != kind as i64 % 4 {
                continue;
            }
            // what we read is a container around one value of MsgPack
            let sample = sample(kind, len);
            let value = Value::Bytes(sample);
            let mut plain = Vec::new();
            Codec::MsgPack.encode(&value, &Types::none(), &mut plain).unwrap();
            let (clevel, shuffle) = ([9, 9, 5, 1][kind % 4], i64::from(typesize != 3));
            let said = aiomas.ask([
                ("compress", hex(&plain)),
                ("typesize", Value::from(typesize)),
                ("clevel", Value::from(clevel)),
                ("shuffle", Value::from(shuffle)),
            ]);
            let packed = unhex(said.get("hex").and_then(Value::as_str).unwrap_or_else(|| panic!("{said}")));
            let read = Codec::MsgPackBlosc.decode(&packed, &Limits::default(), &Types::none());
            assert!(read.unwrap() == value, "{len} bytes of kind {kind}, elements of {typesize}");
            let flags = packed[2];
            seen[usize::from(flags & 2 != 0) + 2 * usize::from(flags & 16 != 0)] += 1;

            if typesize == 8 {
                let mut ours = Vec::new();
                Codec::MsgPackBlosc.encode(&value, &Types::none(), &mut ours).unwrap();
                let said = aiomas.ask([("decompress", hex(&ours))]);
                assert!(said.get("hex").and_then(Value::as_str).map(unhex) == Some(plain));
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 5), "stored or not, in one stream or not: {seen:?}");
}
