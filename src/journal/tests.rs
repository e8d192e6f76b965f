//! A small journal with every kind of record, cut, flipped and continued.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::rc::Rc;

use isochrone_sim::{Time, millis, secs};

use super::*;
use crate::codec::{Object, Reference, TypeName, Value};
use crate::rpc::Args;

/// One of every kind but checkpoint and end, which the writer makes.
fn records() -> Vec<Record> {
    let [house, grid, peer] = ["grid/house_7", "grid/grid", "tcp://10.0.0.3:5555"].map(Name::new);
    let (set, hash) = (Name::new("set"), Hash(0x0123_4567_89ab_cdef));
    let args = Packed::from_args(&Args::default().arg(1.5).kwarg("rounds", 3));
    let value = Packed::new(&Value::map([
        ("nan", Value::Float(f64::NAN)),
        ("big", Value::BigInt("-340282366920938463463374607431768211456".into())),
        ("bytes", Value::Bytes(vec![0, 255])),
        ("date", Value::from(chrono::DateTime::from_timestamp(1_451_692_799, 1_500_000_000).unwrap())),
        ("proxy", Value::Proxy(Reference::Path("agents/0".into()))),
        ("ext", Value::Ext(-7, vec![1, 2])),
        (
            "object",
            Value::Object(Box::new(Object { name: TypeName::Known("Point".into()), data: 1.5.into() })),
        ),
        ("other", Value::Object(Box::new(Object { name: TypeName::Unknown(9), data: Value::Null }))),
        ("all", Value::list([Value::Null, Value::Bool(true), Value::UInt(u64::MAX), Value::Int(i64::MIN)])),
    ]));
    let (agent, to, from, label, name) =
        (house.clone(), grid.clone(), grid.clone(), set.clone(), set.clone());
    let at = Time::ZERO + secs(900);
    macro_rules! all {
        ($($Variant:ident { $($field:ident $(: $value:expr)?),* })*) => {
            vec![$(Record::$Variant { $($field: all!(@ $field $($value)?)),* }),*]
        };
        (@ $field:ident) => { $field.clone() };
        (@ $field:ident $value:expr) => { $value };
    }
    all! {
        Origin { date: "2026-11-25T03:00:00Z".into(), host: "pi".into(), pid: 4711 }
        Note { agent: Some(house.clone()), breaks_replay: true, text: "it awaited a socket".into() }
        Turn { until: at }
        Step { to: at, limit: Some(at) }
        Advance { to: at }
        Jump { to: Time::MAX }
        Call { number: 1, from: peer.clone(), agent, method: set.clone(), args }
        Request { number: 2, from: peer.clone(), content: value.clone() }
        Opened { connection: 1, peer }
        Closed { connection: 1, peer, because: "reset".into() }
        Result { agent, call: 3, name, outcome: Err("no answer in 30 s".into()) }
        Reading { agent, source: Name::new("wall"), value: value.clone() }
        Command { from: peer.clone(), name: Name::new("pause"), args }
        Fault { agent, name: Name::new("crash"), args }
        Replied { number: 1, to: peer.clone(), outcome: Ok(value.clone()) }
        Frame { to: peer, hash, content: None }
        Created { agent, by: Name::new("outside") }
        Started { agent }
        Stopped { agent }
        Failed { agent, task: Name::new("plan"), message: "too \"hot\"\n".into(), outcome: "stopped".into() }
        Sent { agent, to, sequence: 1_000, label, hash, values: Some(args.clone()) }
        Received { agent: grid.clone(), from: house.clone(), sequence: 1_000, label, hash, call: 1, values: None }
        Held { agent, from, sequence: 1 }
        Refused { agent, from, sequence: 2 }
        Answered { agent, to, sequence: 3, hash, call: 1, value: Some(value.clone()) }
        Answer { agent, from, sequence: 4, hash, value: None }
        Late { agent, from, sequence: 5 }
        Timer { agent, label }
        Deadline { agent, label }
        Resumed { agent, name, hash }
        Property { agent, name, holds: false, text: "42 > 41".into() }
        Drew { agent, purpose: hash, number: 3 }
    }
}

fn header() -> Header {
    let mut header = Header::new("demo", 7);
    header.shuffle = Some(3);
    header.clock = "coupled".into();
    header.build.insert("commit".into(), "5f3a".into());
    header.configuration.insert("livelock".into(), "1000000".into());
    header.parent = Some(("other.jrn".into(), 99));
    header
}

/// Writes every record, a checkpoint after each ninth, at times that also run back.
fn fill(journal: &mut Writer) {
    for (n, record) in records().iter().enumerate() {
        let time = if n % 4 == 3 { Time::ZERO } else { Time::ZERO + millis(7) * n as u32 };
        journal.write(time, n as u32 % 3, record).unwrap();
        if n % 9 == 8 {
            journal.checkpoint(time, 0, 0xfeed).unwrap();
        }
    }
}

/// The bytes that a stream was given.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn small() -> Vec<u8> {
    let out = Shared::default();
    let mut journal = Writer::to_stream(out.clone(), header(), Options::default()).unwrap();
    fill(&mut journal);
    journal.finish(Time::ZERO + secs(9), 0, 0xbeef, "done").unwrap();
    out.0.take()
}

