//! Whatever a file claims, reading it takes less than 64 MiB.

use std::fs;
use std::path::Path;

use isochrone::codec::Value;
use isochrone::journal::{JournalError, Name, Options, Packed, Reader, Record, Writer};
use isochrone::sim::Time;

use crate::files::{again, journal};
use crate::sample::header;

/// What `/proc/self/status` says of this process, in bytes.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_matches(|char: char| !char.is_ascii_digit()).parse::<u64>().unwrap() << 10
}

#[test]
#[ignore = "the child of the next test"]
fn a_reader_that_is_measured() {
    let before = status("VmRSS:");
    let (mut records, mut end) = (0, "whole".to_owned());
    for entry in Reader::open(journal()).unwrap() {
        match entry {
            Ok(_) => records += 1,
            Err(error) => end = error.to_string(),
        }
    }
    println!("measured {} {records} {end}", status("VmHWM:").saturating_sub(before));
}

/// Peak growth in bytes, records, and the end.
fn measure(path: &Path) -> (u64, u64, String) {
    let output = again("memory::a_reader_that_is_measured", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let measured = said.lines().find_map(|line| line.split_once("measured ")).unwrap().1;
    let mut words = measured.splitn(3, ' ');
    let mut number = || words.next().unwrap().parse().unwrap();
    (number(), number(), words.next().unwrap().to_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_stays_below_64_mib() {
    const MOST: u64 = 64 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jrn");
    let mut journal = Writer::create(&path, header(), Options::default()).unwrap();
    // as many names, and as long ones, as a segment takes, and then more
    for n in 0..140_000 {
        let label = Name::new(format!("{n:060}"));
        journal.write(Time::ZERO, 0, &Record::Timer { agent: "grid/a".into(), label }).unwrap();
    }
    // the longest frame, of the values that take most once they are decoded
    let large = |len| Record::Request {
        number: 0,
        from: "grid/a".into(),
        content: Packed::new(&Value::List(vec![Value::Null; len])),
    };
    let longest = (16 << 20) - 32;
    journal.write(Time::ZERO, 0, &large(longest)).unwrap();
    let text = Record::Note { agent: None, breaks_replay: false, text: "x".repeat(longest) };
    journal.write(Time::ZERO, 0, &text).unwrap();
    assert!(matches!(
        journal.write(Time::ZERO, 0, &large(16 << 20)),
        Err(JournalError::TooLarge { kind: "request", .. })
    ));
    journal.finish(Time::ZERO, 0, 0, "done").unwrap();
    let (grown, records, end) = measure(&path);
    assert_eq!((records, end.as_str()), (140_003, "whole"));
    println!("{} KiB", grown >> 10);
    assert!(grown < MOST, "{} KiB", grown >> 10);

    // the longest frame, of which there is next to nothing, or almost all; or one bit of it is flipped
    let mut whole = fs::read(&path).unwrap();
    for cut in [whole.len() - longest, whole.len() - 1_000] {
        fs::write(&path, &whole[..cut]).unwrap();
        let (grown, records, end) = measure(&path);
        assert_eq!((records, end.as_str()), (140_001, "whole"));
        assert!(grown < MOST, "{} KiB", grown >> 10);
    }
    let middle = whole.len() - longest / 2;
    whole[middle] ^= 1;
    fs::write(&path, &whole).unwrap();
    let (grown, records, end) = measure(&path);
    assert!(records == 140_001 && end.contains("is damaged at byte"), "{end}");
    assert!(grown < MOST, "{} KiB", grown >> 10);
}
