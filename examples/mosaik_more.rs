//! The test simulator of tests/peers/mosaik/more.py, whose docstring says what each model does.
//!
//! ```text
//!   Recorder  Timer  Decider  Plain  Echo  Tree ──> Leaf  Asker  Bomb
//! ```
//!
//! Run it: `target/release/examples/mosaik_more mosaik HOST:PORT [--mode ..] [--type ..] [--api ..] [--policy ..]`

use std::cell::RefCell;
use std::rc::Rc;

use isochrone::codec::{Value, to_value};
use isochrone::coupling::mosaik::{Mosaik, MosaikError};
use isochrone::coupling::relate;
use isochrone::prelude::*;
use serde::{Deserialize, Serialize};

/// What the agents note, in the order in which they note it.
#[derive(Default)]
struct Trace(RefCell<Vec<Value>>);

fn note(cx: &Ctx, what: String, numbers: &[f64]) {
    if let Some(trace) = cx.shared::<Trace>() {
        let numbers = Value::list(numbers.iter().copied());
        let row = vec![Value::from(cx.now().as_nanos()), cx.path().into(), what.into(), numbers];
        trace.0.borrow_mut().push(Value::List(row));
    }
}

/// A source writes one number or a list of them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

#[derive(Default)]
struct Recorder {
    last_num: f64,
    last_maybe: Option<f64>,
}

#[agent(eid = "recorder_{n}")]
impl Recorder {
    #[constructor]
    fn new() -> Self {
        Recorder::default()
    }

    #[input(trigger)]
    fn msg(&mut self, cx: &Ctx, values: Inputs<Numbers>) {
        let sources: Vec<_> = values.iter().map(|(source, _)| source.to_string()).collect();
        let numbers: Vec<f64> = values
            .into_iter()
            .flat_map(|(_, values)| match values {
                Numbers::One(value) => vec![value],
                Numbers::Many(values) => values,
            })
            .collect();
        note(cx, format!("msg {}", sources.join(",")), &numbers);
    }

    #[input(trigger)]
    fn num(&mut self, values: Inputs<f64>) {
        self.last_num = values.sum();
    }

    #[input(trigger)]
    fn maybe(&mut self, values: Inputs<Option<f64>>) {
        self.last_maybe = values.values().next().copied().flatten();
    }

    #[output]
    fn last_num(&self) -> f64 {
        self.last_num
    }

    #[output]
    fn last_maybe(&self) -> Option<f64> {
        self.last_maybe
    }
}

#[derive(Default)]
struct Timer {
    ticks: u32,
}

#[agent(eid = "timer_{n}")]
impl Timer {
    #[constructor]
    fn new() -> Self {
        Timer::default()
    }

    #[every(seconds = 1)]
    fn tick(&mut self, cx: &Ctx) {
        self.ticks += 1;
        note(cx, "tick".into(), &[self.ticks.into()]);
    }

    #[input(trigger)]
    fn poke(&mut self, _values: Inputs<f64>) {}

    #[output]
    fn level(&self) -> f64 {
        1.0
    }
}

#[derive(Default)]
struct Decider {
    decision: f64,
    decided: Vec<f64>,
}

#[agent(eid = "decider_{n}")]
impl Decider {
    #[constructor]
    fn new() -> Self {
        Decider::default()
    }

    #[input(trigger)]
    async fn demand(this: This<Self>, values: Inputs<f64>) {
        this.sleep(millis(300)).await;
        this.with(|me| {
            me.decision = values.sum() + 1.0;
            me.decided.push(me.decision);
        });
    }

    #[output]
    fn decision(&self) -> f64 {
        self.decision
    }

    #[output(event)]
    fn decided(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.decided)
    }
}

struct Plain {
    level: f64,
}

#[agent(eid = "plain_{n}")]
impl Plain {
    #[constructor]
    fn new(#[default(0.0)] base: f64) -> Self {
        Plain { level: base }
    }

    #[input]
    fn level(&mut self, values: Inputs<f64>) {
        self.level = values.sum();
    }

    #[output]
    fn double(&self) -> f64 {
        2.0 * self.level
    }
}

struct Echo {
    alarm: u64,
    pong: Vec<i64>,
}

#[agent(eid = "echo_{n}")]
impl Echo {
    #[constructor]
    fn new(#[default(0)] alarm: u64) -> Self {
        Echo { alarm, pong: Vec::new() }
    }

