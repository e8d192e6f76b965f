//! The agents a simulator has created, as it knows them: entity ids, ports, what was last read.
//!
//! Why buffers: events are taken out of an agent when it is read, but a step may look at an agent several times before the
//! simulator asks; and an agent that has been stopped keeps its last outputs.

use std::collections::{BTreeMap, BTreeSet};

use isochrone_sim::fingerprint::payload_hash;
use isochrone_sim::{AgentId, Kernel, Status, Time};

use crate::agent::{OutputKind, Vtable, Written};
use crate::codec::{Value, from_value};
use crate::rpc::CallError;

/// The positions of agents' entities, by the agents' numbers.
#[derive(Debug, Default)]
pub(crate) struct ByAgent(Vec<Option<usize>>);

impl ByAgent {
    /// Remembers the position of an agent that exists: room for all older ones is made.
    pub(crate) fn insert(&mut self, agent: AgentId, position: usize) {
        let number = agent.ordinal() as usize;
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        self.0[number] = Some(position);
    }

    pub(crate) fn get(&self, agent: AgentId) -> Option<usize> {
        self.0.get(agent.ordinal() as usize).copied().flatten()
    }
}

/// An agent as a simulator sees it.
#[derive(Debug)]
pub struct Entity {
    /// Its id.
    pub eid: String,
    /// The agent.
    pub agent: AgentId,
    pub(crate) vtable: &'static Vtable,
    model: String,
    ports: Vec<Port>,
    /// connected outputs that are state
    watched: Vec<usize>,
    /// outputs that emit events
    emitting: Vec<usize>,
}

#[derive(Debug, Default)]
struct Port {
    connected: bool,
    /// when they were collected, and what they are
    events: Vec<(Time, Value)>,
    last: Option<Value>,
    /// of the value that was last read
    read: Option<u64>,
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

/// What the ports that were asked for say.
#[derive(Debug, Default, PartialEq)]
pub struct Readings {
    /// Entity, port, value, in the order asked for; ports without news are missing.
    pub values: Vec<(String, String, Value)>,
    /// When the simulator is to see them, if that is not the time of the step.
    pub stamp: Option<Time>,
}

/// An event, and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// The instant at which the agents' run was looked at; of a stamped event, its stamp.
    pub time: Time,
    /// The entity.
    pub eid: String,
    /// Its port.
    pub port: &'static str,
    /// What it says.
    pub value: Value,
}

