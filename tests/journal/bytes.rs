//! What is written is read; every cut is a torn tail, every flipped bit is damage.

use std::io;

use isochrone::codec::Value;
use isochrone::journal::{Entry, Hash, JournalError, Name, Options, Packed, Reader, Record, Tail, Writer};
use isochrone::sim::{Time, secs};

use crate::sample::{Shared, header, read, records, small, time};

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
        assert_eq!((entry.time, entry.round), (time(n), n as u32 % 3));
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

/// Broken once: a frame that does not fit its sum was damage, whatever stands behind it.
#[test]
fn a_record_that_was_being_written_into_the_writers_room_is_a_torn_tail() {
    let bytes = small();
    let (all, _) = read(&bytes);
    let mut whole = 0;
    // without the mark at its head it is no journal
    for cut in 8..=bytes.len() {
        let (entries, tail) = read(&[&bytes[..cut], &[0; 700]].concat());
        assert_eq!(entries, all[..entries.len()], "cut at {cut}");
        match tail {
            Err(JournalError::Empty { .. }) => assert!(entries.is_empty(), "cut at {cut}"),
            Ok(Tail::Torn { offset, bytes, .. }) => assert_eq!(offset + bytes, cut as u64 + 700),
            Ok(Tail::Open) => whole += 1,
            Ok(Tail::Ended) => assert_eq!(entries.len(), all.len()),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    assert!(whole >= all.len(), "{whole} whole of {}", all.len());
    // what is damaged and not the last is no torn tail
    let mut damaged = [&bytes[..], &[0; 700]].concat();
    damaged[bytes.len() / 2] ^= 1;
    assert!(matches!(read(&damaged).1, Err(JournalError::Damaged { .. })));
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
fn records_of_every_length_and_number_are_read_as_they_were_written() {
    let out = Shared::default();
    let mut journal = Writer::to_stream(out.clone(), header(), Options::default()).unwrap();
    let (agent, to, label) = (Name::new("grid/house_7"), Name::new("grid"), Name::new("plan"));
    let mut written = Vec::new();
    for n in 0..700 {
        let time = Time::ZERO + secs(n);
        let text = "x".repeat(n as usize);
        let sequence = 1_u64.rotate_left(n as u32).wrapping_sub(n % 3);
        let values = (n % 2 == 0).then(|| Packed::new(&Value::Str(text.clone())));
        let (agent, to, label) = (agent.clone(), to.clone(), label.clone());
        let hash = Hash(sequence.reverse_bits());
        let (task, message, outcome) = (label.clone(), text.clone(), String::new());
        let failed = Record::Failed { agent: agent.clone(), task, message, outcome };
        let note = Record::Note { agent: Some(to.clone()), breaks_replay: false, text: text.clone() };
        // too long to be numbered in a window
        let spelt = Record::Stopped { agent: Name::new(text + &n.to_string()) };
        let round = sequence as u32;
        for record in [Record::Sent { agent, to, sequence, label, hash, values }, failed, note, spelt] {
            let event = journal.write(time, round, &record).unwrap();
            written.push(Entry { event, time, round, record });
        }
    }
    journal.commit().unwrap();
    let bytes = out.0.take();
    let (entries, tail) = read(&bytes);
    assert_eq!(tail.unwrap(), Tail::Open);
    assert!(entries == written, "{} of {}", entries.len(), written.len());
}
