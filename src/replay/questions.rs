//! What agents asked the outside in a recorded run: who asks the same at the same time in another one gets the same answer.
//!
//! Why by question: a run that has parted from its recording numbers its operations otherwise. The recording holds answers
//! only, so the questions are found by replaying it once.
//!
//! Contract: an operation is the same if agent and [question](isochrone_sim::Order::question) are, and the time at which it is
//! due; of several such the first is the first.

use std::collections::{BTreeMap, VecDeque};

use isochrone_sim::{Started, Time};

use super::player::Key;

/// The numbers of recorded operations, by what was asked.
#[derive(Clone, Debug, Default)]
pub struct Questions(BTreeMap<(String, u64, Time), VecDeque<u64>>);

impl Questions {
    fn of(agent: &str, started: &Started) -> (String, u64, Time) {
        (agent.to_owned(), started.question(), started.due())
    }

    /// It was asked.
    pub(crate) fn note(&mut self, (agent, call): &Key, started: &Started) {
        self.0.entry(Questions::of(agent, started)).or_default().push_back(*call);
    }

    /// It is asked again: by which operation it was.
    pub(crate) fn again(&mut self, agent: &str, started: &Started) -> Option<Key> {
        let call = self.0.get_mut(&Questions::of(agent, started))?.pop_front()?;
        Some((agent.to_owned(), call))
    }

    /// So many operations of each agent have been before: they are asked no more.
    pub(crate) fn forget(&mut self, before: &BTreeMap<String, u64>) {
        for ((agent, ..), calls) in &mut self.0 {
            let before = before.get(agent).copied().unwrap_or_default();
            calls.retain(|call| *call >= before);
        }
    }
}
