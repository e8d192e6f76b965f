//! Which agents belong together: a house and its meter.

use std::cell::RefCell;
use std::collections::BTreeMap;

use isochrone_sim::AgentId;

use crate::agent::{Proxy, local};

/// Pairs of related agents.
#[derive(Debug, Default)]
pub(crate) struct Relations(RefCell<BTreeMap<AgentId, Vec<AgentId>>>);

impl Relations {
    /// To which agents this one was related, in the order in which that was said.
    pub(crate) fn of(&self, agent: AgentId) -> Vec<AgentId> {
        self.0.borrow().get(&agent).cloned().unwrap_or_default()
    }
}

/// Tells the simulator that an agent is related to another one (a house to its meter): mosaik shows it in its graph.
/// Without a simulator it does nothing.
pub fn relate(agent: impl Into<Proxy>, to: impl Into<Proxy>) {
    if let Some(relations) = local::shared::<Relations>() {
        let mut relations = relations.0.borrow_mut();
        let related = relations.entry(agent.into().id()).or_default();
        let to = to.into().id();
        if !related.contains(&to) {
            related.push(to);
        }
    }
}
