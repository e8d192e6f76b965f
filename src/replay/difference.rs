//! The first difference between a run and its recording: who, when, what was to be, what was, and why it may be so.
//!
//! Why so much: a hash that differs at the end of a night tells nothing. The block names the agent and the values, follows
//! the causes back to something that came from outside, and guesses at the usual reasons:
//!
//! | what differs | likely cause |
//! |--------------|--------------|
//! | a float, by a few units in the last place | another order of summation, another platform |
//! | a list or dict that holds the same in another order; the same events in another order | a `HashMap`'s order, a `select!` that is not biased |
//! | a random draw where none was | an extra draw |
//! | a number or a text near the present date; the time of an event | a reading of the wall clock |
//! | any other number | a generator without a seed |

use std::collections::VecDeque;
use std::fmt;

use isochrone_sim::Time;

use super::source::Source;
use crate::codec::Value;
use crate::journal::{Entry, Name, OUTSIDE, Packed, Record, sentence};

/// Events that are kept to follow causes back.
const WINDOW: usize = 500_000;
/// Links of the chain of causes that are shown.
const CHAIN: usize = 10;
/// Two floats that are no further apart differ by rounding.
const ROUNDING: u64 = 4_096;

/// The first difference.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The number of the event, among all records of the journal.
    pub event: u64,
    /// When the run was otherwise.
    pub time: Time,
    /// In which round of that time.
    pub round: u32,
    /// Path of the agent; of none if the run ended otherwise, or if only fingerprints differ.
    pub agent: Option<String>,
    /// What was recorded.
    pub expected: Option<Entry>,
    /// What happened.
    pub actual: Option<Record>,
    /// Where in the value the two part, as `args[0].soc`, and both parts.
    pub part: Option<(String, String, String)>,
    /// What led to it, the last cause first.
    pub causes: Vec<String>,
    /// Why it may be so.
    pub likely: Option<&'static str>,
    /// What repeats it.
    pub reproduce: Option<String>,
}

/// Describes what has become of the run at `at`; `rest` are the records that would have come then.
pub(crate) fn find(
    source: &Source,
    (time, round): (Time, u32),
    expected: Option<Entry>,
    actual: Option<Record>,
    rest: &[Entry],
) -> Difference {
    let (event, history) = history(source, expected.as_ref());
    let record = expected.as_ref().map(|entry| &entry.record);
    let agent = actual.as_ref().and_then(agent_of).or_else(|| record.and_then(agent_of));
    let part = record.zip(actual.as_ref()).and_then(|(expected, actual)| differing_part(expected, actual));
    let agent = agent.map(|agent| agent.as_str().to_owned());
    let agent = agent.or_else(|| Some(part.as_ref()?.0.split('.').nth(1)?.to_owned()));
    let likely = likely(expected.as_ref(), actual.as_ref(), (time, round), rest);
    let causes = match (&expected, &agent) {
        (Some(expected), Some(_)) => causes(&history, expected),
        _ => Vec::new(),
    };
    Difference { event, time, round, agent, expected, actual, part, causes, likely, reproduce: None }
}

/// What came before an entry, and its number.
fn history(source: &Source, until: Option<&Entry>) -> (u64, VecDeque<Entry>) {
    let mut kept = VecDeque::new();
    let mut event = 0;
    let Ok(reader) = source.open() else { return (0, kept) };
    for entry in reader.map_while(Result::ok) {
        if until.is_some_and(|until| entry.event >= until.event) {
            return (entry.event, kept);
        }
        event = entry.event + 1;
        if kept.len() == WINDOW {
            kept.pop_front();
        }
        kept.push_back(entry);
    }
    (event, kept)
}

/// Whose record it is.
pub(crate) fn agent_of(record: &Record) -> Option<&Name> {
    match record {
        Record::Created { agent, .. }
        | Record::Started { agent }
        | Record::Stopped { agent }
        | Record::Failed { agent, .. }
        | Record::Sent { agent, .. }
        | Record::Received { agent, .. }
        | Record::Held { agent, .. }
        | Record::Refused { agent, .. }
        | Record::Answered { agent, .. }
        | Record::Answer { agent, .. }
        | Record::Late { agent, .. }
        | Record::Timer { agent, .. }
        | Record::Deadline { agent, .. }
        | Record::Resumed { agent, .. }
        | Record::Drew { agent, .. }
        | Record::Property { agent, .. }
        | Record::Result { agent, .. }
        | Record::Call { agent, .. }
        | Record::Fault { agent, .. } => Some(agent),
        _ => None,
    }
}

