//! `#[agent]` makes of one impl block all that its agents are called by, from near and far.
#![deny(
    nonstandard_style,
    unused,
    unreachable_pub,
    private_interfaces,
    missing_debug_implementations,
    deprecated
)]

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use isochrone::agent::{BadInput, OutputKind};
use isochrone::codec::{Reference, Value, from_value, to_value};
use isochrone::prelude::*;
use isochrone::sim::{Actor, AgentId, Fault, Kernel, Outcome, Ref};
use serde::{Deserialize, Serialize};

type Log = Rc<RefCell<Vec<String>>>;

fn kernel() -> Kernel {
    let mut config = Config::new("grid");
    config.policy = Policy::Stop;
    Kernel::new(config).unwrap()
}

fn at(seconds: u64) -> Time {
    Time::ZERO + secs(seconds)
}

/// Calls a method as a caller from outside does, and lets time go on to `until`.
fn call_until<A: Agent>(
    kernel: &Kernel,
    to: Ref<A>,
    until: Time,
    method: &str,
    args: Args,
) -> Result<Value, CallError> {
    let message = kernel.enter(|| A::decode(method, args))?;
    let mut asked = kernel.ask(to, message);
    kernel.run_until(until).unwrap();
    let answer =
        kernel.answer(&mut asked).unwrap_or_else(|| panic!("`{method}` was not answered until {until}"));
    kernel.enter(|| A::encode(answer.map_err(|fault| CallError::new(fault.kind(), fault.to_string()))?))
}

fn call<A: Agent>(kernel: &Kernel, to: Ref<A>, method: &str, args: Args) -> Result<Value, CallError> {
    call_until(kernel, to, kernel.now(), method, args)
}

fn refused<A: Agent>(method: &str, args: Args) -> String {
    A::decode(method, args).err().expect("the call should be refused").to_string()
}

fn no_args() -> Args {
    Args::default()
}

#[derive(Debug)]
struct TooMuch(f64);

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kW are too much", self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Offer {
    kw: f64,
    hours: Vec<u32>,
}

#[derive(Default)]
struct House {
    load_kw: f64,
    log: Log,
}

impl House {
    const LIMIT: f64 = 10.0;

    fn note(&self, text: impl Into<String>) {
        self.log.borrow_mut().push(text.into());
    }
}

/// A house with a load.
#[agent(eid = "house_{n}")]
impl House {
    /// Builds a house.
    #[constructor]
    fn new(cx: &Ctx, kw: f64, #[default(0.5)] share: f64) -> Result<Self, TooMuch> {
        let house = House { load_kw: kw * share, log: Log::default() };
        house.note(cx.path());
        if kw > Self::LIMIT { Err(TooMuch(kw)) } else { Ok(house) }
    }

    /// Sets the load in kW and returns it.
    ///
    /// Loads have a limit.
    #[expose]
    fn set(&mut self, cx: &Ctx, kw: f64, #[default(1.0)] scale: f64) -> Result<f64, TooMuch> {
        self.note(format!("set at {}", cx.now()));
        let wanted = kw * scale;
        if wanted > Self::LIMIT {
            return Err(TooMuch(wanted));
        }
        self.load_kw = wanted;
        Ok(wanted)
    }

    #[expose]
    fn load(&self) -> f64 {
        self.load_kw
    }

    /// Defaults may use the type's own constants, and are evaluated for each call.
    #[expose]
    fn offer(&self, #[default(Offer { kw: Self::LIMIT, hours: vec![1, 2] })] mut offer: Offer) -> Offer {
        offer.hours.push(3);
        offer
    }

    #[expose]
    fn echo(&self, kw: f64, #[default(2.0)] scale: f64, rest: Args) -> (f64, f64, Value) {
        (kw, scale, to_value(&rest).unwrap())
    }

    #[expose]
    async fn slowly(this: This<Self>, kw: f64) -> f64 {
        this.with(|me| me.note("slowly begins"));
        this.sleep(secs(2)).await;
        this.with(|me| {
            me.note("slowly ends");
            std::mem::replace(&mut me.load_kw, kw)
        })
    }

    #[expose]
    async fn alone(&mut self, cx: &Ctx, seconds: u64) -> Result<f64, CallError> {
        self.note("alone begins");
        cx.sleep(secs(seconds)).await;
        self.note("alone ends");
        Ok(self.load_kw)
    }

    #[expose]
    async fn alone_without_clock(&self) -> usize {
        self.log.borrow().len()
    }

