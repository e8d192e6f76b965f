//! Law 3: time moves only at quiescence. Every event happens at its own exact time, however far time is asked to go.

use std::collections::BTreeMap;

use isochrone::agent::Vtable;
use isochrone::clock::{Coupled, Interrupt};
use isochrone::codec::Value;
use isochrone::coupling::{Coupling, Mode, PortInput};
use isochrone::prelude::*;
use support::block_on;

mod support;

fn at(nanos: i64) -> Time {
    Time::from_nanos(nanos)
}

fn seconds(all: impl IntoIterator<Item = u64>) -> Vec<Time> {
    all.into_iter().map(|n| Time::ZERO + secs(n)).collect()
}

/// Ticks, and notes when.
struct Ticker {
    period: Duration,
    ticks: Vec<Time>,
}

impl Ticker {
    fn every(period: Duration) -> Self {
        Ticker { period, ticks: Vec::new() }
    }
}

#[agent]
impl Ticker {
    fn period(&self) -> Duration {
        self.period
    }

    #[every(period)]
    fn tick(&mut self, cx: &Ctx) {
        self.ticks.push(cx.now());
    }

    #[output]
    fn count(&self) -> u64 {
        self.ticks.len() as u64
    }
}

fn ticker(period: Duration) -> (Container, TickerProxy) {
    let world = Container::new(Config::new("time")).unwrap();
    let ticker = world.add("ticker", Ticker::every(period)).unwrap();
    (world, ticker)
}

fn ticks(world: &Container, ticker: &TickerProxy) -> Vec<Time> {
    world.with(ticker.agent(), |me| me.ticks.clone()).unwrap()
}

// Broken once: `Drive::advance` put the clock to the end of the step before it ran the kernel. Seen: the first step was
// active at [10 s, 10 s] instead of at 1 s, 2 s, .. 10 s; four other tests of this file failed as well.
#[test]
fn a_periodic_task_of_one_second_is_active_at_every_second_of_a_step_of_ten() {
    let (world, ticker) = ticker(secs(1));
    let mut coupling = Coupling::new(world, BTreeMap::new(), Mode::Exact, Interrupt::default());
    block_on(async {
        assert_eq!(coupling.step(at(0), Vec::new(), None).await.unwrap(), Some(Time::ZERO + secs(1)));
        for step in 1..=3 {
            let next = coupling.step(Time::ZERO + secs(10 * step), Vec::new(), None).await.unwrap();
            assert_eq!(next, Some(Time::ZERO + secs(10 * step + 1)), "the step tells of the next event");
            assert_eq!(ticks(coupling.container(), &ticker), seconds(1..=10 * step));
        }
    });
}

#[test]
fn a_periodic_task_of_one_second_is_active_900_times_in_a_step_of_900_seconds() {
    let (world, ticker) = ticker(secs(1));
    block_on(Coupled::default().advance(world.kernel(), Time::ZERO + secs(900))).unwrap();
    assert_eq!(ticks(&world, &ticker), seconds(1..=900));
}

#[test]
fn fifty_agents_of_different_periods_are_active_as_often_as_arithmetic_says() {
    let world = Container::new(Config::new("time")).unwrap();
    let all: Vec<_> = (0..50).map(|i| world.add_unnamed(Ticker::every(millis(10 + i))).unwrap()).collect();
    world.run_until(Time::ZERO + secs(10)).unwrap();
    let mut sum = 0;
    for (i, ticker) in (0..50).zip(&all) {
        let found = ticks(&world, ticker);
        let expected: Vec<_> = (1..=10_000 / (10 + i)).map(|k| Time::ZERO + millis(k * (10 + i))).collect();
        assert_eq!(found, expected, "period of {} ms", 10 + i);
        sum += found.len() as u64;
    }
    assert_eq!(sum, (0..50).map(|i| 10_000 / (10 + i)).sum::<u64>());
    assert_eq!(world.kernel().counts().activations, sum);
}

#[test]
fn a_tenth_of_a_second_does_not_drift() {
    let (world, ticker) = ticker(millis(100));
    world.run_until(Time::ZERO + secs(1)).unwrap();
    let expected: Vec<_> = (1..=10).map(|k| at(k * 100_000_000)).collect();
    assert_eq!(ticks(&world, &ticker), expected, "ten activations, the last at exactly one second");
}

