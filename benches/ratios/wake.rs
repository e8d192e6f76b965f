//! Wakeups: agents that sleep, again and again, for times of their own.
//!
//! Every run sums up who woke when; the sums of ours and base must agree, or they did not do the same work. Making the
//! agents and arming their first timers is not measured on either side. Where there are many sleepers each is woken twenty
//! times, on both sides, so that what is told is the cost of a wakeup and not of filling the cache and the wheel once.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use cpu_time::ProcessTime;
use isochrone::prelude::*;
use isochrone::sim::fingerprint::fold;

use crate::nanos_each;

/// How long a sleep is.
#[derive(Clone, Copy)]
pub(crate) enum Delay {
    /// Whole milliseconds from 1 up to this.
    Millis(u32),
    /// Any number of ns up to this.
    Nanos(u32),
}

/// A stream of delays, another one for each sleeper.
#[derive(Clone)]
struct Delays {
    state: u64,
    range: u32,
    unit: u32,
}

impl Delays {
    fn new(sleeper: u32, delay: Delay) -> Self {
        let (range, unit) = match delay {
            Delay::Millis(range) => (range, 1_000_000),
            Delay::Nanos(range) => (range, 1),
        };
        Delays { state: fold(u64::from(sleeper), 77) | 1, range, unit }
    }

    /// xorshift64*, scaled.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        u64::from(self.unit) * (1 + ((u128::from(random) * u128::from(self.range)) >> 64) as u64)
    }
}

thread_local!(static SUM: Cell<u64> = const { Cell::new(0) });

fn count(sleeper: u32, at: u64) {
    SUM.set(SUM.get().wrapping_add(at.wrapping_mul(2 * u64::from(sleeper) + 1)));
}

fn woke(sleeper: u32, at: Time) {
    count(sleeper, at.as_nanos() as u64);
}

/// What every implementation must come to.
fn check(sleepers: u32, times: u32, delay: Delay) {
    let mut sum = 0u64;
    for sleeper in 0..sleepers {
        let (mut delays, mut at) = (Delays::new(sleeper, delay), 0u64);
        for _ in 0..times {
            at += delays.next();
            sum = sum.wrapping_add(at.wrapping_mul(2 * u64::from(sleeper) + 1));
        }
    }
    assert_eq!(SUM.take(), sum, "somebody was not woken, or at another time");
}

pub(crate) fn heap(sleepers: u32, times: u32, delay: Delay) -> f64 {
    let mut delays: Vec<Delays> = (0..sleepers).map(|sleeper| Delays::new(sleeper, delay)).collect();
    let mut left = vec![times; sleepers as usize];
    let mut heap: BinaryHeap<Reverse<(u64, u64, u32)>> = BinaryHeap::new();
    let mut sequence = 0;
    for sleeper in 0..sleepers {
        heap.push(Reverse((delays[sleeper as usize].next(), sequence, sleeper)));
        sequence += 1;
    }
    let start = ProcessTime::now();
    while let Some(Reverse((at, _, sleeper))) = heap.pop() {
        count(sleeper, at);
        let index = sleeper as usize;
        left[index] -= 1;
        if left[index] > 0 {
            heap.push(Reverse((at + delays[index].next(), sequence, sleeper)));
            sequence += 1;
        }
    }
    let each = nanos_each(start, u64::from(sleepers) * u64::from(times));
    check(sleepers, times, delay);
    each
}

struct Sleeper {
    number: u32,
    times: u32,
    delay: Delay,
    in_timeout: bool,
}

#[agent]
impl Sleeper {
    #[start]
    async fn run(this: This<Self>) {
        let (number, times, in_timeout) = this.with(|me| (me.number, me.times, me.in_timeout));
        let mut delays = Delays::new(number, this.with(|me| me.delay));
        let me = this.clone();
        if in_timeout {
            this.start("sleep", async move {
                for _ in 0..times {
                    let span = nanos(delays.next());
                    me.timeout(2 * span, me.sleep(span)).await.expect("the sleep is shorter");
                    woke(number, me.now());
                }
            });
        } else {
            this.start("sleep", async move {
                for _ in 0..times {
                    me.sleep(nanos(delays.next())).await;
                    woke(number, me.now());
                }
            });
        }
    }
}

pub(crate) fn ours(sleepers: u32, times: u32, delay: Delay) -> Option<f64> {
    run(sleepers, times, delay, false)
}

pub(crate) fn ours_in_timeout(sleepers: u32, times: u32, delay: Delay) -> Option<f64> {
    run(sleepers, times, delay, true)
}

fn run(sleepers: u32, times: u32, delay: Delay, in_timeout: bool) -> Option<f64> {
    let world = crate::world();
    for number in 0..sleepers {
        world.add_unnamed(Sleeper { number, times, delay, in_timeout }).expect("room");
    }
    world.run_until(Time::ZERO).expect("no failure");
    let start = ProcessTime::now();
    world.run_until(Time::MAX).expect("no failure");
    let each = nanos_each(start, u64::from(sleepers) * u64::from(times));
    check(sleepers, times, delay);
    Some(each)
}

pub(crate) fn tokio(sleepers: u32, times: u32, delay: Delay) -> f64 {
    run_tokio(sleepers, times, delay, false)
}

pub(crate) fn tokio_in_timeout(sleepers: u32, times: u32, delay: Delay) -> f64 {
    run_tokio(sleepers, times, delay, true)
}

fn run_tokio(sleepers: u32, times: u32, delay: Delay, in_timeout: bool) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let begin = tokio::time::Instant::now();
        let tasks: Vec<_> = (0..sleepers)
            .map(|number| {
                tokio::spawn(async move {
                    let mut delays = Delays::new(number, delay);
                    for _ in 0..times {
                        let span = Duration::from_nanos(delays.next());
                        if in_timeout {
                            tokio::time::timeout(2 * span, tokio::time::sleep(span))
                                .await
                                .expect("it is shorter");
                        } else {
                            tokio::time::sleep(span).await;
                        }
                        count(number, (tokio::time::Instant::now() - begin).as_nanos() as u64);
                    }
                })
            })
            .collect();
        // a turn for each: they arm their first timers
        tokio::task::yield_now().await;
        let start = ProcessTime::now();
        for task in tasks {
            task.await.expect("no panic");
        }
        let each = nanos_each(start, u64::from(sleepers) * u64::from(times));
        // tokio rounds to its own milliseconds: when somebody woke is told apart from the others only by the rounding
        SUM.take();
        each
    })
}
