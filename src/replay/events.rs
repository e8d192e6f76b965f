//! What the kernel tells, as records.

use isochrone_sim::{AgentId, Event, What};

use super::names::Names;
use crate::codec::Value;
use crate::journal::{Hash, Packed, Record};

/// The record of an event; `None` for what is recorded where it is done, as an input.
#[inline]
pub(crate) fn record(names: &mut Names, event: &Event) -> Option<Record> {
    let agent = names.agent(event.agent);
    let value = || event.value.as_ref()?.downcast_ref::<Value>().map(Packed::new);
    Some(match &event.what {
        What::Created { by } => Record::Created { agent, by: names.agent(*by) },
        What::Start => Record::Started { agent },
        What::Stop => Record::Stopped { agent },
        What::Send { to, sequence, label, hash } => Record::Sent {
            agent,
            to: names.agent(*to),
            sequence: *sequence,
            label: names.label(label),
            hash: Hash(*hash),
            values: value(),
        },
        What::Receive { from, sequence, label, hash, call, .. } => Record::Received {
            agent,
            from: names.agent(*from),
            sequence: *sequence,
            label: names.label(label),
            hash: Hash(*hash),
            call: (*call).into(),
            values: None,
        },
        What::Held { from, sequence } => {
            Record::Held { agent, from: names.agent(*from), sequence: *sequence }
        }
        What::Refused { from, sequence } => {
            Record::Refused { agent, from: names.agent(*from), sequence: *sequence }
        }
        What::Reply { to, sequence, hash, call } => Record::Answered {
            agent,
            to: names.agent(*to),
            sequence: *sequence,
            hash: Hash(*hash),
            call: (*call).into(),
            value: value(),
        },
        What::Answer { from, sequence, hash } => Record::Answer {
            agent,
            from: names.agent(from.parts().map_or(AgentId::OUTSIDE, |(_, ordinal)| AgentId::new(ordinal))),
            sequence: *sequence,
            hash: Hash(*hash),
            value: None,
        },
        What::Late { from, sequence } => Record::Late {
            agent,
            from: names.agent(from.parts().map_or(AgentId::OUTSIDE, |(_, ordinal)| AgentId::new(ordinal))),
            sequence: *sequence,
        },
        What::Timer { label } => Record::Timer { agent, label: names.label(label) },
        What::Deadline { label } => Record::Deadline { agent, label: names.label(label) },
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
