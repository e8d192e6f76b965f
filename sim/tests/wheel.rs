//! What the wheel promises, against an ordered map of queues.

use std::collections::BTreeMap;

use isochrone_sim::wheel::{RadixWheel, TimerId, Wheel};
use proptest::prelude::*;

/// The obvious implementation: per instant, the payloads in order of insertion.
#[derive(Default)]
struct Model {
    due: BTreeMap<u64, Vec<u32>>,
}

impl Model {
    fn remove(&mut self, when: u64, payload: u32) {
        let queue = self.due.get_mut(&when).unwrap();
        queue.retain(|p| *p != payload);
        if queue.is_empty() {
            self.due.remove(&when);
        }
    }

    fn next(&self) -> Option<u64> {
        self.due.keys().next().copied()
    }

    fn len(&self) -> usize {
        self.due.values().map(Vec::len).sum()
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Insert so far after now.
    Insert(u64),
    /// Insert so far before the end of time, if that is not past.
    InsertLate(u64),
    /// Insert for the same instant as the timer with this index.
    InsertAgain(prop::sample::Index),
    /// Cancel any timer ever inserted, fired or not.
    Cancel(prop::sample::Index),
    /// Cancel the timer inserted last: a timeout that was not needed.
    CancelLast,
    /// Cancel the earliest.
    CancelNext,
    CancelAll,
    SetPayload(prop::sample::Index),
    /// Fire everything that is due within so much time.
    Advance(u64),
    /// Fire what is due next, if within so much time.
    Fire(u64),
    /// Only ask what is ready within so much time, and go on from there.
    Ready(u64),
    /// Insert so many, so far apart, the last one first.
    Many(u64, u64),
    /// Tell how far time has come.
    Come,
}

fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..3u64,
        4 => 0..200u64,
        4 => 0..20_000u64,
        4 => (1..40u64).prop_map(|ms| ms * 1_000_000),
        4 => (0..64u32, any::<u64>()).prop_map(|(bits, x)| x >> bits),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    use prop::sample::Index;
    prop_oneof![
        12 => span().prop_map(Op::Insert),
        1 => (0..3000u64).prop_map(Op::InsertLate),
        4 => any::<Index>().prop_map(Op::InsertAgain),
        6 => any::<Index>().prop_map(Op::Cancel),
        3 => Just(Op::CancelLast),
        3 => Just(Op::CancelNext),
        1 => prop_oneof![9 => Just(Op::CancelNext), 1 => Just(Op::CancelAll)],
        2 => any::<Index>().prop_map(Op::SetPayload),
        3 => (0..100_000u64).prop_map(Op::Advance),
        1 => span().prop_map(Op::Advance),
        4 => span().prop_map(Op::Fire),
        1 => Just(Op::Fire(u64::MAX)),
        2 => span().prop_map(Op::Ready),
        2 => Just(Op::Come),
        // as many as make the run too long
        1 => (1..400u64, 65..200u64).prop_map(|(step, times)| Op::Many(step, times)),
    ]
}

struct Bench<const BITS: usize> {
    wheel: RadixWheel<BITS>,
    model: Model,
    now: u64,
    /// Every timer ever inserted: instant, id, payload, and whether it should be live.
    timers: Vec<(u64, TimerId, u32, bool)>,
    payloads: u32,
}

impl<const BITS: usize> Bench<BITS> {
    fn insert(&mut self, when: u64) {
        self.payloads += 1;
        let id = self.wheel.insert(when, self.payloads);
        self.model.due.entry(when).or_default().push(self.payloads);
        self.timers.push((when, id, self.payloads, true));
    }

    fn cancel(&mut self, i: usize) {
        let (when, id, payload, live) = self.timers[i];
        assert_eq!(self.wheel.is_live(id), live);
        assert_eq!(self.wheel.cancel(when, id), live);
        assert!(!self.wheel.cancel(when, id), "cancelled twice");
        if live {
            self.model.remove(when, payload);
        }
        self.timers[i].3 = false;
    }

