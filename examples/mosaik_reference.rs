//! The reference agent of the acceptance test against mosaik: a trigger, a held input, a timer, events and a state.
//!
//! ```text
//!   mosaik ── ping (trigger), level ──> Agent ── pong (events), state ──> mosaik
//! ```
//!
//! Run it under mosaik: `SIM_CONFIG = {"Agents": {"cmd": "target/release/examples/mosaik_reference mosaik %(addr)s"}}`,
//! or waiting for it: `cargo run --example mosaik_reference -- mosaik --listen 127.0.0.1:5700`.
//! The test is tests/peers/mosaik/acceptance.py; the same agent in Python is ref_agent.py beside it.

use isochrone::codec::Value;
use isochrone::coupling::mosaik::StepLog;
use isochrone::prelude::*;
use serde::{Deserialize, Serialize};

/// A source writes one value or a list of them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Values {
    One(i64),
    Many(Vec<i64>),
}

struct Agent {
    delay: Duration,
    period: Duration,
    hops: i64,
    future: bool,
    begun: bool,
    level: f64,
    state: f64,
    pong: Vec<(Time, i64)>,
}

#[agent(eid = "agent_{n}")]
impl Agent {
    /// `delay` and `period` in seconds; a period of 0 is no timer, `hops` of 0 answers every ping.
    #[constructor]
    fn new(
        #[default(1)] delay: u64,
        #[default(0)] period: u64,
        #[default(0)] hops: i64,
        #[default(false)] future: bool,
    ) -> Self {
        let (delay, period) = (secs(delay), secs(period));
        Agent { delay, period, hops, future, begun: false, level: 0.0, state: 0.0, pong: Vec::new() }
    }

    fn period(&self) -> Duration {
        self.period
    }

    /// Held until it is replaced.
    #[input]
    fn level(&mut self, values: Inputs<f64>) {
        self.level = values.sum();
    }

    /// Answered after the delay, or at once with a stamp.
    #[input(trigger)]
    async fn ping(this: This<Self>, values: Inputs<Values>) {
        let now = this.now();
        let (delay, answers) = this.with(|me| {
            let values = values.into_iter().flat_map(|(_, values)| match values {
                Values::One(value) => vec![value],
                Values::Many(values) => values,
            });
            let answers: Vec<_> = values.filter(|v| me.hops == 0 || *v < me.hops).map(|v| v + 1).collect();
            if me.future {
                me.pong.extend(answers.iter().map(|v| (now + me.delay, *v)));
                return (me.delay, Vec::new());
            }
            (me.delay, answers)
        });
        if !answers.is_empty() {
            this.sleep(delay).await;
            let now = this.now();
            this.with(|me| me.pong.extend(answers.into_iter().map(|v| (now, v))));
        }
    }

    /// The timer begins with the first step: at 0, when the inputs of 0 are in.
    #[step]
    fn begin(&mut self) {
        if !self.begun && !self.period.is_zero() {
            self.timer();
        }
        self.begun = true;
    }

    #[every(period)]
    fn timer(&mut self) {
        self.state += self.level;
    }

    #[output(event, stamped)]
    fn pong(&mut self) -> Vec<(Time, i64)> {
        std::mem::take(&mut self.pong)
    }

    #[output]
    fn state(&self) -> f64 {
        self.state
    }
}

fn main() -> ExitCode {
    App::new("reference")
        .about("The reference agent of the acceptance test against mosaik")
        .agent::<Agent>("Agent")
        .log_steps()
        .extra("echo", |_, args| {
            let keyword = args.keyword.into_iter().map(|(name, value)| (Value::from(name), value)).collect();
            Ok(Value::map([("args", Value::List(args.positional)), ("kwargs", Value::Map(keyword))]))
        })
        .extra("trace", |world, _| Ok(world.shared::<StepLog>().map_or(Value::Null, |log| log.rows())))
        .main()
}
