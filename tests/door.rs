//! The door: what the outside may do to a running kernel, and when it happens.

use std::sync::{Arc, mpsc};
use std::thread;

use isochrone::clock::{Coupled, Input, Interrupt, Live, Notice, Notices, Reply, Request, Route, Wall};
use isochrone::codec::Value;
use isochrone::prelude::*;
use isochrone::rpc::CallError;
use support::{Log, block_on};
use tokio::sync::oneshot;

mod support;

/// Answers at once, later, or never; asks the outside, and notes who came when.
#[derive(Default)]
struct House {
    seen: Vec<(Time, f64)>,
    pending: Option<oneshot::Receiver<()>>,
}

#[agent]
impl House {
    #[expose]
    fn set(&mut self, cx: &Ctx, kw: f64) -> f64 {
        self.seen.push((cx.now(), kw));
        kw * 2.0
    }

    #[expose]
    async fn slow(this: This<Self>, kw: f64) -> f64 {
        this.sleep(millis(20)).await;
        kw
    }

    #[expose]
    async fn blow(this: This<Self>) {
        this.sleep(millis(10)).await;
        panic!("the fuse has blown");
    }

    #[expose]
    async fn outside(this: This<Self>) -> f64 {
        let ready = this.with(|me| me.pending.take());
        let wait = move || async move {
            // another thread says when: it has called us back by then
            if ready.expect("asked once").await.is_ok() { 1.0 } else { 0.0 }
        };
        this.external("peer", Duration::ZERO, wait).await
    }
}

fn world(realtime: bool) -> Container {
    let mut config = Config::new("street");
    config.realtime = realtime;
    let world = Container::new(config).unwrap();
    world.add("house", House::default()).unwrap();
    world
}

fn seen(world: &Container) -> Vec<(Time, f64)> {
    let id = world.kernel().find("house").unwrap();
    world.kernel().look::<House, _>(id, |me| me.seen.clone()).unwrap()
}

type Answer = Result<Value, CallError>;

fn ask(live: &Live, agent: &str, method: &str, args: Args) -> mpsc::Receiver<Answer> {
    let (sender, answers) = mpsc::channel();
    let reply = Reply::new(to(agent), move |answer| sender.send(answer).unwrap());
    live.send(request(method, args, reply));
    answers
}

fn to(agent: &str) -> Arc<Route> {
    Route::new("peer", agent)
}

fn request(method: &str, args: Args, reply: Reply) -> Input {
    Input::Call(Request { method: method.to_string().into(), args, reply })
}

fn kw(kw: f64) -> Args {
    Args::default().arg(kw)
}

#[test]
fn a_call_from_another_thread_is_answered_after_its_turn() {
    let world = world(true);
    let interrupt = Interrupt::default();
    let (mut wall, live) = Wall::new(interrupt.clone());
    let caller = thread::spawn(move || {
        let answers = [
            ask(&live, "house", "set", kw(1.5)),
            ask(&live, "house", "slow", kw(2.5)),
            ask(&live, "house", "set", kw(3.5)),
        ];
        let answers = answers.map(|answer| answer.recv_timeout(secs(20)).unwrap().unwrap());
        interrupt.set();
        answers
    });
    block_on(wall.run(world.kernel(), Time::MAX)).unwrap();
    assert_eq!(caller.join().unwrap(), [Value::Float(3.0), Value::Float(2.5), Value::Float(7.0)]);
    assert_eq!(seen(&world).iter().map(|(_, kw)| *kw).collect::<Vec<_>>(), [1.5, 3.5]);
}

#[test]
fn what_cannot_be_called_is_an_error_of_that_call_alone() {
    let world = world(false);
    let mut coupled = Coupled::new(Interrupt::default());
    let live = coupled.live();
    let answers = [
        ask(&live, "nobody", "set", kw(1.0)),
        ask(&live, "house", "fly", kw(1.0)),
        ask(&live, "house", "set", Args::default()),
        ask(&live, "house", "set", kw(1.0)),
    ];
    block_on(coupled.advance(world.kernel(), Time::ZERO)).unwrap();
    let answers = answers.map(|answer| answer.try_recv().unwrap());
    let kinds = answers.map(|answer| answer.map_err(|error| error.kind().to_string()));
    let error = |kind: &str| Err(kind.to_string());
    assert_eq!(
        kinds,
        [error("LookupError"), error("LookupError"), error("TypeError"), Ok(Value::Float(2.0))]
    );
}

