//! Law 7: replay reproduces the trace or names the first difference: agent, time, event, expected and actual.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use isochrone::clock::{Coupled, FreeRun, Input, Interrupt, Notice, Reply, Request, Route, RunError, Wall};
use isochrone::codec::Value;
use isochrone::journal::{Header, Level, Options, Record, Writer};
use isochrone::prelude::*;
use isochrone::replay::{Difference, Memory, Source, Stops, Tape, Verdict};
use support::block_on;

mod support;

/// What the program is made of; the run is a function of it.
#[derive(Clone, Default)]
struct Plan {
    /// bids are this much too high
    margin: f64,
    /// from this bid on
    from: u64,
    /// draws once more than it uses
    draws: bool,
    /// how often the outside was really asked
    asked: Rc<Cell<u32>>,
}

/// Asks the outside for a price now and then, and the market for a place.
struct House {
    plan: Plan,
    market: MarketProxy,
    bids: u64,
}

#[agent]
impl House {
    #[every(seconds = 10)]
    async fn bid(this: This<Self>) {
        let (plan, market) = this.with(|me| {
            me.bids += 1;
            (me.plan.clone(), me.market.clone())
        });
        let asked = plan.asked.clone();
        let price: f64 = this
            .external("price", millis(5), move || async move {
                asked.set(asked.get() + 1);
                0.25 * f64::from(asked.get())
            })
            .await;
        if plan.draws {
            this.random("noise").next_u64();
        }
        let noise = this.random("noise").uniform();
        let number = this.with(|me| me.bids);
        let margin = if number >= plan.from { plan.margin } else { 0.0 };
        let _ = market.offer(Offer { price: price + noise + margin, number }).await;
    }

