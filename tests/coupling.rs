//! Promises of the coupling that a simulator notices only when they are broken.

use std::collections::BTreeMap;

use isochrone::agent::{Agent, Vtable};
use isochrone::clock::Interrupt;
use isochrone::coupling::{CoupleError, Coupling, Mode};
use isochrone::prelude::*;

fn coupling<A: Agent>(name: &str, mode: Mode) -> Coupling {
    let models = BTreeMap::from([(name.to_string(), Vtable::of::<A>())]);
    Coupling::new(
        Container::new(Config::new("test")).expect("a container"),
        models,
        mode,
        Interrupt::default(),
    )
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[derive(Default)]
struct Busy {
    p: f64,
}

#[agent]
impl Busy {
    #[constructor]
    fn new() -> Self {
        Busy::default()
    }

    #[step]
    async fn work(&mut self, cx: &Ctx) {
        self.p += 1.0;
        cx.sleep(secs(1)).await;
    }

    #[output]
    fn p(&self) -> f64 {
        self.p
    }
}

#[test]
fn an_output_that_cannot_be_looked_at_is_an_error_and_never_missing() {
    let mut coupling = coupling::<Busy>("Busy", Mode::Exact);
    run(async {
        coupling.create("Busy", 1, &Args::default()).expect("created");
        let p = coupling.locate("Busy_0", "p").expect("a port");
        coupling.step(Time::ZERO, vec![], None).await.expect("a step");
        let error = coupling.read(&[p]).expect_err("the agent is busy");
        assert!(
            matches!(&error, CoupleError::Output { eid, port, .. } if eid == "Busy_0" && port == "p"),
            "{error}"
        );
        assert!(error.to_string().contains("exclusive"), "{error}");
        // after a second it is free again, and another step finds it busy again
        coupling.container().run_until(Time::ZERO + secs(1)).expect("runs");
        assert_eq!(coupling.read(&[p]).expect("readable").values[0].2.as_f64(), Some(1.0));
    });
}

#[test]
fn an_entitys_model_is_the_name_the_simulator_asked_for() {
    let mut coupling = coupling::<Busy>("Thermo", Mode::Exact);
    let created = coupling.create("Thermo", 2, &Args::default()).expect("created");
    assert_eq!(
        created.iter().map(|at| coupling.entities()[*at].model()).collect::<Vec<_>>(),
        ["Thermo", "Thermo"]
    );
}

struct Chatty {
    said: Vec<u64>,
}

#[agent]
impl Chatty {
    #[constructor]
    fn new() -> Self {
        Chatty { said: Vec::new() }
    }

    #[every(seconds = 1)]
    fn say(&mut self, cx: &Ctx) {
        self.said.push(cx.now().as_nanos() as u64);
    }

    #[output(event)]
    fn words(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.said)
    }

    #[output]
    fn waiting(&self) -> usize {
        self.said.len()
    }
}

#[test]
fn events_that_nobody_reads_do_not_pile_up() {
    let mut coupling = coupling::<Chatty>("Chatty", Mode::Exact);
    run(async {
        coupling.create("Chatty", 1, &Args::default()).expect("created");
        let waiting = coupling.locate("Chatty_0", "waiting").expect("a port");
        coupling.connect(&[waiting]);
        for minute in 0..5 {
            coupling.step(Time::ZERO + minutes(minute), vec![], None).await.expect("a step");
            assert_eq!(coupling.read(&[waiting]).expect("readable").values[0].2.as_i64(), Some(0));
        }
    });
}

#[test]
fn a_port_that_is_read_without_being_connected_is_fresh_in_ahead() {
    let mut coupling = coupling::<Chatty>("Chatty", Mode::Ahead);
    run(async {
        coupling.create("Chatty", 1, &Args::default()).expect("created");
        let waiting = coupling.locate("Chatty_0", "waiting").expect("a port");
        coupling.connect(&[]);
        for minute in 0..3 {
            let time = Time::ZERO + minutes(minute);
            coupling.step(time, vec![], Some(time + secs(60))).await.expect("a step");
            let read = coupling.read(&[waiting]).expect("readable").values[0].2.as_i64();
            // nobody reads the words, so none are waiting at the step, whatever ran since
            assert_eq!(read, Some(0), "at {time}");
        }
    });
}

