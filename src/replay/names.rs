//! The names of agents and methods as records spell them, each made once.

use std::collections::BTreeMap;

use isochrone_sim::{AgentId, local};

use crate::journal::Name;

/// What the outside is called in records.
pub(crate) const OUTSIDE: &str = "outside";

/// Where a label is, and how long.
type Place = (usize, usize);

/// A power of two.
const RECENT: usize = 32;

#[derive(Debug)]
pub(crate) struct Names {
    /// by ordinal and one, after the outside
    agents: Vec<Option<Name>>,
    /// by address and length: the texts are constants of the program
    labels: BTreeMap<Place, Name>,
    /// those that were asked for last, each where its address says
    recent: [(Place, Name); RECENT],
    outside: Name,
}

impl Default for Names {
    fn default() -> Self {
        let outside = Name::new(OUTSIDE);
        // no label is at address 0
        let recent = std::array::from_fn(|_| ((0, 0), outside.clone()));
        Names { agents: vec![Some(outside.clone())], labels: BTreeMap::new(), recent, outside }
    }
}

impl Names {
    /// The path of an agent; to be asked inside the kernel.
    #[inline(always)]
    pub(crate) fn agent(&mut self, agent: AgentId) -> &Name {
        let [name] = self.agents([agent]);
        name
    }

    /// The paths of agents; to be asked inside the kernel.
    #[inline(always)]
    pub(crate) fn agents<const N: usize>(&mut self, agents: [AgentId; N]) -> [&Name; N] {
        agents.iter().for_each(|agent| self.meet(*agent));
        agents.map(|agent| self.known(agent))
    }

    /// The paths of agents, and the name of a label.
    #[inline(always)]
    pub(crate) fn agents_and_label<const N: usize>(
        &mut self,
        agents: [AgentId; N],
        label: &'static str,
    ) -> ([&Name; N], &Name) {
        agents.iter().for_each(|agent| self.meet(*agent));
        let place = (label.as_ptr() as usize, label.len());
        let recent = recent(place);
        if self.recent[recent].0 != place {
            self.recall(recent, place, label);
        }
        (agents.map(|agent| self.known(agent)), &self.recent[recent].1)
    }

    /// Makes the path of an agent known.
    #[inline(always)]
    fn meet(&mut self, agent: AgentId) {
        if !matches!(self.agents.get(place(agent)), Some(Some(_))) {
            self.new_agent(agent);
        }
    }

    #[inline(always)]
    fn known(&self, agent: AgentId) -> &Name {
        match self.agents.get(place(agent)) {
            Some(Some(name)) => name,
            _ => &self.outside,
        }
    }

    #[cold]
    fn new_agent(&mut self, agent: AgentId) {
        let at = place(agent);
        if at >= self.agents.len() {
            self.agents.resize(at + 1, None);
        }
        self.agents[at] = Some(Name::new(local::path(agent)));
    }

    #[cold]
    fn recall(&mut self, recent: usize, place: Place, label: &'static str) {
        let name = self.labels.entry(place).or_insert_with(|| Name::new(label));
        self.recent[recent] = (place, name.clone());
    }
}

/// Where an agent's name is; the outside has the largest ordinal.
#[inline(always)]
fn place(agent: AgentId) -> usize {
    agent.ordinal().wrapping_add(1) as usize
}

/// Labels of a program stand close together, and begin anywhere.
#[inline]
fn recent((address, len): Place) -> usize {
    (address ^ address >> 6 ^ len << 3) % RECENT
}
