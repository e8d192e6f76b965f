//! One run under a simulator: its requests, one after the other.
//!
//! Contract: a session knows no connection, no peer and no wall clock. The replies are a function of the program, its seed
//! and the requests in their order, so a recorded list of requests plays itself again. Who may ask, and what is answered
//! while a step is under way, is the desk's concern.
//!
//! Failure modes: a request that is refused changes nothing. When the run itself has failed (an agent escalated, a law was
//! broken), what would move it is refused with that failure; outputs can still be read.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{AgentId, Kernel, Time};

use super::catalog::Catalog;
use super::reading::Reading;
use super::times;
use crate::agent::{Container, OutputKind, Vtable};
use crate::channel::Config;
use crate::clock::{Input, Interrupt};
use crate::codec::{Types, Value};
use crate::coupling::{CoupleError, Coupling, Join, Mode, PortInput, ports};
use crate::journal::Packed;
use crate::replay::Tape;
use crate::rpc::{Args, Bound, CallError, Param, Request, Signature};

/// What the simulator is called in journals.
pub(super) const SIMULATOR: &str = "simulator";
/// Agents that one request may create.
const MAX_CREATED: u64 = 100_000;

/// What a program offers to a simulator.
pub struct Offer {
    /// The types of agents by their names, and whether a simulator may create them; others are children of such.
    pub models: BTreeMap<String, (&'static Vtable, bool)>,
    /// How far the agents run in a step.
    pub mode: Mode,
    /// What the kernel of a run is made with.
    pub config: isochrone_sim::Config,
    /// Sets up what is there before a simulator creates anything; fails with a sentence.
    pub build: Build,
    /// What the run is recorded with, or replayed from.
    pub tape: Tape,
    /// Puts the agents on the network.
    pub join: Join,
    /// Codec and limits of the simulator's connections. What does not fit into one of their frames is read in parts.
    pub channel: Config,
}

type Build = Rc<dyn Fn(&Container) -> Result<(), String>>;

impl Offer {
    /// What [`channel`](Offer::channel) should be, but for the codec. The grace is none: a simulator that closes its side is
    /// gone, and nothing is gained by waiting for the end of its step.
    pub fn connections() -> Config {
        Config { types: Types::rpc([""; 0]), grace: Duration::ZERO, ..Config::default() }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offer({}, {}, {:?})", self.config.name, self.mode, self.models.keys())
    }
}

const fn required(name: &'static str, ty: &'static str) -> Param {
    Param { name, optional: false, ty }
}

const fn optional(name: &'static str, ty: &'static str) -> Param {
    Param { name, optional: true, ty }
}

const CREATE: Signature = Signature {
    name: "create",
    params: &[required("model", "str"), optional("n", "int"), optional("params", "dict")],
};
const CONNECT: Signature = Signature { name: "connect", params: &[required("outputs", "dict")] };
const STEP: Signature = Signature {
    name: "step",
    params: &[
        required("t", "time"),
        optional("inputs", "dict"),
        optional("limit", "time"),
        optional("stop_at_output", "bool"),
    ],
};
const INJECT: Signature = Signature {
    name: "inject",
    params: &[
        required("at", "time"),
        required("agent", "str"),
        required("port", "str"),
        required("value", "any"),
        optional("source", "str"),
    ],
};
const GET: Signature = Signature { name: "get", params: &[required("outputs", "dict")] };
const REST: Signature = Signature { name: "rest", params: &[] };
const STOP: Signature = Signature { name: "stop", params: &[] };
const NEXT_EVENT: Signature = Signature { name: "next_event", params: &[] };
const ADVANCE: Signature =
    Signature { name: "advance", params: &[required("until", "time"), optional("inclusive", "bool")] };

/// Ports by the positions of their entities.
type Ports = Vec<(usize, usize)>;

/// A run under a simulator, without the connection.
pub struct Session {
    coupling: Coupling,
    catalog: Rc<Catalog>,
    /// models a simulator may create
    public: Vec<String>,
    /// what is read after each step: state, and events
    connected: (Ports, Ports),
    reading: Reading,
    /// whether the simulator has said what that is
    told: bool,
    /// as many entities are known to the catalog, and as many connected if it has not
    known: usize,
    linked: usize,
    reported: usize,
    failed: Option<String>,
    stopped: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {} agents)", self.coupling.container().now(), self.known)
    }
}

impl From<CoupleError> for CallError {
    fn from(error: CoupleError) -> Self {
        CallError::new(error.kind(), error.to_string())
    }
}