    #[expose]
    fn fails(&self, kind: String) -> Result<(), CallError> {
        Err(CallError::new(kind, "as you wish"))
    }

    #[expose]
    async fn fails_later(this: This<Self>) -> Result<(), TooMuch> {
        this.sleep(secs(1)).await;
        Err(TooMuch(11.0))
    }

    #[expose]
    fn panics(&self) {
        panic!("a bug in the house");
    }

    /// Keywords of Rust are good names elsewhere.
    #[expose]
    fn r#type(&self, r#loop: u8) -> String {
        format!("House {}", r#loop)
    }

    fn helper(&self) -> f64 {
        self.load_kw
    }
}

#[test]
fn in_place_methods_are_answered_in_the_next_round() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House::default()).unwrap();
    let mut asked = kernel.ask(house, HouseMessage::set(2.0, 3.0));
    assert!(kernel.answer(&mut asked).is_none());
    kernel.run_until(Time::ZERO).unwrap();
    assert!(matches!(kernel.answer(&mut asked), Some(Ok(HouseReply::set(Ok(6.0))))));
    assert_eq!(call(&kernel, house, "load", no_args()), Ok(Value::from(6.0)));
    assert_eq!(kernel.enter(|| kernel.this(house).unwrap().with(|me| me.helper())), 6.0);
}

#[test]
fn tasks_interleave_at_their_awaits() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House { load_kw: 1.0, ..House::default() }).unwrap();
    let log = kernel.this(house).unwrap().with(|me| me.log.clone());
    let mut first = kernel.ask(house, HouseMessage::slowly(5.0));
    kernel.run_until(at(1)).unwrap();
    let mut second = kernel.ask(house, HouseMessage::slowly(7.0));
    kernel.run_until(at(4)).unwrap();
    assert!(matches!(kernel.answer(&mut first), Some(Ok(HouseReply::slowly(Ok(1.0))))));
    assert!(matches!(kernel.answer(&mut second), Some(Ok(HouseReply::slowly(Ok(5.0))))));
    assert_eq!(*log.borrow(), ["slowly begins", "slowly begins", "slowly ends", "slowly ends"]);
}

#[test]
fn an_exclusive_method_lets_messages_queue_until_it_ends() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House { load_kw: 1.0, ..House::default() }).unwrap();
    let log = kernel.this(house).unwrap().with(|me| me.log.clone());
    let mut alone = kernel.ask(house, HouseMessage::alone(10));
    kernel.run_until(at(1)).unwrap();
    let mut set = kernel.ask(house, HouseMessage::set(5.0, 1.0));
    kernel.run_until(at(9)).unwrap();
    assert!(kernel.answer(&mut set).is_none(), "the house is locked");
    kernel.run_until(at(10)).unwrap();
    assert!(matches!(kernel.answer(&mut alone), Some(Ok(HouseReply::alone(Ok(1.0))))));
    assert!(matches!(kernel.answer(&mut set), Some(Ok(HouseReply::set(Ok(5.0))))));
    assert_eq!(*log.borrow(), ["alone begins", "alone ends", "set at 10s"]);
    assert_eq!(call(&kernel, house, "alone_without_clock", no_args()), Ok(Value::from(3)));
}

#[test]
fn arguments_arrive_as_python_passes_them() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House::default()).unwrap();
    let set = |args| call(&kernel, house, "set", args);
    assert_eq!(set(no_args().arg(2.0).arg(3.0)), Ok(Value::from(6.0)));
    assert_eq!(set(no_args().arg(2.0)), Ok(Value::from(2.0)));
    assert_eq!(set(no_args().arg(2)), Ok(Value::from(2.0)), "an int is a float where one is wanted");
    assert_eq!(set(no_args().kwarg("scale", 2.0).kwarg("kw", 4.0)), Ok(Value::from(8.0)));
    assert_eq!(set(no_args().arg(4.0).kwarg("scale", 0.5)), Ok(Value::from(2.0)));

    let refused = refused::<House>;
    assert_eq!(refused("set", no_args()), "TypeError: set() missing 1 required positional argument: 'kw'");
    let surplus = no_args().arg(1).arg(2).arg(3);
    assert_eq!(
        refused("set", surplus),
        "TypeError: set() takes from 1 to 2 positional arguments but 3 were given"
    );
    let unknown = no_args().arg(1).kwarg("volume", 11);
    assert_eq!(refused("set", unknown), "TypeError: set() got an unexpected keyword argument 'volume'");
    let doubled = no_args().arg(1).kwarg("kw", 1);
    assert_eq!(refused("set", doubled), "TypeError: set() got multiple values for argument 'kw'");
    let wrong = refused("set", no_args().arg("much"));
    assert!(wrong.starts_with("TypeError: set() argument 'kw': "), "{wrong}");
    assert_eq!(refused("sett", no_args()), "LookupError: House has no method \"sett\"");
    assert_eq!(refused("helper", no_args()), "LookupError: House has no method \"helper\"");
}

