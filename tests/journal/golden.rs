//! Format version 1.0 stays what it is: the files in `tests/golden` are read, and the writer makes them again byte for byte.
//!
//! A new minor version gets files of its own beside these, which are kept: `BLESS=1 cargo test --test journal golden`
//! writes what is missing, and never what is there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use isochrone::journal::export::{Window, json_lines};
use isochrone::journal::{Entry, Options, Reader, Record, Tail, Writer};

use crate::sample::{Shared, read, small};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The golden bytes of this name.
fn kept(name: &str, now: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        fs::write(&path, now).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_golden_journal_is_read() {
    let (entries, tail) = read(&kept("journal-1.0.jrn", &small()));
    assert_eq!((entries.len(), tail.unwrap()), (36, Tail::Ended));
    let kinds: BTreeSet<u8> = entries.iter().map(|entry| entry.record.kind()).collect();
    let all = [2..=5, 16..=27, 48..=49, 64..=79].into_iter().flatten();
    assert_eq!(kinds, all.collect());
}

#[test]
fn the_writer_makes_the_golden_journal_of_what_is_read_from_it() {
    let golden = kept("journal-1.0.jrn", &small());
    let header = Reader::from_stream(Cursor::new(golden.clone())).unwrap().header().clone();
    let again = Shared::default();
    let mut journal = Writer::to_stream(again.clone(), header, Options::default()).unwrap();
    for Entry { time, round, record, .. } in read(&golden).0 {
        match &record {
            Record::Checkpoint { fingerprint, .. } => {
                journal.checkpoint(time, round, fingerprint.0).unwrap();
            }
            Record::End { fingerprint, because, .. } => {
                journal.finish(time, round, fingerprint.0, because).unwrap();
                break;
            }
            record => {
                journal.write(time, round, record).unwrap();
            }
        }
    }
    assert!(again.0.take() == golden, "the writer writes other bytes than version 1.0 has");
}

#[test]
fn the_golden_journal_is_exported_as_its_json_lines() {
    kept("journal-1.0.jrn", &small());
    let mut lines = Vec::new();
    json_lines(&mut Reader::open(golden("journal-1.0.jrn")).unwrap(), &Window::default(), &mut lines)
        .unwrap();
    let kept = kept("journal-1.0.jsonl", &lines);
    assert_eq!(String::from_utf8(lines).unwrap(), String::from_utf8(kept).unwrap());
}