impl Session {
    /// Sets a run up. Agents of the scenario whose types are models are there from the beginning, by their names.
    ///
    /// # Errors
    /// With a sentence, when the set-up fails.
    pub async fn new(offer: &Offer, interrupt: Interrupt) -> Result<Self, String> {
        let container = Container::new(offer.config.clone()).map_err(|error| error.to_string())?;
        offer.tape.attach(container.kernel());
        let models = offer.models.iter().map(|(name, (vtable, _))| (name.clone(), *vtable)).collect();
        let mut coupling =
            Coupling::new(container, models, offer.mode, interrupt).with_tape(offer.tape.clone());
        offer.join.join(&coupling).await?;
        (offer.build)(coupling.container())?;
        coupling.stamp_events();
        coupling.adopt_all();
        let catalog = Rc::new(Catalog::new(&coupling, &offer.models));
        let public = offer.models.iter().filter(|(_, (_, public))| *public).map(|(name, _)| name.clone());
        let mut session = Session {
            coupling,
            catalog,
            public: public.collect(),
            connected: Default::default(),
            reading: Reading::new(offer.channel.clone()),
            told: false,
            known: 0,
            linked: 0,
            reported: 0,
            failed: None,
            stopped: false,
        };
        session.introduce();
        Ok(session)
    }

    /// What the program offers, for whoever answers while the session is busy.
    pub(crate) fn catalog(&self) -> Rc<Catalog> {
        self.catalog.clone()
    }

    /// What ended the run, if it has failed.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Whether the simulator has said that it is done.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// What the run is recorded with, or replayed from.
    pub(crate) fn tape(&self) -> &Tape {
        self.coupling.tape()
    }

    /// Puts the agents on the network after all: a recording is at its end, and the run goes on.
    #[cfg_attr(not(feature = "app"), allow(dead_code, reason = "the command line goes on after recordings"))]
    pub(crate) async fn join(&self, offer: &Offer) -> Result<(), String> {
        offer.join.join(&self.coupling).await
    }

    /// Ends the run and hands out the agents, for the summary.
    pub fn into_coupling(self) -> Coupling {
        self.coupling
    }

    /// Waits for an input of somebody else than the simulator.
    pub(crate) async fn next_input(&mut self) -> Input {
        self.coupling.next_input().await
    }

    /// Lets such an input happen while the simulator's clock stands.
    pub(crate) async fn handle(&mut self, input: Input) {
        self.connect_new();
        let handled = self.coupling.handle(input).await;
        self.report();
        // nobody has asked: the next who does is told
        let _ = self.note(handled);
    }

    /// Answers one request: `sim/create`, `sim/connect`, `sim/step`, `sim/inject`, `sim/get`, `sim/stop`, `clock/advance`,
    /// `clock/next_event`. What is recorded of it has been written when this returns.
    ///
    /// # Errors
    /// Why the request is refused, or what has failed.
    pub async fn answer(&mut self, request: Request) -> Result<Value, CallError> {
        let tape = self.coupling.tape().clone();
        if !tape.is_on() {
            return self.do_answer(request).await;
        }
        let number = tape.request(Some(self.kernel()), SIMULATOR, || Packed::from_request(&request));
        let result = self.do_answer(request).await;
        let outcome = || result.as_ref().map(Packed::new).map_err(ToString::to_string);
        let written = tape.replied(Some(self.kernel()), number, SIMULATOR, outcome);
        if let Err(error) = written {
            self.failed.get_or_insert_with(|| error.to_string());
            return Err(CallError::new("SimulationError", error.to_string()));
        }
        result
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        self.coupling.container().kernel()
    }

    async fn do_answer(&mut self, request: Request) -> Result<Value, CallError> {
        let Request { path, args } = request;
        let moves = !matches!(path.as_str(), "sim/get" | "sim/rest" | "sim/stop" | "clock/next_event");
        if let (true, Some(failed)) = (moves, &self.failed) {
            return Err(CallError::new("SimulationError", format!("the run has failed: {failed}")));
        }
        let result = match path.as_str() {
            "sim/create" => self.create(args),
            "sim/connect" => self.connect(args),
            "sim/step" => self.step(args).await,
            "sim/inject" => self.inject(args),
            "sim/get" => self.get(args),
            "sim/rest" => self.rest(args),
            "sim/stop" => self.stop(args),
            "clock/advance" => self.advance(args).await,
            "clock/next_event" => {
                args.bind(&NEXT_EVENT).map(|_| times::write_next(self.catalog.next_event()))
            }
            _ => Err(CallError::lookup_error(format!("no method {path:?} is here"))),
        };
        self.report();
        result
    }

