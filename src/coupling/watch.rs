//! Which connected outputs are not what they were.
//!
//! Why: agents that run ahead of the simulator are looked at after each instant in which their code has run; a day of a hundred
//! agents with timers of 1 s are 8.64 million looks, most of which see nothing new. So the agents of a type are looked at
//! together, and of an output only a hash is kept.
//!
//! Contract: what is watched is settled by the first look at all, and stays until the connections change. Agents that come later
//! are no entities before the next step, and show nothing.

use isochrone_sim::{AgentId, Kernel};

use super::entities::Entity;
use crate::agent::{Seat, Vtable, Watching};

/// The class of an agent that shows nothing.
const NOWHERE: u32 = u32::MAX;

/// The outputs that are connected, as they were last seen.
#[derive(Debug)]
pub(crate) struct Watches {
    /// by the agents' numbers
    seats: Vec<Seat>,
    classes: Vec<(&'static Vtable, Watching)>,
}

impl Watches {
    /// Watches the outputs of these entities that are connected and state.
    pub(crate) fn new(kernel: &Kernel, entities: &[Entity]) -> Self {
        let mut watches = Watches { seats: Vec::new(), classes: Vec::new() };
        for entity in entities.iter().filter(|entity| !entity.watched().is_empty()) {
            watches.add(kernel, entity);
        }
        watches
    }

    fn add(&mut self, kernel: &Kernel, entity: &Entity) {
        let known = self.classes.iter().position(|(vtable, _)| std::ptr::eq(*vtable, entity.vtable));
        let class = known.unwrap_or_else(|| {
            self.classes.push((entity.vtable, (entity.vtable.watch)()));
            self.classes.len() - 1
        });
        let Some(place) = self.classes[class].1.add(kernel, entity.agent, entity.watched()) else { return };
        let number = entity.agent.ordinal() as usize;
        if self.seats.len() <= number {
            self.seats.resize(number + 1, Seat { class: NOWHERE, place: 0 });
        }
        self.seats[number] = Seat { class: class as u32, place };
    }

    /// Whether one of the outputs of these agents is not what it was at the last look; inside the kernel.
    pub(crate) fn have_changed(&mut self, agents: &[AgentId]) -> bool {
        let (mut changed, mut left) = (false, agents);
        while let Some(first) = left.first() {
            let class = self.seats.get(first.ordinal() as usize).map_or(NOWHERE, |seat| seat.class);
            let (news, together) = match self.classes.get_mut(class as usize) {
                Some((_, watching)) => watching.have_changed(left, &self.seats, class),
                None => (false, 1),
            };
            changed |= news;
            left = left.get(together..).unwrap_or_default();
        }
        changed
    }

    /// Looks at all of them.
    pub(crate) fn look(&mut self) {
        let agents: Vec<AgentId> = (0..self.seats.len() as u32).map(AgentId::new).collect();
        self.have_changed(&agents);
    }
}