#[test]
fn run_until_leaves_the_clock_where_it_was_told_to_go() {
    let (world, ticker) = ticker(secs(3));
    let next = world.run_until(Time::ZERO + secs(10)).unwrap();
    assert_eq!((world.now(), next), (Time::ZERO + secs(10), Some(Time::ZERO + secs(12))));
    assert_eq!(ticks(&world, &ticker), seconds([3, 6, 9]));
}

#[test]
fn a_second_run_until_the_same_time_fires_no_timer_twice_and_goes_on_with_the_rounds() {
    let (world, ticker) = ticker(secs(1));
    world.run_until(Time::ZERO + secs(2)).unwrap();
    let round = world.kernel().round();
    assert!(round > 0);
    for _ in 0..3 {
        assert_eq!(world.run_until(Time::ZERO + secs(2)).unwrap(), Some(Time::ZERO + secs(3)));
    }
    assert_eq!((ticks(&world, &ticker), world.kernel().round()), (seconds([1, 2]), round));
    world.call("ticker", "missing", Args::default()).unwrap_err();
    assert_eq!(ticks(&world, &ticker), seconds([1, 2]));
    assert!(world.run_until(Time::ZERO + secs(1)).unwrap_err().to_string().contains("cannot go back"));
}

#[test]
fn an_overrun_skips_ticks_and_runs_never_overlap() {
    struct Slow {
        runs: Vec<(Time, Time)>,
    }

    #[agent]
    impl Slow {
        #[every(seconds = 1)]
        async fn run(this: This<Self>) {
            let begin = this.now();
            this.sleep(millis(if begin == Time::ZERO + secs(2) { 2_500 } else { 400 })).await;
            this.with(|me| me.runs.push((begin, this.now())));
        }
    }

    let world = Container::new(Config::new("time")).unwrap();
    let slow = world.add("slow", Slow { runs: Vec::new() }).unwrap();
    world.run_until(Time::ZERO + secs(7)).unwrap();
    let runs = world.with(slow.agent(), |me| me.runs.clone()).unwrap();
    let begins: Vec<_> = runs.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(begins, seconds([1, 2, 5, 6]), "what began at 2 ended at 4.5: 3 and 4 are skipped");
    assert!(runs.windows(2).all(|pair| pair[0].1 <= pair[1].0));
}

#[test]
fn a_run_may_begin_before_zero() {
    let mut config = Config::new("time");
    config.start = Time::from_nanos(-1_000_000_000);
    let world = Container::new(config).unwrap();
    let ticker = world.add("ticker", Ticker::every(millis(500))).unwrap();
    world.run_until(Time::ZERO + millis(500)).unwrap();
    assert_eq!(ticks(&world, &ticker), [-500_000_000, 0, 500_000_000].map(Time::from_nanos));
}

// ---- an answer that ripens 0.3 s after a step

/// Decides 0.3 s after it is asked.
#[derive(Default)]
struct Decider {
    asked: f64,
    decided: f64,
    decisions: Vec<f64>,
}

#[agent]
impl Decider {
    #[constructor]
    fn new() -> Self {
        Decider::default()
    }

    #[input(trigger)]
    async fn ask(this: This<Self>, values: Inputs<f64>) {
        this.with(|me| me.asked = values.sum());
        this.sleep(millis(300)).await;
        this.with(|me| {
            me.decided = me.asked;
            me.decisions.push(me.decided);
        });
    }

    #[output]
    fn decided(&self) -> f64 {
        self.decided
    }

    #[output(event)]
    fn decision(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.decisions)
    }
}

fn decider(mode: Mode) -> Coupling {
    let world = Container::new(Config::new("time")).unwrap();
    let models = [("Decider".to_string(), Vtable::of::<Decider>())].into();
    let mut coupling = Coupling::new(world, models, mode, Interrupt::default());
    coupling.create("Decider", 1, &Args::default()).unwrap();
    coupling
}