    fn create(&mut self, args: Args) -> Result<Value, CallError> {
        let mut args = args.bind(&CREATE)?;
        let model: String = args.take(0)?.unwrap_or_default();
        let n: u64 = args.take(1)?.unwrap_or(1);
        let params = match args.take_value(2) {
            None | Some(Value::Null) => Vec::new(),
            Some(params) => {
                ports::entries(params).ok_or_else(|| refuse(&CREATE, "params", "is no {name: value}"))?
            }
        };
        let count = usize::try_from(n).ok().filter(|_| n <= MAX_CREATED).ok_or_else(|| {
            let text = format!("{n} agents are too many for one request: at most {MAX_CREATED}");
            CallError::new("ValueError", text)
        })?;
        if self.coupling.models().contains_key(&model) && !self.public.contains(&model) {
            let text =
                format!("{model} cannot be created from outside: other agents create such as their own");
            return Err(CallError::new("ValueError", text));
        }
        let created = self.coupling.create(&model, count, &Args::new(vec![], params));
        if let Ok(created) = &created {
            self.coupling.adopt_children(created);
        }
        // also what was created before one failed
        self.introduce();
        let names = created?.into_iter().map(|at| self.coupling.entities()[at].eid.as_str());
        Ok(Value::list(names))
    }

    /// Makes new agents known.
    fn introduce(&mut self) {
        let coupling = &self.coupling;
        for entity in &coupling.entities()[self.known..] {
            let creator = coupling.container().kernel().creator(entity.agent);
            let parent = (creator != AgentId::OUTSIDE).then(|| coupling.entity_of(creator)).flatten();
            let parent = parent.map(|at| coupling.entities()[at].eid.as_str());
            self.catalog.add(&entity.eid, entity.model(), parent);
        }
        self.known = coupling.entities().len();
    }

    /// Connects all outputs of agents that have come since, unless the simulator has said what it reads. Not at once: it may
    /// create thousands one by one.
    fn connect_new(&mut self) {
        if self.told || self.linked == self.known {
            return;
        }
        self.linked = self.known;
        let all = self.coupling.entities().iter().enumerate().flat_map(|(position, entity)| {
            (0..entity.vtable.model.outputs.len()).map(move |port| (position, port))
        });
        self.connect_to(all.collect());
    }

    fn connect(&mut self, args: Args) -> Result<Value, CallError> {
        let mut args = args.bind(&CONNECT)?;
        let ports = self.locate(&CONNECT, &args.take_value(0).unwrap_or_default())?;
        self.told = true;
        self.connect_to(ports);
        Ok(Value::Null)
    }

    fn connect_to(&mut self, ports: Ports) {
        self.coupling.connect(&ports);
        self.connected = self.by_kind(ports);
    }

    fn locate(&self, signature: &Signature, outputs: &Value) -> Result<Ports, CallError> {
        let wanted = ports::wanted(outputs);
        let wanted = wanted.ok_or_else(|| refuse(signature, "outputs", "is no {agent: [port]}"))?;
        let mut located = Vec::with_capacity(wanted.len());
        for (eid, port) in wanted {
            located.push(self.coupling.locate(eid, port)?);
        }
        Ok(located)
    }

    fn by_kind(&self, ports: Ports) -> (Ports, Ports) {
        let state = |(position, port): &(usize, usize)| {
            let model = self.coupling.entities()[*position].vtable.model;
            matches!(model.outputs[*port].kind, OutputKind::State | OutputKind::OnChange)
        };
        ports.into_iter().partition(state)
    }

