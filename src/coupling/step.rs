//! The step, in all its modes; see the head of [`coupling`](crate::coupling) for what it means.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone_sim::{AgentId, Time};

use super::entities::{ByAgent, Entity, PortInput};
use super::error::CoupleError;
use super::mode::Mode;
use super::relations::Relations;
use super::watch::Watches;
use crate::agent::{Container, Vtable, Write, Written};
use crate::clock::{Coupled, Input, Interrupt, Live, RunError};
use crate::replay::Tape;
use crate::rpc::CallError;

/// Inputs that may wait for their time.
const MAX_INJECTED: u32 = 65_536;

/// How far the agents have run.
struct Ran {
    /// when they have something to do next
    next: Option<Time>,
    /// the instant at which an output changed, if the run ended there
    shown: Option<Time>,
}

/// Agents under an external simulator.
#[derive(Debug)]
pub struct Coupling {
    pub(super) container: Rc<Container>,
    driver: Coupled,
    pub(super) models: BTreeMap<String, &'static Vtable>,
    pub(super) entities: Vec<Entity>,
    pub(super) by_eid: BTreeMap<String, usize>,
    pub(super) by_agent: ByAgent,
    pub(super) counts: BTreeMap<&'static str, usize>,
    mode: Mode,
    pub(super) relations: Rc<Relations>,
    /// whose code has run
    touched: Vec<AgentId>,
    /// of the entities and connections that there are, from the first look on
    pub(super) watches: Option<Watches>,
    /// whether any entity emits events
    pub(super) emitting: bool,
    /// agents below this number have been looked at for children
    pub(super) seen: u32,
    last: Time,
    allowed: Time,
    pub(super) held: bool,
    started: bool,
    /// whether the simulator has said which outputs it reads
    pub(super) told: bool,
    steps: u64,
    pub(super) reads: u64,
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
            touched: Vec::new(),
            watches: None,
            emitting: false,
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

    /// With a recorder, or a recording in the place of the outside.
    pub fn with_tape(mut self, tape: Tape) -> Self {
        self.driver.set_tape(tape);
        self
    }

    /// What it is recorded with, or replayed from.
    pub fn tape(&self) -> &Tape {
        self.driver.tape()
    }

    /// The way in for the outside beside the simulator. What comes there before the agents [start](Coupling::start) waits
    /// until they do.
    pub fn live(&self) -> Live {
        self.driver.live()
    }

    /// Waits for an input by that way, to be given to [`handle`](Coupling::handle).
    pub async fn next_input(&mut self) -> Input {
        match self.started {
            true => self.driver.next_input().await,
            false => std::future::pending().await,
        }
    }

    /// Ends the way in: whoever waits for an answer there hears that the run is over.
    pub fn close(&mut self) {
        self.driver.close();
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
        self.look_at_touched(false)?;
        handled?;
        Ok(())
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
        let next = self.do_step(time, inputs, limit, stop).await?;
        self.driver.tape().checkpoint(self.container.kernel());
        Ok(next)
    }

    async fn do_step(
        &mut self,
        time: Time,
        inputs: Vec<Write>,
        limit: Option<Time>,
        stop: bool,
    ) -> Result<Option<Time>, CoupleError> {
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
        // whoever follows what the agents do makes the next step for where this one has ended
        let follows = stop || self.mode != Mode::Exact;
        let leash = if follows { self.driver.tape().leash() } else { None };
        let mut before = self.run_before(time, leash.filter(|_| stop), stop).await?;
        if let Some(leash) = leash.filter(|leash| stop && *leash < time) {
            before.shown.get_or_insert(leash);
        }
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
                    ran = self.run_before(end, leash, stop).await?;
                }
            }
            Mode::Ahead => return self.run_ahead(ran.next, limit, leash).await,
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
        leash: Option<Time>,
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
        let ran = self.run_before(limit.unwrap_or(Time::MAX), leash, true).await?;
        self.allowed = self.container.now();
        Ok(ran.shown.or(ran.next))
    }

    /// Looks at the entities whose agents' code has run since the last call, while it was tracked: whether they have emitted
    /// events or, with `outputs`, show something new.
    fn look_at_touched(&mut self, outputs: bool) -> Result<bool, CoupleError> {
        let kernel = self.container.kernel();
        kernel.take_touched(&mut self.touched);
        let (touched, by_agent, entities) = (&self.touched, &self.by_agent, &mut self.entities);
        let (emitting, watches) = (self.emitting, self.watches.as_mut().filter(|_| outputs));
        kernel.enter(|| {
            let mut news = false;
            for position in touched.iter().filter(|_| emitting).filter_map(|agent| by_agent.get(*agent)) {
                let entity = &mut entities[position];
                news |= entity.has_events(kernel).map_err(|error| output_error(entity, error))?;
            }
            Ok(news | watches.is_some_and(|watches| watches.have_changed(touched)))
        })
    }

    /// Remembers what all outputs are now: [`run`](Coupling::run) stops when one of them changes.
    fn look(&mut self) -> Result<(), CoupleError> {
        let (kernel, entities) = (self.container.kernel(), &mut self.entities);
        let watches = self.watches.get_or_insert_with(|| Watches::new(kernel, entities));
        kernel.enter(|| {
            for entity in entities {
                entity.has_events(kernel).map_err(|error| output_error(entity, error))?;
            }
            watches.look();
            Ok(())
        })
    }

    /// As [`run`](Coupling::run), to just before `end`; when a recording is played, no further than the recorded run went.
    async fn run_before(&mut self, end: Time, leash: Option<Time>, stop: bool) -> Result<Ran, CoupleError> {
        match leash.filter(|leash| *leash < end) {
            Some(leash) => self.run(leash, true, stop).await,
            None => self.run(end, false, stop).await,
        }
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
        kernel.take_touched(&mut self.touched);
        let ran = self.run_and_look(end, inclusive, stop).await;
        self.container.kernel().track(false);
        ran
    }

    async fn run_and_look(&mut self, end: Time, inclusive: bool, stop: bool) -> Result<Ran, CoupleError> {
        let mut next = self.container.kernel().next_event();
        while let Some(event) = next.filter(|event| *event < end || (inclusive && *event == end)) {
            next = self.driver.advance(self.container.kernel(), event).await?;
            if self.look_at_touched(stop)? && stop {
                return Ok(Ran { next, shown: Some(event) });
            }
        }
        if inclusive {
            next = self.driver.advance(self.container.kernel(), end).await?;
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
}

#[cold]
pub(super) fn output_error(entity: &Entity, error: CallError) -> CoupleError {
    CoupleError::Output { eid: entity.eid.clone(), port: "an output".into(), error }
}