/// The value that a record holds.
fn value_of(record: &Record) -> Option<Value> {
    match record {
        Record::Sent { values, .. } => values.as_ref().and_then(Packed::value),
        Record::Answered { value, .. } => value.as_ref().and_then(Packed::value),
        Record::Frame { content, .. } => content.as_ref().and_then(Packed::value),
        Record::Replied { outcome: Ok(value), .. } => value.value(),
        _ => None,
    }
}

fn differing_part(expected: &Record, actual: &Record) -> Option<(String, String, String)> {
    let root = if matches!(expected, Record::Sent { .. }) { "args" } else { "value" };
    let (expected, actual) = (value_of(expected)?, value_of(actual)?);
    let mut path = root.to_owned();
    let (expected, actual) = part(&expected, &actual, &mut path)?;
    Some((path, expected.to_string(), actual.to_string()))
}

/// The innermost place at which two values differ.
pub(crate) fn part<'v>(
    expected: &'v Value,
    actual: &'v Value,
    path: &mut String,
) -> Option<(&'v Value, &'v Value)> {
    if expected.same(actual) {
        return None;
    }
    let inner = match (expected, actual) {
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.map(|(n, pair)| (format!("[{n}]"), pair)).find(|(_, (a, b))| !a.same(b))
        }
        (Value::Map(a), Value::Map(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).filter(|(a, b)| a.0.same(&b.0));
            pairs.map(|(a, b)| (format!(".{}", bare(&a.0)), (&a.1, &b.1))).find(|(_, (a, b))| !a.same(b))
        }
        _ => None,
    };
    let Some((step, (expected, actual))) = inner else { return Some((expected, actual)) };
    path.push_str(&step);
    part(expected, actual, path)
}

fn bare(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

fn likely(
    expected: Option<&Entry>,
    actual: Option<&Record>,
    at: (Time, u32),
    rest: &[Entry],
) -> Option<&'static str> {
    const ORDER: &str = "the same in another order: the iteration of a std HashMap or HashSet, or a `select!` that is not biased";
    const CLOCK: &str = "a reading of the wall clock: use `cx.now()`, or `external` for what is outside";
    const SEED: &str = "a number that no seed determines: use `cx.random(..)`, and `isochrone::select!`";
    let (entry, actual) = (expected?, actual?);
    let expected = &entry.record;
    match (expected, actual) {
        (Record::Drew { purpose: a, .. }, Record::Drew { purpose: b, .. }) if a != b => {
            return Some("another random stream was drawn from");
        }
        (Record::Drew { .. }, _) => return Some("a random draw less than before"),
        (_, Record::Drew { .. }) => return Some("an extra random draw"),
        _ => {}
    }
    if (entry.time, entry.round) != at && super::events::is_same(expected, actual) {
        return Some("a span that was measured on the wall clock, or drawn from a generator without a seed");
    }
    if let (Some(before), Some(now)) = (value_of(expected), value_of(actual)) {
        let later = |entry: &&Entry| entry.time == at.0 && is_same_value(&entry.record, actual, &now);
        if rest.iter().any(|entry| later(&entry)) {
            return Some(ORDER);
        }
        let mut path = String::new();
        let (before, now) = part(&before, &now, &mut path)?;
        if sorted(before) == sorted(now) {
            return Some(ORDER);
        }
        if [before, now].into_iter().all(is_date) {
            return Some(CLOCK);
        }
        if let (Value::Float(before), Value::Float(now)) = (before, now)
            && before.is_sign_negative() == now.is_sign_negative()
            && before.to_bits().abs_diff(now.to_bits()) <= ROUNDING
        {
            return Some("rounding: a sum in another order, or another platform's functions");
        }
        return Some(SEED).filter(|_| [before, now].iter().all(|value| value.as_f64().is_some()));
    }
    let comes = |entry: &&Entry| entry.time == at.0 && super::events::is_same(&entry.record, actual);
    // the same hash somewhere else in this instant: only the order is another
    rest.iter().find(comes).map(|_| ORDER)
}

/// Whether a record sends or answers this value to the same agent as `actual` does.
fn is_same_value(record: &Record, actual: &Record, value: &Value) -> bool {
    let same = match (record, actual) {
        (
            Record::Sent { agent, to, label, .. },
            Record::Sent { agent: agent2, to: to2, label: label2, .. },
        ) => (agent, to, label) == (agent2, to2, label2),
        (Record::Answered { agent, to, .. }, Record::Answered { agent: agent2, to: to2, .. }) => {
            (agent, to) == (agent2, to2)
        }
        _ => false,
    };
    same && value_of(record).is_some_and(|other| other.same(value))
}