#[test]
fn defaults_are_expressions_of_the_type() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House::default()).unwrap();
    let offer: Offer = from_value(call(&kernel, house, "offer", no_args()).unwrap()).unwrap();
    assert_eq!(offer, Offer { kw: 10.0, hours: vec![1, 2, 3] });
    let given = Offer { kw: 1.0, hours: vec![] };
    let offer: Offer = from_value(call(&kernel, house, "offer", no_args().arg(&given)).unwrap()).unwrap();
    assert_eq!(offer, Offer { kw: 1.0, hours: vec![3] });
}

#[test]
fn a_last_argument_takes_what_is_left() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House::default()).unwrap();
    let echo = |args| call(&kernel, house, "echo", args).unwrap().to_string();
    assert_eq!(echo(no_args().arg(1)), "[1.0,2.0,[[],{}]]");
    assert_eq!(echo(no_args().arg(1).arg(3).arg("x").kwarg("a", 4)), r#"[1.0,3.0,[["x"],{"a":4}]]"#);
    assert_eq!(echo(no_args().kwarg("kw", 1).kwarg("a", 4)), r#"[1.0,2.0,[[],{"a":4}]]"#);
    assert_eq!(
        refused::<House>("echo", no_args().kwarg("a", 4)),
        "TypeError: echo() missing 1 required positional argument: 'kw'"
    );
    // and goes to an agent elsewhere as it would have been written there
    let message = House::decode("echo", no_args().arg(1).arg(3).arg("x").kwarg("a", 4)).unwrap();
    let (method, args) = House::request(message);
    assert_eq!(format!("{method}{args}"), r#"echo(1.0, 3.0, "x", a=4)"#);
}

#[test]
fn raw_identifiers_are_called_without_their_prefix() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House::default()).unwrap();
    assert_eq!(call(&kernel, house, "type", no_args().kwarg("loop", 3)), Ok(Value::from("House 3")));
}

#[test]
fn errors_carry_their_kind_and_message() {
    let kernel = kernel();
    let house = kernel.create(Some("house"), House::default()).unwrap();
    let error = call(&kernel, house, "set", no_args().arg(11.0)).unwrap_err();
    assert_eq!((error.kind(), error.message()), ("TooMuch", "11 kW are too much"));
    let error = call(&kernel, house, "fails", no_args().arg("Weather")).unwrap_err();
    assert_eq!(error, CallError::new("Weather", "as you wish"), "a CallError stays itself");
    let error = call_until(&kernel, house, at(1), "fails_later", no_args()).unwrap_err();
    assert_eq!(error.to_string(), "TooMuch: 11 kW are too much");
    assert_eq!(kernel.counts().failures, 0, "what a caller is told is no failure of the agent");

    let error = call(&kernel, house, "panics", no_args()).unwrap_err();
    assert_eq!(error.kind(), "Abandoned");
    let reports = kernel.reports();
    assert_eq!((&*reports[0].task, &*reports[0].message), ("panics", "a bug in the house"));
}

#[test]
fn the_constructor_is_called_as_methods_are() {
    let kernel = kernel();
    let create = |name: &str, args: Args| {
        kernel.create_with::<House>(Some(name), move |cx| {
            House::construct(cx, args.clone()).map_err(|error| error.to_string())
        })
    };
    let house = create("h1", no_args().kwarg("kw", 8.0)).unwrap();
    let (kw, log) = kernel.this(house).unwrap().with(|me| (me.load_kw, me.log.borrow().clone()));
    assert_eq!((kw, &*log), (4.0, &["h1".to_owned()][..]), "it knows its own path");
    let message = |created: Result<_, isochrone::sim::CreateError>| created.unwrap_err().to_string();
    assert!(message(create("h2", no_args().arg(20))).ends_with("TooMuch: 20 kW are too much"));
    let missing = message(create("h3", no_args()));
    assert!(missing.ends_with("TypeError: new() missing 1 required positional argument: 'kw'"), "{missing}");

    let meter = kernel.create_with::<Meter>(Some("m"), |cx| {
        let error = Meter::construct(cx, Args::default()).err().unwrap();
        assert_eq!(error.message(), "Meter has no #[constructor]");
        Ok(Meter::default())
    });
    assert!(meter.is_ok());
    assert!(Meter::MODEL.constructor.is_none());
}