    #[start]
    async fn wait_for_alarm(this: This<Self>) {
        let alarm = this.with(|me| me.alarm);
        if alarm > 0 {
            this.sleep(secs(alarm)).await;
            this.with(|me| me.pong.push(-1));
        }
    }

    #[input(trigger)]
    async fn ping(this: This<Self>, values: Inputs<Vec<i64>>) {
        this.sleep(secs(2)).await;
        this.with(|me| me.pong.extend(values.into_iter().flat_map(|(_, values)| values).map(|v| v + 1)));
    }

    #[output(event)]
    fn pong(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.pong)
    }
}

struct Tree;

#[agent(eid = "tree_{n}")]
impl Tree {
    #[constructor]
    fn new(cx: &Ctx, #[default(2)] leaves: u32) -> Result<Self, Box<dyn std::error::Error>> {
        let leaves =
            (0..leaves).map(|value| cx.create(None, Leaf { value })).collect::<Result<Vec<_>, _>>()?;
        for pair in leaves.windows(2) {
            relate(pair[1], pair[0]);
        }
        Ok(Tree)
    }
}

struct Leaf {
    value: u32,
}

#[agent(eid = "leaf_{n}")]
impl Leaf {
    #[output]
    fn value(&self) -> u32 {
        self.value
    }
}

#[derive(Default)]
struct Asker {
    answer: Vec<Value>,
}

#[agent(eid = "asker_{n}")]
impl Asker {
    #[constructor]
    fn new() -> Self {
        Asker::default()
    }

    #[input(trigger)]
    async fn ask(this: This<Self>, asks: Inputs<Vec<Value>>) {
        for (_, mut ask) in asks {
            let argument = if ask.len() > 1 { ask.remove(1) } else { Value::Null };
            let method = ask.first().and_then(Value::as_str).unwrap_or_default().to_string();
            let answer = match perform(&this, &method, argument).await {
                Ok(result) => Value::map([("ok", result)]),
                Err(error) => Value::map([("failed", Value::list([error.kind, error.message]))]),
            };
            this.with(|me| me.answer.push(answer));
        }
    }

    #[output(event)]
    fn answer(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.answer)
    }
}

async fn perform(cx: &Ctx, method: &str, argument: Value) -> Result<Value, MosaikError> {
    let mosaik = Mosaik::of(cx);
    match method {
        "get_progress" => Ok(mosaik.get_progress().await?.into()),
        "get_related_entities" => mosaik.get_related_entities(argument).await,
        "get_data" => mosaik.get_data(argument).await,
        "set_data" => mosaik.set_data(argument).await.map(|()| Value::Null),
        _ => mosaik.set_event(argument.as_i64().unwrap_or_default()).await.map(|()| Value::Null),
    }
}

#[derive(Default)]
struct Bomb {
    count: i64,
}

#[agent(eid = "bomb_{n}")]
impl Bomb {
    #[constructor]
    fn new() -> Self {
        Bomb::default()
    }

    #[input(trigger)]
    fn poke(&mut self, values: Inputs<Vec<i64>>) {
        for value in values.into_iter().flat_map(|(_, values)| values) {
            assert!(value != 13, "boom");
            self.count += value;
        }
    }

    #[output]
    fn count(&self) -> i64 {
        self.count
    }
}

fn main() -> ExitCode {
    let app = App::new("more").about("The test simulator of tests/peers/mosaik/more.py");
    let kind = std::env::args().skip_while(|arg| arg != "--type").nth(1).unwrap_or_default();
    let app = match kind.as_str() {
        "time-based" => app.agent::<Plain>("Plain"),
        "event-based" => app.agent::<Echo>("Echo"),
        _ => app
            .agent::<Recorder>("Recorder")
            .agent::<Timer>("Timer")
            .agent::<Decider>("Decider")
            .agent::<Plain>("Plain")
            .agent::<Echo>("Echo")
            .agent::<Tree>("Tree")
            .child::<Leaf>("Leaf")
            .agent::<Asker>("Asker")
            .agent::<Bomb>("Bomb"),
    };
    app.scenario(|world| {
        world.kernel().provide(Rc::new(Trace::default()));
        Ok(())
    })
    .extra("trace", |world, _| {
        let trace = world.shared::<Trace>().map(|trace| trace.0.borrow().clone());
        to_value(&trace.unwrap_or_default()).map_err(CallError::from_error)
    })
    .main()
}
