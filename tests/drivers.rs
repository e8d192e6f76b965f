//! The drivers: who moves time, and what the wall's time has to do with it.
//!
//! Wall time is only bounded from below here, or by bounds that a loaded machine keeps too: what a run is late is its
//! machine's business, what it does early is ours.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use isochrone::clock::{Coupled, FreeRun, Interrupt, Paced, RunError, Wall};
use isochrone::prelude::*;
use support::{Log, block_on};

mod support;

/// Ticks, and notes the wall's time of each tick beside the simulated one.
struct Ticker {
    period: Duration,
    ticks: Vec<(Time, Instant)>,
    block: Option<(u32, Duration)>,
}

#[agent]
impl Ticker {
    fn period(&self) -> Duration {
        self.period
    }

    #[every(period)]
    fn tick(&mut self, cx: &Ctx) {
        self.ticks.push((cx.now(), Instant::now()));
        if let Some((tick, span)) = self.block
            && self.ticks.len() == tick as usize
        {
            thread::sleep(span);
        }
    }

    #[expose]
    fn count(&self) -> u64 {
        self.ticks.len() as u64
    }
}

fn ticker(period: Duration) -> Ticker {
    Ticker { period, ticks: Vec::new(), block: None }
}

fn world(change: impl FnOnce(&mut Config), agent: Ticker) -> (Container, TickerProxy) {
    let mut config = Config::new("drivers");
    change(&mut config);
    let world = Container::new(config).unwrap();
    let ticker = world.add("ticker", agent).unwrap();
    (world, ticker)
}

fn simulated(_: &mut Config) {}

fn ticks(world: &Container, ticker: TickerProxy) -> Vec<(Time, Instant)> {
    world.with(ticker.agent(), |me| me.ticks.clone()).unwrap()
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

// ---- paced

#[test]
fn a_paced_run_is_never_early() {
    for (factor, period, end) in [(1.0, 20, 100), (10.0, 200, 1_000), (0.5, 10, 50)] {
        let (world, ticker) = world(simulated, self::ticker(millis(period)));
        let started = Instant::now();
        let mut paced = Paced::new(factor, Interrupt::default());
        block_on(paced.run(world.kernel(), at(end), |_| ())).unwrap();
        let ticks = ticks(&world, ticker);
        assert_eq!(ticks.len(), 5);
        for (n, (time, wall)) in ticks.iter().enumerate() {
            assert_eq!(*time, at((n as u64 + 1) * period));
            let due = Duration::from_secs_f64((n as f64 + 1.0) * period as f64 / 1e3 / factor);
            assert!(wall.duration_since(started) >= due, "tick {n} at factor {factor}");
        }
        assert!(
            started.elapsed() >= Duration::from_secs_f64(end as f64 / 1e3 / factor),
            "it waits for its end as well"
        );
        assert_eq!(world.now(), at(end));
        assert!(started.elapsed() < secs(30));
    }
}

#[test]
fn a_strict_paced_run_that_is_late_is_an_error_that_says_how_late() {
    let (world, ticker) =
        world(simulated, Ticker { block: Some((2, millis(60))), ..self::ticker(millis(10)) });
    let mut paced = Paced::new(1.0, Interrupt::default()).strict(millis(40));
    let error = block_on(paced.run(world.kernel(), at(1_000), |_| ())).unwrap_err();
    let RunError::Lag { at: late, lag, allowed } = error else { panic!("{error}") };
    assert!(late <= at(30) && lag >= millis(40) && allowed == millis(40), "{lag:?} at {late}");
    assert!(ticks(&world, ticker).len() <= 2, "what is late does not happen");
    assert!(paced.lag().worst >= lag && paced.lag().late > 0);
}

#[test]
fn a_paced_run_that_is_not_strict_catches_up_and_tells_of_its_lag() {
    let (world, ticker) =
        world(simulated, Ticker { block: Some((2, millis(60))), ..self::ticker(millis(10)) });
    let mut paced = Paced::new(1.0, Interrupt::default());
    block_on(paced.run(world.kernel(), at(150), |_| ())).unwrap();
    let times: Vec<_> = ticks(&world, ticker).iter().map(|(time, _)| *time).collect();
    assert_eq!(times, (1..=15).map(|n| at(n * 10)).collect::<Vec<_>>(), "nothing is skipped");
    assert!(paced.lag().worst >= millis(45) && paced.lag().late >= 5, "{:?}", paced.lag());
}

// ---- the wall clock

#[test]
fn a_live_run_is_never_early_and_its_times_are_those_of_its_timers() {
    let (world, ticker) = world(Wall::configure, self::ticker(millis(15)));
    let (mut wall, _live) = Wall::new(Interrupt::default());
    let started = Instant::now();
    block_on(wall.run(world.kernel(), at(100))).unwrap();
    let ticks = ticks(&world, ticker);
    assert_eq!(
        ticks.iter().map(|(time, _)| *time).collect::<Vec<_>>(),
        (1..=6).map(|n| at(n * 15)).collect::<Vec<_>>()
    );
    for (time, wall) in ticks {
        assert!(wall.duration_since(started) >= time - Time::ZERO, "{time}");
    }
    assert_eq!(world.now(), at(100));
}

#[test]
fn an_overload_beyond_max_lag_makes_the_clock_jump_and_periodic_methods_skip_what_they_missed() {
    let (world, ticker) =
        world(Wall::configure, Ticker { block: Some((3, millis(1_200))), ..self::ticker(millis(10)) });
    let (wall, _live) = Wall::new(Interrupt::default());
    let mut wall = wall.max_lag(millis(500));
    block_on(wall.run(world.kernel(), at(1_700))).unwrap();
    assert!(wall.jumps() >= 1);
    let times: Vec<_> = ticks(&world, ticker).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times[..3], [at(10), at(20), at(30)]);
    // the one that was overdue fires once, late; the rest is skipped, and what follows is on the grid again
    assert!(times[3] >= at(1_230), "{times:?}");
    let after = &times[4..];
    assert!(!after.is_empty() && after.len() <= 47, "{times:?}");
    assert!(after.iter().all(|time| time.as_nanos() % 10_000_000 == 0), "{times:?}");
}

