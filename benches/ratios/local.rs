//! Messages within a process: a ring of agents that hand tokens on, and one agent that asks another.

use std::collections::VecDeque;

use cpu_time::ProcessTime;
use isochrone::prelude::*;
use tokio::sync::{mpsc, oneshot};

use crate::nanos_each;

const RING: u64 = 1_000;

#[derive(Default)]
struct Hopper {
    next: Option<HopperProxy>,
    got: u64,
}

#[agent]
impl Hopper {
    #[expose]
    fn hop(&mut self, left: u64) {
        self.got += 1;
        if left > 1
            && let Some(next) = &self.next
        {
            next.hop(left - 1).send();
        }
    }
}

/// One-way messages, `hops` in all.
pub(crate) fn ring(hops: u64, tokens: u64) -> Option<f64> {
    let world = crate::world();
    let ring: Vec<HopperProxy> =
        (0..RING).map(|_| world.add_unnamed(Hopper::default()).expect("room")).collect();
    for (at, proxy) in ring.iter().enumerate() {
        let next = ring[(at + 1) % ring.len()].clone();
        world.with(proxy.agent(), |me: &mut Hopper| me.next = Some(next)).expect("it is there");
    }
    world.run_until(Time::ZERO).expect("no failure");
    let start = ProcessTime::now();
    world.enter(|| {
        for token in 0..tokens {
            ring[(token * RING / tokens) as usize].hop(hops / tokens).send();
        }
    });
    world.run_until(Time::MAX).expect("no failure");
    let each = nanos_each(start, hops);
    let counted: u64 =
        ring.iter().filter_map(|proxy| world.with(proxy.agent(), |me: &mut Hopper| me.got)).sum();
    assert_eq!(counted, hops / tokens * tokens);
    Some(each)
}

/// The same with tasks and channels.
pub(crate) fn tokio_ring(hops: u64, tokens: u64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (senders, receivers): (VecDeque<_>, Vec<_>) = (0..RING).map(|_| mpsc::channel::<u64>(16)).unzip();
        let first = senders.clone();
        let mut next = senders;
        next.rotate_left(1);
        let (ended, mut end) = mpsc::channel::<()>(64);
        for (next, mut mine) in next.into_iter().zip(receivers) {
            let ended = ended.clone();
            tokio::spawn(async move {
                let mut got = 0u64;
                while let Some(left) = mine.recv().await {
                    got += 1;
                    if left > 1 {
                        next.send(left - 1).await.expect("the ring is closed");
                    } else {
                        ended.send(()).await.expect("somebody waits");
                    }
                }
                std::hint::black_box(got);
            });
        }
        tokio::task::yield_now().await;
        let start = ProcessTime::now();
        for token in 0..tokens {
            first[(token * RING / tokens) as usize].send(hops / tokens).await.expect("the ring is closed");
        }
        for _ in 0..tokens {
            end.recv().await;
        }
        nanos_each(start, hops)
    })
}

pub(crate) struct Adder;

#[agent]
impl Adder {
    #[expose]
    fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }
}

struct Asker {
    adder: AdderProxy,
    times: i64,
    sum: i64,
}

#[agent]
impl Asker {
    #[expose]
    async fn ask(this: This<Self>) -> Result<(), CallError> {
        let (adder, times) = this.with(|me| (me.adder.clone(), me.times));
        let mut sum = 0;
        for n in 0..times {
            sum += adder.add(n, 1).await?;
        }
        this.with(|me| me.sum = sum);
        Ok(())
    }
}

/// Requests and their replies, one after the other.
pub(crate) fn ask(times: i64) -> Option<f64> {
    let world = crate::world();
    let adder = world.add_unnamed(Adder).expect("room");
    let asker = world.add_unnamed(Asker { adder, times, sum: 0 }).expect("room");
    world.run_until(Time::ZERO).expect("no failure");
    let start = ProcessTime::now();
    world.enter(|| asker.ask().send());
    world.run_until(Time::MAX).expect("no failure");
    let each = nanos_each(start, times as u64);
    assert_eq!(world.with(asker.agent(), |me: &mut Asker| me.sum), Some(times * (times + 1) / 2));
    Some(each)
}

/// The same with tasks and channels.
pub(crate) fn tokio_ask(times: i64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel::<(i64, i64, oneshot::Sender<i64>)>(16);
        tokio::spawn(async move {
            while let Some((a, b, reply)) = receiver.recv().await {
                let _ = reply.send(a + b);
            }
        });
        let start = ProcessTime::now();
        let asker = tokio::spawn(async move {
            let mut sum = 0;
            for n in 0..times {
                let (reply, answer) = oneshot::channel();
                sender.send((n, 1, reply)).await.expect("the other lives");
                sum += answer.await.expect("it answers");
            }
            sum
        });
        assert_eq!(asker.await.expect("no panic"), times * (times + 1) / 2);
        nanos_each(start, times as u64)
    })
}
