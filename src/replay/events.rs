//! What the kernel tells, as records.

use isochrone_sim::{AgentId, Event, OrderKey, What};

use super::names::Names;
use crate::codec::Value;
use crate::journal::{Hash, Name, Packed, Record, Told};

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
    Some(match &event.what {
        What::Created { by } => {
            let [agent, by] = names.agents([event.agent, *by]);
            then(Told::Created { agent, by })
        }
        What::Start => then(Told::Started { agent: names.agent(event.agent) }),
        What::Stop => then(Told::Stopped { agent: names.agent(event.agent) }),
        What::Send { to, sequence, label, hash } => {
            let ([agent, to], label) = names.agents_and_label([event.agent, *to], label);
            then(Told::Sent { agent, to, sequence, label, hash: &Hash(*hash), values: &value() })
        }
        // what it got is what was sent, so that its hash would tell nothing new
        What::Receive { from, sequence, label, call, .. } => {
            let ([agent, from], label) = names.agents_and_label([event.agent, *from], label);
            then(Told::Received { agent, from, sequence, label, call: &u64::from(*call) })
        }
        What::Held { from, sequence } => {
            let [agent, from] = names.agents([event.agent, *from]);
            then(Told::Held { agent, from, sequence })
        }
        What::Refused { from, sequence } => {
            let [agent, from] = names.agents([event.agent, *from]);
            then(Told::Refused { agent, from, sequence })
        }
        What::Reply { to, sequence, hash, call } => {
            let [agent, to] = names.agents([event.agent, *to]);
            let (hash, call) = (&Hash(*hash), &u64::from(*call));
            then(Told::Answered { agent, to, sequence, hash, call, value: &value() })
        }
        What::Answer { from, sequence, .. } => {
            let [agent, from] = names.agents([event.agent, of(*from)]);
            then(Told::Answer { agent, from, sequence })
        }
        What::Late { from, sequence } => {
            let [agent, from] = names.agents([event.agent, of(*from)]);
            then(Told::Late { agent, from, sequence })
        }
        What::Timer { label } => {
            let ([agent], label) = names.agents_and_label([event.agent], label);
            then(Told::Timer { agent, label })
        }
        What::Deadline { label } => {
            let ([agent], label) = names.agents_and_label([event.agent], label);
            then(Told::Deadline { agent, label })
        }
        What::External { name, hash } => {
            let agent = names.agent(event.agent);
            then(Told::Resumed { agent, name: &Name::from(name.as_str()), hash: &Hash(*hash) })
        }
        What::Failure(report) => then(Told::Failed {
            agent: names.agent(event.agent),
            task: &Name::from(report.task.as_str()),
            message: &report.message,
            outcome: &format!("{:?}", report.outcome),
        }),
        What::Draw { purpose, n } => {
            then(Told::Drew { agent: names.agent(event.agent), purpose: &Hash(*purpose), number: n })
        }
        _ => return None,
    })
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
