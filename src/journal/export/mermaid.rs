//! A sequence diagram of a short window, for Mermaid.
//!
//! Messages are drawn where they are sent, answers dashed, with the name of what they answer; calls from outside come
//! from their peers; failures, faults, deadlines and properties that did not hold are notes.

use std::collections::BTreeMap;
use std::{fmt, io};

use isochrone_sim::Time;

use super::{ExportError, Window};
use crate::journal::record::{Entry, Record};
use crate::journal::story::cut;
use crate::journal::{Name, Packed, Reader};

/// More arrows than this are no picture.
const MOST: usize = 500;
/// Characters of a value or a text.
const MOST_TEXT: usize = 60;
/// Calls whose names are remembered for their answers.
const MOST_OPEN: usize = 4_096;

/// Draws the messages of a window as a Mermaid sequence diagram.
///
/// # Errors
/// The journal's or the output's, or there are more than 500 messages and notes.
pub fn mermaid(journal: &mut Reader, window: &Window, out: &mut dyn io::Write) -> Result<(), ExportError> {
    let mut diagram = Diagram::default();
    for entry in journal {
        let entry = entry?;
        diagram.follow(&entry);
        if window.shows(&entry) {
            diagram.draw(&entry);
            if diagram.lines.len() > MOST {
                return Err(ExportError::TooMany { limit: MOST });
            }
        }
    }
    writeln!(out, "sequenceDiagram")?;
    for (at, name) in diagram.order.iter().enumerate() {
        writeln!(out, "    participant p{at} as {}", plain(name.as_str()))?;
    }
    let mut last = None;
    for line in &diagram.lines {
        // a band at every instant, so that the time is said once
        if last != Some(line.time) && !diagram.order.is_empty() {
            let across = if diagram.order.len() > 1 {
                format!("p0,p{}", diagram.order.len() - 1)
            } else {
                "p0".into()
            };
            writeln!(out, "    Note over {across}: {}", line.time)?;
            last = Some(line.time);
        }
        writeln!(out, "    {}", line.text)?;
    }
    Ok(())
}

#[derive(Default)]
struct Diagram {
    participants: BTreeMap<Name, usize>,
    order: Vec<Name>,
    lines: Vec<Line>,
    /// by agent and number: what the open calls are called
    calls: BTreeMap<(Name, u64), Name>,
}

struct Line {
    time: Time,
    text: String,
}

impl Diagram {
    /// Remembers what calls are called, also of those before the window.
    fn follow(&mut self, entry: &Entry) {
        if let Record::Received { agent, label, call, .. } = &entry.record
            && *call > 0
            && self.calls.len() < MOST_OPEN
        {
            self.calls.insert((agent.clone(), *call), label.clone());
        }
    }

    fn draw(&mut self, entry: &Entry) {
        match &entry.record {
            Record::Sent { agent, to, label, values, .. } => {
                let values = values.as_ref().map(|values| format!(" {}", brief(values)));
                self.arrow(entry, agent, "->>", to, &format!("{label}{}", values.unwrap_or_default()));
            }
            Record::Answered { agent, to, call, value, .. } => {
                let value = value.as_ref().map(|value| format!(" = {}", brief(value)));
                let label = self.calls.remove(&(agent.clone(), *call));
                let label = label.as_ref().map_or("answer", Name::as_str);
                self.arrow(entry, agent, "-->>", to, &format!("{label}{}", value.unwrap_or_default()));
            }
            Record::Call { from, agent, method, args, .. } => {
                self.arrow(entry, from, "->>", agent, &format!("{method}{}", arguments(args)));
            }
            Record::Refused { agent, from, .. } => self.arrow(entry, agent, "--x", from, "refused"),
            Record::Failed { agent, task, message, .. } => {
                self.note(entry, agent, &format!("failed in {task}: {}", brief(message)));
            }
            Record::Fault { agent, name, .. } => self.note(entry, agent, &format!("fault: {name}")),
            Record::Deadline { agent, label } => self.note(entry, agent, &format!("deadline of {label}")),
            Record::Result { agent, name, .. } => self.note(entry, agent, &format!("result of {name}")),
            Record::Property { agent, name, holds: false, .. } if !agent.as_str().is_empty() => {
                self.note(entry, agent, &format!("{name} does not hold"));
            }
            _ => {}
        }
    }

    fn participant(&mut self, name: &Name) -> usize {
        *self.participants.entry(name.clone()).or_insert_with(|| {
            self.order.push(name.clone());
            self.order.len() - 1
        })
    }

    fn arrow(&mut self, entry: &Entry, from: &Name, arrow: &str, to: &Name, label: &str) {
        let (from, to) = (self.participant(from), self.participant(to));
        self.lines.push(Line { time: entry.time, text: format!("p{from}{arrow}p{to}: {}", plain(label)) });
    }

    fn note(&mut self, entry: &Entry, at: &Name, text: &str) {
        let at = self.participant(at);
        self.lines.push(Line { time: entry.time, text: format!("Note over p{at}: {}", plain(text)) });
    }
}

/// As in Python, if they are arguments.
fn arguments(args: &Packed) -> String {
    args.args().map_or_else(|| brief(args), |args| brief(&args))
}

fn brief(what: &impl fmt::Display) -> String {
    cut(what, MOST_TEXT)
}

/// What Mermaid would read as its own is written as entities, which it shows as the characters.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '#' | ';' | '<' | '>' | '%' => out.push_str(&format!("#{};", u32::from(char))),
            char if char.is_control() => out.push(' '),
            char => out.push(char),
        }
    }
    out
}