    /// Fires the next instant up to `horizon`; false if there is none.
    fn fire(&mut self, horizon: u64) -> bool {
        let before = self.wheel.cursor();
        let ready = self.wheel.ready(horizon);
        match self.model.next() {
            Some(next) if next <= horizon => {
                assert_eq!(ready, Ok(next));
                let fired: Vec<u32> = std::iter::from_fn(|| self.wheel.pop()).collect();
                let expected = self.model.due.remove(&next).unwrap();
                assert_eq!(fired, expected, "order at {next}");
                for timer in self.timers.iter_mut().filter(|t| t.0 == next) {
                    timer.3 = false;
                    assert!(!self.wheel.is_live(timer.1));
                }
                self.now = next;
                assert_eq!(self.wheel.cursor(), next);
                true
            }
            next => {
                assert_eq!(ready, Err(next));
                assert!(self.wheel.cursor() <= horizon.max(before));
                self.now = self.now.max(horizon);
                false
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Insert(after) => self.insert(self.now.saturating_add(*after)),
            Op::InsertLate(before) => self.insert(self.now.max(u64::MAX - before)),
            Op::InsertAgain(i) if !self.timers.is_empty() => {
                let when = self.timers[i.index(self.timers.len())].0;
                self.insert(when.max(self.now));
            }
            Op::Cancel(i) if !self.timers.is_empty() => self.cancel(i.index(self.timers.len())),
            Op::CancelLast if !self.timers.is_empty() => self.cancel(self.timers.len() - 1),
            Op::CancelNext => {
                if let Some(i) =
                    (0..self.timers.len()).filter(|i| self.timers[*i].3).min_by_key(|i| self.timers[*i].0)
                {
                    self.cancel(i);
                }
            }
            Op::CancelAll => (0..self.timers.len()).for_each(|i| self.cancel(i)),
            Op::SetPayload(i) if !self.timers.is_empty() => {
                let i = i.index(self.timers.len());
                let (when, id, old, live) = self.timers[i];
                self.payloads += 1;
                self.wheel.set_payload(id, self.payloads);
                if live {
                    let queue = self.model.due.get_mut(&when).unwrap();
                    *queue.iter_mut().find(|p| **p == old).unwrap() = self.payloads;
                    self.timers[i].2 = self.payloads;
                }
            }
            Op::Many(step, times) => {
                for n in (0..*times).rev() {
                    self.insert(self.now.saturating_add(n * step));
                }
            }
            Op::Come => {
                let bound = self.wheel.advance(self.now);
                assert_eq!(bound.is_some(), self.model.next().is_some());
                assert!(bound <= self.model.next());
                assert_eq!(self.wheel.earliest(), self.model.next());
            }
            Op::Advance(by) => {
                let horizon = self.now.saturating_add(*by);
                while self.fire(horizon) {}
            }
            Op::Fire(within) => {
                self.fire(self.now.saturating_add(*within));
            }
            Op::Ready(within) => {
                let horizon = self.now.saturating_add(*within);
                let next = self.model.next();
                match self.wheel.ready(horizon) {
                    Ok(t) => assert_eq!((Some(t), t <= horizon), (next, true)),
                    Err(t) => assert_eq!((t, t.is_none_or(|t| t > horizon)), (next, true)),
                }
                // the kernel's time goes to what is ready, or to the horizon
                self.now = self.now.max(next.map_or(horizon, |t| t.min(horizon)));
            }
            _ => {}
        }
    }

    fn check(&self) {
        let next = self.model.next();
        assert_eq!(self.wheel.next(), next);
        assert!(next.is_none_or(|next| next >= self.wheel.cursor()));
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.is_empty(), self.model.due.is_empty());
    }
}

