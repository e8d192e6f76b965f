//! Two recordings, side by side, up to their first difference.

use super::difference::{self, Difference};
use super::events;
use super::source::Source;
use crate::journal::{Entry, JournalError, RESEED, Record, sentence};

/// Entries that are shown before a difference, and after it on both sides.
const CONTEXT: usize = 5;

/// What two journals have in common, and what not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Compared {
    /// Records that are the same.
    pub same: u64,
    /// Where one was forked and the other was not, or otherwise. What differs because of it comes later, if at all.
    pub forks: Vec<Forked>,
    /// The first difference in what happened; `None` if both tell the same.
    pub parted: Option<Parted>,
}

/// A fork, in one of two journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forked {
    /// Whether it is in the second journal.
    pub is_second: bool,
    /// Before which event of the other it parted.
    pub event: u64,
    /// The seed with which it went on.
    pub seed: u64,
}

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

/// Compares two journals record by record; checkpoints, remarks and where they came from do not count, nor does the record
/// that says that one is a fork: that is told beside what it has led to.
///
/// # Errors
/// One of them cannot be read.
pub fn diff(first: &Source, second: &Source) -> Result<Compared, JournalError> {
    let told = |source: &Source| -> Result<_, JournalError> {
        Ok(source.open()?.filter(|entry| entry.as_ref().map_or(true, |entry| counts(&entry.record))))
    };
    let (mut a, mut b) = (told(first)?, told(second)?);
    let (mut same, mut before, mut forks) = (0, Vec::new(), Vec::new());
    let (mut left, mut right) = (a.next().transpose()?, b.next().transpose()?);
    loop {
        if let (Some(one), Some(other)) = (&left, &right)
            && is_same(one, other)
        {
            same += 1;
            before.push(line(one));
            if before.len() > CONTEXT {
                before.remove(0);
            }
            (left, right) = (a.next().transpose()?, b.next().transpose()?);
        } else if left.is_none() && right.is_none() {
            return Ok(Compared { same, forks, parted: None });
        } else if let Some(seed) = reseeding(&right) {
            forks.push(Forked { is_second: true, event: number(&left, same), seed });
            right = b.next().transpose()?;
        } else if let Some(seed) = reseeding(&left) {
            forks.push(Forked { is_second: false, event: number(&right, same), seed });
            left = a.next().transpose()?;
        } else {
            let rest: Vec<Entry> = a.by_ref().map_while(Result::ok).take(256).collect();
            let on: Vec<Entry> = b.by_ref().map_while(Result::ok).take(CONTEXT).collect();
            let at = right
                .as_ref()
                .or(left.as_ref())
                .map_or(Default::default(), |entry| (entry.time, entry.round));
            let after = (shown(&left, &rest), shown(&right, &on));
            let difference = difference::find(first, at, left, right.map(|entry| entry.record), &rest);
            return Ok(Compared { same, forks, parted: Some(Parted { difference, before, after }) });
        }
    }
}

/// Whether a record is part of what happened.
fn counts(record: &Record) -> bool {
    !matches!(record, Record::Origin { .. } | Record::Checkpoint { .. } | Record::Note { .. })
}

/// The seed with which a fork goes on.
fn reseeding(entry: &Option<Entry>) -> Option<u64> {
    match &entry.as_ref()?.record {
        Record::Command { name, args, .. } if *name == RESEED => args.value()?.as_u64(),
        _ => None,
    }
}

/// The number of an event, or of what would come after the last one.
fn number(entry: &Option<Entry>, same: u64) -> u64 {
    entry.as_ref().map_or(same, |entry| entry.event)
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
    format!("{} {}", entry.time, sentence(&entry.record))
}

fn shown(first: &Option<Entry>, rest: &[Entry]) -> Vec<String> {
    first.iter().chain(rest).take(CONTEXT).map(line).collect()
}