#[test]
fn an_overload_within_max_lag_is_caught_up_without_a_tick_lost() {
    let (world, ticker) =
        world(Wall::configure, Ticker { block: Some((3, millis(100))), ..self::ticker(millis(10)) });
    let (mut wall, _live) = Wall::new(Interrupt::default());
    block_on(wall.run(world.kernel(), at(250))).unwrap();
    assert_eq!(wall.jumps(), 0);
    let times: Vec<_> = ticks(&world, ticker).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, (1..=25).map(|n| at(n * 10)).collect::<Vec<_>>());
}

#[test]
fn live_inputs_from_other_threads_arrive_at_the_start_of_a_turn_in_their_order() {
    struct Ear {
        heard: Vec<(Time, u32)>,
    }

    #[agent]
    impl Ear {
        #[expose]
        fn hear(&mut self, cx: &Ctx, word: u32) {
            self.heard.push((cx.now(), word));
        }
    }

    let mut config = Config::new("drivers");
    Wall::configure(&mut config);
    let world = Container::new(config).unwrap();
    let ear = world.add("ear", Ear { heard: Vec::new() }).unwrap();
    let interrupt = Interrupt::default();
    let (mut wall, live) = Wall::new(interrupt.clone());
    let started = Instant::now();
    let to = ear.clone();
    let talker = thread::spawn(move || {
        for word in 0..20 {
            if word < 10 {
                thread::sleep(millis(3));
            }
            let ear = to.clone();
            assert!(live.inject(move || ear.hear(word).send()));
        }
        thread::sleep(millis(20));
        interrupt.set();
        live
    });
    // nothing is due by itself: the inputs wake the run
    block_on(wall.run(world.kernel(), Time::MAX)).unwrap();
    let live = talker.join().unwrap();
    let passed = started.elapsed();
    let heard = world.with(ear.agent(), |me| me.heard.clone()).unwrap();
    assert_eq!(heard.iter().map(|(_, word)| *word).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(heard.is_sorted_by_key(|(time, _)| *time));
    assert!(heard.iter().all(|(time, _)| *time - Time::ZERO <= passed), "{heard:?} in {passed:?}");
    drop(wall);
    assert!(!live.inject(|| ()), "the run is over");
}

#[test]
fn a_live_input_reaches_an_agent_that_waits_in_the_same_turn_as_a_timer_before_the_timer() {
    struct Both {
        log: Log,
    }

    #[agent]
    impl Both {
        #[every(millis = 30)]
        fn tick(&mut self, cx: &Ctx) {
            self.log.note(cx.now(), "timer");
        }

        #[expose]
        fn hear(&mut self, cx: &Ctx) {
            self.log.note(cx.now(), "input");
        }
    }

    let mut config = Config::new("drivers");
    Wall::configure(&mut config);
    let world = Container::new(config).unwrap();
    let log = Log::default();
    let both = world.add("both", Both { log: log.clone() }).unwrap();
    let (mut wall, live) = Wall::new(Interrupt::default());
    assert!(live.inject(move || both.hear().send()));
    block_on(wall.run(world.kernel(), at(45))).unwrap();
    assert_eq!(log.words(), ["input", "timer"]);
    assert_eq!(log.times()[1], at(30));
}

// ---- external operations

struct Caller {
    log: Log,
    late: Duration,
    latency: Duration,
}

#[agent]
impl Caller {
    #[start]
    async fn begin(this: This<Self>) {
        this.sleep(millis(10)).await;
        let (log, late, latency) = this.with(|me| (me.log.clone(), me.late, me.latency));
        let number = this
            .external("database", latency, move || async move {
                tokio::time::sleep(late).await;
                42
            })
            .await;
        log.note(this.now(), format!("got {number}"));
        this.sleep(millis(10)).await;
        log.note(this.now(), "went on");
    }

    #[every(millis = 5)]
    fn tick(&mut self) {}
}

fn caller(change: impl FnOnce(&mut Config), late: Duration, latency: Duration) -> (Container, Log) {
    let mut config = Config::new("drivers");
    change(&mut config);
    let world = Container::new(config).unwrap();
    let log = Log::default();
    world.add("caller", Caller { log: log.clone(), late, latency }).unwrap();
    (world, log)
}

#[test]
fn a_result_that_is_late_in_wall_time_resumes_at_its_exact_simulated_time() {
    for (late, latency) in
        [(millis(50), millis(1)), (millis(50), Duration::ZERO), (Duration::ZERO, millis(7))]
    {
        let expected = [(at(10) + latency, "got 42".to_string()), (at(20) + latency, "went on".to_string())];

        let (world, log) = caller(simulated, late, latency);
        let started = Instant::now();
        block_on(FreeRun::default().run(world.kernel(), at(100), |_| ())).unwrap();
        assert!(started.elapsed() >= late, "the run waits for the result");
        assert_eq!(log.entries(), expected, "free, {late:?} late");

        let (world, log) = caller(simulated, late, latency);
        block_on(Paced::new(2.0, Interrupt::default()).run(world.kernel(), at(100), |_| ())).unwrap();
        assert_eq!(log.entries(), expected, "paced, {late:?} late");

        let (world, log) = caller(simulated, late, latency);
        block_on(async {
            let mut driver = Coupled::default();
            for time in 1..=100 {
                driver.advance(world.kernel(), at(time)).await.unwrap();
            }
        });
        assert_eq!(log.entries(), expected, "coupled, {late:?} late");
    }
}

#[test]
fn on_the_wall_clock_an_external_operation_just_runs_and_the_others_go_on() {
    let (world, log) = caller(Wall::configure, millis(50), millis(1));
    let (mut wall, _live) = Wall::new(Interrupt::default());
    block_on(wall.run(world.kernel(), at(400))).unwrap();
    assert_eq!(log.words(), ["got 42", "went on"]);
    let times = log.times();
    assert!(times[0] >= at(60), "{times:?}");
    assert_eq!(times[1], times[0] + millis(10));
    assert!(world.kernel().counts().activations >= 80, "the ticker did not wait");
}

#[test]
fn results_of_one_instant_come_in_the_order_in_which_they_were_asked_for() {
    struct Many {
        log: Log,
    }

    #[agent]
    impl Many {
        #[start]
        fn begin(&mut self, cx: &Ctx) {
            for number in 0..5_u64 {
                let log = self.log.clone();
                let asked = cx.external("sleep", millis(1), move || async move {
                    tokio::time::sleep(millis(25 - 5 * number)).await;
                    number
                });
                cx.spawn(async move { log.note(Time::ZERO, asked.await.to_string()) });
            }
        }
    }

    let world = Container::new(Config::new("drivers")).unwrap();
    let log = Log::default();
    world.add("many", Many { log: log.clone() }).unwrap();
    block_on(FreeRun::default().run(world.kernel(), at(10), |_| ())).unwrap();
    assert_eq!(log.words(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn an_external_operation_that_panics_is_a_failure_of_its_agent() {
    struct Unlucky;

    #[agent]
    impl Unlucky {
        #[start]
        async fn begin(this: This<Self>) {
            let _: u32 = this.external("database", Duration::ZERO, || async { panic!("no route") }).await;
        }
    }

    let world = Container::new(Config::new("drivers")).unwrap();
    world.add("unlucky", Unlucky).unwrap();
    let error = block_on(FreeRun::default().run(world.kernel(), at(10), |_| ())).unwrap_err().to_string();
    assert!(error.contains("unlucky") && error.contains("database") && error.contains("no route"), "{error}");
}

// ---- interrupts

/// Runs until it is interrupted from another thread 30 ms after `begun` was told; how long it took from then on.
fn interrupted<T>(run: impl FnOnce(Interrupt, mpsc::Sender<()>) -> T) -> (T, Duration) {
    let interrupt = Interrupt::default();
    let (begun, wait) = mpsc::channel();
    let remote = interrupt.clone();
    let stopper = thread::spawn(move || {
        let _ = wait.recv();
        thread::sleep(millis(30));
        remote.set();
        Instant::now()
    });
    let result = run(interrupt, begun);
    let ended = Instant::now();
    (result, ended.saturating_duration_since(stopper.join().unwrap()))
}

#[test]
fn an_interrupt_ends_a_free_run_promptly_however_heavy_its_agents_are() {
    struct Heavy {
        begun: Option<mpsc::Sender<()>>,
    }

    #[agent]
    impl Heavy {
        #[every(seconds = 1)]
        fn work(&mut self) {
            if let Some(begun) = self.begun.take() {
                let _ = begun.send(());
            }
            thread::sleep(millis(5));
        }
    }

    let (result, took) = interrupted(|interrupt, begun| {
        let world = Container::new(Config::new("drivers")).unwrap();
        world.add("heavy", Heavy { begun: Some(begun) }).unwrap();
        block_on(FreeRun::new(interrupt).run(world.kernel(), Time::ZERO + hours(2), |_| ()))
    });
    assert!(matches!(result, Err(RunError::Interrupted(at)) if at > Time::ZERO), "{result:?}");
    // 64 rounds of 5 ms at most, where all of it takes 36 s
    assert!(took < secs(5), "{took:?}");
}

#[test]
fn an_interrupt_ends_a_free_run_of_light_agents_promptly() {
    let (result, took) = interrupted(|interrupt, begun| {
        let (world, _) = world(simulated, ticker(nanos(1)));
        begun.send(()).unwrap();
        block_on(FreeRun::new(interrupt).run(world.kernel(), Time::MAX, |_| ()))
    });
    assert!(matches!(result, Err(RunError::Interrupted(_))), "{result:?}");
    assert!(took < secs(5), "{took:?}");
}

#[test]
fn an_interrupt_ends_paced_and_live_runs_that_sleep() {
    let (result, took) = interrupted(|interrupt, begun| {
        let (world, _) = world(simulated, ticker(hours(1)));
        begun.send(()).unwrap();
        block_on(Paced::new(1.0, interrupt).run(world.kernel(), Time::ZERO + days(1), |_| ()))
    });
    assert!(matches!(result, Err(RunError::Interrupted(_))), "{result:?}");
    assert!(took < secs(5), "{took:?}");

    let (result, took) = interrupted(|interrupt, begun| {
        let (world, _) = world(Wall::configure, ticker(hours(1)));
        begun.send(()).unwrap();
        block_on(Wall::new(interrupt).0.run(world.kernel(), Time::MAX))
    });
    result.unwrap();
    assert!(took < secs(5), "{took:?}");
}

#[test]
fn an_interrupt_ends_a_run_that_waits_for_an_external_operation() {
    let (result, took) = interrupted(|interrupt, begun| {
        let (world, _) = caller(simulated, hours(1), millis(1));
        begun.send(()).unwrap();
        block_on(FreeRun::new(interrupt).run(world.kernel(), at(100), |_| ()))
    });
    assert!(
        matches!(result, Err(RunError::Interrupted(time)) if time == at(11) || time == at(10)),
        "{result:?}"
    );
    assert!(took < secs(5), "{took:?}");
}

#[test]
fn whatever_else_is_on_the_thread_runs_beside_a_busy_kernel() {
    let (world, _) = world(simulated, ticker(micros(1)));
    let turns = block_on(async {
        let counter = std::rc::Rc::new(std::cell::Cell::new(0_u32));
        let count = counter.clone();
        let other = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(millis(1)).await;
                count.set(count.get() + 1);
            }
        });
        FreeRun::default().run(world.kernel(), at(200), |_| ()).await.unwrap();
        other.abort();
        counter.get()
    });
    assert!(turns >= 3, "200,000 ticks gave way {turns} times");
}
