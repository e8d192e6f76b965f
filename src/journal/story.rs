//! A record as a sentence.
//!
//! Why here: a person who looks for a bug meets records in listings, in differences and where a replay stops, and should read
//! the same words everywhere.
//!
//! Contract: one line, whatever a peer wrote: control characters are escaped, and values are cut at 200 characters.

use std::fmt::{self, Write as _};

use super::packed::Packed;
use super::record::{Entry, Hash, OUTSIDE, RESEED, Record};
use crate::codec::Value;
use crate::rpc::{Args, Request};

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

/// A record as a sentence, for comparisons: what is known by its hash alone is told apart by it.
pub(crate) fn sentence(record: &Record) -> String {
    let (who, what) = tell(record);
    let hash = hash(record).map_or(String::new(), |hash| format!(" (hash {hash})"));
    line(&format!("{who} {what}{hash}"))
}

/// Of values that are not told.
fn hash(record: &Record) -> Option<Hash> {
    match record {
        Record::Sent { hash, values: None, .. }
        | Record::Answered { hash, value: None, .. }
        | Record::Resumed { hash, .. } => Some(*hash),
        _ => None,
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

/// What a message carries: a list of arguments, or a value.
fn carried(values: &Option<Packed>) -> String {
    let Some(values) = values else { return String::new() };
    match values.value() {
        Some(Value::List(positional)) if values.args().is_none() => brief(&Args::new(positional, Vec::new())),
        _ => call(values),
    }
}

fn with(values: &Option<Packed>) -> String {
    values.as_ref().map(|values| format!(": {}", brief(values))).unwrap_or_default()
}

/// A request as a call of its path.
fn request(content: &Packed) -> String {
    let request = content.value().and_then(|value| Request::from_content(value).ok());
    request.map_or_else(|| brief(content), |Request { path, args, .. }| format!("{path}{}", brief(&args)))
}

/// A text without quotation marks, and nothing of nothing.
fn plain(value: &Packed) -> String {
    match value.value() {
        Some(Value::Null) => String::new(),
        Some(Value::Str(text)) => brief(&text),
        _ => brief(value),
    }
}

/// What comes from outside beside calls: of a program's network, of a fork, or of whoever administers it.
fn command(from: &str, name: &str, args: &Packed) -> String {
    let told = plain(args);
    match name {
        "bound" if told == from => "listens".into(),
        "bound" => format!("listens at {told}"),
        "connected" => format!("connects as connection {told}"),
        "closed" => format!("disconnects: {told}"),
        RESEED => format!("goes on with seed {told}"),
        _ if args.args().is_some() => format!("commands {name}{}", call(args)),
        _ if told.is_empty() => format!("commands {name}"),
        _ => format!("commands {name}: {told}"),
    }
}

fn fault(name: &str, args: &Packed) -> String {
    let span = plain(args);
    match name {
        "crash" => "crashes, which is a fault".into(),
        "restart" => format!("crashes, which is a fault, to restart after {span}"),
        "pause" => format!("stands still for {span}, which is a fault"),
        "err" => "is not to handle its next message, which is a fault".into(),
        _ if args.args().is_some() => format!("suffers the fault {name}{}", call(args)),
        _ => format!("suffers the fault {name} {span}").trim_end().into(),
    }
}

/// What a supervisor did, which is recorded as the name of its outcome.
fn supervised(outcome: &str) -> String {
    match outcome {
        "Stopped" => "it is stopped".into(),
        "Escalated" => "this ends the run".into(),
        _ => match outcome.strip_prefix("Restarts(Time(").and_then(|rest| rest.strip_suffix("))")) {
            Some(time) => format!("it restarts at {time}"),
            None => brief(&outcome),
        },
    }
}

/// Who does what.
fn tell(record: &Record) -> (&str, String) {
    match record {
        Record::Origin { date, host, pid } => {
            ("journal", format!("is written on {host} by process {pid}, {date}"))
        }
        Record::Checkpoint { events, fingerprint, .. } => {
            ("journal", format!("notes the fingerprint {fingerprint} after {events} events"))
        }
        Record::Note { agent, breaks_replay, text } => {
            let breaks = if *breaks_replay { "cannot be replayed from here on: " } else { "notes: " };
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
            (from.as_str(), format!("calls {}, request #{number}", request(content)))
        }
        Record::Opened { connection, peer } => (peer.as_str(), format!("opens connection {connection}")),
        Record::Closed { connection, peer, because } => {
            (peer.as_str(), format!("ends connection {connection}: {}", brief(because)))
        }
        Record::Result { agent, call, name, outcome: Ok(value) } => {
            (agent.as_str(), format!("gets the result of its operation {name} #{call}: {}", brief(value)))
        }
        Record::Result { agent, call, name, outcome: Err(error) } => {
            (agent.as_str(), format!("hears that its operation {name} #{call} failed: {}", brief(error)))
        }
        Record::Reading { agent, source, value } => {
            (agent.as_str(), format!("reads {source}: {}", brief(value)))
        }
        Record::Command { from, name, args } => (from.as_str(), command(from.as_str(), name.as_str(), args)),
        Record::Fault { agent, name, args } => (agent.as_str(), fault(name.as_str(), args)),

        Record::Replied { number, to, outcome: Ok(value) } => {
            ("kernel", format!("answers #{number} of {to}: {}", brief(value)))
        }
        Record::Replied { number, to, outcome: Err(error) } => {
            ("kernel", format!("answers #{number} of {to} with an error: {}", brief(error)))
        }
        Record::Frame { to, hash, content } => {
            ("kernel", format!("sends a frame to {to}, with hash {hash}{}", with(content)))
        }
        Record::Created { agent, by } if *by == OUTSIDE => (agent.as_str(), "is created from outside".into()),
        Record::Created { agent, by } => (agent.as_str(), format!("is created by {by}")),
        Record::Started { agent } => (agent.as_str(), "starts".into()),
        Record::Stopped { agent } => (agent.as_str(), "stops".into()),
        Record::Failed { agent, task, message, outcome } => {
            (agent.as_str(), format!("fails in {task}: {} ({})", brief(message), supervised(outcome)))
        }
        Record::Sent { agent, to, sequence, label, values, .. } => {
            (agent.as_str(), format!("sends {label}{} #{sequence} to {to}", carried(values)))
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
            let text = if text.is_empty() { String::new() } else { format!(": {}", brief(text)) };
            (who, format!("shows that property \"{name}\" {holds}{text}"))
        }
        Record::Drew { agent, purpose, number } => {
            (agent.as_str(), format!("draws number {number} of stream {purpose}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Name;

    #[test]
    fn what_comes_from_outside_is_a_sentence() {
        let peer = "tcp://10.0.0.3:5555";
        let commands = [
            ("bound", Value::from(peer), "listens"),
            ("bound", Value::from("tcp://10.0.0.4:1"), "listens at tcp://10.0.0.4:1"),
            ("connected", Value::from(2), "connects as connection 2"),
            ("closed", Value::from("it was closed"), "disconnects: it was closed"),
            (RESEED, Value::from(9), "goes on with seed 9"),
            ("pause", Value::Null, "commands pause"),
            ("speed", Value::from(2), "commands speed: 2"),
        ];
        for (name, args, told) in commands {
            let record = Record::Command { from: peer.into(), name: name.into(), args: Packed::new(&args) };
            assert_eq!(sentence(&record), format!("{peer} {told}"));
        }
        let request = Request::new("sim/step", Args::default().arg("15min").kwarg("a", 1));
        let content = Packed::from_request(&request);
        let record = Record::Request { number: 3, from: "simulator".into(), content };
        assert_eq!(sentence(&record), r#"simulator calls sim/step("15min", a=1), request #3"#);
        let content = Packed::new(&Value::from("no request"));
        let record = Record::Request { number: 4, from: "simulator".into(), content };
        assert_eq!(sentence(&record), r#"simulator calls "no request", request #4"#);
    }

    #[test]
    fn faults_failures_and_properties_are_sentences() {
        let agent = || Name::new("house");
        let fault = |name: &str, span: Value| Record::Fault {
            agent: agent(),
            name: name.into(),
            args: Packed::new(&span),
        };
        let failed = |outcome: &str| Record::Failed {
            agent: agent(),
            task: "plan".into(),
            message: "no sun".into(),
            outcome: outcome.into(),
        };
        let property = |text: &str| Record::Property {
            agent: "".into(),
            name: "warm".into(),
            holds: false,
            text: text.into(),
        };
        let told = [
            (fault("crash", Value::Null), "house crashes, which is a fault"),
            (fault("restart", Value::from("1s")), "house crashes, which is a fault, to restart after 1s"),
            (fault("pause", Value::from("3s")), "house stands still for 3s, which is a fault"),
            (fault("err", Value::Null), "house is not to handle its next message, which is a fault"),
            (fault("flood", Value::Null), "house suffers the fault flood"),
            (failed("Escalated"), "house fails in plan: no sun (this ends the run)"),
            (failed("Stopped"), "house fails in plan: no sun (it is stopped)"),
            (failed("Restarts(Time(5s))"), "house fails in plan: no sun (it restarts at 5s)"),
            (property(""), "run shows that property \"warm\" does not hold"),
            (property("17 degrees"), "run shows that property \"warm\" does not hold: 17 degrees"),
        ];
        for (record, told) in told {
            assert_eq!(sentence(&record), told);
        }
    }

    /// A replay that has values beside a recording that has hashes must show where they differ.
    #[test]
    fn values_are_told_and_where_there_are_none_their_hash() {
        let sent = |values| Record::Sent {
            agent: "a".into(),
            to: "b".into(),
            sequence: 1,
            label: "set".into(),
            hash: Hash(255),
            values,
        };
        assert_eq!(sentence(&sent(None)), "a sends set #1 to b (hash 00000000000000ff)");
        for values in [
            Packed::new(&Value::List(vec![Value::from(1), Value::from("x")])),
            Packed::from_args(&Args::default().arg(1).arg("x")),
        ] {
            assert_eq!(sentence(&sent(Some(values))), r#"a sends set(1, "x") #1 to b"#);
        }
        let resumed = Record::Resumed { agent: "a".into(), name: "fetch".into(), hash: Hash(1) };
        assert_eq!(sentence(&resumed), "a goes on with the result of fetch (hash 0000000000000001)");
    }
}
