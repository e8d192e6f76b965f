//! The names of agents and methods as records spell them, each made once.

use std::collections::BTreeMap;

use isochrone_sim::{AgentId, local};

use crate::journal::Name;

/// What the outside is called in records.
pub(crate) const OUTSIDE: &str = "outside";

#[derive(Debug)]
pub(crate) struct Names {
    agents: Vec<Option<Name>>,
    /// by address and length: the texts are constants of the program
    labels: BTreeMap<(usize, usize), Name>,
    /// the label that came last, which mostly comes again
    last: Option<((usize, usize), Name)>,
    outside: Name,
}

impl Default for Names {
    fn default() -> Self {
        Names { agents: Vec::new(), labels: BTreeMap::new(), last: None, outside: Name::new(OUTSIDE) }
    }
}

impl Names {
    /// The path of an agent; to be asked inside the kernel.
    #[inline]
    pub(crate) fn agent(&mut self, agent: AgentId) -> Name {
        match self.agents.get(agent.ordinal() as usize) {
            Some(Some(name)) => name.clone(),
            _ => self.new_agent(agent),
        }
    }

    #[cold]
    fn new_agent(&mut self, agent: AgentId) -> Name {
        if agent == AgentId::OUTSIDE {
            return self.outside.clone();
        }
        let name = Name::new(local::path(agent));
        let at = agent.ordinal() as usize;
        if at >= self.agents.len() {
            self.agents.resize(at + 1, None);
        }
        self.agents[at] = Some(name.clone());
        name
    }

    #[inline]
    pub(crate) fn label(&mut self, label: &'static str) -> Name {
        let key = (label.as_ptr() as usize, label.len());
        match &self.last {
            Some((last, name)) if *last == key => name.clone(),
            _ => {
                let name = self.labels.entry(key).or_insert_with(|| Name::new(label)).clone();
                self.last = Some((key, name.clone()));
                name
            }
        }
    }
}
