//! Containers of one thread that call each other have their turns without the runtime, and nothing else shows it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use isochrone::clock::{Interrupt, RunError, Wall};
use isochrone::container::Node;
use isochrone::journal::{Header, Level, Options, Writer};
use isochrone::prelude::*;
use isochrone::replay::{Memory, Source, Stops, Tape};
use isochrone::sim::SimError;
use support::block_on;
use tokio::task::JoinHandle;

mod support;

#[derive(Default)]
struct House {
    kw: f64,
}

#[agent]
impl House {
    #[expose]
    fn set(&mut self, kw: f64) -> f64 {
        self.kw = kw;
        kw * 2.0
    }

    #[expose]
    async fn slow(this: This<Self>, kw: f64) -> f64 {
        this.sleep(millis(20)).await;
        kw
    }

    #[expose]
    async fn outside(this: This<Self>, kw: f64) -> f64 {
        let solve = move || async move {
            tokio::time::sleep(millis(10)).await;
            kw
        };
        this.external("solve", Duration::ZERO, solve).await
    }

    /// Takes more rounds than a turn has before it looks at the clock.
    #[expose]
    async fn rounds(this: This<Self>, kw: f64) -> f64 {
        for _ in 0..1_000 {
            this.sleep(Duration::ZERO).await;
        }
        kw
    }

    #[expose]
    fn fail(&mut self, kw: f64) -> Result<f64, CallError> {
        let _ = kw;
        panic!("the fuse has blown")
    }
}

/// Calls `set` some times, or without end, and then another method.
struct Caller {
    house: Proxy,
    sets: u32,
    last: &'static str,
    done: Interrupt,
    answers: Rc<Cell<u32>>,
    ended: Rc<Cell<Option<Result<f64, String>>>>,
}

#[agent]
impl Caller {
    #[start]
    async fn run(this: This<Self>) {
        let (house, sets, last) = this.with(|me| (me.house.clone(), me.sets, me.last));
        for n in 0..sets {
            let kw = f64::from(n);
            let answer = house.call("set").arg(kw).returning::<f64>().await;
            assert_eq!(answer, Ok(2.0 * kw));
            this.with(|me| me.answers.set(me.answers.get() + 1));
        }
        let answer = house.call(last).arg(7.0).returning::<f64>().await;
        this.with(|me| {
            me.ended.set(Some(answer.map_err(|error| error.kind().to_string())));
            me.done.set();
        });
    }
}

/// A container on the wall clock.
struct Site {
    world: Rc<Container>,
    wall: Wall,
    node: Node,
}

impl Site {
    async fn new(name: &str, stop: &Interrupt, tape: &Tape) -> Site {
        let mut config = Config::new(name);
        Wall::configure(&mut config);
        let world = Rc::new(Container::new(config).unwrap());
        tape.attach(world.kernel());
        let (wall, live) = Wall::new(stop.clone());
        let node = world.bind("tcp://127.0.0.1:0").serve(&live).await.unwrap();
        Site { world, wall: wall.tape(tape.clone()), node }
    }

    fn run(self) -> (JoinHandle<Result<(), RunError>>, Rc<Container>, Node) {
        let Site { world, mut wall, node } = self;
        let running = world.clone();
        let run = tokio::task::spawn_local(async move { wall.run(running.kernel(), Time::MAX).await });
        (run, world, node)
    }
}

struct Ended {
    answers: u32,
    last: Option<Result<f64, String>>,
    house: Result<(), RunError>,
    fingerprints: [u64; 2],
    address: String,
}