#[test]
fn under_a_simulator_an_input_happens_at_once_while_the_clock_stands() {
    let world = world(false);
    let mut coupled = Coupled::new(Interrupt::default());
    let at = Time::ZERO + secs(5);
    let first = ask(&coupled.live(), "house", "slow", kw(4.0));
    block_on(coupled.advance(world.kernel(), at)).unwrap();
    assert_eq!(first.try_recv(), Err(mpsc::TryRecvError::Empty), "it came at 5 s and takes 20 ms");
    let (sender, second) = mpsc::channel();
    let reply = Reply::new(to("house"), move |answer| sender.send(answer).unwrap());
    let next = block_on(coupled.handle(world.kernel(), request("set", kw(8.0), reply))).unwrap();
    assert_eq!(second.try_recv().unwrap(), Ok(Value::Float(16.0)));
    assert_eq!((world.now(), next), (at, Some(at + millis(20))));
    assert_eq!(seen(&world), [(at, 8.0)]);
    block_on(coupled.advance(world.kernel(), at + millis(20))).unwrap();
    assert_eq!(first.try_recv().unwrap(), Ok(Value::Float(4.0)));
}

#[test]
fn a_peer_may_call_back_before_it_answers() {
    let world = world(false);
    let (ready, pending) = oneshot::channel();
    let id = world.kernel().find("house").unwrap();
    world.kernel().look::<House, _>(id, |me| me.pending = Some(pending)).unwrap();
    let mut coupled = Coupled::new(Interrupt::default());
    let live = coupled.live();
    let called = ask(&live, "house", "outside", Args::default());
    let peer = thread::spawn(move || {
        // the peer answers only when it has had the answer to its own call
        let answer = ask(&live, "house", "set", kw(6.0)).recv_timeout(secs(20));
        ready.send(()).unwrap();
        answer.unwrap()
    });
    block_on(coupled.advance(world.kernel(), Time::ZERO)).unwrap();
    assert_eq!(peer.join().unwrap(), Ok(Value::Float(12.0)));
    block_on(coupled.advance(world.kernel(), Time::ZERO)).unwrap();
    assert_eq!(called.try_recv().unwrap(), Ok(Value::Float(1.0)));
    assert_eq!(seen(&world), [(Time::ZERO, 6.0)]);
}

#[test]
fn a_reply_that_never_comes_says_that_the_run_is_over() {
    let world = world(true);
    let (mut wall, live) = Wall::new(Interrupt::default());
    let open = ask(&live, "house", "slow", kw(1.0));
    block_on(wall.run(world.kernel(), Time::ZERO + millis(1))).unwrap();
    assert_eq!(open.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(wall);
    assert_eq!(open.try_recv().unwrap().unwrap_err().kind(), "Stopped");
    let late = ask(&live, "house", "set", kw(1.0));
    assert_eq!(late.try_recv().unwrap().unwrap_err().kind(), "Stopped");
}

#[test]
fn inputs_beyond_what_may_wait_are_refused() {
    let coupled = Coupled::new(Interrupt::default());
    let live = coupled.live();
    while live.inject(|| ()) {}
    let answer = ask(&live, "house", "set", kw(1.0)).try_recv().unwrap();
    assert_eq!(answer.unwrap_err().kind(), "Busy");
}

#[test]
fn notices_and_one_way_messages_keep_their_place_among_the_inputs() {
    let world = world(false);
    let heard: Log = Log::default();
    let log = heard.clone();
    world.kernel().provide(std::rc::Rc::new(Notices::new(move |notice: &Notice| {
        log.note(Time::ZERO, format!("{} {}", notice.what, notice.from));
    })));
    let mut coupled = Coupled::new(Interrupt::default());
    let live = coupled.live();
    let notice = |what: &str| Notice { from: "peer".into(), what: what.into(), detail: Value::Null };
    assert!(live.send(Input::Notice(notice("connected"))));
    assert!(live.send(request("set", kw(1.0), Reply::nobody(to("house")))));
    assert!(live.send(request("set", kw(1.0), Reply::nobody(to("nobody")))));
    assert!(live.send(Input::Notice(notice("closed"))));
    block_on(coupled.advance(world.kernel(), Time::ZERO)).unwrap();
    assert_eq!(heard.words(), ["connected peer", "closed peer"]);
    assert_eq!(seen(&world), [(Time::ZERO, 1.0)]);
    assert_eq!(world.kernel().counts().dead_letters, 1);
}

#[test]
fn when_an_agent_ends_a_live_run_whoever_waits_hears_which_why_and_when() {
    let world = world(true);
    world.add("shed", House::default()).unwrap();
    let (mut wall, live) = Wall::new(Interrupt::default());
    let answers = [ask(&live, "shed", "slow", kw(1.0)), ask(&live, "house", "blow", Args::default())];
    let error = block_on(wall.run(world.kernel(), Time::ZERO + secs(10))).unwrap_err().to_string();
    assert!(error.starts_with("agent house failed at ") && error.ends_with("the fuse has blown"), "{error}");
    let [slow, blown] = answers.map(|answer| answer.try_recv().expect("before the run returns").unwrap_err());
    assert_eq!(slow.to_string(), format!("Stopped: the run has failed: {error}"));
    assert!(blown.to_string().contains("the fuse has blown"), "{blown}");
    drop(wall);
    // and later ones that it is over
    let late = ask(&live, "house", "set", kw(1.0)).recv().unwrap().unwrap_err();
    assert_eq!(late.to_string(), "Stopped: the run is over");
}