fn read(bytes: &[u8]) -> (Vec<Entry>, Result<Tail, JournalError>) {
    let mut entries = Vec::new();
    let mut reader = match Reader::from_stream(io::Cursor::new(bytes.to_vec())) {
        Ok(reader) => reader,
        Err(error) => return (entries, Err(error)),
    };
    for entry in reader.by_ref() {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => return (entries, Err(error)),
        }
    }
    (entries, Ok(reader.tail().cloned().expect("read to its end")))
}

#[test]
fn a_value_loses_nothing() {
    for record in records() {
        let Record::Request { content, .. } = record else { continue };
        let value = content.value().unwrap();
        assert_eq!(Packed::new(&value), content);
        assert_eq!(value.get("date").unwrap().kind(), "date");
        assert!(matches!(value.get("object"), Some(Value::Object(object)) if object.data == 1.5.into()));
        assert_eq!(value.get("ext"), Some(&Value::Ext(-7, vec![1, 2])));
        assert_eq!(
            content.to_string(),
            r#"{"nan":"NaN","big":-340282366920938463463374607431768211456,"bytes":"00ff","date":"2016-01-01T23:59:60.500Z","proxy":"agents/0","ext":"f90102","object":{"__type__":["Point",1.5]},"other":{"__type__":["type 9",null]},"all":[null,true,18446744073709551615,-9223372036854775808]}"#
        );
        return;
    }
    panic!("there is a request");
}

#[test]
fn what_is_written_is_read() {
    let bytes = small();
    let reader = Reader::from_stream(io::Cursor::new(bytes.clone())).unwrap();
    assert_eq!(*reader.header(), header());
    let (entries, tail) = read(&bytes);
    assert_eq!(tail.unwrap(), Tail::Ended);
    let ours: Vec<_> =
        entries.iter().filter(|entry| !matches!(entry.record.label(), "checkpoint" | "end")).collect();
    assert_eq!(ours.iter().map(|entry| entry.record.clone()).collect::<Vec<_>>(), records());
    for (n, entry) in ours.iter().enumerate().skip(1) {
        let time = if n % 4 == 3 { Time::ZERO } else { Time::ZERO + millis(7) * n as u32 };
        assert_eq!((entry.time, entry.round), (time, n as u32 % 3));
    }
    // the first record is volatile and shares its number with the next
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.event).collect();
    assert_eq!(numbers, [0].into_iter().chain(0..numbers.len() as u64 - 1).collect::<Vec<_>>());
}

#[test]
fn equal_runs_are_equal_bytes() {
    assert_eq!(small(), small());
}

#[test]
fn every_cut_is_a_torn_tail_and_what_came_before_is_whole() {
    let bytes = small();
    let (all, _) = read(&bytes);
    let mut before = 0;
    for cut in 0..bytes.len() {
        let (entries, tail) = read(&bytes[..cut]);
        assert_eq!(entries, all[..entries.len()], "cut at {cut}");
        assert!(entries.len() >= before && entries.len() <= before + 1, "cut at {cut}");
        before = entries.len();
        match tail {
            Err(JournalError::Empty { .. }) => assert!(entries.is_empty()),
            Ok(Tail::Torn { offset, bytes, .. }) => assert_eq!(offset + bytes, cut as u64),
            // exactly between two frames, and then the end is missing
            Ok(Tail::Open) => {}
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_damage() {
    let bytes = small();
    let (all, _) = read(&bytes);
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (entries, tail) = read(&flipped);
        assert!(tail.is_err(), "bit {} of byte {}: {tail:?}", bit % 8, bit / 8);
        assert_eq!(entries, all[..entries.len()], "bit {} of byte {}", bit % 8, bit / 8);
    }
}

#[test]
fn a_journal_that_is_continued_has_the_bytes_of_one_that_was_not_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let whole = small();
    let (entries, _) = read(&whole);
    let begin = {
        let mut reader = Reader::from_stream(io::Cursor::new(whole.clone())).unwrap();
        reader.next();
        reader.position().2 as usize - 1
    };
    for cut in (0..whole.len()).step_by(7) {
        let path = folder.path().join("run.jrn");
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut journal, _) = match Writer::append(&path, Options::default()) {
            Err(JournalError::Empty { .. }) => continue,
            journal => journal.unwrap(),
        };
        // replayed to where it was torn, the run goes on
        let known = journal.events();
        for entry in entries.iter().skip_while(|entry| entry.event < known || entry.record.is_volatile()) {
            match &entry.record {
                Record::Checkpoint { fingerprint, .. } => {
                    journal.checkpoint(entry.time, entry.round, fingerprint.0).unwrap();
                }
                Record::End { .. } => break,
                record => drop(journal.write(entry.time, entry.round, record).unwrap()),
            }
        }
        journal.finish(Time::ZERO + secs(9), 0, 0xbeef, "done").unwrap();
        // the volatile record at the beginning is not written twice
        let again = fs::read(&path).unwrap();
        if cut > begin {
            assert_eq!(again, whole, "cut at {cut}")
        } else {
            assert!(again.len() < whole.len())
        }
    }
}