#[derive(Default)]
struct Gauge {
    n: u64,
}

#[agent]
impl Gauge {
    #[constructor]
    fn new() -> Self {
        Gauge::default()
    }

    #[every(seconds = 1)]
    fn count(&mut self) {
        self.n += 1;
    }

    #[output]
    fn tens(&self) -> u64 {
        self.n / 10
    }

    #[output]
    fn hundreds(&self) -> u64 {
        self.n / 100
    }
}

#[derive(Default)]
struct Lamp {
    lit: bool,
}

#[agent]
impl Lamp {
    #[constructor]
    fn new() -> Self {
        Lamp::default()
    }

    #[every(seconds = 7)]
    fn blink(&mut self) {
        self.lit = !self.lit;
    }

    #[output]
    fn lit(&self) -> bool {
        self.lit
    }
}

#[derive(Default)]
struct Quiet {
    seconds: u64,
}

#[agent]
impl Quiet {
    #[constructor]
    fn new(seconds: u64) -> Self {
        Quiet { seconds }
    }

    fn period(&self) -> std::time::Duration {
        secs(self.seconds)
    }

    #[every(period)]
    fn tick(&mut self) {}

    #[output]
    fn nothing(&self) -> u64 {
        0
    }
}

/// Agents of four types, which run ahead.
fn ahead() -> Coupling {
    let models = [
        ("Quiet".to_string(), Vtable::of::<Quiet>()),
        ("Gauge".to_string(), Vtable::of::<Gauge>()),
        ("Lamp".to_string(), Vtable::of::<Lamp>()),
        ("Chatty".to_string(), Vtable::of::<Chatty>()),
    ];
    let container = Container::new(Config::new("test")).expect("a container");
    Coupling::new(container, models.into(), Mode::Ahead, Interrupt::default())
}

/// A step at so many seconds; in how many they want the next.
async fn step(coupling: &mut Coupling, at: u64) -> u64 {
    let next = coupling.step(Time::ZERO + secs(at), vec![], Some(Time::ZERO + secs(3600))).await;
    next.expect("a step").expect("they tick").as_nanos() as u64 / 1_000_000_000
}

/// Broken once: what was connected at first is looked at for ever; only the first type of an instant is looked at.
#[test]
fn ahead_ends_where_a_connected_output_of_any_type_is_new() {
    let mut coupling = ahead();
    run(async {
        for model in ["Gauge", "Lamp"] {
            coupling.create(model, 1, &Args::default()).expect("created");
        }
        let port = |coupling: &Coupling, eid, port| coupling.locate(eid, port).expect("a port");
        let hundreds = port(&coupling, "Gauge_0", "hundreds");
        let tens = port(&coupling, "Gauge_0", "tens");
        let lit = port(&coupling, "Lamp_0", "lit");
        coupling.connect(&[hundreds]);
        assert_eq!(step(&mut coupling, 0).await, 100);
        coupling.connect(&[tens]);
        assert_eq!(step(&mut coupling, 100).await, 110);
        coupling.connect(&[hundreds, lit]);
        assert_eq!(step(&mut coupling, 110).await, 112);
    });
}

/// Broken once: agents whose first one has run count as all that have; so do those that were not created in a row.
#[test]
fn ahead_looks_at_whoever_has_run_beside_some_of_a_type() {
    for order in [["Quiet", "Quiet", "Lamp"], ["Quiet", "Lamp", "Quiet"]] {
        let mut coupling = ahead();
        run(async {
            let mut periods = [5u64, 3].into_iter();
            for model in order {
                let seconds = if model == "Quiet" { periods.next() } else { None };
                let args =
                    seconds.map_or(Args::default(), |seconds| Args::default().kwarg("seconds", seconds));
                coupling.create(model, 1, &args).expect("created");
            }
            let port = |eid, port| coupling.locate(eid, port).expect("a port");
            let ports = [port("Quiet_0", "nothing"), port("Quiet_1", "nothing"), port("Lamp_0", "lit")];
            coupling.connect(&ports);
            for at in (0..70).step_by(7) {
                assert_eq!(step(&mut coupling, at).await, at + 7, "{order:?}");
            }
        });
    }
}

