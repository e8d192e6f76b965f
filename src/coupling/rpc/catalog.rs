//! What a program offers, as `describe` tells it: models with their ports and parameters, agents, epoch, seed, mode.
//!
//! Why apart from the session: it is asked for while a step is under way, when the session is busy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone_sim::Time;

use super::times;
use crate::agent::{Container, OutputKind, Vtable};
use crate::codec::Value;
use crate::coupling::{Coupling, Mode};

/// Which version of this interface is spoken.
const INTERFACE: i64 = 1;

#[derive(Debug)]
pub(crate) struct Catalog {
    container: Rc<Container>,
    mode: Mode,
    models: Value,
    /// name, model, name of the agent that created it
    agents: RefCell<Vec<(String, String, Option<String>)>>,
}

impl Catalog {
    pub(crate) fn new(coupling: &Coupling, models: &BTreeMap<String, (&'static Vtable, bool)>) -> Self {
        let models = models.iter().map(|(name, (vtable, public))| (name.as_str(), model(vtable, *public)));
        Catalog {
            container: coupling.shared_container(),
            mode: coupling.mode(),
            models: Value::map(models),
            agents: RefCell::default(),
        }
    }

    /// Makes an agent known that has been created.
    pub(crate) fn add(&self, eid: &str, model: &str, parent: Option<&str>) {
        self.agents.borrow_mut().push((eid.into(), model.into(), parent.map(str::to_string)));
    }

    /// Where the clock stands; while a step is under way, how far it has come.
    pub(crate) fn now(&self) -> Time {
        self.container.now()
    }

    /// When the agents have something to do next.
    pub(crate) fn next_event(&self) -> Option<Time> {
        self.container.kernel().next_event()
    }

    pub(crate) fn describe(&self) -> Vec<(Value, Value)> {
        let config = self.container.kernel().config();
        let agents = self.agents.borrow();
        let agents = agents.iter().map(|(eid, model, parent)| {
            let about = [("model", Value::from(model.as_str())), ("parent", parent.clone().into())];
            (eid.as_str(), Value::map(about))
        });
        vec![
            ("interface".into(), INTERFACE.into()),
            ("name".into(), config.name.as_str().into()),
            ("epoch".into(), config.epoch.to_string().into()),
            ("seed".into(), config.seed.into()),
            ("mode".into(), self.mode.to_string().into()),
            ("now".into(), times::write(self.now())),
            ("models".into(), self.models.clone()),
            ("agents".into(), Value::map(agents)),
        ]
    }
}

fn model(vtable: &Vtable, public: bool) -> Value {
    let model = vtable.model;
    let params = model.constructor.iter().flat_map(|constructor| constructor.params).map(|param| {
        Value::map([
            ("name", Value::from(param.name)),
            ("type", param.ty.into()),
            ("optional", param.optional.into()),
        ])
    });
    let inputs = model.inputs.iter().map(|port| {
        Value::map([
            ("name", Value::from(port.name)),
            ("trigger", port.trigger.into()),
            ("doc", port.doc.into()),
        ])
    });
    let outputs = model.outputs.iter().map(|port| {
        Value::map([
            ("name", Value::from(port.name)),
            ("kind", kind(port.kind).into()),
            ("doc", port.doc.into()),
        ])
    });
    Value::map([
        ("doc", Value::from(model.doc)),
        ("create", (public && model.constructor.is_some()).into()),
        ("params", Value::list(params)),
        ("inputs", Value::list(inputs)),
        ("outputs", Value::list(outputs)),
    ])
}

fn kind(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::State => "state",
        OutputKind::OnChange => "on_change",
        OutputKind::Event => "event",
        OutputKind::Stamped => "stamped",
    }
}
