//! The step, in all its modes; see the head of [`coupling`](crate::coupling) for what it means.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use isochrone_sim::{AgentId, Time};

use super::entities::{Emitted, Entity, PortInput, Readings};
use super::error::CoupleError;
use super::mode::Mode;
use super::relations::Relations;
use crate::agent::{Container, Vtable, Write, Written};
use crate::clock::{Coupled, Input, Interrupt, Live, RunError};
use crate::rpc::{Args, CallError};

/// Inputs that may wait for their time.
const MAX_INJECTED: u32 = 65_536;

/// How far the agents have run.
struct Ran {
    /// when they have something to do next
    next: Option<Time>,
    /// the instant at which an output changed, if the run ended there
    shown: Option<Time>,
}

/// The positions of agents' entities, by the agents' numbers.
#[derive(Debug, Default)]
struct ByAgent(Vec<Option<usize>>);

impl ByAgent {
    fn insert(&mut self, agent: AgentId, position: usize) {
        let number = agent.ordinal() as usize;
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        self.0[number] = Some(position);
    }

    fn get(&self, agent: AgentId) -> Option<usize> {
        self.0.get(agent.ordinal() as usize).copied().flatten()
    }
}

/// Agents under an external simulator.
#[derive(Debug)]
pub struct Coupling {
    container: Rc<Container>,
    driver: Coupled,
    models: BTreeMap<String, &'static Vtable>,
    entities: Vec<Entity>,
    by_eid: BTreeMap<String, usize>,
    by_agent: ByAgent,
    counts: BTreeMap<&'static str, usize>,
    mode: Mode,
    relations: Rc<Relations>,
    /// agents below this number have been looked at for children
    seen: u32,
    last: Time,
    allowed: Time,
    held: bool,
    started: bool,
    /// whether the simulator has said which outputs it reads
    told: bool,
    steps: u64,
    reads: u64,
    /// of which before the first step
    early_reads: u64,
    /// whether events are to have the times at which they happened
    stamping: bool,
    /// inputs whose time has not come yet
    injected: Rc<Cell<u32>>,
}

impl Coupling {
    /// A coupling for agents of these types, by the names the simulator knows them by.
    pub fn new(
        container: Container,
        models: BTreeMap<String, &'static Vtable>,
        mode: Mode,
        interrupt: Interrupt,
    ) -> Self {
        let now = container.now();
        let relations = Rc::new(Relations::default());
        container.kernel().provide(relations.clone());
        Coupling {
            container: Rc::new(container),
            driver: Coupled::new(interrupt),
            models,
            entities: Vec::new(),
            by_eid: BTreeMap::new(),
            by_agent: ByAgent::default(),
            counts: BTreeMap::new(),
            mode,
            relations,
            seen: 0,
            last: now,
            allowed: now,
            held: false,
            started: false,
            told: false,
            steps: 0,
            reads: 0,
            early_reads: 0,
            stamping: false,
            injected: Rc::default(),
        }
    }

    /// Whether the set-up has ended.
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// The agents' container.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// The agents' container, for whoever looks at its clock while a step is under way.
    #[cfg(feature = "serve")]
    pub(crate) fn shared_container(&self) -> Rc<Container> {
        self.container.clone()
    }

    /// How far the agents run in a step.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// From now on [events](Coupling::take_events) have the exact times at which they happened, for which the run is looked
    /// at after each instant; without it, the time at which they were looked at.
    pub fn stamp_events(&mut self) {
        self.stamping = true;
    }