#[test]
fn the_model_says_what_can_be_called() {
    let model = House::MODEL;
    assert_eq!((model.name, model.doc, &*model.entity(3)), ("House", "A house with a load.", "house_3"));
    assert_eq!(model.constructor.unwrap().to_string(), "new(kw: f64, share: f64 = ...)");
    let set = &model.methods[0];
    assert_eq!(set.signature.to_string(), "set(kw: f64, scale: f64 = ...)");
    assert_eq!((set.result, set.doc), ("f64", "Sets the load in kW and returns it.\n\nLoads have a limit."));
    let signatures: Vec<_> = model.methods[1..].iter().map(|method| method.signature.to_string()).collect();
    let expected = [
        "load()",
        "offer(offer: Offer = ...)",
        "echo(kw: f64, scale: f64 = ..., *rest: Args)",
        "slowly(kw: f64)",
        "alone(seconds: u64)",
        "alone_without_clock()",
        "fails(kind: String)",
        "fails_later()",
        "panics()",
        "type(loop: u8)",
    ];
    assert_eq!(signatures, expected);
    assert_eq!(model.methods[9].result, "()");
    assert!(model.inputs.is_empty() && model.outputs.is_empty() && !model.step);
}

#[test]
fn messages_hash_by_method_and_arguments_and_replies_by_result() {
    let hash = House::message_hash;
    assert_eq!(hash(&HouseMessage::set(1.0, 2.0)), hash(&HouseMessage::set(1.0, 2.0)));
    let messages = [
        HouseMessage::set(1.0, 2.0),
        HouseMessage::set(2.0, 1.0),
        HouseMessage::load(),
        HouseMessage::panics(),
    ];
    let mut hashes: Vec<_> = messages.iter().map(hash).collect();
    hashes.extend([
        House::reply_hash(&HouseReply::load(Ok(1.0))),
        House::reply_hash(&HouseReply::set(Ok(1.0))),
        House::reply_hash(&HouseReply::set(Ok(2.0))),
        House::reply_hash(&HouseReply::set(Err(CallError::new("A", "B")))),
        House::reply_hash(&HouseReply::set(Err(CallError::new("A", "C")))),
    ]);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 9);
    assert_eq!(House::label(&HouseMessage::r#type(1)), "type");
}

/// Calls houses.
struct Caller {
    house: HouseProxy,
    seen: Vec<String>,
}

#[agent]
impl Caller {
    #[expose]
    async fn ask(this: This<Self>, kw: f64) -> Result<f64, CallError> {
        let house = this.with(|me| me.house.clone());
        house.set(kw, 2.0).await
    }

    #[expose]
    async fn ask_by_name(this: This<Self>, method: String) -> Result<f64, CallError> {
        let house = this.with(|me| me.house.untyped());
        house.call(&method).arg(3).kwarg("scale", 2).returning().await
    }

    #[expose]
    async fn ask_for_a_while(this: This<Self>) -> Result<f64, CallError> {
        let house = this.with(|me| me.house.clone());
        house.slowly(1.0).timeout(secs(1)).await
    }

    #[expose]
    fn meet(&mut self, house: HouseProxy, anybody: Proxy, others: Vec<HouseProxy>) -> HouseProxy {
        self.seen.push(format!("{house:?} {anybody:?} {}", others.len()));
        assert_eq!(house.untyped(), anybody);
        self.house = house.clone();
        house
    }

    /// The attributes of a proxy's method are those of the method.
    #[deprecated = "ask"]
    #[expose]
    async fn introduce(this: This<Self>, other: CallerProxy) -> Result<bool, CallError> {
        let house = this.with(|me| me.house.clone());
        let met = other.meet(house.clone(), house.untyped(), vec![house.clone()]).await?;
        Ok(met == house)
    }

    #[expose]
    fn tell(&self, kw: f64) {
        self.house.set(kw, 1.0).send();
    }
}

fn two_callers(kernel: &Kernel) -> (Ref<House>, Ref<House>, Ref<Caller>, Ref<Caller>) {
    let houses = ["h1", "h2"].map(|name| kernel.create(Some(name), House::default()).unwrap());
    let [a, b] = [("a", houses[0]), ("b", houses[1])].map(|(name, house)| {
        kernel.create(Some(name), Caller { house: house.into(), seen: Vec::new() }).unwrap()
    });
    (houses[0], houses[1], a, b)
}

#[test]
fn typed_and_untyped_proxies_call_alike() {
    let kernel = kernel();
    let (h1, _, a, _) = two_callers(&kernel);
    assert_eq!(call(&kernel, a, "ask", no_args().arg(3)), Ok(Value::from(6.0)));
    assert_eq!(call(&kernel, a, "ask_by_name", no_args().arg("set")), Ok(Value::from(6.0)));
    let typed = call(&kernel, a, "ask", no_args().arg(30)).unwrap_err();
    assert_eq!(typed.to_string(), "TooMuch: 60 kW are too much");
    let unknown = call(&kernel, a, "ask_by_name", no_args().arg("sat")).unwrap_err();
    assert_eq!(unknown.to_string(), "LookupError: House has no method \"sat\"");
    let late = call_until(&kernel, a, at(1), "ask_for_a_while", no_args()).unwrap_err();
    assert_eq!(late.kind(), "Timeout");
    call(&kernel, a, "tell", no_args().arg(1.5)).unwrap();
    kernel.run_until(kernel.now()).unwrap();
    assert_eq!(kernel.this(h1).unwrap().with(|me| me.load_kw), 1.5);
}

#[test]
fn proxies_travel_as_arguments_and_results() {
    let kernel = kernel();
    let (h1, h2, a, b) = two_callers(&kernel);
    let other = kernel.enter(|| to_value(&CallerProxy::from(b)).unwrap());
    assert_eq!(other, Value::Proxy(Reference::Address("local://grid/b".into())));
    assert_eq!(call(&kernel, a, "introduce", no_args().arg(other)), Ok(Value::from(true)));
    assert_eq!(kernel.this(b).unwrap().with(|me| me.house.agent()), h1);

    let name = "local://grid/h2";
    let met = call(&kernel, a, "meet", no_args().arg(name).arg(name).arg([name, name])).unwrap();
    assert_eq!(met.as_proxy().map(Reference::as_text), Some(name));
    assert_eq!(kernel.this(a).unwrap().with(|me| me.house.agent()), h2);

    let meet = |name: &str| {
        let args = no_args().arg(name).arg(name).arg([name; 0]);
        kernel.enter(|| Caller::decode("meet", args)).err().unwrap().to_string()
    };
    assert!(meet("local://grid/a").contains("is no House"), "{}", meet("local://grid/a"));
    assert!(meet("local://grid/nobody").contains("no agent \"nobody\""));
    assert!(meet("local://elsewhere/h1").contains("\"elsewhere\" is not here"));
}

#[test]
fn proxies_are_small_and_go_anywhere() {
    fn anywhere<
        T: Clone + Send + Sync + PartialEq + fmt::Debug + Serialize + for<'a> Deserialize<'a> + 'static,
    >() {
    }
    anywhere::<HouseProxy>();
    anywhere::<Proxy>();
    assert_eq!(size_of::<HouseProxy>(), 16);
}

#[derive(Default)]
struct Clock {
    log: Log,
    period: Duration,
    fail_at: u32,
    ticks: u32,
}

#[agent]
impl Clock {
    #[start]
    fn begin(&mut self, cx: &Ctx) -> Result<(), TooMuch> {
        self.log.borrow_mut().push(format!("start {}", cx.now()));
        if self.fail_at == 99 { Err(TooMuch(99.0)) } else { Ok(()) }
    }

    #[every(minutes = 1, seconds = 30)]
    fn tick(&mut self, cx: &Ctx) -> Result<(), TooMuch> {
        self.ticks += 1;
        self.log.borrow_mut().push(format!("tick {}", cx.now()));
        if self.ticks == self.fail_at { Err(TooMuch(1.0)) } else { Ok(()) }
    }

    fn period(&self) -> Duration {
        self.period
    }

    #[every(period)]
    async fn plan(this: This<Self>) {
        this.with(|me| me.log.borrow_mut().push(format!("plan {}", this.now())));
        this.sleep(secs(70)).await;
    }

    #[stop]
    fn end(&mut self) {
        self.log.borrow_mut().push("stop".into());
    }

    /// Runs by itself, and when it is asked to.
    #[expose]
    #[every(hours = 1)]
    fn count(&self) -> u32 {
        self.ticks
    }
}

fn run_clock(clock: Clock, until: u64) -> (Kernel, Ref<Clock>, Vec<String>) {
    let kernel = kernel();
    let log = clock.log.clone();
    let clock = kernel.create(Some("clock"), clock).unwrap();
    kernel.run_until(at(until)).unwrap();
    let log = log.borrow().clone();
    (kernel, clock, log)
}

#[test]
fn every_runs_first_after_one_period_and_zero_is_never() {
    let (kernel, clock, log) = run_clock(Clock::default(), 270);
    assert_eq!(log, ["start 0s", "tick 1m30s", "tick 3min", "tick 4m30s"]);
    assert_eq!(call(&kernel, clock, "count", no_args()), Ok(Value::from(3)));
}

#[test]
fn an_overrun_skips_and_runs_never_overlap() {
    let (.., log) = run_clock(Clock { period: secs(30), ..Clock::default() }, 300);
    let plans: Vec<_> = log.iter().filter(|line| line.starts_with("plan")).collect();
    // a run of 70 s makes the ticks of 60 s and 90 s be skipped
    assert_eq!(plans, ["plan 30s", "plan 2min", "plan 3m30s", "plan 5min"]);
}

#[test]
fn an_error_of_what_nobody_calls_is_a_failure_of_the_agent() {
    let (kernel, clock, log) = run_clock(Clock { fail_at: 2, ..Clock::default() }, 1000);
    assert_eq!(log, ["start 0s", "tick 1m30s", "tick 3min"]);
    let report = &kernel.reports()[0];
    assert_eq!((&*report.agent, &*report.task, &*report.message), ("clock", "tick", "1 kW are too much"));
    assert_eq!((report.time, report.outcome), (at(180), Outcome::Stopped));
    assert_eq!(call(&kernel, clock, "count", no_args()).unwrap_err().kind(), "Stopped");

    let (kernel, _, log) = run_clock(Clock { fail_at: 99, ..Clock::default() }, 1000);
    assert_eq!(log, ["start 0s"]);
    assert_eq!(kernel.reports()[0].message, "99 kW are too much");
}

#[test]
fn stop_runs_when_the_agent_is_stopped_on_purpose() {
    let (kernel, clock, _) = run_clock(Clock::default(), 100);
    let log = kernel.this(clock).unwrap().with(|me| me.log.clone());
    kernel.stop(clock.id());
    kernel.run_until(at(1000)).unwrap();
    assert_eq!(*log.borrow(), ["start 0s", "tick 1m30s", "stop"]);
}

#[derive(Default)]
struct Slow {
    log: Log,
}

#[agent]
impl Slow {
    #[start]
    async fn prepare(this: This<Self>) -> Result<(), CallError> {
        this.with(|me| me.log.borrow_mut().push("prepares".into()));
        this.sleep(secs(5)).await;
        this.with(|me| me.log.borrow_mut().push("prepared".into()));
        Err(CallError::timeout("nobody is there"))
    }

    #[expose]
    fn ping(&mut self) {
        self.log.borrow_mut().push("ping".into());
    }

    #[every(seconds = 2)]
    async fn look(this: This<Self>) -> Result<(), CallError> {
        this.with(|me| me.log.borrow_mut().push("looks".into()));
        Ok(())
    }
}

#[test]
fn a_start_that_waits_begins_before_the_first_message() {
    let kernel = kernel();
    let slow = kernel.create(Some("slow"), Slow::default()).unwrap();
    let log = kernel.this(slow).unwrap().with(|me| me.log.clone());
    call(&kernel, slow, "ping", no_args()).unwrap();
    kernel.run_until(at(10)).unwrap();
    assert_eq!(*log.borrow(), ["prepares", "ping", "looks", "looks", "prepared"]);
    let report = &kernel.reports()[0];
    assert_eq!((&*report.task, &*report.message), ("prepare", "Timeout: nobody is there"));
}

#[derive(Default)]
struct Battery {
    charge: f64,
    volts: Vec<Option<f64>>,
    pongs: Vec<String>,
    late: Vec<(Time, u32)>,
    log: Log,
}

#[agent(eid = "bat_{n}", name = "LiIon")]
impl Battery {
    /// The power that sources want.
    #[input]
    fn power(&mut self, cx: &Ctx, mw: Inputs<f64>) -> Result<(), TooMuch> {
        self.charge += mw.sum();
        self.pongs.extend(mw.iter().map(|(source, mw)| format!("{source} {mw} at {}", cx.now())));
        if self.charge > 100.0 { Err(TooMuch(self.charge)) } else { Ok(()) }
    }

    #[input(trigger)]
    fn volts(&mut self, vm: Inputs<Option<f64>>) {
        self.volts = vm.values().copied().collect();
    }

    #[input]
    async fn later(this: This<Self>, seconds: Inputs<u64>) {
        this.sleep(secs(seconds.sum())).await;
        this.with(|me| me.log.borrow_mut().push(format!("later at {}", this.now())));
    }

    #[input]
    async fn alone(&mut self, cx: &Ctx, seconds: Inputs<u64>) {
        cx.sleep(secs(seconds.sum())).await;
        self.log.borrow_mut().push(format!("alone at {}", cx.now()));
    }

    #[step]
    fn decide(&mut self) {
        self.late.push((Time::ZERO, self.late.len() as u32));
    }

    /// The state of charge.
    #[output]
    #[expose]
    fn charge(&self) -> f64 {
        self.charge
    }

    #[output(on_change)]
    fn sources(&mut self) -> usize {
        self.volts.len()
    }

    #[output(event)]
    fn pong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.pongs)
    }

    #[output(event, stamped)]
    fn steps(&mut self) -> Vec<(Time, u32)> {
        std::mem::take(&mut self.late)
    }
}

