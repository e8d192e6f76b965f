//! Two recordings, side by side, up to their first difference.

use super::difference::{self, Difference};
use super::events;
use super::source::Source;
use crate::journal::{Entry, JournalError, Record};

/// Entries that are shown before a difference, and after it on both sides.
const CONTEXT: usize = 5;

/// The first difference of two journals, with what is around it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parted {
    /// What differs: `expected` is of the first journal, `actual` of the second.
    pub difference: Difference,
    /// What both have before it.
    pub before: Vec<String>,
    /// How the first goes on, and how the second does.
    pub after: (Vec<String>, Vec<String>),
}

/// Compares two journals record by record; checkpoints, remarks and where they came from do not count. `None` if they tell
/// the same; also the number of records that are the same.
///
/// # Errors
/// One of them cannot be read.
pub fn diff(first: &Source, second: &Source) -> Result<(u64, Option<Parted>), JournalError> {
    let told = |source: &Source| -> Result<_, JournalError> {
        Ok(source.open()?.filter(|entry| entry.as_ref().map_or(true, |entry| counts(&entry.record))))
    };
    let (mut a, mut b) = (told(first)?, told(second)?);
    let (mut same, mut before) = (0, Vec::new());
    loop {
        let (left, right) = (a.next().transpose()?, b.next().transpose()?);
        match (&left, &right) {
            (None, None) => return Ok((same, None)),
            (Some(left), Some(right)) if is_same(left, right) => {
                same += 1;
                before.push(line(left));
                if before.len() > CONTEXT {
                    before.remove(0);
                }
            }
            _ => {
                let rest: Vec<Entry> = a.by_ref().map_while(Result::ok).take(256).collect();
                let on: Vec<Entry> = b.by_ref().map_while(Result::ok).take(CONTEXT).collect();
                let at = right
                    .as_ref()
                    .or(left.as_ref())
                    .map_or(Default::default(), |entry| (entry.time, entry.round));
                let after = (shown(&left, &rest), shown(&right, &on));
                let difference = difference::find(first, at, left, right.map(|entry| entry.record), &rest);
                return Ok((same, Some(Parted { difference, before, after })));
            }
        }
    }
}

/// Whether a record is part of what happened.
fn counts(record: &Record) -> bool {
    !matches!(record, Record::Origin { .. } | Record::Checkpoint { .. } | Record::Note { .. })
}

fn is_same(a: &Entry, b: &Entry) -> bool {
    // numbers of records and hashes of the file differ where one has more checkpoints
    let ends = |record: &Record| match record {
        Record::End { fingerprint, because, .. } => Some((*fingerprint, because.clone())),
        _ => None,
    };
    let same = match (ends(&a.record), ends(&b.record)) {
        (Some(a), Some(b)) => a == b,
        _ => events::is_same(&a.record, &b.record),
    };
    (a.time, a.round) == (b.time, b.round) && same
}

fn line(entry: &Entry) -> String {
    format!("{} {}", entry.time, difference::describe(&entry.record))
}

fn shown(first: &Option<Entry>, rest: &[Entry]) -> Vec<String> {
    first.iter().chain(rest).take(CONTEXT).map(line).collect()
}