fn question(value: f64) -> Vec<PortInput> {
    let values = vec![("grid".to_string(), Value::from(value))];
    vec![PortInput { eid: "Decider_0".into(), port: "ask".into(), values }]
}

async fn read(coupling: &mut Coupling, port: &str) -> Option<Value> {
    let port = coupling.locate("Decider_0", port).unwrap();
    coupling.read(&[port]).unwrap().values.pop().map(|(_, _, value)| value)
}

/// What a partner that steps every 900 s reads after each of its steps, the step's number being the question.
fn time_stepped(mode: Mode) -> Vec<f64> {
    let mut coupling = decider(mode);
    block_on(async {
        let mut seen = Vec::new();
        for k in 0..5_u64 {
            let now = Time::ZERO + secs(900 * k);
            coupling.step(now, question(k as f64 + 1.0), Some(now + secs(900))).await.unwrap();
            seen.push(read(&mut coupling, "decided").await.and_then(|value| value.as_f64()).unwrap());
        }
        seen
    })
}

#[test]
fn a_decision_that_ripens_after_a_step_comes_an_interval_late_in_exact_and_in_time_in_window() {
    assert_eq!(time_stepped(Mode::Exact), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(time_stepped(Mode::Window(secs(900))), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(time_stepped(Mode::Window(millis(301))), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(
        time_stepped(Mode::Window(millis(300))),
        [0.0, 1.0, 2.0, 3.0, 4.0],
        "a window ends before its end"
    );
    assert_eq!(time_stepped(Mode::Ahead), [0.0, 1.0, 2.0, 3.0, 4.0], "outputs are those of the step's time");
}

#[test]
fn an_event_based_partner_sees_the_decision_at_the_next_tick() {
    for mode in [Mode::Exact, Mode::Ahead] {
        let mut coupling = decider(mode);
        block_on(async {
            let mut seen = Vec::new();
            for k in 0..3_u64 {
                let now = Time::ZERO + secs(900 * k);
                let next = coupling.step(now, question(k as f64), None).await.unwrap().unwrap();
                assert_eq!(next, now + millis(300), "{mode:?}");
                assert_eq!(read(&mut coupling, "decision").await, None);
                // mosaik's tick is a second here: a step cannot be sooner than at 900 k + 1
                let tick = now + secs(1);
                coupling.step(tick, Vec::new(), None).await.unwrap();
                if let Some(Value::List(events)) = read(&mut coupling, "decision").await {
                    seen.extend(events.iter().filter_map(Value::as_f64).map(|value| (tick, value)));
                }
            }
            let expected: Vec<_> = (0..3_u64).map(|k| (Time::ZERO + secs(900 * k + 1), k as f64)).collect();
            assert_eq!(seen, expected, "{mode:?}");
        });
    }
}

#[test]
fn a_timer_of_one_second_makes_three_steps_in_ahead_and_2700_in_exact() {
    for (mode, expected) in [(Mode::Exact, 2_701), (Mode::Ahead, 4)] {
        let (world, _) = ticker(secs(1));
        let mut coupling = Coupling::new(world, BTreeMap::new(), mode, Interrupt::default());
        let end = Time::ZERO + secs(2_700);
        let steps = block_on(async {
            let (mut now, mut steps) = (Time::ZERO, 0);
            loop {
                // the grid steps every 900 s; nothing can come from it before
                let grid = now.as_nanos() / 900_000_000_000 * 900 + 900;
                let limit = Time::ZERO + secs(grid.unsigned_abs());
                let next = coupling.step(now, Vec::new(), Some(limit)).await.unwrap();
                steps += 1;
                if now >= end {
                    return steps;
                }
                now = next.map_or(limit, |next| next.min(limit));
            }
        });
        assert_eq!(steps, expected, "{mode:?}, the step at the end included");
    }
}

#[test]
fn a_step_before_the_agents_time_is_an_error_that_names_the_window() {
    let mut coupling = decider(Mode::Window(secs(60)));
    block_on(async {
        coupling.step(Time::ZERO, question(1.0), None).await.unwrap();
        let error = coupling.step(Time::ZERO + millis(100), Vec::new(), None).await.unwrap_err().to_string();
        let expected = "a step at 100ms is not possible: the agents have run on to 300ms in the mode window=1min, \
                        which the step at 0s allowed up to 1min";
        assert_eq!(error, expected);
        // nothing has happened: the run can go on
        coupling.step(Time::ZERO + secs(60), Vec::new(), None).await.unwrap();
        assert_eq!(read(&mut coupling, "decided").await.and_then(|value| value.as_f64()), Some(1.0));
    });
}

#[test]
fn a_step_waits_for_an_external_operation_that_resumes_in_it_and_for_no_other() {
    struct Caller {
        heard: Vec<(Time, u32)>,
    }

    #[agent]
    impl Caller {
        #[start]
        async fn begin(this: This<Self>) {
            let number = this
                .external("solver", secs(5), || async {
                    tokio::time::sleep(millis(60)).await;
                    42
                })
                .await;
            this.with(|me| me.heard.push((this.now(), number)));
        }
    }

    let world = Container::new(Config::new("time")).unwrap();
    let caller = world.add("caller", Caller { heard: Vec::new() }).unwrap();
    block_on(async {
        let mut driver = Coupled::default();
        let started = std::time::Instant::now();
        for second in 1..5 {
            let next = driver.advance(world.kernel(), Time::ZERO + secs(second)).await.unwrap();
            assert_eq!(next, Some(Time::ZERO + secs(5)), "the time of resuming is known before the result");
        }
        driver.advance(world.kernel(), Time::ZERO + secs(10)).await.unwrap();
        assert!(started.elapsed() >= millis(60), "the step to 10 s had to wait");
        assert_eq!(world.now(), Time::ZERO + secs(10));
        let heard = world.with(caller.agent(), |me| me.heard.clone()).unwrap();
        assert_eq!(heard, [(Time::ZERO + secs(5), 42)], "at its exact time, not at the end of the step");
    });
}

#[test]
fn an_output_on_change_is_read_when_it_differs_and_only_then_in_every_mode() {
    /// Goes up by one every 3 s, of the ticks of each second.
    #[derive(Default)]
    struct Stairs {
        ticks: u32,
    }

    #[agent]
    impl Stairs {
        #[constructor]
        fn new() -> Self {
            Stairs::default()
        }

        #[every(seconds = 1)]
        fn tick(&mut self) {
            self.ticks += 1;
        }

        #[output(on_change)]
        fn level(&self) -> f64 {
            f64::from(self.ticks / 3)
        }
    }

    // a partner of its own steps every second, every half a second, or never
    for (mode, partner, expected_steps) in [
        (Mode::Exact, None, 61),
        (Mode::Exact, Some(millis(500)), 121),
        (Mode::Ahead, None, 21),
        (Mode::Ahead, Some(secs(1)), 61),
        (Mode::Ahead, Some(millis(500)), 121),
    ] {
        let world = Container::new(Config::new("time")).unwrap();
        let models = [("Stairs".to_string(), Vtable::of::<Stairs>())].into();
        let mut coupling = Coupling::new(world, models, mode, Interrupt::default());
        coupling.create("Stairs", 1, &Args::default()).unwrap();
        let level = coupling.locate("Stairs_0", "level").unwrap();
        coupling.connect(&[level]);
        let (seen, steps) = block_on(async {
            let (mut seen, mut now, mut steps) = (Vec::new(), Time::ZERO, 0);
            while now <= Time::ZERO + secs(60) {
                let limit = partner.map(|span| now + span);
                let next = coupling.step(now, Vec::new(), limit).await.unwrap().unwrap();
                steps += 1;
                for _ in 0..2 {
                    let values = coupling.read(&[level]).unwrap().values;
                    seen.extend(values.into_iter().map(|(_, _, value)| (now, value.as_f64().unwrap())));
                }
                now = limit.map_or(next, |limit| next.min(limit));
            }
            (seen, steps)
        });
        let expected: Vec<_> = (0..=20).map(|n| (Time::ZERO + secs(3 * n), n as f64)).collect();
        assert_eq!((seen, steps), (expected, expected_steps), "{mode:?}, {partner:?}");
    }
}