    /// The types of agents, by the names the simulator knows them by.
    pub fn models(&self) -> &BTreeMap<String, &'static Vtable> {
        &self.models
    }

    /// The agents the simulator has created, in order.
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// Steps so far, and reads of ports so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.steps, self.reads)
    }

    /// The way in for the outside beside the simulator.
    pub fn live(&self) -> Live {
        self.driver.live()
    }

    /// Waits for an input by that way, to be given to [`handle`](Coupling::handle).
    pub async fn next_input(&mut self) -> Input {
        self.driver.next_input().await
    }

    /// Lets an input happen while the simulator's clock stands.
    ///
    /// # Errors
    /// See [`CoupleError`].
    pub async fn handle(&mut self, input: Input) -> Result<(), CoupleError> {
        let kernel = self.container.kernel();
        kernel.track(self.stamping);
        let handled = self.driver.handle(kernel, input).await;
        kernel.track(false);
        for position in self.touched() {
            let entity = &mut self.entities[position];
            entity.has_events(self.container.kernel()).map_err(|error| output_error(entity, error))?;
        }
        handled?;
        Ok(())
    }

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
        self.entities.push(Entity::new(eid, agent, (model.into(), vtable), !self.told));
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

    /// Ends the set-up: the agents start, at the time at which the clock stands. Returns when they want to be stepped
    /// first, if they do by themselves. Without this call they start in the first step.
    ///
    /// # Errors
    /// See [`CoupleError`].
    pub async fn start(&mut self) -> Result<Option<Time>, CoupleError> {
        self.started = true;
        let kernel = self.container.kernel();
        Ok(self.driver.advance(kernel, kernel.now()).await?)
    }

    /// Lets a step happen; `limit` is the time up to which nothing else can come from the simulator. Returns when the agents want to be stepped next.
    ///
    /// # Errors
    /// See [`CoupleError`]; inputs are checked before anything happens.
    pub async fn step(
        &mut self,
        time: Time,
        inputs: Vec<PortInput>,
        limit: Option<Time>,
    ) -> Result<Option<Time>, CoupleError> {
        self.step_with(time, inputs, limit, false).await
    }

    /// As [`step`](Coupling::step), but the step ends at the first instant that changes a connected output or emits an event.
    /// If that lies before `time` (the container's clock says so), the inputs have not been written.
    ///
    /// # Errors
    /// As [`step`](Coupling::step).
    pub async fn step_to_output(
        &mut self,
        time: Time,
        inputs: Vec<PortInput>,
        limit: Option<Time>,
    ) -> Result<Option<Time>, CoupleError> {
        self.step_with(time, inputs, limit, true).await
    }

    async fn step_with(
        &mut self,
        time: Time,
        inputs: Vec<PortInput>,
        limit: Option<Time>,
        stop: bool,
    ) -> Result<Option<Time>, CoupleError> {
        self.check_time(time)?;
        let inputs = self.resolve(inputs)?;
        if !self.started {
            self.start().await?;
        }
        match self.steps {
            0 => self.early_reads = self.reads,
            // a step has passed and nothing was read: no output is connected
            1 if !self.told && self.reads == self.early_reads => self.connect(&[]),
            _ => {}
        }
        self.steps += 1;
        (self.last, self.held) = (time, false);
        if stop {
            self.look()?;
        }
        let before = self.run(time, false, stop).await?;
        if let Some(shown) = before.shown {
            (self.last, self.allowed) = (shown, shown);
            return Ok(before.next);
        }
        let kernel = self.container.kernel();
        // everything before `time` has happened, so inputs written now are of (time, round 0)
        kernel.jump(time);
        for write in inputs {
            kernel.enter(write);
        }
        for entity in self.entities.iter().filter(|entity| entity.vtable.model.step) {
            (entity.vtable.step)(kernel, entity.agent);
        }
        let mut ran = self.run(time, true, stop).await?;
        let kernel = self.container.kernel();
        if self.told {
            for entity in &mut self.entities {
                entity.forget_unread(kernel).map_err(|error| output_error(entity, error))?;
            }
        }
        self.allowed = time;
        match self.mode {
            Mode::Exact => {}
            Mode::Window(window) => {
                let end = time.saturating_add(window);
                let end = limit.map_or(end, |limit| end.min(limit));
                self.allowed = end.max(time);
                if end > time && ran.shown.is_none() {
                    ran = self.run(end, false, stop).await?;
                }
            }
            Mode::Ahead => return self.run_ahead(ran.next, limit).await,
        }
        Ok(ran.next)
    }

    /// Lets everything at or before `until` happen (before it, if not `inclusive`), without inputs and in no mode; returns
    /// when the agents have something to do next.
    ///
    /// # Errors
    /// See [`CoupleError`].
    pub async fn advance(&mut self, until: Time, inclusive: bool) -> Result<Option<Time>, CoupleError> {
        self.check_time(until)?;
        if !self.started {
            self.start().await?;
        }
        self.held = false;
        let ran = self.run(until, inclusive, false).await?;
        (self.last, self.allowed) = (self.container.now(), self.container.now());
        Ok(ran.next)
    }

    /// Writes to a port when time reaches `at`: at the start of that instant, after the inputs of a step at this time.
    ///
    /// # Errors
    /// When the input is refused, or `at` is past.
    pub fn inject(&mut self, at: Time, input: PortInput) -> Result<(), CoupleError> {
        self.check_time(at)?;
        for write in self.resolve(vec![input])? {
            if self.injected.get() >= MAX_INJECTED {
                return Err(CoupleError::Crowded(self.injected.get()));
            }
            let injected = self.injected.clone();
            let enter = move || {
                injected.set(injected.get() - 1);
                write();
            };
            self.container.kernel().inject_with(at, enter).map_err(RunError::from)?;
            self.injected.set(self.injected.get() + 1);
        }
        Ok(())
    }

    fn check_time(&self, asked: Time) -> Result<(), CoupleError> {
        let now = self.container.now();
        if asked >= now {
            return Ok(());
        }
        Err(CoupleError::Past { asked, now, last: self.last, allowed: self.allowed, mode: self.mode })
    }

    async fn run_ahead(
        &mut self,
        next: Option<Time>,
        limit: Option<Time>,
    ) -> Result<Option<Time>, CoupleError> {
        let kernel = self.container.kernel();
        for entity in &mut self.entities {
            let emitted = entity.has_events(kernel).map_err(|error| output_error(entity, error))?;
            if emitted {
                // the simulator will react to the events of this step: nothing may run ahead of that
                return Ok(next);
            }
        }
        for entity in &mut self.entities {
            entity.hold(kernel).map_err(|error| output_error(entity, error))?;
        }
        self.look()?;
        self.held = true;
        let ran = self.run(limit.unwrap_or(Time::MAX), false, true).await?;
        self.allowed = self.container.now();
        Ok(ran.shown.or(ran.next))
    }

    /// The entities whose agents' code has run since the last call, while it was tracked.
    fn touched(&self) -> Vec<usize> {
        let touched = self.container.kernel().take_touched();
        touched.iter().filter_map(|agent| self.by_agent.get(*agent)).collect()
    }

    /// Remembers what all outputs are now: [`run`](Coupling::run) stops when one of them changes.
    fn look(&mut self) -> Result<(), CoupleError> {
        let kernel = self.container.kernel();
        for entity in &mut self.entities {
            entity.has_news(kernel).map_err(|error| output_error(entity, error))?;
        }
        Ok(())
    }

    /// Lets events up to `end` happen; with `stop`, up to the first instant that changes a connected output or emits an event.
    async fn run(&mut self, end: Time, inclusive: bool, stop: bool) -> Result<Ran, CoupleError> {
        let kernel = self.container.kernel();
        let look = stop || (self.stamping && self.entities.iter().any(Entity::emits));
        if !look {
            let next = match inclusive {
                true => self.driver.advance(kernel, end).await?,
                false => self.driver.advance_before(kernel, end).await?,
            };
            return Ok(Ran { next, shown: None });
        }
        kernel.track(true);
        kernel.take_touched();
        let ran = self.run_and_look(end, inclusive, stop).await;
        self.container.kernel().track(false);
        ran
    }

    async fn run_and_look(&mut self, end: Time, inclusive: bool, stop: bool) -> Result<Ran, CoupleError> {
        let kernel = self.container.kernel();
        let mut next = kernel.next_event();
        while let Some(event) = next.filter(|event| *event < end || (inclusive && *event == end)) {
            next = self.driver.advance(kernel, event).await?;
            let mut news = false;
            for position in self.touched() {
                let entity = &mut self.entities[position];
                let seen = if stop { entity.has_news(kernel) } else { entity.has_events(kernel) };
                news |= seen.map_err(|error| output_error(entity, error))?;
            }
            if stop && news {
                return Ok(Ran { next, shown: Some(event) });
            }
        }
        if inclusive {
            next = self.driver.advance(kernel, end).await?;
        }
        Ok(Ran { next, shown: None })
    }

    /// Checks the inputs of a step and puts them into order.
    fn resolve(&self, inputs: Vec<PortInput>) -> Result<Vec<Write>, CoupleError> {
        let mut resolved = Vec::with_capacity(inputs.len());
        for PortInput { eid, port, mut values } in inputs {
            let Some(position) = self.entity(&eid) else { return Err(CoupleError::Entity(eid)) };
            let model = self.entities[position].vtable.model;
            let Some(number) = model.input(&port) else {
                let known = model.inputs.iter().map(|input| input.name).collect::<Vec<_>>().join(", ");
                return Err(CoupleError::Port { eid, model: model.name, direction: "input", port, known });
            };
            values.sort_by(|a, b| a.0.cmp(&b.0));
            resolved.push((position, number, values));
        }
        resolved.sort_by_key(|(position, port, _)| (self.entities[*position].agent, *port));
        let kernel = self.container.kernel();
        let write = |(position, port, values): (usize, usize, Written)| {
            let entity = &self.entities[position];
            (entity.vtable.write)(kernel, entity.agent, port, values).map_err(|input| CoupleError::Input {
                eid: entity.eid.clone(),
                port: entity.vtable.model.inputs[port].name.into(),
                input,
            })
        };
        resolved.into_iter().map(write).collect()
    }

    /// The positions of an entity and one of its outputs, for [`read`](Coupling::read).
    ///
    /// # Errors
    /// When there is no such entity or output.
    pub fn locate(&self, eid: &str, port: &str) -> Result<(usize, usize), CoupleError> {
        let position = self.entity(eid).ok_or_else(|| CoupleError::Entity(eid.into()))?;
        let model = self.entities[position].vtable.model;
        let Some(number) = model.output(port) else {
            let known = model.outputs.iter().map(|output| output.name).collect::<Vec<_>>().join(", ");
            let (eid, port) = (eid.into(), port.into());
            return Err(CoupleError::Port { eid, model: model.name, direction: "output", port, known });
        };
        Ok((position, number))
    }

    /// Takes the events that these outputs, which must be connected, have emitted and nobody has read: in the order of their
    /// times, then as asked for. What agents have emitted while they ran [ahead](Mode::Ahead) belongs to a later step.
    ///
    /// # Errors
    /// When an output cannot be read.
    pub fn take_events(&mut self, ports: &[(usize, usize)]) -> Result<Vec<Emitted>, CoupleError> {
        let kernel = self.container.kernel();
        let mut events = Vec::new();
        for (position, port) in ports.iter().filter(|_| !self.held) {
            let entity = &mut self.entities[*position];
            entity.take_events(kernel, *port, &mut events).map_err(|error| output_error(entity, error))?;
        }
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    /// Says which outputs the simulator reads after each step: these and no others show in [`Mode::Ahead`]. Until it is
    /// said, or until a step has passed without a read, all of them count.
    pub fn connect(&mut self, outputs: &[(usize, usize)]) {
        self.told = true;
        for entity in &mut self.entities {
            entity.disconnect();
        }
        for (position, port) in outputs {
            self.entities[*position].connect(*port);
        }
    }

    /// Whether [`connect`](Coupling::connect) has been called.
    pub fn is_connected(&self) -> bool {
        self.told
    }

    /// Reads outputs, each as (entity, port) by the positions that [`locate`](Coupling::locate) gave.
    ///
    /// # Errors
    /// When a value cannot be read, or stamps differ.
    pub fn read(&mut self, ports: &[(usize, usize)]) -> Result<Readings, CoupleError> {
        let kernel = self.container.kernel();
        let mut readings = Readings::default();
        for (position, port) in ports {
            self.reads += 1;
            let entity = &mut self.entities[*position];
            let name = entity.vtable.model.outputs[*port].name;
            let (value, stamp) = match entity.read(kernel, *port, self.held) {
                Ok(read) => read,
                Err(error) => {
                    return Err(CoupleError::Output { eid: entity.eid.clone(), port: name.into(), error });
                }
            };
            if let (Some(old), Some(new)) = (readings.stamp, stamp)
                && old != new
            {
                let text = format!(
                    "stamped for {new}, another output of this step for {old}; a simulator takes one"
                );
                let error = CallError::new("ValueError", text);
                return Err(CoupleError::Output { eid: entity.eid.clone(), port: name.into(), error });
            }
            readings.stamp = readings.stamp.or(stamp);
            if let Some(value) = value {
                readings.values.push((entity.eid.clone(), name.into(), value));
            }
        }
        Ok(readings)
    }
}

#[cold]
fn output_error(entity: &Entity, error: CallError) -> CoupleError {
    CoupleError::Output { eid: entity.eid.clone(), port: "an output".into(), error }
}
