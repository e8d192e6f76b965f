//! What the kernel tells, as records.

use std::any::Any;

use isochrone_sim::{AgentId, Event, OrderKey, What};

use super::names::Names;
use crate::codec::Value;
use crate::journal::{Hash, Kept, Name, Packed, Record, Told};

/// The record of an event; `None` for what is recorded where it is done, as an input.
pub(crate) fn record(names: &mut Names, event: &Event) -> Option<Record> {
    known(names, event).or_else(|| {
        meet(names, event);
        known(names, event)
    })
}

/// The same, if all names in it are known.
fn known(names: &Names, event: &Event) -> Option<Record> {
    tell(names, event, |told| told.record())
}

/// Passes the record of an event on, if it has one and all names in it are known, which they nearly always are.
///
/// Why not returned: where the kind of the record is known, writing it down is a few stores.
#[inline(always)]
pub(crate) fn tell<R>(names: &Names, event: &Event, then: impl FnOnce(Told<'_>) -> R) -> Option<R> {
    let value = || event.value.as_deref().and_then(packed);
    let agent = names.agent(event.agent)?;
    let told = match &event.what {
        What::Created { by } => then(Told::Created { agent, by: names.agent(*by)? }),
        What::Start => then(Told::Started { agent }),
        What::Stop => then(Told::Stopped { agent }),
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
        What::Held { from, sequence } => {
            then(Told::Held { agent, from: names.agent(*from)?, sequence: *sequence })
        }
        What::Refused { from, sequence } => {
            then(Told::Refused { agent, from: names.agent(*from)?, sequence: *sequence })
        }
        What::Reply { to, sequence, hash, call } => {
            let (to, sequence, value) = (names.agent(*to)?, *sequence, &value());
            let (hash, call) = (Hash(*hash), u64::from(*call));
            then(Told::Answered { agent, to, sequence, hash, call, value })
        }
        What::Answer { from, sequence, .. } => {
            then(Told::Answer { agent, from: names.agent(of(*from))?, sequence: *sequence })
        }
        What::Late { from, sequence } => {
            then(Told::Late { agent, from: names.agent(of(*from))?, sequence: *sequence })
        }
        What::Timer { label } => then(Told::Timer { agent, label: names.label(label)? }),
        What::Deadline { label } => then(Told::Deadline { agent, label: names.label(label)? }),
        What::External { name, hash } => {
            let (name, hash) = (&Kept::from(Name::from(name.as_str())), Hash(*hash));
            then(Told::Resumed { agent, name, hash })
        }
        What::Failure(report) => {
            let (task, message) = (&Kept::from(Name::from(report.task.as_str())), &report.message);
            let outcome = &format!("{:?}", report.outcome);
            then(Told::Failed { agent, task, message, outcome })
        }
        What::Draw { purpose, n } => then(Told::Drew { agent, purpose: Hash(*purpose), number: *n }),
        _ => return None,
    };
    Some(told)
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
        (recorded, again) => recorded == again,
    }
}