    async fn step(&mut self, args: Args) -> Result<Value, CallError> {
        let mut args = args.bind(&STEP)?;
        let time = self.time(&STEP, &mut args, 0)?.unwrap_or_default();
        let inputs = match args.take_value(1) {
            None | Some(Value::Null) => Vec::new(),
            Some(inputs) => {
                if let Some(eid) = ports::bare(&inputs).find(|eid| self.coupling.entity(eid).is_none()) {
                    return Err(CoupleError::Entity(eid.into()).into());
                }
                ports::inputs(inputs)
                    .ok_or_else(|| refuse(&STEP, "inputs", "is no {agent: {port: {source: value}}}"))?
            }
        };
        let limit = self.time(&STEP, &mut args, 2)?;
        let stop = args.take(3)?.unwrap_or(false);
        if self.coupling.mode() == Mode::Ahead && limit.is_none() {
            let text = "in the mode `ahead` a step needs a limit: the time up to which nothing else can come from the \
                        simulator; else the agents might run on for ever";
            return Err(refuse(&STEP, "limit", &format!("is missing: {text}")));
        }
        self.reading.check()?;
        self.connect_new();
        let stepped = match stop {
            false => self.coupling.step(time, inputs, limit).await,
            true => self.coupling.step_to_output(time, inputs, limit).await,
        };
        let next = self.note(stepped)?;
        let (state, events) = &self.connected;
        let outputs = self.coupling.read(state)?;
        self.reading.add(outputs.values, self.coupling.take_events(events)?);
        self.reading.part(self.coupling.container().now(), next)
    }

    fn inject(&mut self, args: Args) -> Result<Value, CallError> {
        let mut args = args.bind(&INJECT)?;
        let at = self.time(&INJECT, &mut args, 0)?.unwrap_or_default();
        let (eid, port) = (args.take(1)?.unwrap_or_default(), args.take(2)?.unwrap_or_default());
        let value = args.take_value(3).unwrap_or_default();
        let source = args.take(4)?.unwrap_or_else(|| "inject".to_string());
        let injected = self.coupling.inject(at, PortInput { eid, port, values: vec![(source, value)] });
        self.note(injected)?;
        Ok(Value::Null)
    }

    fn get(&mut self, args: Args) -> Result<Value, CallError> {
        let mut args = args.bind(&GET)?;
        self.connect_new();
        let ports = self.locate(&GET, &args.take_value(0).unwrap_or_default())?;
        let ports = self.by_kind(ports);
        if let Some((position, port)) = ports.1.iter().find(|port| !self.connected.1.contains(port)) {
            let entity = &self.coupling.entities()[*position];
            let (eid, port) = (&entity.eid, entity.vtable.model.outputs[*port].name);
            let text = format!("has {eid}.{port}, whose events are not kept: connect it first");
            return Err(refuse(&GET, "outputs", &text));
        }
        let outputs = self.coupling.read(&ports.0)?;
        self.reading.add(outputs.values, self.coupling.take_events(&ports.1)?);
        self.reading.part(self.catalog.now(), self.catalog.next_event())
    }

    fn rest(&mut self, args: Args) -> Result<Value, CallError> {
        args.bind(&REST)?;
        self.reading.part(self.catalog.now(), self.catalog.next_event())
    }

    async fn advance(&mut self, args: Args) -> Result<Value, CallError> {
        let mut args = args.bind(&ADVANCE)?;
        let until = self.time(&ADVANCE, &mut args, 0)?.unwrap_or_default();
        let inclusive = args.take(1)?.unwrap_or(true);
        self.connect_new();
        let advanced = self.coupling.advance(until, inclusive).await;
        self.note(advanced).map(times::write_next)
    }

    fn stop(&mut self, args: Args) -> Result<Value, CallError> {
        args.bind(&STOP)?;
        self.stopped = true;
        let kernel = self.coupling.container().kernel();
        Ok(Value::map([
            ("now", times::write(kernel.now())),
            ("steps", self.coupling.counts().0.into()),
            ("fingerprint", format!("{:016x}", kernel.fingerprint()).into()),
            ("failed", self.failed.clone().into()),
        ]))
    }

    /// An argument that is a time; null is none.
    fn time(&self, of: &Signature, args: &mut Bound<'_>, index: usize) -> Result<Option<Time>, CallError> {
        let value = match args.take_value(index) {
            None => return Ok(None),
            Some(Value::Null) if of.params[index].optional => return Ok(None),
            Some(value) => value,
        };
        let epoch = self.coupling.container().kernel().config().epoch;
        times::read(&value, epoch).map(Some).map_err(|message| refuse(of, of.params[index].name, &message))
    }

    /// Remembers what ends the run.
    fn note<T>(&mut self, result: Result<T, CoupleError>) -> Result<T, CallError> {
        if let Err(error @ CoupleError::Run(_)) = &result {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        Ok(result?)
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

#[cold]
fn refuse(signature: &Signature, param: &str, message: &str) -> CallError {
    CallError::type_error(format!("{}() argument '{param}' {message}", signature.name))
}
