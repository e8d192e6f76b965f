//! What the fuzzer does with its bytes; the tests do the same with those that it has kept.
//!
//! The first byte chooses: a journal as it is, or frames whose sums are made to fit, since no fuzzer guesses them. A frame
//! is a kind, flags, a length of two bytes, and the payload; the last may be as long as there is.

use std::io::{Cursor, sink};

use isochrone::journal::export::{ExportError, Window, json_lines, mermaid, perfetto};
use isochrone::journal::{Header, Options, Reader, Record, Story, Writer};
use isochrone::sim::Time;

/// Reads a journal and gives it to every tool.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let bytes = if choice & 1 == 0 { data.to_vec() } else { framed(data) };
    let Some(mut reader) = open(&bytes) else { return };
    let mut whole = true;
    let mut count = 0;
    let mut again = Writer::to_stream(sink(), reader.header().clone(), Options::default()).expect("a sink");
    for entry in reader.by_ref() {
        count += 1;
        match entry {
            Ok(entry) => {
                assert!(whole, "something follows an error");
                let story = Story(&entry).to_string();
                assert!(!story.contains('\n'), "{story}");
                // what can be read can be written
                if !matches!(entry.record, Record::Checkpoint { .. } | Record::End { .. }) {
                    again.write(entry.time, entry.round, &entry.record).expect("it fits");
                }
                for packed in values(&entry.record) {
                    if let Some(value) = packed.value() {
                        let again = isochrone::journal::Packed::new(&value);
                        assert!(again.value().expect("it was a value").same(&value));
                    }
                }
            }
            Err(error) => {
                whole = false;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert_eq!(reader.tail().is_some(), whole);
    assert!(count <= bytes.len());

    let window = Window::default();
    let open = || open(&bytes).expect("it was read before");
    for result in [
        json_lines(&mut open(), &window, &mut sink()),
        mermaid(&mut open(), &window, &mut sink()),
        perfetto(&mut open(), &window, &mut sink()),
    ] {
        match result {
            Ok(()) => assert!(whole),
            Err(ExportError::Journal(_)) => assert!(!whole),
            Err(_) => {}
        }
    }
}

fn open(bytes: &[u8]) -> Option<Reader> {
    Reader::from_stream(Cursor::new(bytes.to_vec())).ok()
}

/// The values that a record holds.
fn values(record: &Record) -> Vec<&isochrone::journal::Packed> {
    match record {
        Record::Call { args, .. } | Record::Command { args, .. } | Record::Fault { args, .. } => vec![args],
        Record::Request { content, .. } => vec![content],
        Record::Reading { value, .. } => vec![value],
        Record::Replied { outcome: Ok(value), .. } | Record::Result { outcome: Ok(value), .. } => vec![value],
        Record::Sent { values, .. } => values.iter().collect(),
        _ => Vec::new(),
    }
}

/// A head that fits, and frames whose sums do.
fn framed(mut data: &[u8]) -> Vec<u8> {
    let out = Shared::default();
    let mut journal =
        Writer::to_stream(out.clone(), Header::new("fuzz", 0), Options::default()).expect("a stream");
    // three names that the payloads may use
    let agent = "grid/house_7".into();
    let record = Record::Timer { agent, label: "plan".into() };
    journal.write(Time::ZERO, 0, &record).expect("a stream");
    drop(journal);
    let mut bytes = out.take();
    while let [kind, flags, low, high, rest @ ..] = data {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, rest) = rest.split_at(len);
        // as the format's page says
        let checked = |word: u32| {
            let check = (u64::from(word) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
            (word | (check as u32) << 24).to_le_bytes()
        };
        bytes.extend(checked(u32::from_le_bytes([len.min(255) as u8, *kind, *flags, 0])));
        bytes.extend(crc32c::crc32c(payload).to_le_bytes());
        if len >= 255 {
            bytes.extend(checked(len as u32));
        }
        bytes.extend(payload);
        data = rest;
    }
    bytes
}

/// The bytes that a stream was given.
#[derive(Clone, Default)]
struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