fn source<T: Serialize>(name: &str, value: T) -> (String, Value) {
    (name.into(), to_value(&value).unwrap())
}

fn write(
    kernel: &Kernel,
    to: Ref<Battery>,
    port: &str,
    values: Vec<(String, Value)>,
) -> Result<(), BadInput> {
    let message = Battery::input(Battery::MODEL.input(port).unwrap(), values)?;
    kernel.enter(|| to.call(message).send());
    kernel.run_until(kernel.now()).unwrap();
    Ok(())
}

fn read(kernel: &Kernel, from: Ref<Battery>, port: &str) -> Value {
    let port = Battery::MODEL.output(port).unwrap();
    kernel.enter(|| kernel.this(from).unwrap().with(|me| me.output(port)).unwrap())
}

#[test]
fn inputs_arrive_sorted_by_source_and_errors_are_failures() {
    let kernel = kernel();
    let battery = kernel.create(Some("b"), Battery::default()).unwrap();
    write(&kernel, battery, "power", vec![source("pv", 2.0), source("grid", 1)]).unwrap();
    assert_eq!(read(&kernel, battery, "pong"), to_value(&["grid 1 at 0s", "pv 2 at 0s"]).unwrap());
    assert_eq!(read(&kernel, battery, "pong"), to_value(&[""; 0]).unwrap(), "reading takes events out");
    write(&kernel, battery, "power", vec![source("sun", 1000.0)]).unwrap();
    assert_eq!(
        kernel.reports()[0].to_string(),
        "agent b failed at 0s in `power`: 1003 kW are too much (stopped)"
    );
}

