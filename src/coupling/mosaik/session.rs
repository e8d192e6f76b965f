//! One run under mosaik: its requests, one after the other.

use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone_sim::{Kernel, Tick, Time};

use super::requests::Link;
use super::simulator::{Kind, Setup, Simulator, StepLog};
use crate::agent::Container;
use crate::clock::{Input, Interrupt, RunError};
use crate::codec::Value;
use crate::coupling::{CoupleError, Coupling, ports};
use crate::journal::Packed;
use crate::rpc::{Args, CallError, Request};

/// What mosaik is told when a request fails: the kind of the error, and its message.
pub(crate) type Refusal = (String, String);

/// What mosaik is called in journals.
pub(super) const MOSAIK: &str = "mosaik";

/// What has been told at `init`, and the agents.
pub(crate) struct Session<'s> {
    simulator: &'s Simulator,
    interrupt: Interrupt,
    run: Option<Run>,
    /// the failure of an agent, or another error, that ended the run
    pub(crate) fatal: Option<String>,
}

struct Run {
    coupling: Coupling,
    tick: Tick,
    step_size: Option<i64>,
    time: i64,
    reported: usize,
    log: Option<Rc<StepLog>>,
}

fn refuse(kind: &str, message: impl Into<String>) -> Refusal {
    (kind.into(), message.into())
}

impl From<CoupleError> for Refusal {
    fn from(error: CoupleError) -> Self {
        (error.kind().into(), error.to_string())
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        (error.kind().to_string(), error.message().to_string())
    }
}

impl<'s> Session<'s> {
    pub(crate) fn new(simulator: &'s Simulator, interrupt: Interrupt) -> Self {
        Session { simulator, interrupt, run: None, fatal: None }
    }

    /// Whether the run has begun, if there was an `init`.
    pub(crate) fn has_begun(&self) -> Option<bool> {
        self.run.as_ref().map(|run| run.coupling.has_started())
    }

    /// Ends the run and hands out the agents, for the summary.
    pub(crate) fn into_coupling(self) -> Option<Coupling> {
        self.run.map(|run| run.coupling)
    }

    /// Waits for an input of somebody else than mosaik.
    pub(crate) async fn next_input(&mut self) -> Input {
        match &mut self.run {
            Some(run) => run.coupling.next_input().await,
            None => std::future::pending().await,
        }
    }

