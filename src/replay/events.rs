//! What the kernel tells, as records.

use isochrone_sim::{AgentId, Event, OrderKey, What};

use super::names::Names;
use crate::codec::Value;
use crate::journal::{Hash, Kept, Name, Packed, Record, Told};

/// The record of an event; `None` for what is recorded where it is done, as an input.
pub(crate) fn record(names: &mut Names, event: &Event) -> Option<Record> {
    tell(names, event, |told| told.record())
}

/// Passes the record of an event on, if it has one.
///
/// Why not returned: where the kind of the record is known, writing it down is a few stores.
#[inline(always)]
pub(crate) fn tell<R>(names: &mut Names, event: &Event, then: impl FnOnce(Told<'_>) -> R) -> Option<R> {
    let value = || event.value.as_ref()?.downcast_ref::<Value>().map(Packed::new);
    loop {
        // with the names that are known, which they nearly always are
        let known: &Names = names;
        let agent = known.agent(event.agent);
        match (&event.what, agent) {
            (What::Created { by }, Some(agent)) => {
                if let Some(by) = known.agent(*by) {
                    return Some(then(Told::Created { agent, by }));
                }
            }
            (What::Start, Some(agent)) => return Some(then(Told::Started { agent })),
            (What::Stop, Some(agent)) => return Some(then(Told::Stopped { agent })),
            (What::Send { to, sequence, label, hash }, Some(agent)) => {
                if let (Some(to), Some(label)) = (known.agent(*to), known.label(label)) {
                    let (hash, values) = (&Hash(*hash), &value());
                    return Some(then(Told::Sent { agent, to, sequence, label, hash, values }));
                }
            }
            // what it got is what was sent, so that its hash would tell nothing new
            (What::Receive { from, sequence, label, call, .. }, Some(agent)) => {
                if let (Some(from), Some(label)) = (known.agent(*from), known.label(label)) {
                    let call = &u64::from(*call);
                    return Some(then(Told::Received { agent, from, sequence, label, call }));
                }
            }
            (What::Held { from, sequence }, Some(agent)) => {
                if let Some(from) = known.agent(*from) {
                    return Some(then(Told::Held { agent, from, sequence }));
                }
            }
            (What::Refused { from, sequence }, Some(agent)) => {
                if let Some(from) = known.agent(*from) {
                    return Some(then(Told::Refused { agent, from, sequence }));
                }
            }
            (What::Reply { to, sequence, hash, call }, Some(agent)) => {
                if let Some(to) = known.agent(*to) {
                    let (hash, call, value) = (&Hash(*hash), &u64::from(*call), &value());
                    return Some(then(Told::Answered { agent, to, sequence, hash, call, value }));
                }
            }
            (What::Answer { from, sequence, .. }, Some(agent)) => {
                if let Some(from) = known.agent(of(*from)) {
                    return Some(then(Told::Answer { agent, from, sequence }));
                }
            }
            (What::Late { from, sequence }, Some(agent)) => {
                if let Some(from) = known.agent(of(*from)) {
                    return Some(then(Told::Late { agent, from, sequence }));
                }
            }
            (What::Timer { label }, Some(agent)) => {
                if let Some(label) = known.label(label) {
                    return Some(then(Told::Timer { agent, label }));
                }
            }
            (What::Deadline { label }, Some(agent)) => {
                if let Some(label) = known.label(label) {
                    return Some(then(Told::Deadline { agent, label }));
                }
            }
            (What::External { name, hash }, Some(agent)) => {
                let (name, hash) = (&Kept::from(Name::from(name.as_str())), &Hash(*hash));
                return Some(then(Told::Resumed { agent, name, hash }));
            }
            (What::Failure(report), Some(agent)) => {
                let (task, message) = (&Kept::from(Name::from(report.task.as_str())), &report.message);
                let outcome = &format!("{:?}", report.outcome);
                return Some(then(Told::Failed { agent, task, message, outcome }));
            }
            (What::Draw { purpose, n }, Some(agent)) => {
                return Some(then(Told::Drew { agent, purpose: &Hash(*purpose), number: n }));
            }
            (_, Some(_)) => return None,
            (_, None) => {}
        }
        meet(names, event);
    }
}

/// Makes all names in an event known.
#[cold]
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