#[test]
fn a_wrong_input_names_its_source_and_null_needs_an_option() {
    let kernel = kernel();
    let battery = kernel.create(Some("b"), Battery::default()).unwrap();
    let bad = write(&kernel, battery, "power", vec![source("pv", 1.0), source("sun", ())]).unwrap_err();
    assert_eq!(bad.source, "sun");
    write(&kernel, battery, "volts", vec![source("b", ()), source("a", 1.5)]).unwrap();
    assert_eq!(kernel.this(battery).unwrap().with(|me| me.volts.clone()), [Some(1.5), None]);
    assert!(Battery::input(17, Vec::new()).is_err());
}

#[test]
fn inputs_may_be_tasks_and_exclusive() {
    let kernel = kernel();
    let battery = kernel.create(Some("b"), Battery::default()).unwrap();
    let log = kernel.this(battery).unwrap().with(|me| me.log.clone());
    write(&kernel, battery, "later", vec![source("a", 5)]).unwrap();
    write(&kernel, battery, "alone", vec![source("a", 3)]).unwrap();
    write(&kernel, battery, "later", vec![source("a", 1), source("b", 1)]).unwrap();
    kernel.run_until(at(10)).unwrap();
    assert_eq!(*log.borrow(), ["alone at 3s", "later at 5s", "later at 5s"]);
}

