//! What the tests couple: a meter with a timer, events, and a way to fail or to take long.

use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone::agent::Vtable;
use isochrone::codec::{Limits, Value, json};
use isochrone::coupling::Mode;
use isochrone::coupling::rpc::Offer;
use isochrone::prelude::*;
use isochrone::rpc::Request;
use tokio::sync::Notify;

/// Lets a meter go on that waits outside the simulation.
#[derive(Debug, Default)]
pub(crate) struct Gate(pub(crate) Rc<Notify>);

/// Looks at its level every ten seconds.
pub(crate) struct Meter {
    level: f64,
    seen: f64,
    ticks: Vec<f64>,
}

#[agent(eid = "meter_{n}")]
impl Meter {
    /// `level` before anything is written.
    #[constructor]
    fn new(#[default(0.0)] level: f64) -> Result<Self, String> {
        if level < 0.0 {
            return Err(format!("{level} is negative"));
        }
        Ok(Meter { level, seen: 0.0, ticks: Vec::new() })
    }

    /// The level from now on.
    #[input]
    fn level(&mut self, values: Inputs<f64>) {
        self.level = values.sum();
    }

    #[input(trigger)]
    fn fail(&mut self, _: Inputs<bool>) -> Result<(), String> {
        Err("the meter is broken".into())
    }

    #[input(trigger)]
    async fn wait(this: This<Self>, _: Inputs<bool>) {
        let gate = this.shared::<Gate>().expect("the tests provide one").0.clone();
        this.external("gate", Duration::ZERO, move || async move { gate.notified().await }).await;
    }

    #[every(seconds = 10)]
    fn tick(&mut self) {
        self.ticks.push(self.level);
        self.seen = self.level;
    }

    /// The level at the last tick.
    #[output]
    fn seen(&self) -> f64 {
        self.seen
    }

    #[output(on_change)]
    fn changed(&self) -> f64 {
        self.level
    }

    #[output(event)]
    fn ticks(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.ticks)
    }
}

/// Has a meter of its own.
pub(crate) struct House;

#[agent(eid = "house_{n}")]
impl House {
    #[constructor]
    fn new(cx: &Ctx) -> Result<Self, String> {
        cx.create(Some("meter"), Meter { level: 1.0, seen: 0.0, ticks: Vec::new() })
            .map_err(|error| error.to_string())?;
        Ok(House)
    }
}

/// Says long words.
#[derive(Default)]
pub(crate) struct Crier {
    words: Vec<Value>,
}

#[agent(eid = "crier_{n}")]
impl Crier {
    #[constructor]
    fn new() -> Self {
        Crier::default()
    }

    /// One word of each length; bytes, which JSON has no form for, if that is below zero.
    #[input(trigger)]
    fn cry(&mut self, lengths: Inputs<i64>) {
        let word = |n: i64| match usize::try_from(n) {
            Ok(n) => Value::from("x".repeat(n)),
            Err(_) => Value::Bytes(vec![1]),
        };
        self.words.extend(lengths.iter().map(|(_, length)| word(*length)));
    }

    #[output(event)]
    fn words(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.words)
    }
}

pub(crate) fn offer(mode: Mode, gate: &Rc<Notify>) -> Offer {
    let gate = gate.clone();
    Offer {
        models: BTreeMap::from([
            ("Crier".to_string(), (Vtable::of::<Crier>(), true)),
            ("House".to_string(), (Vtable::of::<House>(), true)),
            ("Meter".to_string(), (Vtable::of::<Meter>(), true)),
        ]),
        mode,
        config: Config::new("test"),
        build: Rc::new(move |world| {
            world.kernel().provide(Rc::new(Gate(gate.clone())));
            Ok(())
        }),
        tape: Default::default(),
        join: Default::default(),
        channel: Offer::connections(),
    }
}

/// A value, written as JSON.
pub(crate) fn value(text: &str) -> Value {
    json::decode(text.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A request: its path, and its arguments as JSON.
pub(crate) fn request(path: &str, args: &str) -> Request {
    Request::from_content(value(&format!(r#"["{path}", {args}, {{}}]"#))).expect("a request")
}
