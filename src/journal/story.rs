//! A record as a sentence.
//!
//! Contract: one line, whatever a peer wrote: control characters are escaped, and values are cut at 200 characters.

use std::fmt::{self, Write as _};

use super::packed::Packed;
use super::record::{Entry, Record};

/// Characters of a value or a text.
const MOST: usize = 200;

/// An entry as `isochrone journal cat` shows it: event number, time and round, who, what he does, to whom.
///
/// ```
/// use isochrone::journal::{Entry, Record, Story};
/// use isochrone::sim::{Time, minutes};
/// let record = Record::Timer { agent: "grid/house_7".into(), label: "plan".into() };
/// let entry = Entry { event: 42, time: Time::ZERO + minutes(15), round: 1, record };
/// assert_eq!(Story(&entry).to_string(), "      42  15min +1              grid/house_7              wakes for plan");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Story<'a>(pub &'a Entry);

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { event, time, round, record } = self.0;
        let time = match (record.is_volatile(), round) {
            (true, _) => String::new(),
            (false, 0) => time.to_string(),
            (false, round) => format!("{time} +{round}"),
        };
        let (who, what) = tell(record);
        write!(f, "{event:>8}  {time:<20}  {:<24}  {}", line(who), line(&what))
    }
}

/// A text on one line.
fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { out.extend(char.escape_default()) } else { out.push(char) }
    }
    out
}

/// Ends a text that becomes too long.
struct Brief {
    text: String,
    left: usize,
}

impl fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.left == 0 {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.text.push(char);
        }
        Ok(())
    }
}

fn brief(what: &impl fmt::Display) -> String {
    cut(what, MOST)
}

/// The first characters of a text, without making the rest of it.
pub(super) fn cut(what: &impl fmt::Display, most: usize) -> String {
    let mut brief = Brief { text: String::new(), left: most };
    // an error is the end of what is shown
    let _ = write!(brief, "{what}");
    brief.text
}

/// The arguments of a call, as in Python.
fn call(args: &Packed) -> String {
    args.args().map_or_else(|| brief(args), |args| brief(&args))
}

fn with(values: &Option<Packed>) -> String {
    values.as_ref().map(|values| format!(": {}", brief(values))).unwrap_or_default()
}

fn outcome(outcome: &Result<Packed, String>) -> String {
    match outcome {
        Ok(value) => brief(value),
        Err(error) => format!("error {}", brief(error)),
    }
}

/// Who does what.
fn tell(record: &Record) -> (&str, String) {
    match record {
        Record::Origin { date, host, pid } => {
            ("journal", format!("is written on {host} by process {pid}, {date}"))
        }
        Record::Checkpoint { events, fingerprint, .. } => {
            ("journal", format!("checkpoint after {events} events, fingerprint {fingerprint}"))
        }
        Record::Note { agent, breaks_replay, text } => {
            let breaks = if *breaks_replay { "cannot be replayed from here on: " } else { "notes " };
            (agent.as_ref().map_or("journal", |agent| agent.as_str()), format!("{breaks}{}", brief(text)))
        }
        Record::End { events, because, .. } => {
            ("journal", format!("ends after {events} events: {}", brief(because)))
        }

        Record::Turn { until } => ("clock", format!("reads {until}")),
        Record::Step { to, limit: None } => ("clock", format!("steps to {to}")),
        Record::Step { to, limit: Some(limit) } => ("clock", format!("steps to {to}, at most to {limit}")),
        Record::Advance { to } => ("clock", format!("advances to {to}")),
        Record::Jump { to } => ("clock", format!("was far behind and jumps to {to}")),
        Record::Call { number, from, agent, method, args } => {
            (from.as_str(), format!("calls {method}{} of {agent}, input #{number}", call(args)))
        }
        Record::Request { number, from, content } => {
            (from.as_str(), format!("requests #{number}: {}", brief(content)))
        }
        Record::Opened { connection, peer } => (peer.as_str(), format!("connects, connection {connection}")),
        Record::Closed { connection, peer, because } => {
            (peer.as_str(), format!("disconnects, connection {connection}: {}", brief(because)))
        }
        Record::Result { agent, call, name, outcome: result } => {
            (agent.as_str(), format!("operation {name} #{call} gives {}", outcome(result)))
        }
        Record::Reading { agent, source, value } => {
            (agent.as_str(), format!("reads {source}: {}", brief(value)))
        }
        Record::Command { from, name, args } => (from.as_str(), format!("commands {name}{}", call(args))),
        Record::Fault { agent, name, args } => (agent.as_str(), format!("suffers {name}{}", call(args))),

        Record::Replied { number, to, outcome: result } => {
            ("kernel", format!("replies to #{number} of {to}: {}", outcome(result)))
        }
        Record::Frame { to, hash, content } => {
            ("kernel", format!("sends a frame to {to}, {hash}{}", with(content)))
        }
        Record::Created { agent, by } => (agent.as_str(), format!("is created by {by}")),
        Record::Started { agent } => (agent.as_str(), "starts".into()),
        Record::Stopped { agent } => (agent.as_str(), "stops".into()),
        Record::Failed { agent, task, message, outcome } => {
            (agent.as_str(), format!("fails in {task}: {} ({})", brief(message), brief(outcome)))
        }
        Record::Sent { agent, to, sequence, label, values, .. } => {
            (agent.as_str(), format!("sends {label} #{sequence} to {to}{}", with(values)))
        }
        Record::Received { agent, from, sequence, label, .. } => {
            (agent.as_str(), format!("gets {label} #{sequence} from {from}"))
        }
        Record::Held { agent, from, sequence } => {
            (agent.as_str(), format!("is busy; #{sequence} of {from} waits"))
        }
        Record::Refused { agent, from, sequence } => {
            (agent.as_str(), format!("refuses #{sequence} of {from}"))
        }
        Record::Answered { agent, to, sequence, value, .. } => {
            (agent.as_str(), format!("answers #{sequence} to {to}{}", with(value)))
        }
        Record::Answer { agent, from, sequence } => {
            (agent.as_str(), format!("gets the answer #{sequence} of {from}"))
        }
        Record::Late { agent, from, sequence } => {
            (agent.as_str(), format!("gets the answer #{sequence} of {from} too late"))
        }
        Record::Timer { agent, label } => (agent.as_str(), format!("wakes for {label}")),
        Record::Deadline { agent, label } => (agent.as_str(), format!("gives up waiting in {label}")),
        Record::Resumed { agent, name, .. } => (agent.as_str(), format!("goes on with the result of {name}")),
        Record::Property { agent, name, holds, text } => {
            let who = if agent.as_str().is_empty() { "run" } else { agent.as_str() };
            let holds = if *holds { "holds" } else { "does not hold" };
            (who, format!("property {name} {holds} {}", brief(text)))
        }
        Record::Drew { agent, purpose, number } => {
            (agent.as_str(), format!("draws number {number} for {purpose}"))
        }
    }
}
