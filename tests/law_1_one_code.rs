//! Law 1: one code, every clock. Agents never ask which clock drives them, and what they see does not tell.

use std::time::Instant;

use isochrone::clock::{Coupled, FreeRun, Interrupt, Paced, Wall};
use isochrone::coupling::{Coupling, Mode};
use isochrone::prelude::*;
use support::{Log, block_on};

mod support;

/// Answers after a while, differently long.
struct Worker {
    log: Log,
    jobs: u64,
}

#[agent]
impl Worker {
    #[expose]
    async fn work(this: This<Self>, job: u64) -> u64 {
        this.with(|me| me.jobs += 1);
        this.sleep(millis(10 + 7 * (job % 5))).await;
        this.with(|me| me.log.note(this.now(), format!("worker did {job}")));
        job * job
    }

    #[expose]
    async fn alone(&mut self, cx: &Ctx, job: u64) -> u64 {
        cx.sleep(millis(3)).await;
        self.log.note(cx.now(), format!("worker alone did {job}"));
        job
    }

    #[every(millis = 11)]
    fn rest(&mut self, cx: &Ctx) {
        self.log.note(cx.now(), format!("worker rested after {} jobs", self.jobs));
    }
}

/// Asks with all that the clock's handle has.
struct Boss {
    log: Log,
    worker: WorkerProxy,
}

#[agent]
impl Boss {
    #[start]
    async fn begin(this: This<Self>) {
        for job in 0.. {
            let asked = this.with(|me| me.worker.work(job)).timeout(millis(30)).await;
            let text = asked.map_or_else(|error| error.to_string(), |square| format!("{square}"));
            this.with(|me| me.log.note(this.now(), format!("boss heard of {job}: {text}")));
            this.settled().await;
            this.sleep_until(this.now() + micros(1_300)).await;
        }
    }

    #[every(millis = 17)]
    async fn control(this: This<Self>) -> Result<(), CallError> {
        let first = this.with(|me| me.worker.alone(1));
        let second = this.with(|me| me.worker.alone(2));
        let (first, second) = futures::join!(first, second);
        let (log, at) = (this.with(|me| me.log.clone()), this.now());
        log.note(at, format!("boss controlled {}", first? + second?));
        let _ = this.after(micros(500), move || log.note(at + micros(500), "boss went home"));
        Ok(())
    }
}

const END: Time = Time::from_nanos(200_000_000);

fn world(config: Config) -> (Container, Log) {
    let world = Container::new(config).unwrap();
    let log = Log::default();
    let worker = world.add("worker", Worker { log: log.clone(), jobs: 0 }).unwrap();
    world.add("boss", Boss { log: log.clone(), worker }).unwrap();
    (world, log)
}

fn config() -> Config {
    Config::new("office")
}

fn free() -> (Vec<(Time, String)>, u64) {
    let (world, log) = world(config());
    block_on(FreeRun::default().run(world.kernel(), END, |_| ())).unwrap();
    (log.entries(), world.kernel().fingerprint())
}

// Broken once: `Wall::turn` did not run what lies before W first, so that timers fired at the wall's time. Seen: "live"
// failed, its first entry came at 14.329207 ms instead of 10 ms, and ticks were skipped.
#[test]
fn the_same_agents_see_the_same_under_every_clock() {
    let (expected, fingerprint) = free();
    assert!(expected.len() > 50, "{} entries", expected.len());
    for part in
        ["worker did", "worker alone did", "worker rested", "boss heard", "no answer within", "went home"]
    {
        assert!(expected.iter().any(|(_, what)| what.contains(part)), "nothing of {part:?} in {expected:#?}");
    }

    let (paced, log) = world(config());
    block_on(Paced::new(50.0, Interrupt::default()).run(paced.kernel(), END, |_| ())).unwrap();
    assert_eq!((log.entries(), paced.kernel().fingerprint()), (expected.clone(), fingerprint), "paced");

    for step in [1_u64, 7, 11, 50, 200] {
        let (coupled, log) = world(config());
        block_on(async {
            let mut driver = Coupled::default();
            let mut at = Time::ZERO;
            while at < END {
                at = (at + millis(step)).min(END);
                driver.advance(coupled.kernel(), at).await.unwrap();
            }
        });
        let seen = (log.entries(), coupled.kernel().fingerprint());
        assert_eq!(seen, (expected.clone(), fingerprint), "coupled in steps of {step} ms");
    }

    let mut realtime = config();
    Wall::configure(&mut realtime);
    let (live, log) = world(realtime);
    let (mut wall, _live) = Wall::new(Interrupt::default());
    let started = Instant::now();
    block_on(wall.run(live.kernel(), END)).unwrap();
    assert!(started.elapsed() >= millis(200), "a live run takes as long as it takes");
    assert_eq!(wall.jumps(), 0, "this machine was too busy for five seconds");
    // only the wall's own time is loose: what happens, happens at its logical time
    assert_eq!((log.entries(), live.kernel().fingerprint()), (expected, fingerprint), "live");
}

