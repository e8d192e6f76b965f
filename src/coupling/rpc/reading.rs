//! What a simulator reads after a step, in parts that fit into one frame.
//!
//! Why parts: a step has happened by the time its reply turns out to be too long, and its events have been taken from the
//! agents; to fail the reply would lose them. So what has been read waits here and goes out in as many replies as it takes.
//!
//! Contract: nothing that was read is lost, and events keep their order; of an output that waits, a newer value takes the place.
//! What waits comes first in the next reading, whichever request asks for it.
//!
//! Failure modes: a value that alone fits into no frame, or that the codec has no form for, fails the reply that it was to be in,
//! by its name, and is dropped; the others wait. Before a step, what waits must fit into one reply, or it would grow for ever.

use std::collections::{BTreeSet, VecDeque};

use isochrone_sim::Time;

use super::times;
use crate::channel::Config;
use crate::codec::{CodecError, Value, envelope};
use crate::coupling::{Emitted, ports};
use crate::rpc::CallError;

/// Bytes of a frame that are left for what is around the values: the message, and what is told of a lost owner.
const AROUND: usize = 1024;

/// Entity, port, value.
type Output = (String, String, Value);

/// What has been read and not handed over.
#[derive(Debug)]
pub(super) struct Reading {
    channel: Config,
    outputs: VecDeque<Output>,
    events: VecDeque<Emitted>,
}

impl Reading {
    /// None yet; replies are written as these connections write them.
    pub(super) fn new(channel: Config) -> Self {
        Reading { channel, outputs: VecDeque::new(), events: VecDeque::new() }
    }

    /// Adds what was read now.
    pub(super) fn add(&mut self, outputs: Vec<Output>, events: Vec<Emitted>) {
        if self.outputs.is_empty() {
            self.outputs = outputs.into();
        } else {
            let newer: BTreeSet<_> = outputs.iter().map(|(eid, port, _)| (eid, port)).collect();
            self.outputs.retain(|(eid, port, _)| !newer.contains(&(eid, port)));
            self.outputs.extend(outputs);
            // those of one entity are handed over together
            self.outputs.make_contiguous().sort_by(|(a, ..), (b, ..)| a.cmp(b));
        }
        self.events.extend(events);
    }

    /// Refuses to let anything happen before the simulator has taken what waits.
    pub(super) fn check(&self) -> Result<(), CallError> {
        if self.fits() || self.measure().is_ok_and(|bytes| bytes <= room(&self.channel)) {
            return Ok(());
        }
        let Reading { outputs, events, .. } = self;
        let (outputs, events) = (outputs.len(), events.len());
        Err(CallError::busy(format!(
            "{outputs} outputs and {events} events of earlier steps wait, more than fit into one reply: take them by \
             sim/rest until it says that there are no `more`"
        )))
    }

    /// As much of what waits as fits into one reply, and whether there is more.
    pub(super) fn part(&mut self, now: Time, next: Option<Time>) -> Result<Value, CallError> {
        let (outputs, events) = match self.fits() {
            true => (self.outputs.len(), self.events.len()),
            false => {
                let Reading { channel, outputs, events } = self;
                let mut part = Part::new(channel);
                let fitting = part.fill(outputs)?;
                // outputs first: what the events lead to is computed with them
                let all = fitting == outputs.len();
                (fitting, if all { part.fill(events)? } else { 0 })
            }
        };
        let outputs = ports::readings(self.outputs.drain(..outputs).collect());
        let events = self.events.drain(..events).map(|Emitted { time, eid, port, value }| {
            Value::List(vec![times::write(time), eid.into(), port.into(), value])
        });
        let events = Value::List(events.collect());
        let more = !self.outputs.is_empty() || !self.events.is_empty();
        Ok(Value::map([
            ("now", times::write(now)),
            ("next_event", times::write_next(next)),
            ("outputs", Value::Map(outputs)),
            ("events", events),
            ("more", more.into()),
        ]))
    }