#[test]
fn outputs_are_read_and_changes_show_in_their_hash() {
    let kernel = kernel();
    let battery = kernel.create(Some("b"), Battery { charge: 1.5, ..Battery::default() }).unwrap();
    kernel.run_until(Time::ZERO).unwrap();
    assert_eq!(read(&kernel, battery, "charge"), Value::from(1.5));
    assert_eq!(call(&kernel, battery, "charge", no_args()), Ok(Value::from(1.5)));
    let hash = |port| kernel.enter(|| kernel.this(battery).unwrap().with(|me| me.output_hash(port)));
    let before = [0, 1, 2, 3].map(hash);
    assert_eq!(before[2..], [0, 0], "events have no state");
    write(&kernel, battery, "volts", vec![source("a", 1.5)]).unwrap();
    assert_eq!(hash(0), before[0]);
    assert_ne!(hash(1), before[1]);

    let step = Battery::step().expect("it has a #[step]");
    kernel.enter(|| battery.call(step).send());
    kernel.run_until(Time::ZERO).unwrap();
    assert_eq!(read(&kernel, battery, "steps"), to_value(&[(0, 0)]).unwrap());
    let port = kernel.enter(|| kernel.this(battery).unwrap().with(|me| me.output(9))).unwrap_err();
    assert_eq!(port.to_string(), "LookupError: LiIon has no output number 9");
}