/// Broken once: events are not looked for.
#[test]
fn ahead_ends_where_an_event_is_emitted() {
    let mut coupling = ahead();
    run(async {
        coupling.create("Gauge", 1, &Args::default()).expect("created");
        coupling.create("Chatty", 1, &Args::default()).expect("created");
        let words = coupling.locate("Chatty_0", "words").expect("a port");
        coupling.connect(&[words]);
        assert_eq!(step(&mut coupling, 0).await, 1);
    });
}

/// Broken once: what was collected before stays when its output is disconnected.
#[test]
fn an_event_of_an_output_that_is_no_longer_connected_holds_nobody_back() {
    let mut coupling = ahead();
    run(async {
        coupling.create("Gauge", 1, &Args::default()).expect("created");
        coupling.create("Chatty", 1, &Args::default()).expect("created");
        let tens = coupling.locate("Gauge_0", "tens").expect("a port");
        assert_eq!(step(&mut coupling, 0).await, 1, "it says something, which nobody takes");
        coupling.connect(&[tens]);
        assert_eq!(step(&mut coupling, 1).await, 10);
    });
}

/// Broken once: what had been emitted before came with the next events, and as if it had been now.
#[test]
fn only_what_is_emitted_while_an_output_is_connected_is_told() {
    let mut coupling = coupling::<Chatty>("Chatty", Mode::Exact);
    coupling.stamp_events();
    run(async {
        coupling.create("Chatty", 1, &Args::default()).expect("created");
        let words = coupling.locate("Chatty_0", "words").expect("a port");
        let waiting = coupling.locate("Chatty_0", "waiting").expect("a port");
        for (connected, until) in [(words, 2), (waiting, 5), (words, 7)] {
            coupling.connect(&[connected]);
            coupling.advance(Time::ZERO + secs(until), true).await.expect("it runs");
        }
        let told = coupling.take_events(&[words]).expect("readable");
        assert_eq!(
            told.iter().map(|event| event.time).collect::<Vec<_>>(),
            [6, 7].map(|s| Time::ZERO + secs(s))
        );
    });
}

/// Broken once: an agent that is created between two steps is not looked at.
#[test]
fn who_is_created_between_two_steps_shows_in_the_next() {
    let mut coupling = ahead();
    run(async {
        coupling.create("Gauge", 1, &Args::default()).expect("created");
        let tens = coupling.locate("Gauge_0", "tens").expect("a port");
        assert_eq!(step(&mut coupling, 0).await, 10);
        coupling.read(&[tens]).expect("readable");
        coupling.create("Lamp", 1, &Args::default()).expect("created");
        assert_eq!(step(&mut coupling, 10).await, 17);
    });
}

struct Stray;

#[agent]
impl Stray {
    #[start]
    async fn lost(this: This<Self>) {
        let _alive = this;
        std::future::pending::<()>().await;
    }

    #[every(seconds = 1)]
    fn tick(&mut self) {}
}

#[test]
fn a_task_that_waits_for_nothing_of_the_simulation_is_named() {
    let world = Container::new(Config::new("test")).expect("a container");
    world.add("stray", Stray).expect("added");
    world.run_until(Time::ZERO + secs(5)).expect("runs");
    let strays: Vec<String> = world.kernel().stray_tasks().iter().map(ToString::to_string).collect();
    assert_eq!(strays.len(), 1, "{strays:?}");
    assert!(strays[0].contains("stray") && strays[0].contains("`lost`"), "{strays:?}");
}
