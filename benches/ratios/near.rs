//! Calls between two containers of one process: handed over as they are, and over TCP as between processes.
//!
//! The same containers, agents and calls both ways, all on one thread, which is the better of the places for TCP: with a
//! thread for each side it takes more CPU time, since both sleep and are woken for each call.

use std::rc::Rc;

use cpu_time::ProcessTime;
use isochrone::clock::{Interrupt, Live, Wall};
use isochrone::codec::Codec;
use isochrone::container::{Node, SameProcess};
use isochrone::prelude::*;
use tokio::task::{JoinHandle, LocalSet};

use crate::local::{Adder, AdderProxy};
use crate::nanos_each;

struct Asker {
    adder: AdderProxy,
    times: i64,
    done: Interrupt,
}

#[agent]
impl Asker {
    #[start]
    async fn ask(this: This<Self>) {
        let (adder, times) = this.with(|me| (me.adder.clone(), me.times));
        for n in 0..times {
            assert_eq!(adder.add(n, 1).await, Ok(n + 1));
        }
        this.with(|me| me.done.set());
    }
}

/// A container on the wall clock.
async fn site(name: &str, how: SameProcess, stop: Interrupt) -> (Rc<Container>, Node, Live, JoinHandle<()>) {
    let mut config = Config::new(name);
    Wall::configure(&mut config);
    let world = Rc::new(Container::new(config).expect("a kernel"));
    let (mut wall, live) = Wall::new(stop);
    let binding = world.bind("tcp://127.0.0.1:0").codec(Codec::MsgPack).same_process(how);
    let node = binding.serve(&live).await.expect("a free port");
    let running = world.clone();
    let run = tokio::task::spawn_local(async move {
        wall.run(running.kernel(), Time::MAX).await.expect("no failure");
    });
    (world, node, live, run)
}

/// CPU time of a call, both sides.
fn calls(times: i64, how: SameProcess) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let (stop, done) = (Interrupt::default(), Interrupt::default());
        let (here, node, _, run) = site("here", how, stop.clone()).await;
        here.add("adder", Adder).expect("room");
        let (there, _other, live, other) = site("there", how, stop.clone()).await;
        let adder = there.connect(&node.address("adder").to_string(), secs(1)).await.expect("it is there");
        let asker = Asker { adder, times, done: done.clone() };
        let start = ProcessTime::now();
        there.add("asker", asker).expect("room");
        // whose run is asleep
        assert!(live.inject(|| ()));
        done.wait().await;
        let each = nanos_each(start, times as u64);
        stop.set();
        run.await.expect("no panic");
        other.await.expect("no panic");
        each
    })
}

pub(crate) fn direct(times: i64) -> Option<f64> {
    Some(calls(times, SameProcess::Direct))
}

pub(crate) fn tcp(times: i64) -> f64 {
    calls(times, SameProcess::Socket)
}