/// Lets a container's agent call another's, all on this thread; `beside` runs meanwhile, until it ends or the calls do.
fn calls(sets: u32, last: &'static str, tapes: &[Tape; 2], beside: impl Future<Output = ()>) -> Ended {
    block_on(async {
        let (stop, done) = (Interrupt::default(), Interrupt::default());
        let house = Site::new("house", &stop, &tapes[0]).await;
        let caller = Site::new("caller", &stop, &tapes[1]).await;
        house.world.add("house", House::default()).unwrap();
        let address = house.node.address("house").to_string();
        let proxy = caller.world.enter(|| address.parse()).unwrap();
        let (answers, ended) = (Rc::default(), Rc::default());
        let agent = Caller {
            house: proxy,
            sets,
            last,
            done: done.clone(),
            answers: Rc::clone(&answers),
            ended: Rc::clone(&ended),
        };
        caller.world.add("caller", agent).unwrap();
        let (house_run, house, house_node) = house.run();
        let (caller_run, caller, caller_node) = caller.run();
        tokio::select! {
            () = done.wait() => {}
            () = beside => {}
            () = tokio::time::sleep(secs(20)) => panic!("{} calls, and no end", answers.get()),
        }
        stop.set();
        let house_ended = house_run.await.unwrap();
        caller_run.await.unwrap().unwrap();
        drop((house_node, caller_node));
        for (tape, world) in tapes.iter().zip([&house, &caller]) {
            tape.finish(world.kernel(), "the end").unwrap();
        }
        Ended {
            answers: answers.get(),
            last: ended.take(),
            house: house_ended,
            fingerprints: [house.kernel().fingerprint(), caller.kernel().fingerprint()],
            address,
        }
    })
}

fn nothing() -> [Tape; 2] {
    [Tape::default(), Tape::default()]
}

#[test]
fn whatever_an_answer_waits_for_comes_without_anybody_else_on_the_thread() {
    // a timer, a future outside, more rounds than a turn has at once
    for last in ["set", "slow", "outside", "rounds"] {
        let ended = calls(100, last, &nothing(), std::future::pending());
        assert_eq!(ended.answers, 100);
        let expected = if last == "set" { 14.0 } else { 7.0 };
        assert_eq!(ended.last, Some(Ok(expected)), "{last}");
        ended.house.unwrap();
    }
}

#[test]
fn a_container_that_fails_in_the_turn_of_another_ends_with_its_own_error() {
    let ended = calls(100, "fail", &nothing(), std::future::pending());
    assert!(ended.last.unwrap().is_err());
    let Err(RunError::Sim(SimError::Escalated(report))) = ended.house else { panic!("{:?}", ended.house) };
    assert!(report.to_string().contains("the fuse has blown"), "{report}");
}

#[test]
fn two_containers_that_call_each_other_without_end_leave_the_thread_to_others_too() {
    let start = Instant::now();
    let ended = calls(u32::MAX, "set", &nothing(), async {
        for _ in 0..50 {
            tokio::time::sleep(millis(1)).await;
        }
    });
    assert!(start.elapsed() < secs(10), "{:?}", start.elapsed());
    assert!(ended.answers > 100, "{} answers", ended.answers);
    ended.house.unwrap();
}

fn recorder(memory: &Memory) -> Tape {
    let mut header = Header::new("near", 0);
    header.level = Level::Events;
    header.clock = "wall".into();
    Tape::record(Writer::to_stream(memory.clone(), header, Options::default()).unwrap())
}

#[test]
fn each_of_two_containers_that_call_each_other_is_replayed_exactly() {
    let memories = [Memory::default(), Memory::default()];
    let recorded =
        calls(200, "slow", &[recorder(&memories[0]), recorder(&memories[1])], std::future::pending());
    assert_eq!((recorded.answers, recorded.last), (200, Some(Ok(7.0))));
    for (which, memory) in memories.iter().enumerate() {
        memory.seal();
        let tape = Tape::play(Source::Memory(memory.clone()), Stops::default(), false).unwrap();
        let mut config = Config::new(["house", "caller"][which]);
        Wall::configure(&mut config);
        let world = Container::new(config).unwrap();
        tape.attach(world.kernel());
        if which == 0 {
            world.add("house", House::default()).unwrap();
        } else {
            // nobody is called again: the answers are those of the recording
            let house = world.enter(|| recorded.address.parse()).unwrap();
            let (answers, ended, done) = (Rc::default(), Rc::default(), Interrupt::default());
            let agent = Caller { house, sets: 200, last: "slow", done, answers, ended };
            world.add("caller", agent).unwrap();
        }
        let mut wall = Wall::new(Interrupt::default()).0.tape(tape.clone());
        block_on(wall.run(world.kernel(), Time::MAX)).unwrap();
        tape.finish(world.kernel(), "the end").unwrap();
        let verdict = tape.verdict();
        assert!(verdict.is_none(), "{verdict:?}");
        assert!(tape.same() >= 200, "{} records", tape.same());
        assert_eq!(world.kernel().fingerprint(), recorded.fingerprints[which]);
    }
}