/// What a value holds, whatever its order.
fn sorted(value: &Value) -> Vec<String> {
    let mut parts: Vec<String> = match value {
        Value::List(items) => items.iter().map(Value::to_string).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| format!("{key}: {value}")).collect(),
        other => vec![other.to_string()],
    };
    parts.sort();
    parts
}

/// Whether a number may be a date: seconds since 1970, or their thousandths, millionths, billionths.
fn is_date(value: &Value) -> bool {
    // from 2020 to 2100
    let is = |seconds: f64| (1.577e9..4.103e9).contains(&seconds);
    value.as_f64().is_some_and(|number| [1.0, 1e3, 1e6, 1e9].iter().any(|unit| is(number / unit)))
}

/// Follows the causes of an entry back to what came from outside.
fn causes(history: &VecDeque<Entry>, from: &Entry) -> Vec<String> {
    let mut chain = Vec::new();
    let mut at = history.len();
    let mut present = from.clone();
    while chain.len() < CHAIN {
        let before = history.iter().take(at).enumerate().rev();
        let cause = match &present.record {
            // a message comes from whoever sent it, an answer from whoever gave it
            Record::Received { from, sequence, .. } | Record::Held { from, sequence, .. } => find_last(
                before,
                |record| matches!(record, Record::Sent { agent, sequence: n, .. } if agent == from && n == sequence),
            ),
            Record::Answer { from, sequence, .. } | Record::Late { from, sequence, .. } => find_last(
                before,
                |record| matches!(record, Record::Answered { agent, sequence: n, .. } if agent == from && n == sequence),
            ),
            Record::Resumed { agent, name, .. } => find_last(
                before,
                |record| matches!(record, Record::Result { agent: a, name: n, .. } if a == agent && n == name),
            ),
            Record::Replied { .. } => find_last(before, Record::is_input),
            Record::Sent { agent, .. } if *agent == OUTSIDE => find_last(before, Record::is_input),
            // whatever an agent does, it does because something has reached it
            Record::Timer { .. } | Record::Deadline { .. } | Record::Started { .. } => None,
            record if record.is_input() => None,
            record => agent_of(record).and_then(|agent| {
                find_last(before, |record| reaches(record) && agent_of(record) == Some(agent))
            }),
        };
        let Some((place, entry)) = cause else { break };
        chain.push(format!("{} (event {}): {}", entry.time, entry.event, sentence(&entry.record)));
        (at, present) = (place, entry.clone());
    }
    chain
}

/// Whether code of the record's agent runs because of it.
fn reaches(record: &Record) -> bool {
    matches!(
        record,
        Record::Received { .. }
            | Record::Answer { .. }
            | Record::Timer { .. }
            | Record::Deadline { .. }
            | Record::Resumed { .. }
            | Record::Started { .. }
    )
}

fn find_last<'e>(
    mut before: impl Iterator<Item = (usize, &'e Entry)>,
    wanted: impl Fn(&Record) -> bool,
) -> Option<(usize, &'e Entry)> {
    before.find(|(_, entry)| wanted(&entry.record))
}

/// A line that can be read: the values of a hundred agents are cut off.
fn short(text: &str) -> String {
    const MOST: usize = 240;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { event, time, round, agent, expected, actual, .. } = self;
        write!(f, "first difference at event {event}, t = {time} (round {round})")?;
        if let Some(agent) = agent {
            write!(f, ", agent {agent}")?;
        }
        match expected {
            Some(expected) => {
                write!(f, "\n  expected  {}", short(&sentence(&expected.record)))?;
                if (expected.time, expected.round) != (*time, *round) {
                    write!(f, " at {} (round {})", expected.time, expected.round)?;
                }
            }
            None => f.write_str("\n  expected  nothing more")?,
        }
        match (actual, expected.as_ref().map(|entry| &entry.record)) {
            (Some(actual), _) => write!(f, "\n  actual    {}", short(&sentence(actual)))?,
            (None, Some(Record::Checkpoint { .. })) => f.write_str("\n  actual    another fingerprint")?,
            (None, _) => f.write_str("\n  actual    nothing of the kind")?,
        }
        if let Some((path, expected, actual)) = &self.part {
            write!(f, "\n  differs   {path}: {expected} became {actual}")?;
        }
        for (n, cause) in self.causes.iter().enumerate() {
            let head = if n == 0 { "because   " } else { "          " };
            write!(f, "\n  {head}{}", short(cause))?;
        }
        if let Some(likely) = self.likely {
            write!(f, "\n  likely    {likely}")?;
        }
        if let Some(reproduce) = &self.reproduce {
            write!(f, "\n  reproduce {reproduce}")?;
        }
        Ok(())
    }
}
