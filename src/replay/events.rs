//! What the kernel tells, as records.

use std::any::Any;

use isochrone_sim::{AgentId, Event, OrderKey, What};

use super::names::Names;
use crate::codec::Value;
use crate::journal::{Hash, Name, Packed, Record, Told};

/// The record of an event; `None` for what is recorded where it is done, as an input.
pub(crate) fn record(names: &mut Names, event: &Event) -> Option<Record> {
    if let Some(record) = often(names, event) {
        return Some(record);
    }
    meet(names, event);
    often(names, event).or_else(|| seldom(names, event))
}

/// The record of what happens often, if all names in it are known.
fn often(names: &Names, event: &Event) -> Option<Record> {
    tell(names, event, |told| told.record())
}

/// Passes the record of an event on, if it is of those that happen often and all names in it are known, which they nearly
/// always are.
///
/// Why not returned: where the kind of the record is known, writing it down is a few stores. Why not all kinds: each has
/// its code at the place of the call, and five are nearly all events.
#[inline(always)]
pub(crate) fn tell<R>(names: &Names, event: &Event, then: impl FnOnce(Told<'_>) -> R) -> Option<R> {
    let value = || event.value.as_deref().and_then(packed);
    let agent = names.agent(event.agent)?;
    let told = match &event.what {
        What::Send { to, sequence, label, hash } => {
            let (to, label) = (names.agent(*to)?, names.label(label)?);
            let (sequence, hash, values) = (*sequence, Hash(*hash), &value());
            then(Told::Sent { agent, to, sequence, label, hash, values })
        }
        // what it got is what was sent, so that its hash would tell nothing new
        What::Receive { from, sequence, label, call, .. } => {
            let (from, label) = (names.agent(*from)?, names.label(label)?);
            let (sequence, call) = (*sequence, u64::from(*call));
            then(Told::Received { agent, from, sequence, label, call })
        }
        What::Reply { to, sequence, hash, call } => {
            let (to, sequence, value) = (names.agent(*to)?, *sequence, &value());
            let (hash, call) = (Hash(*hash), u64::from(*call));
            then(Told::Answered { agent, to, sequence, hash, call, value })
        }
        What::Answer { from, sequence, .. } => {
            then(Told::Answer { agent, from: names.agent(of(*from))?, sequence: *sequence })
        }
        What::Timer { label } => then(Told::Timer { agent, label: names.label(label)? }),
        _ => return None,
    };
    Some(told)
}

/// The record of what happens seldom; all names in it are known.
fn seldom(names: &Names, event: &Event) -> Option<Record> {
    let name = |agent| names.agent(agent).map(Name::from);
    let agent = name(event.agent)?;
    Some(match &event.what {
        What::Created { by } => Record::Created { agent, by: name(*by)? },
        What::Start => Record::Started { agent },
        What::Stop => Record::Stopped { agent },
        What::Held { from, sequence } => Record::Held { agent, from: name(*from)?, sequence: *sequence },
        What::Refused { from, sequence } => {
            Record::Refused { agent, from: name(*from)?, sequence: *sequence }
        }
        What::Late { from, sequence } => Record::Late { agent, from: name(of(*from))?, sequence: *sequence },
        What::Deadline { label } => Record::Deadline { agent, label: names.label(label)?.into() },
        What::External { name, hash } => {
            Record::Resumed { agent, name: name.as_str().into(), hash: Hash(*hash) }
        }
        What::Failure(report) => Record::Failed {
            agent,
            task: report.task.as_str().into(),
            message: report.message.clone(),
            outcome: format!("{:?}", report.outcome),
        },
        What::Draw { purpose, n } => Record::Drew { agent, purpose: Hash(*purpose), number: *n },
        _ => return None,
    })
}

/// The value of what is sent, which is seldom wanted.
#[cold]
fn packed(value: &dyn Any) -> Option<Packed> {
    value.downcast_ref::<Value>().map(Packed::new)
}

/// Makes all names in an event known.
fn meet(names: &mut Names, event: &Event) {
    names.meet(event.agent);
    match &event.what {
        What::Created { by: other }
        | What::Send { to: other, .. }
        | What::Receive { from: other, .. }
        | What::Held { from: other, .. }
        | What::Refused { from: other, .. }
        | What::Reply { to: other, .. } => names.meet(*other),
        What::Answer { from, .. } | What::Late { from, .. } => names.meet(of(*from)),
        _ => {}
    }
    if let What::Send { label, .. }
    | What::Receive { label, .. }
    | What::Timer { label }
    | What::Deadline { label } = &event.what
    {
        names.meet_label(label);
    }
}

/// Who has this key.
fn of(key: OrderKey) -> AgentId {
    key.parts().map_or(AgentId::OUTSIDE, |(_, ordinal)| AgentId::new(ordinal))
}

/// Whether a record that was brought forth again is the one that was recorded: values count by their hashes.
#[inline]
pub(crate) fn is_same(recorded: &Record, again: &Record) -> bool {
    match (recorded, again) {
        (
            Record::Sent { agent, to, sequence, label, hash, .. },
            Record::Sent { agent: agent2, to: to2, sequence: sequence2, label: label2, hash: hash2, .. },
        ) => hash == hash2 && sequence == sequence2 && (agent, to, label) == (agent2, to2, label2),
        (
            Record::Answered { agent, to, sequence, hash, call, .. },
            Record::Answered {
                agent: agent2, to: to2, sequence: sequence2, hash: hash2, call: call2, ..
            },
        ) => hash == hash2 && (sequence, call) == (sequence2, call2) && (agent, to) == (agent2, to2),
        (Record::Frame { to, hash, .. }, Record::Frame { to: to2, hash: hash2, .. }) => {
            hash == hash2 && to == to2
        }
        (recorded, again) => recorded == again,
    }
}
