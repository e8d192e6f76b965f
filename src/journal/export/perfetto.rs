//! A Perfetto trace, in its own protobuf: for ui.perfetto.dev and its SQL.
//!
//! | in the trace | what |
//! |---|---|
//! | process | a container; `outside` for peers and whoever else has no container |
//! | track in it | an agent: what it sends, its timers, deadlines, failures as instants; one-way messages as slices of no length |
//! | tracks `calls` below it | a slice for each call from delivery to answer; one that is never answered stays open |
//! | counter `mailbox` below it | messages on their way to it or waiting for it |
//! | flow | from a message's sending to its delivery, from an answer's sending to its arrival |
//! | track `clock` | steps, turns and jumps |
//!
//! The time is the run's, in ns from its epoch, or from its first record if that is earlier: Perfetto's times are not
//! negative. Every event carries its number in the journal as the annotation `event`.

use std::collections::BTreeMap;
use std::io;

use isochrone_sim::Time;
use isochrone_sim::fingerprint::payload_hash;

use super::protobuf::Message;
use super::{ExportError, Window};
use crate::journal::record::{Entry, Record};
use crate::journal::story::cut;
use crate::journal::{Name, Reader};

/// Fields and values of `perfetto.protos`, by message.
mod proto {
    pub(super) const TRACE_PACKET: u32 = 1;

    pub(super) const PACKET_TIMESTAMP: u32 = 8;
    pub(super) const PACKET_SEQUENCE_ID: u32 = 10;
    pub(super) const PACKET_TRACK_EVENT: u32 = 11;
    pub(super) const PACKET_SEQUENCE_FLAGS: u32 = 13;
    pub(super) const PACKET_TRACK_DESCRIPTOR: u32 = 60;

    pub(super) const TRACK_UUID: u32 = 1;
    pub(super) const TRACK_NAME: u32 = 2;
    pub(super) const TRACK_PROCESS: u32 = 3;
    pub(super) const TRACK_PARENT: u32 = 5;
    pub(super) const TRACK_COUNTER: u32 = 8;

    pub(super) const PROCESS_PID: u32 = 1;
    pub(super) const PROCESS_NAME: u32 = 6;

    pub(super) const EVENT_ANNOTATION: u32 = 4;
    pub(super) const EVENT_TYPE: u32 = 9;
    pub(super) const EVENT_TRACK: u32 = 11;
    pub(super) const EVENT_CATEGORY: u32 = 22;
    pub(super) const EVENT_NAME: u32 = 23;
    pub(super) const EVENT_COUNTER_VALUE: u32 = 30;
    pub(super) const EVENT_FLOW: u32 = 47;
    pub(super) const EVENT_FLOW_ENDS: u32 = 48;

    pub(super) const SLICE_BEGIN: u64 = 1;
    pub(super) const SLICE_END: u64 = 2;
    pub(super) const INSTANT: u64 = 3;
    pub(super) const COUNTER: u64 = 4;

    pub(super) const ANNOTATION_UINT: u32 = 3;
    pub(super) const ANNOTATION_STRING: u32 = 6;
    pub(super) const ANNOTATION_NAME: u32 = 10;
}

/// Calls whose begin is remembered.
const MOST_OPEN: usize = 65_536;
/// Characters of a value.
const MOST_TEXT: usize = 1_024;

/// Writes the entries of a window as a Perfetto trace.
///
/// # Errors
/// The journal's or the output's.
pub fn perfetto(journal: &mut Reader, window: &Window, out: &mut dyn io::Write) -> Result<(), ExportError> {
    let mut trace = Trace {
        out,
        first: None,
        uuids: 0,
        processes: BTreeMap::new(),
        tracks: BTreeMap::new(),
        open: BTreeMap::new(),
    };
    for entry in journal {
        let entry = entry?;
        trace.count(&entry, window)?;
        if window.shows(&entry) {
            trace.show(&entry)?;
        }
    }
    trace.leave_open()
}

struct Trace<'a> {
    out: &'a mut dyn io::Write,
    /// of the first entry, if it is negative
    first: Option<Time>,
    uuids: u64,
    processes: BTreeMap<String, u64>,
    tracks: BTreeMap<Name, Track>,
    open: BTreeMap<(Name, u64), Open>,
}