#[test]
fn the_model_says_which_ports_there_are() {
    let model = Battery::MODEL;
    assert_eq!((model.name, model.eid, model.step), ("LiIon", "bat_{n}", true));
    let inputs: Vec<_> = model.inputs.iter().map(|port| (port.name, port.trigger, port.doc)).collect();
    let expected = [
        ("power", false, "The power that sources want."),
        ("volts", true, ""),
        ("later", false, ""),
        ("alone", false, ""),
    ];
    assert_eq!(inputs, expected);
    let outputs: Vec<_> = model.outputs.iter().map(|port| (port.name, port.kind)).collect();
    let expected = [
        ("charge", OutputKind::State),
        ("sources", OutputKind::OnChange),
        ("pong", OutputKind::Event),
        ("steps", OutputKind::Stamped),
    ];
    assert_eq!(outputs, expected);
    assert_eq!(model.outputs[0].doc, "The state of charge.");
    let kernel = kernel();
    let unnamed = kernel.create(None, Battery::default()).unwrap();
    assert_eq!(kernel.path(unnamed.id()), "LiIon#0");
}

#[derive(Default)]
struct Meter {
    power: Option<f64>,
}

#[agent]
impl Meter {
    #[output]
    fn power(&self) -> Option<f64> {
        self.power
    }
}

/// An agent need not be a struct, and it may be of another module.
mod lights {
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) enum Light {
        On,
        Off,
    }
    pub(super) struct Silent;
}

#[agent]
impl lights::Light {
    #[expose]
    fn swap(&mut self, with: Vec<(String, [Option<u8>; 2])>, #[default(Self::On)] to: Self) -> (Self, usize) {
        (std::mem::replace(self, to), with.len())
    }
}

#[agent]
impl lights::Silent {}

#[test]
fn any_type_can_be_an_agent() {
    let kernel = kernel();
    let light = kernel.create(None, lights::Light::Off).unwrap();
    let with: [(&str, [Option<u8>; 2]); 1] = [("x", [None, Some(1)])];
    let swapped = call(&kernel, light, "swap", no_args().arg(with)).unwrap();
    assert_eq!(from_value(swapped), Ok((lights::Light::Off, 1)));
    assert_eq!(kernel.this(light).unwrap().with(|me| me.clone()), lights::Light::On);
    let signature = <lights::Light as Agent>::MODEL.methods[0].signature.to_string();
    assert_eq!(signature, "swap(with: Vec<(String, [Option<u8>; 2])>, to: lights::Light = ...)");
    assert!(kernel.create(None, lights::Silent).is_ok());
    assert!(<lights::Silent as Agent>::MODEL.methods.is_empty());
}

#[test]
fn an_agent_may_be_made_inside_a_function() {
    struct Local(u8);

    #[agent]
    impl Local {
        #[expose]
        fn args(&self, args: u8, method: u8, #[default(7)] bound: u8) -> u8 {
            self.0 + args + method + bound
        }
    }
    let kernel = kernel();
    let local = kernel.create(None, Local(1)).unwrap();
    assert_eq!(call(&kernel, local, "args", no_args().arg(2).arg(3)), Ok(Value::from(13)));
}

#[test]
fn a_proxy_of_nobody_gives_an_error() {
    let kernel = kernel();
    let (h1, _, a, _) = two_callers(&kernel);
    kernel.stop(h1.id());
    kernel.run_until(Time::ZERO).unwrap();
    let error = call(&kernel, a, "ask", no_args().arg(1)).unwrap_err();
    assert_eq!((error.kind(), error.message()), ("Stopped", &*Fault::Stopped("h1".into()).to_string()));
    assert_ne!(h1.id(), AgentId::OUTSIDE);
}