#[test]
fn the_modes_of_a_coupling_change_what_a_simulator_sees_but_not_what_agents_see() {
    let (expected, fingerprint) = free();
    for mode in [Mode::Exact, Mode::Window(millis(40)), Mode::Ahead] {
        let (world, log) = world(config());
        let mut coupling = Coupling::new(world, Default::default(), mode, Interrupt::default());
        block_on(async {
            for at in (0..=200).step_by(40) {
                coupling
                    .step(Time::ZERO + millis(at), Vec::new(), Some(Time::ZERO + millis(at + 40)))
                    .await
                    .unwrap();
            }
        });
        let seen: Vec<_> = log.entries().into_iter().filter(|(at, _)| *at <= END).collect();
        assert_eq!(seen, expected, "{mode:?}");
        if mode == Mode::Exact {
            assert_eq!(coupling.container().kernel().fingerprint(), fingerprint);
        }
    }
}

#[test]
fn what_comes_from_outside_comes_in_the_same_order_under_every_clock() {
    struct Caller {
        log: Log,
    }

    #[agent]
    impl Caller {
        #[start]
        async fn begin(this: This<Self>) {
            let log = this.with(|me| me.log.clone());
            for number in 0..5_u32 {
                // the more, the sooner it is there: order of arrival and order of asking differ
                let (a, b) = futures::join!(
                    this.external("slow", millis(20), move || async move {
                        tokio::time::sleep(millis(12)).await;
                        number
                    }),
                    this.external("fast", millis(20), move || async move { number * 10 }),
                );
                log.note(this.now(), format!("{a} {b}"));
                this.sleep(millis(5)).await;
            }
        }
    }

    let make = |config| {
        let world = Container::new(config).unwrap();
        let log = Log::default();
        world.add("caller", Caller { log: log.clone() }).unwrap();
        (world, log)
    };
    let end = Time::ZERO + millis(300);

    let (world, log) = make(config());
    block_on(FreeRun::default().run(world.kernel(), end, |_| ())).unwrap();
    let expected = log.entries();
    let times: Vec<_> = (0..5).map(|n| Time::ZERO + millis(20 + 25 * n)).collect();
    assert_eq!(log.times(), times, "the time of resuming is fixed when the agent asks");

    let (world, log) = make(config());
    block_on(Paced::new(4.0, Interrupt::default()).run(world.kernel(), end, |_| ())).unwrap();
    assert_eq!(log.entries(), expected, "paced");

    let (world, log) = make(config());
    block_on(async {
        let mut driver = Coupled::default();
        for at in 1..=300 {
            driver.advance(world.kernel(), Time::ZERO + millis(at)).await.unwrap();
        }
    });
    assert_eq!(log.entries(), expected, "coupled");

    let mut realtime = config();
    Wall::configure(&mut realtime);
    let (world, log) = make(realtime);
    let (mut wall, _live) = Wall::new(Interrupt::default());
    block_on(wall.run(world.kernel(), Time::ZERO + secs(1))).unwrap();
    assert_eq!(log.words(), expected.into_iter().map(|(_, what)| what).collect::<Vec<_>>(), "live");
}