    /// Lets such an input happen while mosaik's clock stands.
    pub(crate) async fn handle(&mut self, input: Input) -> Result<(), Refusal> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let result = run.coupling.handle(input).await.map_err(Refusal::from);
        run.report();
        self.note_failure(result)
    }

    /// Answers one request of mosaik's. What is recorded of it has been written when this returns.
    pub(crate) async fn answer(&mut self, request: Request, link: &Link) -> Result<Value, Refusal> {
        let tape = self.simulator.tape.clone();
        if !tape.is_on() {
            return self.do_answer(request, link).await;
        }
        let number = tape.request(self.kernel(), MOSAIK, || Packed::from_request(&request));
        let result = self.do_answer(request, link).await;
        let outcome = || {
            let outcome = result.as_ref().map(Packed::new);
            outcome.map_err(|(kind, message)| format!("{kind}: {message}"))
        };
        let written = tape.replied(self.kernel(), number, MOSAIK, outcome);
        let unwritten = |error: RunError| refuse("SimulationError", error.to_string());
        let written = written.map_err(unwritten);
        self.note_failure(written)?;
        result
    }

    pub(crate) fn kernel(&self) -> Option<&Kernel> {
        self.run.as_ref().map(|run| run.coupling.container().kernel())
    }

    async fn do_answer(&mut self, request: Request, link: &Link) -> Result<Value, Refusal> {
        let Request { path, args } = request;
        if path == "init" {
            return self.init(args, link).await;
        }
        if let Some(failed) = &self.fatal {
            return Err(refuse("AgentFailure", failed.as_str()));
        }
        let simulator = self.simulator;
        let Some(run) = &mut self.run else {
            return Err(refuse("RuntimeError", format!("`{path}` before `init`")));
        };
        let result = match path.as_str() {
            "create" => run.create(args),
            "setup_done" => run.setup_done(simulator).await,
            "step" => run.step(args).await,
            "get_data" => run.get_data(args),
            name => match simulator.extra.get(name) {
                Some(method) => method(run.coupling.container(), args).map_err(Refusal::from),
                None => Err(refuse("LookupError", format!("no method {name:?} is here"))),
            },
        };
        run.report();
        self.note_failure(result)
    }

    /// Remembers what ends the run.
    fn note_failure<T>(&mut self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err((kind, message)) = &result
            && (kind == "AgentFailure" || kind == "SimulationError")
        {
            self.fatal.get_or_insert_with(|| message.clone());
        }
        result
    }

    async fn init(&mut self, args: Args, link: &Link) -> Result<Value, Refusal> {
        let Args { positional, keyword, .. } = args;
        let sid = positional.first().and_then(Value::as_str).unwrap_or_default().to_string();
        let params = Value::Map(keyword.into_iter().map(|(name, value)| (Value::Str(name), value)).collect());
        if self.run.is_some() {
            return Err(refuse(
                "RuntimeError",
                "`init` was called before: a program serves one simulator at a time",
            ));
        }
        let resolution = match params.get("time_resolution") {
            None => 1.0,
            Some(value) => value.as_f64().ok_or_else(|| {
                refuse("TypeError", format!("time_resolution must be a number of seconds, not {value}"))
            })?,
        };
        let tick = Tick::from_seconds(resolution)
            .map_err(|error| refuse("ValueError", format!("time_resolution: {error}")))?;
        let step_size = match params.get("step_size") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_i64().filter(|size| *size > 0).ok_or_else(|| {
                refuse(
                    "ValueError",
                    format!("step_size must be a positive whole number of mosaik's steps, not {value}"),
                )
            })?),
        };
        if self.simulator.kind == Kind::TimeBased && step_size.is_none() {
            let message =
                "a time-based simulator needs the parameter step_size: world.start(.., step_size=900)";
            return Err(refuse("ValueError", message));
        }
        let meta = self.simulator.meta().map_err(|message| refuse("ValueError", message))?;
        let container = Container::new(self.simulator.config.clone())
            .map_err(|error| refuse("RuntimeError", error.to_string()))?;
        self.simulator.tape.attach(container.kernel());
        container.kernel().provide(Rc::new(Link(link.0.clone())));
        let setup = Rc::new(Setup { sid, tick, params });
        container.kernel().provide(setup.clone());
        let log = self.simulator.log_steps.then(Rc::<StepLog>::default);
        if let Some(log) = &log {
            container.kernel().provide(log.clone());
        }
        let models =
            self.simulator.models.iter().map(|(name, (vtable, _))| (name.clone(), *vtable)).collect();
        let coupling = Coupling::new(container, models, self.simulator.mode, self.interrupt.clone());
        let coupling = coupling.with_tape(self.simulator.tape.clone());
        let joined = self.simulator.join.join(&coupling).await;
        joined.map_err(|message| refuse("RuntimeError", message))?;
        let built = (self.simulator.build)(coupling.container(), &setup);
        built.map_err(|message| refuse("ValueError", message))?;
        self.run = Some(Run { coupling, tick, step_size, time: 0, reported: 0, log });
        Ok(meta)
    }
}

impl Run {
    fn create(&mut self, args: Args) -> Result<Value, Refusal> {
        let Args { positional, keyword, .. } = args;
        let wrong = || refuse("TypeError", "create() takes a number and the name of a model");
        let count = positional
            .first()
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(wrong)?;
        let model = positional.get(1).and_then(Value::as_str).ok_or_else(wrong)?;
        let params = Args::new(vec![], keyword);
        let created = self.coupling.create(model, count, &params)?;
        // a child may be related to one that comes after it: all are known before any is described
        let families = self.coupling.adopt_children(&created);
        Ok(Value::List(created.iter().map(|parent| self.describe(*parent, &families)).collect()))
    }

    fn describe(&self, position: usize, families: &BTreeMap<usize, Vec<usize>>) -> Value {
        let entity = &self.coupling.entities()[position];
        let related =
            self.coupling.related(position).into_iter().map(|p| self.coupling.entities()[p].eid.as_str());
        let mut entries: Vec<(Value, Value)> = vec![
            ("eid".into(), entity.eid.as_str().into()),
            ("type".into(), entity.model().into()),
            ("rel".into(), Value::list(related)),
        ];
        if let Some(children) = families.get(&position) {
            let children = children.iter().map(|child| self.describe(*child, families));
            entries.push(("children".into(), Value::List(children.collect())));
        }
        Value::Map(entries)
    }

