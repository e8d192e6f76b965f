//! The step, in all its modes; see the head of [`coupling`](crate::coupling) for what it means.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{AgentId, CreateError, Report, SimError, Time};

use super::entities::{Entity, Readings};
use crate::agent::{BadInput, Container, Proxy, Vtable, Write, Written, local};
use crate::clock::{Coupled, Input, Interrupt, Live, RunError};
use crate::rpc::{Args, CallError};

/// How far the agents run in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// To the time of the step.
    #[default]
    Exact,
    /// On over a window of this length.
    Window(Duration),
    /// On until something shows.
    Ahead,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "exact" => Ok(Mode::Exact),
            None if text == "ahead" => Ok(Mode::Ahead),
            Some(("window", span)) => match isochrone_sim::parse_span(span) {
                Ok(span) if !span.is_zero() => Ok(Mode::Window(span)),
                Ok(_) => Err("a window must be longer than nothing".into()),
                Err(error) => Err(error.to_string()),
            },
            _ => Err(format!("{text:?} is no mode: write exact, window=15min or ahead")),
        }
    }
}

/// What one source, or several, write to one port.
#[derive(Clone, Debug, PartialEq)]
pub struct PortInput {
    /// The entity's id.
    pub eid: String,
    /// The port's name.
    pub port: String,
    /// Source and value.
    pub values: Written,
}

/// Why a simulator's request cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoupleError {
    /// The run itself.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is no such model.
    #[error("no model {model:?} is here; there are: {known}")]
    Model {
        /// The name asked for.
        model: String,
        /// The names there are.
        known: String,
    },
    /// An agent could not be created.
    #[error("{eid}: {source}")]
    Create {
        /// The entity that was to be.
        eid: String,
        /// Why not.
        source: CreateError,
    },
    /// There is no such entity.
    #[error("no entity {0:?} is here")]
    Entity(String),
    /// The entity's model has no such port.
    #[error("{eid} ({model}) has no {direction} {port:?}; it has: {known}")]
    Port {
        /// The entity.
        eid: String,
        /// Its model.
        model: &'static str,
        /// "input" or "output".
        direction: &'static str,
        /// The name asked for.
        port: String,
        /// The names there are.
        known: String,
    },
    /// A value has the wrong type.
    #[error("{eid}.{port}: {input}")]
    Input {
        /// The entity.
        eid: String,
        /// The port.
        port: String,
        /// Source, and what is wrong.
        input: BadInput,
    },
    /// An output could not be read.
    #[error("{eid}.{port}: {error}")]
    Output {
        /// The entity.
        eid: String,
        /// The port.
        port: String,
        /// Why.
        error: CallError,
    },
    /// The simulator wants to step where the agents have been already.
    #[error(
        "a step at {asked} is not possible: the agents have run on to {now} in {mode:?}, which the step at {last} allowed up to {allowed}"
    )]
    Past {
        /// The step's time.
        asked: Time,
        /// Where the agents are.
        now: Time,
        /// The step that let them.
        last: Time,
        /// How far that was.
        allowed: Time,
        /// In which mode.
        mode: Mode,
    },
}

impl CoupleError {
    /// The failure of an agent that ended the run, if that is what it was.
    pub fn report(&self) -> Option<&Report> {
        match self {
            CoupleError::Run(RunError::Sim(SimError::Escalated(report))) => Some(report),
            _ => None,
        }
    }
}

/// Pairs of related agents.
#[derive(Debug, Default)]
struct Relations(RefCell<BTreeMap<AgentId, Vec<AgentId>>>);

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

/// Agents under an external simulator.
#[derive(Debug)]
pub struct Coupling {
    container: Container,
    driver: Coupled,
    models: BTreeMap<String, &'static Vtable>,
    entities: Vec<Entity>,
    by_eid: BTreeMap<String, usize>,
    by_agent: BTreeMap<AgentId, usize>,
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
            container,
            driver: Coupled::new(interrupt),
            models,
            entities: Vec::new(),
            by_eid: BTreeMap::new(),
            by_agent: BTreeMap::new(),
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
        self.driver.handle(self.container.kernel(), input).await?;
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
        self.by_agent.insert(agent, position);
        self.entities.push(Entity::new(eid, agent, (model.into(), vtable), !self.told));
        position
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
            if !known.contains(&parent) || self.by_agent.contains_key(&agent) {
                continue;
            }
            let Some(vtable) = self.container.vtable(agent) else { continue };
            let model = self.models.iter().find(|(_, model)| model.model.name == vtable.model.name);
            let Some(model) = model.map(|(name, _)| name.clone()) else { continue };
            let eid = self.next_eid(vtable);
            let child = self.adopt(eid, agent, &model, vtable);
            families.entry(self.by_agent[&parent]).or_default().push(child);
            known.insert(agent);
        }
        self.seen = population;
        families
    }

    /// The entities that [`relate`] has related to this one, in the order in which that was said.
    pub fn related(&self, position: usize) -> Vec<usize> {
        let agent = self.entities[position].agent;
        let relations = self.relations.0.borrow();
        relations.get(&agent).into_iter().flatten().filter_map(|to| self.by_agent.get(to).copied()).collect()
    }

    /// The position of an agent's entity.
    pub fn entity_of(&self, agent: AgentId) -> Option<usize> {
        self.by_agent.get(&agent).copied()
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
        let kernel = self.container.kernel();
        if time < kernel.now() {
            let (last, allowed) = (self.last, self.allowed);
            return Err(CoupleError::Past { asked: time, now: kernel.now(), last, allowed, mode: self.mode });
        }
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
        let kernel = self.container.kernel();
        self.steps += 1;
        (self.last, self.held) = (time, false);
        self.driver.advance_before(kernel, time).await?;
        // everything before `time` has happened, so inputs written now are of (time, round 0)
        kernel.jump(time);
        for write in inputs {
            kernel.enter(write);
        }
        for entity in self.entities.iter().filter(|entity| entity.vtable.model.step) {
            (entity.vtable.step)(kernel, entity.agent);
        }
        let next = self.driver.advance(kernel, time).await?;
        if self.told {
            for entity in &mut self.entities {
                entity.forget_unread(kernel).map_err(|error| output_error(entity, error))?;
            }
        }
        self.allowed = time;
        match self.mode {
            Mode::Exact => Ok(next),
            Mode::Window(window) => {
                let end = time.saturating_add(window);
                let end = limit.map_or(end, |limit| end.min(limit));
                self.allowed = end.max(time);
                Ok(if end > time { self.driver.advance_before(kernel, end).await? } else { next })
            }
            Mode::Ahead => self.run_ahead(next, limit).await,
        }
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
            entity
                .hold(kernel)
                .and_then(|()| entity.has_news(kernel))
                .map_err(|error| output_error(entity, error))?;
        }
        self.held = true;
        kernel.track(true);
        kernel.take_touched();
        let mut next = next;
        let mut shown = None;
        while let Some(event) = next.filter(|event| limit.is_none_or(|limit| *event < limit)) {
            next = self.driver.advance(kernel, event).await?;
            self.allowed = event;
            let mut news = false;
            for agent in kernel.take_touched() {
                if let Some(position) = self.by_agent.get(&agent) {
                    let entity = &mut self.entities[*position];
                    news |= entity.has_news(kernel).map_err(|error| output_error(entity, error))?;
                }
            }
            if news {
                shown = Some(event);
                break;
            }
        }
        kernel.track(false);
        Ok(shown.or(next))
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

fn output_error(entity: &Entity, error: CallError) -> CoupleError {
    CoupleError::Output { eid: entity.eid.clone(), port: "an output".into(), error }
}
