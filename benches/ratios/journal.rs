//! The flight recorder's file: records written and read, and how many bytes one takes.

use std::path::{Path, PathBuf};

use cpu_time::ProcessTime;
use isochrone::journal::{Hash, Header, Name, Options, Reader, Record, Writer};
use isochrone::prelude::*;

use crate::nanos_each;

const RECORDS: u64 = 1_000_000;
const AGENTS: u64 = 1_000;

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("isochrone-ratios-{}.jrn", std::process::id()))
}

/// A negotiation of a coordinator with a thousand agents, once a minute: what a run at level events records, ns a record.
fn write_to(path: &Path) -> f64 {
    let header = Header::new("bench", 7);
    let mut options = Options::default();
    options.overwrite = true;
    let coordinator = Name::new("grid/coordinator");
    let agents: Vec<Name> = (0..AGENTS).map(|n| Name::new(format!("grid/house_{n}"))).collect();
    let [propose, plan] = ["propose", "plan"].map(Name::new);
    let start = ProcessTime::now();
    let mut journal = Writer::create(path, header, options).expect("a file");
    for n in 0..RECORDS / 5 {
        let time = Time::ZERO + minutes(n / AGENTS) + millis(n % AGENTS);
        let house = &agents[(n % AGENTS) as usize];
        let hash = Hash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63);
        let (me, you) = (|| coordinator.clone(), || house.clone());
        let (sequence, call, label) = (n, n % AGENTS + 1, || propose.clone());
        let records = [
            Record::Timer { agent: me(), label: plan.clone() },
            Record::Sent { agent: me(), to: you(), sequence, label: label(), hash, values: None },
            Record::Received { agent: you(), from: me(), sequence, label: label(), call },
            Record::Answered { agent: you(), to: me(), sequence: n / AGENTS, hash, call, value: None },
            Record::Answer { agent: me(), from: you(), sequence: n / AGENTS },
        ];
        for (round, record) in records.iter().enumerate() {
            journal.write(time, round as u32 / 2, record).expect("room");
        }
        if journal.checkpoint_due() {
            journal.checkpoint(time, 3, hash.0).expect("room");
        }
    }
    journal.commit().expect("room");
    nanos_each(start, RECORDS)
}

/// ns a record.
pub(crate) fn write() -> f64 {
    let path = path();
    let each = write_to(&path);
    std::fs::remove_file(path).expect("it was there");
    each
}

/// ns a record.
pub(crate) fn read() -> Option<f64> {
    let path = path();
    write_to(&path);
    let start = ProcessTime::now();
    let mut count = 0;
    let mut reader = Reader::open(&path).expect("a journal");
    // looked at where it is: moving what was just read takes a third as long as reading it
    while let Some(entry) = &reader.next() {
        count += u64::from(entry.as_ref().expect("it is whole").record.is_output());
    }
    let each = nanos_each(start, count);
    assert_eq!(count, RECORDS);
    std::fs::remove_file(path).expect("it was there");
    Some(each)
}
