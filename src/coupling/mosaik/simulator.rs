//! What a program offers to mosaik, and the description mosaik gets of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use isochrone_sim::{Config, Tick};

use crate::agent::{Container, OutputKind, Vtable};
use crate::codec::Value;
use crate::coupling::{Join, Mode};
use crate::replay::Tape;
use crate::rpc::{Args, CallError};

/// How mosaik schedules a simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Kind {
    /// Stepped at fixed intervals: needs the parameter `step_size`.
    TimeBased,
    /// Stepped only when triggered, or when it asked for it in a step.
    EventBased,
    /// Stepped at 0, when triggered, and when it asked for it.
    #[default]
    Hybrid,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::TimeBased => "time-based",
            Kind::EventBased => "event-based",
            Kind::Hybrid => "hybrid",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Kind::TimeBased, Kind::EventBased, Kind::Hybrid]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("{text:?} is no type: write time-based, event-based or hybrid"))
    }
}

/// The version of mosaik's simulator interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Api {
    /// 2.2: steps without `max_advance`.
    V2,
    /// 3.0.
    #[default]
    V3,
}

impl Api {
    fn name(self) -> &'static str {
        match self {
            Api::V2 => "2.2",
            Api::V3 => "3.0",
        }
    }
}

impl FromStr for Api {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Api::V2, Api::V3].into_iter().find(|api| api.name() == text).ok_or_else(|| {
            format!("{text:?} is no version of mosaik's API that is spoken here: write 3.0 or 2.2")
        })
    }
}

/// How a model appears beyond what its ports say.
#[derive(Clone, Copy, Debug)]
pub struct ModelOptions {
    /// Whether scenarios may create it; a model that is not public appears as a child only.
    pub public: bool,
    /// Whether mosaik may connect inputs the model does not name.
    pub any_inputs: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions { public: true, any_inputs: false }
    }
}

/// What mosaik has told at `init`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Setup {
    /// The simulator's id in the scenario.
    pub sid: String,
    /// The length of one of mosaik's steps.
    pub tick: Tick,
    /// The parameters given to `world.start`, `time_resolution` and `step_size` among them.
    pub params: Value,
}

/// The steps of a run, for extra methods and agents: `shared::<StepLog>()`. They are kept only if the simulator says so.
#[derive(Debug, Default)]
pub struct StepLog(pub(super) RefCell<Vec<Value>>);

impl StepLog {
    /// A row per step: time, inputs, `max_advance`, the next step that was asked for.
    pub fn rows(&self) -> Value {
        Value::List(self.0.borrow().clone())
    }
}

/// A method beside the interface that a scenario may call.
pub type Extra = Rc<dyn Fn(&Container, Args) -> Result<Value, CallError>>;

type Build = Rc<dyn Fn(&Container, &Setup) -> Result<(), String>>;

/// What a program offers to mosaik.
pub struct Simulator {
    /// How it is scheduled.
    pub kind: Kind,
    /// Which interface it speaks.
    pub api: Api,
    /// How far the agents run in a step.
    pub mode: Mode,
    /// The types of agents that can be created, by their names.
    pub models: BTreeMap<String, (&'static Vtable, ModelOptions)>,
    /// Methods a scenario may call.
    pub extra: BTreeMap<String, Extra>,
    /// Replaces entries of the description, model by model: `{"models": {"House": {"any_inputs": true}}}`.
    pub overrides: Option<Value>,
    /// Whether the scenario calls `world.set_initial_event`, which mosaik does not tell: without it an event-based
    /// simulator whose agents have something to do at first would never be stepped, and says so.
    pub initial_event: bool,
    /// Whether all steps are kept, for [`StepLog`].
    pub log_steps: bool,
    /// What the kernel of a run is made with.
    pub config: Config,
    /// Sets up what is there before mosaik creates anything; fails with a sentence.
    pub build: Build,
    /// Puts the agents on the network.
    pub join: Join,
    /// What the run is recorded with, or replayed from.
    pub tape: Tape,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulator({}, {:?}, {:?})", self.config.name, self.kind, self.models.keys())
    }
}

const RESERVED: [&str; 7] = ["init", "create", "setup_done", "step", "get_data", "finalize", "stop"];

impl Simulator {
    /// The description mosaik gets in reply to `init`.
    ///
    /// # Errors
    /// With a sentence, when mosaik would refuse it or misunderstand it.
    pub fn meta(&self) -> Result<Value, String> {
        let mut models = Vec::new();
        for (name, (vtable, options)) in &self.models {
            if RESERVED.contains(&name.as_str()) {
                return Err(format!("a model cannot be called {name:?}: mosaik has a method of that name"));
            }
            models.push((Value::from(name.as_str()), self.model(name, vtable, *options)?));
        }
        for name in self.extra.keys() {
            if RESERVED.contains(&name.as_str()) || self.models.contains_key(name) {
                return Err(format!("an extra method cannot be called {name:?}: that name is taken"));
            }
        }
        let meta = Value::Map(vec![
            ("api_version".into(), self.api.name().into()),
            ("type".into(), self.kind.name().into()),
            ("models".into(), Value::Map(models)),
            ("extra_methods".into(), Value::list(self.extra.keys().map(String::as_str))),
        ]);
        Ok(match &self.overrides {
            Some(overrides) => merge(meta, overrides),
            None => meta,
        })
    }

    fn model(&self, name: &str, vtable: &Vtable, options: ModelOptions) -> Result<Value, String> {
        let model = vtable.model;
        let mut attrs: Vec<&str> = Vec::new();
        for port in
            model.inputs.iter().map(|port| port.name).chain(model.outputs.iter().map(|port| port.name))
        {
            if !attrs.contains(&port) {
                attrs.push(port);
            }
        }
        let triggers: Vec<&str> =
            model.inputs.iter().filter(|port| port.trigger).map(|port| port.name).collect();
        let events: Vec<&str> = model
            .outputs
            .iter()
            .filter(|port| port.kind != OutputKind::State)
            .map(|port| port.name)
            .collect();
        let mut entries: Vec<(Value, Value)> = vec![
            ("public".into(), options.public.into()),
            (
                "params".into(),
                Value::list(model.constructor.iter().flat_map(|c| c.params.iter().map(|p| p.name))),
            ),
            ("attrs".into(), Value::list(attrs)),
            ("any_inputs".into(), options.any_inputs.into()),
        ];
        match self.kind {
            Kind::Hybrid => {
                entries.push(("trigger".into(), Value::list(triggers)));
                entries.push(("non-persistent".into(), Value::list(events)));
            }
            Kind::TimeBased => {
                if let Some(port) = triggers.first().or(events.first()) {
                    return Err(format!(
                        "{name}.{port} needs a hybrid simulator: a time-based one has no triggers and no events"
                    ));
                }
            }
            Kind::EventBased => {
                let plain = model.inputs.iter().find(|port| !port.trigger).map(|port| port.name);
                let state =
                    model.outputs.iter().find(|port| port.kind == OutputKind::State).map(|port| port.name);
                if let Some(port) = plain.or(state) {
                    return Err(format!(
                        "{name}.{port} needs a hybrid simulator: an event-based one has triggers and events only"
                    ));
                }
            }
        }
        Ok(Value::Map(entries))
    }
}

/// Entries of `over` replace those of `base`; dicts are merged.
fn merge(base: Value, over: &Value) -> Value {
    let (Value::Map(mut base), Value::Map(over)) = (base, over) else { return over.clone() };
    for (key, value) in over {
        match base.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = merge(std::mem::replace(known, Value::Null), value),
            None => base.push((key.clone(), value.clone())),
        }
    }
    Value::Map(base)
}