    #[expose]
    fn set(&mut self, kw: f64) -> f64 {
        kw * 2.0
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Offer {
    price: f64,
    number: u64,
}

struct Market;

#[agent]
impl Market {
    #[expose]
    fn offer(&mut self, offer: Offer) -> bool {
        offer.price > 1.0
    }
}

fn build(config: Config, plan: &Plan, tape: &Tape) -> Container {
    let world = Container::new(config).unwrap();
    tape.attach(world.kernel());
    let market = world.add("market", Market).unwrap();
    for n in 0..3 {
        let plan = Plan { margin: if n == 1 { plan.margin } else { 0.0 }, ..plan.clone() };
        world.add(&format!("house_{n}"), House { plan, market: market.clone(), bids: 0 }).unwrap();
    }
    world
}

fn end() -> Time {
    Time::ZERO + secs(65)
}

fn recorder(level: Level, clock: &str, memory: &Memory) -> Tape {
    let mut header = Header::new("street", 7);
    header.level = level;
    header.clock = clock.into();
    Tape::record(Writer::to_stream(memory.clone(), header, Options::default()).unwrap())
}

fn config() -> Config {
    let mut config = Config::new("street");
    config.seed = 7;
    config
}

fn simulate(plan: &Plan, tape: &Tape) -> (u64, Result<(), RunError>) {
    let world = build(config(), plan, tape);
    let mut driver = FreeRun::new(Interrupt::default()).tape(tape.clone());
    let result = block_on(driver.run(world.kernel(), end(), |_| ())).map(drop);
    tape.finish(world.kernel(), "the end").unwrap();
    (world.kernel().fingerprint(), result)
}

/// A simulated run and its recording.
fn recorded(level: Level) -> (Source, u64, u32) {
    let memory = Memory::default();
    let plan = Plan::default();
    let tape = recorder(level, "free", &memory);
    let (fingerprint, result) = simulate(&plan, &tape);
    result.unwrap();
    drop(tape);
    memory.seal();
    (Source::Memory(memory), fingerprint, plan.asked.get())
}

fn replayed(source: &Source, plan: &Plan) -> (u64, Option<Verdict>) {
    let tape = Tape::play(source.clone(), Stops::default(), false).unwrap();
    let (fingerprint, result) = simulate(plan, &tape);
    let verdict = tape.verdict();
    assert!(result.is_ok() || verdict.is_some(), "{result:?}");
    (fingerprint, verdict)
}

fn difference(verdict: Option<Verdict>) -> Difference {
    match verdict {
        Some(Verdict::Differs(difference)) => *difference,
        other => panic!("{other:?}"),
    }
}

/// Broken once: `Inner::start` runs operations in a replay too; then `asked` was not zero.
#[test]
fn a_replay_is_the_same_run_and_asks_nobody() {
    for level in [Level::Inputs, Level::Events, Level::Full] {
        let (source, fingerprint, asked) = recorded(level);
        assert_eq!(asked, 18);
        let plan = Plan::default();
        let (again, verdict) = replayed(&source, &plan);
        assert!(verdict.is_none(), "{level}: {verdict:?}");
        assert_eq!((again, plan.asked.get()), (fingerprint, 0), "{level}");
    }
}

/// Broken once: `is_same` looked at hashes alone and not at the agents; then the first difference was named one event
/// late where two houses said the same.
#[test]
fn the_first_difference_names_agent_time_event_and_values() {
    let (source, ..) = recorded(Level::Full);
    let plan = Plan { margin: 0.5, from: 3, ..Plan::default() };
    let found = difference(replayed(&source, &plan).1);
    assert_eq!(found.agent.as_deref(), Some("house_1"));
    assert_eq!(found.time, Time::ZERO + secs(30) + millis(5));
    let expected = found.expected.as_ref().unwrap();
    assert_eq!(expected.event, found.event);
    assert!(matches!(&expected.record, Record::Sent { label, .. } if label == "offer"), "{expected:?}");
    let (path, before, now) = found.part.as_ref().expect("both values are there");
    let (before, now): (f64, f64) = (before.parse().unwrap(), now.parse().unwrap());
    assert_eq!((path.as_str(), now), ("args[0].price", before + 0.5));
    let text = found.to_string();
    assert!(
        text.contains("because") && text.contains("house_1 gets the result of its operation price #"),
        "{text}"
    );
}

#[test]
fn at_level_events_the_difference_is_as_early_and_the_rerun_brings_its_value() {
    let (source, ..) = recorded(Level::Events);
    let plan = Plan { margin: 0.5, from: 3, ..Plan::default() };
    let tape = Tape::play(source, Stops::default(), false).unwrap().with_values();
    simulate(&plan, &tape).1.unwrap_err();
    let found = difference(tape.verdict());
    assert_eq!((found.agent.as_deref(), found.time), (Some("house_1"), Time::ZERO + secs(30) + millis(5)));
    let Some(Record::Sent { values: Some(values), .. }) = &found.actual else { panic!("{found}") };
    assert!(values.to_string().contains("price"), "{values}");
}

#[test]
fn at_level_inputs_another_end_is_noticed() {
    let (source, ..) = recorded(Level::Inputs);
    let plan = Plan { margin: 0.5, from: 3, ..Plan::default() };
    let found = difference(replayed(&source, &plan).1);
    assert!(matches!(found.expected.unwrap().record, Record::Checkpoint { .. } | Record::End { .. }));
}

#[test]
fn an_extra_random_draw_is_called_one() {
    let (source, ..) = recorded(Level::Full);
    let found = difference(replayed(&source, &Plan { draws: true, ..Plan::default() }).1);
    assert_eq!(found.likely, Some("an extra random draw"), "{found}");
    assert_eq!(found.agent.as_deref(), Some("house_0"));
}

/// Broken once: `Writer::checkpoint_due` never said so; then there was none before the end.
#[test]
fn the_state_of_all_agents_is_recorded_every_4096_events() {
    let memory = Memory::default();
    let tape = recorder(Level::Events, "free", &memory);
    let world = build(config(), &Plan::default(), &tape);
    let mut driver = FreeRun::new(Interrupt::default()).tape(tape.clone());
    block_on(driver.run(world.kernel(), Time::ZERO + hours(2), |_| ())).unwrap();
    drop((driver, world, tape));
    memory.seal();
    let (mut last, mut events, mut checkpoints) = (0, 0, 0);
    for entry in Source::Memory(memory).open().unwrap().map(Result::unwrap) {
        events = entry.event;
        if let Record::Checkpoint { .. } = entry.record {
            (last, checkpoints) = (entry.event, checkpoints + 1);
        }
        assert!(events - last <= 4_096, "none from {last} to {events}");
    }
    assert!(events > 2 * 4_096 && checkpoints >= events / 4_097, "{checkpoints} in {events}");
}

#[test]
fn a_replay_stops_where_it_is_told_to() {
    let (source, ..) = recorded(Level::Events);
    let stops = Stops { event: Some(40), until: None };
    let tape = Tape::play(source, stops, false).unwrap();
    simulate(&Plan::default(), &tape).1.unwrap_err();
    assert!(matches!(tape.verdict(), Some(Verdict::Stopped { event: 40, .. })));
}

#[test]
fn a_recording_that_was_cut_off_is_replayed_as_far_as_it_goes() {
    let memory = Memory::default();
    let tape = recorder(Level::Events, "free", &memory);
    let world = build(config(), &Plan::default(), &tape);
    let mut driver = FreeRun::new(Interrupt::default()).tape(tape.clone());
    block_on(driver.run(world.kernel(), Time::ZERO + secs(25), |_| ())).unwrap();
    // no end is written: the process was killed
    drop((driver, world, tape));
    memory.seal();
    let verdict = replayed(&Source::Memory(memory), &Plan::default()).1;
    let Some(Verdict::Recorded(at)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(at, Time::ZERO + secs(20) + millis(5));
}

// ---- live

fn live(plan: &Plan, tape: &Tape, outside: impl FnOnce(isochrone::clock::Live) + Send + 'static) -> u64 {
    let mut config = config();
    config.realtime = true;
    let world = build(config, plan, tape);
    let (wall, live) = Wall::new(Interrupt::default());
    let mut wall = wall.tape(tape.clone());
    let outside = thread::spawn(move || outside(live));
    block_on(wall.run(world.kernel(), Time::ZERO + millis(300))).unwrap();
    outside.join().unwrap();
    tape.finish(world.kernel(), "the end").unwrap();
    world.kernel().fingerprint()
}

fn call(live: &isochrone::clock::Live, agent: &str, kw: f64) -> std::sync::mpsc::Receiver<bool> {
    let (sender, answered) = std::sync::mpsc::channel();
    let reply = Reply::new(Route::new("peer", agent), move |answer| {
        let _ = sender.send(answer.is_ok());
    });
    let args = Args::default().arg(kw);
    live.send(Input::Call(Request { method: "set".into(), args, reply }));
    answered
}

/// Broken once: `Tape::came` ignored the time of an entry, so that inputs of a later turn came too early.
#[test]
fn a_live_run_under_calls_from_outside_is_replayed_exactly() {
    let memory = Memory::default();
    let tape = recorder(Level::Events, "wall", &memory);
    let fingerprint = live(&Plan::default(), &tape, |live| {
        for n in 0..200 {
            let _ = call(&live, &format!("house_{}", n % 4), f64::from(n));
            if n % 10 == 0 {
                let notice = Notice { from: "peer".into(), what: "closed".into(), detail: Value::Null };
                live.send(Input::Notice(notice));
                thread::sleep(millis(5));
            }
        }
    });
    drop(tape);
    memory.seal();
    let source = Source::Memory(memory);
    for _ in 0..3 {
        let tape = Tape::play(source.clone(), Stops::default(), false).unwrap();
        assert_eq!(live(&Plan::default(), &tape, |_| ()), fingerprint);
        let verdict = tape.verdict();
        assert!(verdict.is_none(), "{verdict:?}");
        assert!(tape.same() > 400, "{} outputs", tape.same());
    }
}

#[test]
fn code_that_enters_a_live_run_makes_its_recording_say_so() {
    let memory = Memory::default();
    let tape = recorder(Level::Events, "wall", &memory);
    live(&Plan::default(), &tape, |live| {
        thread::sleep(millis(20));
        assert!(live.inject(|| ()));
    });
    drop(tape);
    memory.seal();
    let tape = Tape::play(Source::Memory(memory), Stops::default(), false).unwrap();
    let mut config = config();
    config.realtime = true;
    let world = build(config, &Plan::default(), &tape);
    let mut wall = Wall::new(Interrupt::default()).0.tape(tape.clone());
    block_on(wall.run(world.kernel(), Time::ZERO + millis(300))).unwrap_err();
    assert!(matches!(tape.verdict(), Some(Verdict::Broken { .. })));
}

/// An agent that waits for something foreign without `external`.
struct Stray(Option<tokio::sync::oneshot::Receiver<u64>>);

#[agent]
impl Stray {
    #[start]
    async fn listen(this: This<Self>) {
        let waiting = this.with(|me| me.0.take());
        let _ = waiting.expect("once").await;
    }
}

#[test]
fn an_agent_that_awaits_something_foreign_is_named_as_what_breaks_the_replay() {
    let memory = Memory::default();
    let tape = recorder(Level::Events, "wall", &memory);
    let mut config = config();
    config.realtime = true;
    let world = Container::new(config).unwrap();
    tape.attach(world.kernel());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    world.add("stray", Stray(Some(receiver))).unwrap();
    let mut wall = Wall::new(Interrupt::default()).0.tape(tape.clone());
    let outside = thread::spawn(move || {
        thread::sleep(millis(30));
        sender.send(1)
    });
    block_on(wall.run(world.kernel(), Time::ZERO + millis(100))).unwrap();
    outside.join().unwrap().unwrap();
    tape.finish(world.kernel(), "the end").unwrap();
    drop(tape);
    memory.seal();
    let mut entries = Source::Memory(memory).open().unwrap().map(Result::unwrap);
    let note = entries.find(|entry| matches!(entry.record, Record::Note { breaks_replay: true, .. }));
    let Record::Note { agent, text, .. } = note.expect("a note").record else { unreachable!() };
    assert_eq!(agent.expect("a name").as_str(), "stray");
    assert!(text.contains("`listen`"), "{text}");
}

// ---- coupled

#[test]
fn calls_between_and_during_steps_are_replayed_where_they_came() {
    let run = |tape: &Tape, outside: bool| {
        let world = build(config(), &Plan::default(), tape);
        let mut coupled = Coupled::new(Interrupt::default());
        coupled.set_tape(tape.clone());
        let live = coupled.live();
        for step in 1..6u64 {
            if outside {
                let _ = call(&live, "house_1", step as f64);
                let _ = call(&live, "house_2", step as f64);
            }
            block_on(coupled.advance(world.kernel(), Time::ZERO + secs(7 * step))).unwrap();
            tape.checkpoint(world.kernel());
        }
        tape.finish(world.kernel(), "the end").unwrap();
        world.kernel().fingerprint()
    };
    for level in [Level::Inputs, Level::Events] {
        let memory = Memory::default();
        let tape = recorder(level, "coupled", &memory);
        let fingerprint = run(&tape, true);
        drop(tape);
        memory.seal();
        let tape = Tape::play(Source::Memory(memory), Stops::default(), false).unwrap();
        assert_eq!(run(&tape, false), fingerprint);
        let verdict = tape.verdict();
        assert!(verdict.is_none(), "{verdict:?}");
    }
}