    async fn setup_done(&mut self, simulator: &Simulator) -> Result<Value, Refusal> {
        let next = self.coupling.start().await?;
        match next {
            Some(next) if simulator.kind == Kind::EventBased && !simulator.initial_event => Err(refuse(
                "SimulationError",
                format!(
                    "an agent has an event at {next}, but mosaik will not step this simulator: declare hybrid or call \
                     `world.set_initial_event` (and say --initial-event)"
                ),
            )),
            _ => Ok(Value::Null),
        }
    }

    async fn step(&mut self, args: Args) -> Result<Value, Refusal> {
        let Args { positional, .. } = args;
        let mut positional = positional.into_iter();
        let at = positional.next().and_then(|value| value.as_i64());
        let at = at.ok_or_else(|| refuse("TypeError", "step() takes a time that is a whole number"))?;
        let time = self.time_of(at)?;
        let given = positional.next().unwrap_or(Value::Map(vec![]));
        let noted = self.log.as_ref().map(|_| given.clone());
        let wrong = || refuse("TypeError", "step() takes inputs as {entity: {attribute: {source: value}}}");
        let inputs = ports::inputs(given).ok_or_else(wrong)?;
        // nothing from outside comes at or before max_advance: the agents may go on to just before the step after it
        let advance = positional.next().and_then(|value| value.as_i64());
        let limit = advance.map(|advance| self.tick.time_of(advance.saturating_add(1)).unwrap_or(Time::MAX));
        self.time = at;
        let next = self.coupling.step(time, inputs, limit).await?;
        let next = match (self.step_size, next) {
            (Some(size), _) => Value::Int(at.saturating_add(size)),
            (None, Some(next)) if next < Time::MAX => {
                Value::Int(self.tick.ceil(next).max(at.saturating_add(1)))
            }
            (None, _) => Value::Null,
        };
        if let (Some(log), Some(inputs)) = (&self.log, noted) {
            let advance = advance.map_or(Value::Null, Value::Int);
            log.0.borrow_mut().push(Value::List(vec![Value::Int(at), inputs, advance, next.clone()]));
        }
        Ok(next)
    }

    fn time_of(&self, step: i64) -> Result<Time, Refusal> {
        let beyond = || refuse("OverflowError", format!("step {step} lies beyond the year 2262 of the run"));
        self.tick.time_of(step).ok_or_else(beyond)
    }

    fn get_data(&mut self, args: Args) -> Result<Value, Refusal> {
        let Args { positional, .. } = args;
        let wrong = || refuse("TypeError", "get_data() takes {entity: [attribute]}");
        let wanted = positional.first().and_then(ports::wanted).ok_or_else(wrong)?;
        let mut ports: Vec<(usize, usize)> = Vec::new();
        for (eid, attr) in wanted {
            let port = self.coupling.locate(eid, attr)?;
            // several connections of one attribute make mosaik ask for it several times
            if ports.last() != Some(&port) && !ports.contains(&port) {
                ports.push(port);
            }
        }
        if self.coupling.counts().0 > 0 && !self.coupling.is_connected() {
            self.coupling.connect(&ports);
        }
        let readings = self.coupling.read(&ports)?;
        let mut data = ports::readings(readings.values);
        if let Some(stamp) = readings.stamp {
            let step = self.tick.ceil(stamp);
            if step < self.time {
                let message = format!(
                    "an event is stamped for {stamp}, before the step at {} it belongs to",
                    self.time
                );
                return Err(refuse("ValueError", message));
            }
            data.push(("time".into(), Value::Int(step)));
        }
        Ok(Value::Map(data))
    }

    /// Says on the program's own log what became of failing agents.
    fn report(&mut self) {
        let reports = self.coupling.container().kernel().reports_since(self.reported);
        for report in reports.iter().filter(|_| !self.coupling.tape().is_quiet()) {
            tracing::error!("{report}");
        }
        self.reported += reports.len();
    }
}