    /// Whether all of it fits for sure, however it is written.
    fn fits(&self) -> bool {
        let outputs = self.outputs.iter().map(Item::most);
        let events = self.events.iter().map(Item::most);
        let all = outputs.chain(events).try_fold(0_usize, |sum, most| sum.checked_add(most?));
        all.is_some_and(|bytes| bytes <= room(&self.channel))
    }

    /// Bytes of all of it.
    fn measure(&self) -> Result<usize, CodecError> {
        let mut scratch = Vec::new();
        let outputs = self.outputs.iter().map(|item| item as &dyn Item);
        let events = self.events.iter().map(|item| item as &dyn Item);
        outputs.chain(events).map(|item| item.measure(&self.channel, &mut scratch)).sum()
    }
}

/// Bytes of values in one reply.
fn room(channel: &Config) -> usize {
    channel.max_frame.saturating_sub(AROUND)
}

/// What goes into one reply.
struct Part<'a> {
    channel: &'a Config,
    left: usize,
    scratch: Vec<u8>,
}

impl<'a> Part<'a> {
    fn new(channel: &'a Config) -> Self {
        Part { channel, left: room(channel), scratch: Vec::new() }
    }

    /// How many of these items go in; one that goes into no reply at all is removed.
    fn fill<I: Item>(&mut self, items: &mut VecDeque<I>) -> Result<usize, CallError> {
        let room = room(self.channel);
        for (count, item) in items.iter().enumerate() {
            let problem = match item.measure(self.channel, &mut self.scratch) {
                Ok(bytes) if bytes <= self.left => {
                    self.left -= bytes;
                    continue;
                }
                Ok(bytes) if bytes <= room => return Ok(count),
                Ok(bytes) => format!("{bytes} bytes are too long for one frame, the limit is {room}"),
                Err(error) => error.to_string(),
            };
            let text =
                format!("{} cannot be sent: {problem}; what else there is comes by sim/rest", item.name());
            items.remove(count);
            return Err(CallError::type_error(text));
        }
        Ok(items.len())
    }
}

/// An output or an event.
trait Item {
    /// What it is, for messages.
    fn name(&self) -> String;

    fn texts(&self) -> (&str, &str);

    fn value(&self) -> &Value;

    /// So many bytes it has at most, in any codec; `None` if that is a question of the codec.
    fn most(&self) -> Option<usize> {
        let (eid, port) = self.texts();
        Some(most_of_text(eid) + most_of_text(port) + ITEM + most(self.value())?)
    }

    /// So many bytes it has at most, in this codec.
    fn measure(&self, channel: &Config, scratch: &mut Vec<u8>) -> Result<usize, CodecError> {
        scratch.clear();
        envelope::content(channel.codec, self.value(), &channel.types, scratch)?;
        let (eid, port) = self.texts();
        Ok(most_of_text(eid) + most_of_text(port) + ITEM + scratch.len())
    }
}

/// Bytes of an item beside its texts and its value: a time, brackets and commas.
const ITEM: usize = 40;

impl Item for Output {
    fn name(&self) -> String {
        format!("{}.{}", self.0, self.1)
    }

    fn texts(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }

    fn value(&self) -> &Value {
        &self.2
    }
}

impl Item for Emitted {
    fn name(&self) -> String {
        format!("an event of {}.{} at {}", self.eid, self.port, self.time)
    }

    fn texts(&self) -> (&str, &str) {
        (&self.eid, self.port)
    }

    fn value(&self) -> &Value {
        &self.value
    }
}

/// JSON writes a control character as six bytes.
fn most_of_text(text: &str) -> usize {
    6 * text.len() + 6
}

fn most(value: &Value) -> Option<usize> {
    let sum = |sum: usize, value: &Value| Some(sum + 2 + most(value)?);
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => Some(28),
        Value::Str(text) => Some(most_of_text(text)),
        Value::List(items) => items.iter().try_fold(6, sum),
        Value::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).try_fold(6, sum),
        _ => None,
    }
}