impl Entity {
    pub(crate) fn new(
        eid: String,
        agent: AgentId,
        (model, vtable): (String, &'static Vtable),
        connected: bool,
    ) -> Self {
        let ports = vtable.model.outputs.iter().map(|_| Port { connected, ..Port::default() }).collect();
        let (watched, emitting) = (Vec::new(), Vec::new());
        let mut entity = Entity { eid, agent, vtable, model, ports, watched, emitting };
        let event = |port: &usize| matches!(entity.kind(*port), OutputKind::Event | OutputKind::Stamped);
        entity.emitting = (0..entity.ports.len()).filter(event).collect();
        entity.choose_watched();
        entity
    }

    fn choose_watched(&mut self) {
        let state = |port: &usize| matches!(self.kind(*port), OutputKind::State | OutputKind::OnChange);
        self.watched =
            (0..self.ports.len()).filter(|port| self.ports[*port].connected && state(port)).collect();
    }

    /// Name of its model, as the simulator knows it.
    pub fn model(&self) -> &str {
        &self.model
    }

    fn kind(&self, port: usize) -> OutputKind {
        self.vtable.model.outputs[port].kind
    }

    /// Connects these outputs and no others. Events of one that is no longer connected are dropped: nobody would ever take
    /// them, and an entity that has events lets nobody run ahead.
    pub(crate) fn connect(&mut self, outputs: &BTreeSet<usize>) {
        for (at, port) in self.ports.iter_mut().enumerate() {
            port.connected = outputs.contains(&at);
            if !port.connected {
                port.events = Vec::new();
            }
        }
        self.choose_watched();
    }

    /// Its connected outputs that are state.
    pub(crate) fn watched(&self) -> &[usize] {
        &self.watched
    }

    /// Whether it has outputs that emit events, connected or not.
    pub(crate) fn has_emitting(&self) -> bool {
        !self.emitting.is_empty()
    }

    /// Whether one of its connected outputs emits events.
    pub(crate) fn emits(&self) -> bool {
        self.emitting.iter().any(|port| self.ports[*port].connected)
    }

    /// Takes the events of an output.
    pub(crate) fn take_events(
        &mut self,
        kernel: &Kernel,
        port: usize,
        events: &mut Vec<Emitted>,
    ) -> Result<(), CallError> {
        self.collect(kernel, port)?;
        let (name, stamped) = (self.vtable.model.outputs[port].name, self.kind(port) == OutputKind::Stamped);
        for (time, value) in std::mem::take(&mut self.ports[port].events) {
            let (time, value) = if stamped { stamp_of(value)? } else { (time, value) };
            kernel.mix(self.agent, port as u64, payload_hash(&value));
            events.push(Emitted { time, eid: self.eid.clone(), port: name, value });
        }
        Ok(())
    }

    /// Whether it has emitted events nobody has read yet.
    pub(crate) fn has_events(&mut self, kernel: &Kernel) -> Result<bool, CallError> {
        let mut some = false;
        for at in 0..self.emitting.len() {
            some |= self.collect(kernel, self.emitting[at])?;
        }
        Ok(some)
    }

    /// Drops the events of ports nobody reads: they must not pile up.
    pub(crate) fn forget_unread(&mut self, kernel: &Kernel) -> Result<(), CallError> {
        for port in 0..self.ports.len() {
            if !self.ports[port].connected
                && matches!(self.kind(port), OutputKind::Event | OutputKind::Stamped)
            {
                self.collect(kernel, port)?;
            }
        }
        Ok(())
    }

    fn collect(&mut self, kernel: &Kernel, port: usize) -> Result<bool, CallError> {
        if let Some(value) = (self.vtable.read)(kernel, self.agent, port)
            && let Value::List(events) = value?
            && self.ports[port].connected
        {
            let now = kernel.now();
            self.ports[port].events.extend(events.into_iter().map(|event| (now, event)));
        }
        Ok(!self.ports[port].events.is_empty())
    }

    /// Keeps what the state outputs are now, for a simulator that asks later.
    pub(crate) fn hold(&mut self, kernel: &Kernel) -> Result<(), CallError> {
        for port in 0..self.ports.len() {
            // the unconnected ones too: another simulator may ask for them meanwhile
            if matches!(self.kind(port), OutputKind::State | OutputKind::OnChange) {
                self.present(kernel, port)?;
            }
        }
        Ok(())
    }

    fn present(&mut self, kernel: &Kernel, port: usize) -> Result<Option<Value>, CallError> {
        match (self.vtable.read)(kernel, self.agent, port) {
            Some(value) => {
                let value = value?;
                self.ports[port].last = Some(value.clone());
                Ok(Some(value))
            }
            None if kernel.status(self.agent) == Some(Status::Locked) => {
                let text = "the agent is in the middle of an exclusive method (`async fn(&mut self, ..)`) and cannot be \
                            looked at; a method that `this.with(..)` borrows from leaves its outputs readable";
                Err(CallError::new("Busy", text))
            }
            // stopped, or about to be restarted: its last outputs stay
            None => Ok(self.ports[port].last.clone()),
        }
    }

    /// Reads one port; `held` takes what [`hold`](Entity::hold) has kept. The time is that of a stamped event.
    pub(crate) fn read(
        &mut self,
        kernel: &Kernel,
        port: usize,
        held: bool,
    ) -> Result<(Option<Value>, Option<Time>), CallError> {
        let (value, stamp) = match self.kind(port) {
            OutputKind::State if held && self.ports[port].last.is_some() => {
                (self.ports[port].last.clone(), None)
            }
            OutputKind::State => (self.present(kernel, port)?, None),
            OutputKind::OnChange => (self.changed(kernel, port, held)?, None),
            // the agents have run on: what they have emitted since belongs to a later step
            OutputKind::Event | OutputKind::Stamped if held => (None, None),
            OutputKind::Event => {
                self.collect(kernel, port)?;
                let events = std::mem::take(&mut self.ports[port].events);
                let events: Vec<Value> = events.into_iter().map(|(_, event)| event).collect();
                ((!events.is_empty()).then_some(Value::List(events)), None)
            }
            OutputKind::Stamped => {
                self.collect(kernel, port)?;
                self.stamped(port)?
            }
        };
        if let Some(value) = &value {
            kernel.mix(self.agent, port as u64, payload_hash(value));
        }
        Ok((value, stamp))
    }

    fn changed(&mut self, kernel: &Kernel, port: usize, held: bool) -> Result<Option<Value>, CallError> {
        let value = if held { self.ports[port].last.clone() } else { self.present(kernel, port)? };
        let hash = value.as_ref().map(payload_hash);
        let changed = std::mem::replace(&mut self.ports[port].read, hash) != hash;
        Ok(value.filter(|_| changed))
    }

    fn stamped(&mut self, port: usize) -> Result<(Option<Value>, Option<Time>), CallError> {
        let mut stamps: BTreeMap<Time, Vec<Value>> = BTreeMap::new();
        for (_, event) in std::mem::take(&mut self.ports[port].events) {
            let (time, value) = stamp_of(event)?;
            stamps.entry(time).or_default().push(value);
        }
        if stamps.len() > 1 {
            let name = self.vtable.model.outputs[port].name;
            let message = format!(
                "{}.{name} has events of different stamps in one step; a simulator takes one",
                self.eid
            );
            return Err(CallError::new("ValueError", message));
        }
        Ok(stamps.pop_first().map_or((None, None), |(time, events)| (Some(Value::List(events)), Some(time))))
    }
}

fn stamp_of(event: Value) -> Result<(Time, Value), CallError> {
    from_value(event)
        .map_err(|error| CallError::type_error(format!("a stamped event is no (Time, value): {error}")))
}
