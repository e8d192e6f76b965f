//! How agents become entities: created by the simulator, found in the scenario, or created by another entity.

use std::collections::{BTreeMap, BTreeSet};

use isochrone_sim::AgentId;

use super::Coupling;
use super::entities::Entity;
use super::error::CoupleError;
use crate::agent::Vtable;
use crate::rpc::Args;

impl Coupling {
    /// Creates agents by their constructor and returns the positions of their entities.
    ///
    /// # Errors
    /// For an unknown model, wrong parameters, or what the constructor said.
    pub fn create(&mut self, model: &str, count: usize, params: &Args) -> Result<Vec<usize>, CoupleError> {
        let Some(vtable) = self.models.get(model).copied() else {
            let known = self.models.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(CoupleError::Model { model: model.into(), known });
        };
        let mut created = Vec::new();
        for _ in 0..count {
            let eid = self.next_eid(vtable);
            let agent = self
                .container
                .create(vtable, &eid, params.clone())
                .map_err(|source| CoupleError::Create { eid: eid.clone(), source })?;
            created.push(self.adopt(eid, agent, model, vtable));
        }
        Ok(created)
    }

    fn next_eid(&mut self, vtable: &Vtable) -> String {
        let n = self.counts.entry(vtable.model.name).or_default();
        *n += 1;
        vtable.model.entity(*n - 1)
    }

    /// Makes an agent that exists known to the simulator, as one of a model.
    pub fn adopt(&mut self, eid: String, agent: AgentId, model: &str, vtable: &'static Vtable) -> usize {
        let position = self.entities.len();
        self.by_eid.insert(eid.clone(), position);
        if self.container.kernel().status(agent).is_some() {
            self.by_agent.insert(agent, position);
        }
        let entity = Entity::new(eid, agent, (model.into(), vtable), !self.told);
        self.emitting |= entity.has_emitting();
        self.entities.push(entity);
        self.watches = None;
        position
    }

    /// Makes all agents known that are there already and whose types are models, by their names.
    pub fn adopt_all(&mut self) {
        for agent in (0..self.container.kernel().population()).map(AgentId::new) {
            let known = self.by_agent.get(agent).is_some();
            let Some(vtable) = self.container.vtable(agent).filter(|_| !known) else { continue };
            let Some(model) = self.model_of(vtable) else { continue };
            let eid = self.container.kernel().path(agent);
            self.adopt(eid, agent, &model, vtable);
        }
    }

    fn model_of(&self, vtable: &Vtable) -> Option<String> {
        let model = self.models.iter().find(|(_, model)| model.model.name == vtable.model.name);
        model.map(|(name, _)| name.clone())
    }

    /// Makes the agents known that an entity's agent has created, as far as their types are models; the positions of
    /// their entities. Looks at agents that are newer than all it has seen: to be called after each creation, for each
    /// entity that was created, and for what it returns.
    pub fn adopt_children(&mut self, parents: &[usize]) -> BTreeMap<usize, Vec<usize>> {
        let population = self.container.kernel().population();
        let parents: BTreeSet<AgentId> = parents.iter().map(|parent| self.entities[*parent].agent).collect();
        let mut families: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut known = parents;
        for agent in (self.seen..population).map(AgentId::new) {
            let parent = self.container.kernel().creator(agent);
            if !known.contains(&parent) || self.by_agent.get(agent).is_some() {
                continue;
            }
            let Some(vtable) = self.container.vtable(agent) else { continue };
            let Some(model) = self.model_of(vtable) else { continue };
            let eid = self.next_eid(vtable);
            let child = self.adopt(eid, agent, &model, vtable);
            if let Some(parent) = self.by_agent.get(parent) {
                families.entry(parent).or_default().push(child);
            }
            known.insert(agent);
        }
        self.seen = population;
        families
    }

    /// The entities that [`relate`](super::relate) has related to this one, in the order in which that was said.
    pub fn related(&self, position: usize) -> Vec<usize> {
        let related = self.relations.of(self.entities[position].agent);
        related.iter().filter_map(|to| self.by_agent.get(*to)).collect()
    }

    /// The position of an agent's entity.
    pub fn entity_of(&self, agent: AgentId) -> Option<usize> {
        self.by_agent.get(agent)
    }

    /// The position of an entity.
    pub fn entity(&self, eid: &str) -> Option<usize> {
        self.by_eid.get(eid).copied()
    }
}