struct Track {
    uuid: u64,
    counter: Option<u64>,
    mailbox: i64,
    /// tracks of calls, and until when they are taken
    lanes: Vec<(u64, Time)>,
}

/// A call that is being handled.
struct Open {
    event: u64,
    since: Time,
    label: Name,
    flow: u64,
}

/// What is shown, besides when and where.
#[derive(Default)]
struct Shown<'a> {
    event: u64,
    name: &'a str,
    category: &'a str,
    flow: Option<u64>,
    flow_ends: Option<u64>,
    text: Option<(&'a str, &'a str)>,
}

/// The same for a message's sender and its receiver.
fn flow(from: &Name, sequence: u64) -> u64 {
    payload_hash(&(from.as_str(), sequence))
}

impl Trace<'_> {
    /// Counts mailboxes, also outside the window, or they would begin with less than is there.
    fn count(&mut self, entry: &Entry, window: &Window) -> Result<(), ExportError> {
        let (agent, change) = match &entry.record {
            Record::Sent { to, .. } => (to, 1),
            Record::Received { agent, .. } | Record::Refused { agent, .. } => (agent, -1),
            _ => return Ok(()),
        };
        let uuid = self.track(agent)?;
        let Some(track) = self.tracks.get_mut(agent) else { return Ok(()) };
        // what was sent before the journal, or the segment, begins is received as well
        track.mailbox = (track.mailbox + change).max(0);
        let (mailbox, counter) = (track.mailbox, track.counter);
        if !window.shows(entry) {
            return Ok(());
        }
        let counter = match counter {
            Some(counter) => counter,
            None => {
                let counter = self.descriptor("mailbox", |message| {
                    message
                        .number(proto::TRACK_PARENT, uuid)
                        .message(proto::TRACK_COUNTER, &Message::default())
                })?;
                if let Some(track) = self.tracks.get_mut(agent) {
                    track.counter = Some(counter);
                }
                counter
            }
        };
        let event = Message::default()
            .number(proto::EVENT_TYPE, proto::COUNTER)
            .number(proto::EVENT_TRACK, counter)
            .number(proto::EVENT_COUNTER_VALUE, mailbox as u64);
        self.event(entry.time, &event)
    }

    fn show(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let event = entry.event;
        let plain = |name, category| Shown { event, name, category, ..Shown::default() };
        match &entry.record {
            Record::Sent { agent, sequence, label, values, .. } => {
                let values = values.as_ref().map(|values| cut(values, MOST_TEXT));
                let text = values.as_deref().map(|values| ("values", values));
                let flow = Some(flow(agent, *sequence));
                self.instant(entry, agent, Shown { flow, text, ..plain(&format!("send {label}"), "message") })
            }
            Record::Received { agent, from, sequence, label, call: 0, .. } => {
                let flow_ends = Some(flow(from, *sequence));
                let track = self.track(agent)?;
                self.slice(
                    track,
                    (entry.time, Some(entry.time)),
                    &Shown { flow_ends, ..plain(label.as_str(), "message") },
                )
            }
            Record::Received { agent, from, sequence, label, call, .. } => {
                let open =
                    Open { event, since: entry.time, label: label.clone(), flow: flow(from, *sequence) };
                if self.open.len() < MOST_OPEN {
                    self.open.insert((agent.clone(), *call), open);
                }
                Ok(())
            }
            Record::Answered { agent, sequence, call, value, .. } => {
                let value = value.as_ref().map(|value| cut(value, MOST_TEXT));
                let text = value.as_deref().map(|value| ("value", value));
                let open = self.open.remove(&(agent.clone(), *call));
                let name = open.as_ref().map_or("answer".into(), |open| format!("answer {}", open.label));
                if let Some(open) = open {
                    self.call(agent, &open, Some(entry.time))?;
                }
                let flow = Some(flow(agent, *sequence));
                self.instant(entry, agent, Shown { flow, text, ..plain(&name, "message") })
            }
            Record::Answer { agent, from, sequence, .. } => {
                let flow_ends = Some(flow(from, *sequence));
                self.instant(entry, agent, Shown { flow_ends, ..plain("answer arrives", "message") })
            }
            Record::Late { agent, from, sequence } => {
                let flow_ends = Some(flow(from, *sequence));
                self.instant(entry, agent, Shown { flow_ends, ..plain("late answer", "message") })
            }
            Record::Refused { agent, from, sequence } => {
                let flow_ends = Some(flow(from, *sequence));
                self.instant(entry, agent, Shown { flow_ends, ..plain("refused", "message") })
            }
            Record::Held { agent, .. } => self.instant(entry, agent, plain("held", "message")),
            Record::Call { from, method, .. } => {
                self.instant(entry, from, plain(&format!("call {method}"), "input"))
            }
            Record::Timer { agent, label } => {
                self.instant(entry, agent, plain(&format!("timer {label}"), "timer"))
            }
            Record::Deadline { agent, label } => {
                self.instant(entry, agent, plain(&format!("deadline {label}"), "timer"))
            }
            Record::Resumed { agent, name, .. } => {
                self.instant(entry, agent, plain(&format!("result of {name}"), "external"))
            }
            Record::Created { agent, .. } => self.instant(entry, agent, plain("created", "life")),
            Record::Started { agent } => self.instant(entry, agent, plain("started", "life")),
            Record::Stopped { agent } => self.instant(entry, agent, plain("stopped", "life")),
            Record::Failed { agent, task, message, .. } => {
                let text = Some(("message", message.as_str()));
                self.instant(entry, agent, Shown { text, ..plain(&format!("failed in {task}"), "failure") })
            }
            Record::Fault { agent, name, .. } => {
                self.instant(entry, agent, plain(&format!("fault {name}"), "failure"))
            }
            Record::Property { agent, name, holds: false, text } if !agent.as_str().is_empty() => {
                let text = Some(("text", text.as_str()));
                self.instant(
                    entry,
                    agent,
                    Shown { text, ..plain(&format!("{name} does not hold"), "failure") },
                )
            }
            Record::Step { to, .. } => self.clock(entry, &format!("step to {to}")),
            Record::Advance { to } => self.clock(entry, &format!("advance to {to}")),
            Record::Turn { until } => self.clock(entry, &format!("turn until {until}")),
            Record::Jump { to } => self.clock(entry, &format!("jump to {to}")),
            _ => Ok(()),
        }
    }

    fn clock(&mut self, entry: &Entry, name: &str) -> Result<(), ExportError> {
        let shown = Shown { event: entry.event, name, category: "clock", ..Shown::default() };
        self.instant(entry, &Name::new("clock"), shown)
    }

    /// Calls that were never answered have a beginning only.
    fn leave_open(&mut self) -> Result<(), ExportError> {
        for ((agent, _), open) in std::mem::take(&mut self.open) {
            self.call(&agent, &open, None)?;
        }
        Ok(())
    }

    /// A slice on the first of the agent's tracks for calls that is free at its beginning.
    fn call(&mut self, agent: &Name, open: &Open, end: Option<Time>) -> Result<(), ExportError> {
        let parent = self.track(agent)?;
        let lanes = self.tracks.get(agent).map_or(&[][..], |track| &track.lanes);
        let free = lanes.iter().position(|(_, until)| *until <= open.since);
        let (at, lane) = match free {
            Some(at) => (at, lanes[at].0),
            None => {
                let at = lanes.len();
                (at, self.descriptor("calls", |message| message.number(proto::TRACK_PARENT, parent))?)
            }
        };
        if let Some(track) = self.tracks.get_mut(agent) {
            match track.lanes.get_mut(at) {
                Some((_, until)) => *until = end.unwrap_or(Time::MAX),
                None => track.lanes.push((lane, end.unwrap_or(Time::MAX))),
            }
        }
        let shown = Shown {
            event: open.event,
            name: open.label.as_str(),
            category: "call",
            flow_ends: Some(open.flow),
            ..Shown::default()
        };
        self.slice(lane, (open.since, end), &shown)
    }

    fn slice(
        &mut self,
        track: u64,
        (begin, end): (Time, Option<Time>),
        shown: &Shown<'_>,
    ) -> Result<(), ExportError> {
        self.event(begin, &message(proto::SLICE_BEGIN, track, shown))?;
        match end {
            Some(end) => {
                let event = Message::default()
                    .number(proto::EVENT_TYPE, proto::SLICE_END)
                    .number(proto::EVENT_TRACK, track);
                self.event(end, &event)
            }
            None => Ok(()),
        }
    }

    fn instant(&mut self, entry: &Entry, agent: &Name, shown: Shown<'_>) -> Result<(), ExportError> {
        let track = self.track(agent)?;
        self.event(entry.time, &message(proto::INSTANT, track, &shown))
    }

    fn event(&mut self, time: Time, event: &Message) -> Result<(), ExportError> {
        let first = *self.first.get_or_insert(time.min(Time::ZERO));
        let timestamp = time.checked_since(first).map_or(0, |since| since.as_nanos() as u64);
        let packet = Message::default().number(proto::PACKET_TIMESTAMP, timestamp);
        self.packet(packet.message(proto::PACKET_TRACK_EVENT, event))
    }

    fn packet(&mut self, packet: Message) -> Result<(), ExportError> {
        let packet = packet.number(proto::PACKET_SEQUENCE_ID, 1);
        Ok(self.out.write_all(Message::default().message(proto::TRACE_PACKET, &packet).as_bytes())?)
    }

    /// The uuid of an agent's track.
    fn track(&mut self, agent: &Name) -> Result<u64, ExportError> {
        if let Some(track) = self.tracks.get(agent) {
            return Ok(track.uuid);
        }
        let (container, name) = match agent.as_str().split_once('/') {
            Some((container, name)) if !agent.as_str().contains("://") => (container, name),
            _ => ("outside", agent.as_str()),
        };
        let process = self.process(container)?;
        let uuid = self.descriptor(name, |message| message.number(proto::TRACK_PARENT, process))?;
        let track = Track { uuid, counter: None, mailbox: 0, lanes: Vec::new() };
        self.tracks.insert(agent.clone(), track);
        Ok(uuid)
    }

    fn process(&mut self, container: &str) -> Result<u64, ExportError> {
        if let Some(uuid) = self.processes.get(container) {
            return Ok(*uuid);
        }
        let pid = self.processes.len() as u64 + 1;
        let process = Message::default().number(proto::PROCESS_PID, pid).text(proto::PROCESS_NAME, container);
        let first = self.processes.is_empty();
        let uuid = self.descriptor("", |message| message.message(proto::TRACK_PROCESS, &process))?;
        if first {
            // nothing that was said before counts
            self.packet(Message::default().number(proto::PACKET_SEQUENCE_FLAGS, 1))?;
        }
        self.processes.insert(container.to_owned(), uuid);
        Ok(uuid)
    }

    /// Describes a new track and returns its uuid.
    fn descriptor(&mut self, name: &str, more: impl FnOnce(Message) -> Message) -> Result<u64, ExportError> {
        self.uuids += 1;
        let message = Message::default().number(proto::TRACK_UUID, self.uuids);
        let message = if name.is_empty() { message } else { message.text(proto::TRACK_NAME, name) };
        self.packet(Message::default().message(proto::PACKET_TRACK_DESCRIPTOR, &more(message)))?;
        Ok(self.uuids)
    }
}

fn message(kind: u64, track: u64, shown: &Shown<'_>) -> Message {
    let event =
        Message::default().text(proto::ANNOTATION_NAME, "event").number(proto::ANNOTATION_UINT, shown.event);
    let mut message = Message::default()
        .number(proto::EVENT_TYPE, kind)
        .number(proto::EVENT_TRACK, track)
        .text(proto::EVENT_CATEGORY, shown.category)
        .text(proto::EVENT_NAME, shown.name)
        .message(proto::EVENT_ANNOTATION, &event);
    if let Some((name, text)) = shown.text {
        let text = Message::default().text(proto::ANNOTATION_NAME, name).text(proto::ANNOTATION_STRING, text);
        message = message.message(proto::EVENT_ANNOTATION, &text);
    }
    if let Some(flow) = shown.flow {
        message = message.fixed64(proto::EVENT_FLOW, flow);
    }
    if let Some(flow) = shown.flow_ends {
        message = message.fixed64(proto::EVENT_FLOW_ENDS, flow);
    }
    message
}
