//! The names of agents and methods as records spell them, each made once.

use std::collections::BTreeMap;

use isochrone_sim::{AgentId, local};

use crate::journal::{Kept, Name, OUTSIDE};

/// Where a label is, and how long.
type Place = (usize, usize);

/// A power of two.
const RECENT: usize = 32;

#[derive(Debug)]
pub(crate) struct Names {
    /// by ordinal and one, after the outside
    agents: Vec<Option<Kept>>,
    /// by address and length: the texts are constants of the program
    labels: BTreeMap<Place, Kept>,
    /// those that were asked for last, each where its address says
    recent: [(Place, Kept); RECENT],
}

impl Default for Names {
    fn default() -> Self {
        let outside = Kept::from(Name::new(OUTSIDE));
        // no label is at address 0
        let recent = std::array::from_fn(|_| ((0, 0), outside.clone()));
        Names { agents: vec![Some(outside)], labels: BTreeMap::new(), recent }
    }
}

impl Names {
    /// The path of an agent that was met.
    #[inline(always)]
    pub(crate) fn agent(&self, agent: AgentId) -> Option<&Kept> {
        self.agents.get(place(agent))?.as_ref()
    }

    /// The name of a label that was met a short time ago.
    #[inline(always)]
    pub(crate) fn label(&self, label: &'static str) -> Option<&Kept> {
        let at = (label.as_ptr() as usize, label.len());
        let (recent, name) = &self.recent[recent(at)];
        (*recent == at).then_some(name)
    }

    /// Makes the path of an agent known; to be called inside the kernel.
    pub(crate) fn meet(&mut self, agent: AgentId) {
        let place = place(agent);
        if place >= self.agents.len() {
            self.agents.resize(place + 1, None);
        }
        self.agents[place].get_or_insert_with(|| Name::new(local::path(agent)).into());
    }

    /// Makes the name of a label known, until another takes its place.
    pub(crate) fn meet_label(&mut self, label: &'static str) {
        let at = (label.as_ptr() as usize, label.len());
        let name = self.labels.entry(at).or_insert_with(|| Name::new(label).into());
        self.recent[recent(at)] = (at, name.clone());
    }
}

/// Where an agent's name is; the outside has the largest ordinal.
#[inline(always)]
fn place(agent: AgentId) -> usize {
    agent.ordinal().wrapping_add(1) as usize
}

/// Labels of a program stand close together, and begin anywhere.
#[inline(always)]
fn recent((address, len): Place) -> usize {
    (address ^ address >> 6 ^ len << 3) % RECENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Record, Told};

    #[test]
    fn a_label_whose_place_another_has_taken_keeps_its_name() {
        // more than there are places, and each text at two addresses
        let labels: Vec<&'static str> =
            (0..2 * RECENT).map(|n| &*format!("label_{}", n / 2).leak()).collect();
        let mut names = Names::default();
        for label in [&labels[..], &labels[..]].concat() {
            if names.label(label).is_none() {
                names.meet_label(label);
            }
            let agent = names.label(label).expect("it was just met");
            assert_eq!(Told::Stopped { agent }.record(), Record::Stopped { agent: label.into() });
        }
    }
}