fn fires_what_an_ordered_map_would<const BITS: usize>(start: u64, ops: &[Op]) {
    let mut bench = Bench::<BITS> {
        wheel: RadixWheel::new(),
        model: Model::default(),
        now: start,
        timers: Vec::new(),
        payloads: 0,
    };
    for op in ops {
        bench.apply(op);
        bench.check();
    }
    let mut left: Vec<_> = bench.wheel.live_payloads().collect();
    let model = bench.model.due.iter();
    let mut expected: Vec<_> = model.flat_map(|(when, queue)| queue.iter().map(|p| (*when, *p))).collect();
    left.sort_unstable();
    expected.sort_unstable();
    assert_eq!(left, expected);
    while bench.fire(u64::MAX) {
        bench.check();
    }
    assert!(bench.wheel.held_bytes() < 384 * 1024, "{} bytes", bench.wheel.held_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_wheel_fires_what_an_ordered_map_would(
        start in prop_oneof![Just(0), any::<u64>(), (0..5000u64).prop_map(|x| u64::MAX - x)],
        ops in prop::collection::vec(op(), 1..400),
    ) {
        fires_what_an_ordered_map_would::<10>(start, &ops);
        fires_what_an_ordered_map_would::<8>(start, &ops);
    }
}

#[test]
fn timers_of_one_instant_fire_in_the_order_of_insertion() {
    let mut wheel = Wheel::new();
    // filed on different levels, because the cursor is elsewhere each time
    for (payload, via) in [(0, 900_000), (1, 990_000), (2, 999_900), (3, 999_999), (4, 1_000_000)] {
        wheel.insert(1_000_000, payload);
        wheel.insert(via, 100);
        while wheel.ready(via) != Err(Some(1_000_000)) && wheel.next() != Some(1_000_000) {
            while wheel.pop().is_some() {}
        }
    }
    let mut fired = Vec::new();
    assert_eq!(wheel.ready(1_000_000), Ok(1_000_000));
    fired.extend(std::iter::from_fn(|| wheel.pop()));
    fired.retain(|payload| *payload != 100);
    assert_eq!(fired, [0, 1, 2, 3, 4]);
}

#[test]
fn asking_within_a_horizon_leaves_room_before_the_next_timer() {
    let mut wheel = Wheel::new();
    wheel.insert(1_000_000_000, 1);
    for horizon in (0..1_000_000_000).step_by(100_000_000) {
        assert_eq!(wheel.ready(horizon), Err(Some(1_000_000_000)));
        assert!(wheel.cursor() <= horizon);
    }
    wheel.insert(900_000_001, 2);
    assert_eq!(wheel.ready(u64::MAX), Ok(900_000_001));
}

#[test]
fn firing_without_anything_ready_does_nothing() {
    let mut wheel = Wheel::new();
    wheel.insert(1000, 1);
    assert_eq!(wheel.pop(), None, "nothing is ready");
    assert_eq!(wheel.ready(999), Err(Some(1000)));
    assert_eq!(wheel.pop(), None, "nothing is ready");
    assert_eq!(wheel.next(), Some(1000));
}

#[test]
fn a_million_timeouts_that_were_not_needed_leave_nothing_behind() {
    let mut wheel = Wheel::new();
    wheel.insert(3_600_000_000_000, 0);
    for i in 0..1_000_000u64 {
        let when = 1_800_000_000_000 + i * 1_000_000;
        let timer = wheel.insert(when, 1);
        assert!(wheel.cancel(when, timer));
    }
    // the same slot as the live one
    for i in 0..1_000_000u64 {
        let when = 3_600_000_000_000 + i % 7;
        let timer = wheel.insert(when, 1);
        assert!(wheel.cancel(when, timer));
    }
    assert_eq!(wheel.next(), Some(3_600_000_000_000));
    assert!(wheel.held_bytes() < 256 * 1024, "{} bytes", wheel.held_bytes());
}

#[test]
fn a_burst_gives_its_memory_back_but_for_the_table() {
    let mut wheel = Wheel::new();
    let timers: Vec<_> = (0..300_000u64).map(|i| (i * 7_919, wheel.insert(i * 7_919, 0))).collect();
    for (when, timer) in &timers[..200_000] {
        wheel.cancel(*when, *timer);
    }
    while wheel.ready(u64::MAX).is_ok() {
        while wheel.pop().is_some() {}
    }
    assert!(wheel.is_empty());
    let table = 2 * 300_000 * 8; // a vector's capacity is at most twice its length
    assert!(wheel.held_bytes() < table + 256 * 1024, "{} bytes", wheel.held_bytes());
}
