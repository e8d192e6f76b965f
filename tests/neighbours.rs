//! Containers of one thread that call each other have their turns without the runtime, and nothing else shows it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::FutureExt;
use isochrone::clock::{Input, Interrupt, Live, Reply, Request, Route, RunError, Wall};
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
    seen: Vec<f64>,
    /// an agent of a third container
    beyond: Option<Proxy>,
}

#[agent]
impl House {
    #[expose]
    fn set(&mut self, kw: f64) -> f64 {
        self.seen.push(kw);
        kw * 2.0
    }

    /// Takes long, and awaits nothing.
    #[expose]
    fn think(&mut self, kw: f64) -> f64 {
        std::thread::sleep(millis(20));
        kw
    }

    /// Calls a third container, so many times.
    #[expose]
    async fn chat(this: This<Self>, times: f64) -> Result<f64, CallError> {
        let beyond = this.with(|me| me.beyond.clone()).expect("it is known");
        for n in 0..times as u32 {
            beyond.call("set").arg(f64::from(n)).returning::<f64>().await?;
        }
        Ok(times)
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
    last: (&'static str, f64),
    done: Interrupt,
    answers: Rc<Cell<u32>>,
    ended: Rc<Cell<Option<Last>>>,
}

/// What the last call ended with, and how long it took.
type Last = (Result<f64, String>, Duration);

#[agent]
impl Caller {
    #[start]
    async fn run(this: This<Self>) {
        let (house, sets, (last, kw)) = this.with(|me| (me.house.clone(), me.sets, me.last));
        for n in 0..sets {
            let kw = f64::from(n);
            let answer = house.call("set").arg(kw).returning::<f64>().await;
            assert_eq!(answer, Ok(2.0 * kw));
            this.with(|me| me.answers.set(me.answers.get() + 1));
        }
        let asked = this.now();
        let answer = house.call(last).arg(kw).returning::<f64>().await;
        let took = this.now() - asked;
        this.with(|me| {
            me.ended.set(Some((answer.map_err(|error| error.kind().to_string()), took)));
            me.done.set();
        });
    }
}

/// Calls the first method when it is told to.
struct Told {
    house: Proxy,
    done: Interrupt,
    heard: Heard,
}

type Heard = Rc<RefCell<Vec<Result<f64, String>>>>;

#[agent]
impl Told {
    /// So many calls, all at once.
    #[expose]
    async fn call(this: This<Self>, times: u32) {
        let house = this.with(|me| me.house.clone());
        let calls = (0..times).map(|n| house.call("set").arg(f64::from(n)).returning::<f64>());
        let answers = futures::future::join_all(calls).await;
        this.with(|me| {
            let text = |error: CallError| error.message().to_string();
            me.heard.borrow_mut().extend(answers.into_iter().map(|answer| answer.map_err(text)));
            me.done.set();
        });
    }
}

/// A container on the wall clock.
struct Site {
    world: Rc<Container>,
    wall: Wall,
    node: Node,
    live: Live,
}

impl Site {
    async fn new(name: &str, stop: &Interrupt, tape: &Tape) -> Site {
        let mut config = Config::new(name);
        Wall::configure(&mut config);
        let world = Rc::new(Container::new(config).unwrap());
        tape.attach(world.kernel());
        let (wall, live) = Wall::new(stop.clone());
        let node = world.bind("tcp://127.0.0.1:0").serve(&live).await.unwrap();
        Site { world, wall: wall.tape(tape.clone()), node, live }
    }

    fn run(self) -> (JoinHandle<Result<(), RunError>>, Rc<Container>, Node) {
        let Site { world, mut wall, node, .. } = self;
        let running = world.clone();
        let run = tokio::task::spawn_local(async move { wall.run(running.kernel(), Time::MAX).await });
        (run, world, node)
    }

    /// The proxy of another's agent.
    fn proxy(&self, other: &Site, agent: &str) -> Proxy {
        self.world.enter(|| other.node.address(agent).to_string().parse()).unwrap()
    }
}

/// Calls an agent by a container's door, and waits for no answer.
fn send(live: &Live, agent: &str, method: &'static str, args: Args) {
    let reply = Reply::nobody(Route::new("the test", agent));
    assert!(live.send(Input::Call(Request { method: method.into(), args, reply })));
}

struct Ended {
    answers: u32,
    last: Option<Result<f64, String>>,
    took: Duration,
    house: Result<(), RunError>,
    fingerprints: [u64; 2],
    address: String,
}

/// Returns when there is an answer.
async fn begun(answers: &Cell<u32>) {
    while answers.get() == 0 {
        tokio::task::yield_now().await;
    }
}

/// Lets a container's agent call another's, all on this thread; `beside` runs from the first answer on, until it ends or the
/// calls do.
fn calls(sets: u32, last: (&'static str, f64), tapes: &[Tape; 2], beside: impl Future<Output = ()>) -> Ended {
    block_on(async {
        let (stop, done) = (Interrupt::default(), Interrupt::default());
        let house = Site::new("house", &stop, &tapes[0]).await;
        let caller = Site::new("caller", &stop, &tapes[1]).await;
        let beyond = Site::new("beyond", &stop, &Tape::default()).await;
        beyond.world.add("house", House::default()).unwrap();
        let agent = House { beyond: Some(house.proxy(&beyond, "house")), ..House::default() };
        house.world.add("house", agent).unwrap();
        let address = house.node.address("house").to_string();
        let (answers, ended) = (Rc::default(), Rc::<Cell<Option<Last>>>::default());
        let agent = Caller {
            house: caller.proxy(&house, "house"),
            sets,
            last,
            done: done.clone(),
            answers: Rc::clone(&answers),
            ended: Rc::clone(&ended),
        };
        caller.world.add("caller", agent).unwrap();
        let (house_run, house, house_node) = house.run();
        let (beyond_run, _beyond, beyond_node) = beyond.run();
        let (caller_run, caller, caller_node) = caller.run();
        tokio::select! {
            () = done.wait() => {}
            () = begun(&answers).then(|()| beside) => {}
            () = tokio::time::sleep(secs(20)) => panic!("{} calls, and no end", answers.get()),
        }
        stop.set();
        let house_ended = house_run.await.unwrap();
        caller_run.await.unwrap().unwrap();
        beyond_run.await.unwrap().unwrap();
        drop((house_node, caller_node, beyond_node));
        for (tape, world) in tapes.iter().zip([&house, &caller]) {
            tape.finish(world.kernel(), "the end").unwrap();
        }
        let (last, took) = ended.take().unzip();
        Ended {
            answers: answers.get(),
            last,
            took: took.unwrap_or_default(),
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
        let ended = calls(100, (last, 7.0), &nothing(), std::future::pending());
        assert_eq!(ended.answers, 100);
        let expected = if last == "set" { 14.0 } else { 7.0 };
        assert_eq!(ended.last, Some(Ok(expected)), "{last}");
        ended.house.unwrap();
    }
}

#[test]
fn a_container_that_fails_in_the_turn_of_another_ends_with_its_own_error() {
    let ended = calls(100, ("fail", 7.0), &nothing(), std::future::pending());
    assert!(ended.last.unwrap().is_err());
    let Err(RunError::Sim(SimError::Escalated(report))) = ended.house else { panic!("{:?}", ended.house) };
    assert!(report.to_string().contains("the fuse has blown"), "{report}");
}

#[test]
fn containers_that_call_each_other_again_and_again_leave_the_thread_to_others_too() {
    // the caller and its neighbour, and that one and a third while the caller has its turn
    for (sets, last) in [(300_000, ("set", 7.0)), (1, ("chat", 300_000.0))] {
        let ended = calls(sets, last, &nothing(), async {
            for _ in 0..3 {
                tokio::time::sleep(millis(1)).await;
            }
        });
        assert!(!matches!(ended.last, Some(Ok(_))), "others had their turn when all calls were over");
        ended.house.unwrap();
    }
}

#[test]
fn who_awaits_a_neighbour_sees_how_long_that_took() {
    let ended = calls(1, ("think", 7.0), &nothing(), std::future::pending());
    assert_eq!(ended.last, Some(Ok(7.0)));
    assert!(ended.took >= millis(20), "{:?}", ended.took);
}

/// A house, and who calls it when it is told to.
async fn house_and_caller(stop: &Interrupt, done: &Interrupt, heard: &Heard) -> [Site; 2] {
    let house = Site::new("house", stop, &Tape::default()).await;
    let caller = Site::new("caller", stop, &Tape::default()).await;
    house.world.add("house", House::default()).unwrap();
    let agent = Told { house: caller.proxy(&house, "house"), done: done.clone(), heard: heard.clone() };
    caller.world.add("caller", agent).unwrap();
    [house, caller]
}

#[test]
fn an_answer_goes_to_the_run_that_has_asked_also_when_peers_enter_by_another() {
    block_on(async {
        let (stop, done, heard) = (Interrupt::default(), Interrupt::default(), Heard::default());
        let [house, caller] = house_and_caller(&stop, &done, &heard).await;
        let (wall, live) = Wall::new(stop.clone());
        let runs = [house.run(), Site { wall, ..caller }.run()];
        send(&live, "caller", "call", Args::default().arg(1));
        tokio::time::timeout(secs(20), done.wait()).await.unwrap();
        stop.set();
        for (run, _world, _node) in runs {
            run.await.unwrap().unwrap();
        }
        assert_eq!(heard.take(), [Ok(0.0)]);
    });
}

/// Of two containers that sleep, one is told to call the other so many times, and then something may come in at the other's
/// door; what was heard, and what the other has seen.
fn told(times: u32, door: Option<f64>) -> (Vec<Result<f64, String>>, Vec<f64>) {
    block_on(async {
        let (stop, done, heard) = (Interrupt::default(), Interrupt::default(), Heard::default());
        let [house, caller] = house_and_caller(&stop, &done, &heard).await;
        let lives = [caller.live.clone(), house.live.clone()];
        let runs = [house.run(), caller.run()];
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        send(&lives[0], "caller", "call", Args::default().arg(times));
        door.into_iter().for_each(|kw| send(&lives[1], "house", "set", Args::default().arg(kw)));
        done.wait().await;
        stop.set();
        let [(house_run, house, _house_node), (caller_run, _caller, _caller_node)] = runs;
        house_run.await.unwrap().unwrap();
        caller_run.await.unwrap().unwrap();
        let id = house.kernel().find("house").unwrap();
        (heard.take(), house.kernel().look::<House, _>(id, |me| me.seen.clone()).unwrap())
    })
}

#[test]
fn a_call_of_a_neighbour_does_not_overtake_what_came_at_its_door_before() {
    // the caller is woken first, and calls when the other has not had its turn yet
    assert_eq!(told(1, Some(-1.0)), (vec![Ok(0.0)], vec![-1.0, 0.0]));
}

#[test]
fn of_more_calls_at_once_than_may_wait_at_a_neighbour_the_others_are_told() {
    let (heard, _) = told(65_546, None);
    let refused: Vec<&str> =
        heard.iter().filter_map(|heard| heard.as_ref().err()).map(String::as_str).collect();
    assert_eq!((heard.len(), refused.len()), (65_546, 10));
    assert_eq!(refused[0], "65536 inputs wait for the next turn already");
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
        calls(200, ("slow", 7.0), &[recorder(&memories[0]), recorder(&memories[1])], std::future::pending());
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
            let agent = Caller { house, sets: 200, last: ("slow", 7.0), done, answers, ended };
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
