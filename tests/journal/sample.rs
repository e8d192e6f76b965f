//! A small journal with every kind of record.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use isochrone::codec::{Object, Reference, TypeName, Value};
use isochrone::journal::{
    Entry, Hash, Header, JournalError, Name, Options, Packed, Reader, Record, Tail, Writer,
};
use isochrone::rpc::Args;
use isochrone::sim::{Time, millis, secs};

/// One of every kind but checkpoint and end, which the writer makes.
pub(crate) fn records() -> Vec<Record> {
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
        Received { agent: grid.clone(), from: house.clone(), sequence: 1_000, label, call: 1 }
        Held { agent, from, sequence: 1 }
        Refused { agent, from, sequence: 2 }
        Answered { agent, to, sequence: 3, hash, call: 1, value: Some(value.clone()) }
        Answer { agent, from, sequence: 4 }
        Late { agent, from, sequence: 5 }
        Timer { agent, label }
        Deadline { agent, label }
        Resumed { agent, name, hash }
        Property { agent, name, holds: false, text: "42 > 41".into() }
        Drew { agent, purpose: hash, number: 3 }
    }
}

pub(crate) fn header() -> Header {
    let mut header = Header::new("demo", 7);
    header.shuffle = Some(3);
    header.clock = "coupled".into();
    header.build.insert("commit".into(), "5f3a".into());
    header.configuration.insert("livelock".into(), "1000000".into());
    header.parent = Some(("other.jrn".into(), 99));
    header
}

/// The time of the record number `n`: now and then it runs back.
pub(crate) fn time(n: usize) -> Time {
    if n % 4 == 3 { Time::ZERO } else { Time::ZERO + millis(7) * n as u32 }
}

/// Writes every record, a checkpoint after each ninth.
pub(crate) fn fill(journal: &mut Writer) {
    for (n, record) in records().iter().enumerate() {
        let time = time(n);
        journal.write(time, n as u32 % 3, record).unwrap();
        if n % 9 == 8 {
            journal.checkpoint(time, 0, 0xfeed).unwrap();
        }
    }
}

/// The bytes that a stream was given.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The journal as one stream.
pub(crate) fn small() -> Vec<u8> {
    let out = Shared::default();
    let mut journal = Writer::to_stream(out.clone(), header(), Options::default()).unwrap();
    fill(&mut journal);
    journal.finish(Time::ZERO + secs(9), 0, 0xbeef, "done").unwrap();
    out.0.take()
}

/// Everything, and how it ends.
pub(crate) fn read(bytes: &[u8]) -> (Vec<Entry>, Result<Tail, JournalError>) {
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
