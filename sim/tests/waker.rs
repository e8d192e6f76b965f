//! The waker that is an integer, from every place a waker can be used. Small enough for Miri:
//! `cargo +nightly miri test -p isochrone-sim --test waker`.

#![allow(clippy::disallowed_methods, reason = "threads are what is tested")]

mod common;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use isochrone_sim::{Kernel, Progress, Ref, SimError, Time, nanos};

/// Few under Miri.
const MANY: u64 = if cfg!(miri) { 8 } else { 2_000 };

type Kept = Rc<RefCell<Option<Waker>>>;

/// A task that hands out its waker and counts its polls.
fn grab(sim: &Sim, agent: Ref<Node>) -> (Kept, Rc<Cell<u32>>) {
    let (waker, polls) = (Kept::default(), Rc::new(Cell::new(0)));
    let (keep, count) = (waker.clone(), polls.clone());
    sim.go(agent, move |_| {
        std::future::poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            count.set(count.get() + 1);
            Poll::Pending
        })
    });
    sim.to(sim.now().as_nanos());
    (waker, polls)
}

fn take(kept: &Kept) -> Waker {
    kept.borrow_mut().take().expect("polled")
}

/// Time is the wall's: wakes from outside are welcome.
fn realtime() -> Sim {
    let mut config = config();
    config.realtime = true;
    sim_with(config)
}

/// Broken once: `key.kernel()` shifted by 47; the wake reached nobody.
#[test]
fn a_wake_from_another_thread_is_heard_at_the_next_turn_once() {
    let sim = realtime();
    let (waker, polls) = grab(&sim, sim.node("a"));
    assert_eq!(polls.get(), 1);
    let waker = take(&waker);
    std::thread::spawn(move || {
        waker.wake_by_ref();
        let other = waker.clone();
        other.wake();
        waker.wake()
    })
    .join()
    .expect("joined");
    assert_eq!((polls.get(), sim.has_wakes()), (1, true));
    sim.to(0);
    assert_eq!((polls.get(), sim.has_wakes()), (2, false));
}

#[test]
fn the_driver_is_woken_by_a_wake_from_another_thread() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let sim = realtime();
    let (waker, _) = grab(&sim, sim.node("a"));
    let driver = Arc::new(Count(AtomicUsize::new(0)));
    sim.watch(&Waker::from(driver.clone()));
    let waker = take(&waker);
    std::thread::spawn(move || {
        waker.wake_by_ref();
        waker.wake_by_ref();
    })
    .join()
    .expect("joined");
    // once until it asks again
    assert_eq!(driver.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_driver_that_asks_again_while_it_is_woken_does_not_deadlock() {
    struct Again(std::sync::Mutex<Option<Box<dyn Fn() + Send>>>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            // an executor that polls its task at once
            if let Some(again) = self.0.lock().expect("unpoisoned").take() {
                again();
            }
        }
    }
    let sim = realtime();
    let (waker, polls) = grab(&sim, sim.node("a"));
    let inner = take(&waker);
    let again = Arc::new(Again(std::sync::Mutex::new(Some(Box::new(move || inner.wake_by_ref())))));
    sim.watch(&Waker::from(again));
    // outside of any poll, on this thread
    let outer = {
        sim.to(0);
        let (waker, _) = grab(&sim, sim.node("b"));
        take(&waker)
    };
    outer.wake();
    sim.to(1);
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_waker_outlives_its_task_its_kernel_and_its_thread() {
    let sim = realtime();
    let (waker, _) = grab(&sim, sim.node("a"));
    let waker = take(&waker);
    drop(sim);
    waker.wake_by_ref();
    // a kernel made since has another number
    let sim = self::sim();
    let (_, polls) = grab(&sim, sim.node("a"));
    waker.wake_by_ref();
    let copy = waker.clone();
    std::thread::spawn(move || copy.wake()).join().expect("joined");
    sim.to(5);
    assert_eq!((polls.get(), sim.has_wakes()), (1, false));
    assert!(waker.will_wake(&waker.clone()));
}

#[test]
fn a_wake_during_another_kernels_poll_belongs_to_its_own_kernel() {
    let (outer, inner) = (sim(), realtime());
    let (waker, polls) = grab(&inner, inner.node("a"));
    let inner = Rc::new(inner);
    let guest = inner.clone();
    let waker = take(&waker);
    outer.go(outer.node("b"), move |this| async move {
        waker.wake_by_ref();
        // nested, in the middle of this poll
        assert_eq!(guest.run_until(Time::from_nanos(3)), Ok(Progress::Quiet { next: None }));
        assert_eq!((this.now(), guest.now()), (Time::ZERO, Time::from_nanos(3)));
        this.sleep(nanos(1)).await;
        write(&this, "on");
    });
    outer.end();
    outer.expect(&[(1, "on")]);
    assert_eq!(polls.get(), 2);
}

#[test]
fn code_of_a_nested_kernel_that_wakes_a_task_of_the_outer_one_is_foreign() {
    let outer = sim();
    let (waker, polls) = grab(&outer, outer.node("a"));
    outer.go(outer.node("b"), move |_| async move {
        let inner = Kernel::new(config()).expect("a kernel");
        inner.enter(|| take(&waker).wake());
    });
    outer.to(0);
    assert_eq!(polls.get(), 1);
    assert!(matches!(outer.run_until(Time::ZERO), Err(SimError::ForeignWake { .. })));
}

#[test]
fn generations_tell_the_tasks_of_one_place_apart() {
    let sim = sim();
    let a = sim.node("a");
    let stale: Rc<RefCell<Vec<Waker>>> = Rc::default();
    for _ in 0..MANY {
        let keep = stale.clone();
        sim.go(a, move |_| {
            std::future::poll_fn(move |cx| {
                keep.borrow_mut().push(cx.waker().clone());
                Poll::Ready(())
            })
        });
        sim.to(0);
    }
    let (_, polls) = grab(&sim, a);
    for waker in stale.borrow().iter() {
        waker.wake_by_ref();
    }
    sim.to(1);
    assert_eq!(polls.get(), 1);
    let wakers = stale.borrow();
    assert!((1..wakers.len()).all(|n| !wakers[0].will_wake(&wakers[n])), "they had one place");
}

#[test]
fn a_task_that_wakes_itself_is_polled_once_a_round() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, move |this| async move {
        let mut left = 4;
        std::future::poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            for _ in 0..3 {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        a.call(note("done")).send();
        drop(this);
    });
    sim.to(0);
    assert_eq!(sim.received(a.id()), [(0, 0, "go"), (0, 5, "note")]);
}

#[test]
fn foreign_wakers_in_all_leaf_futures_are_released_when_they_are_dropped() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let foreign = count.clone();
    sim.go(a, move |this| async move {
        let waker = Waker::from(foreign);
        for _ in 0..MANY {
            let mut all: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
                Box::pin(this.sleep(nanos(5))),
                Box::pin(this.sleep(nanos(0))),
                Box::pin(this.settled()),
                Box::pin(async {
                    assert!(this.timeout(nanos(7), std::future::pending::<()>()).await.is_err())
                }),
                Box::pin(async move { assert!(b.call(later(3, 1)).await.is_ok()) }),
                Box::pin(async { this.external("db", nanos(5), || async {}).await }),
            ];
            for future in &mut all {
                assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                // again, by another waker of the same kind, and by a stranger
                assert!(future.as_mut().poll(&mut Context::from_waker(&waker.clone())).is_pending());
                assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
        }
    });
    sim.to(10);
    // nothing was woken, nothing is kept: the last one is ours
    assert_eq!((count.0.load(Ordering::Relaxed), Arc::strong_count(&count)), (0, 1));
    assert_eq!(sim.next_event(), None);
}

#[test]
fn a_waker_whose_place_was_released_never_wakes_the_next_in_it() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move {
        for round in 0..MANY {
            // two at a time, one of them replaced by each result
            let mut two: FuturesUnordered<Pin<Box<dyn Future<Output = u64>>>> = FuturesUnordered::new();
            let sleep = |n: u64| -> Pin<Box<dyn Future<Output = u64>>> {
                let sleep = this.sleep(nanos(n));
                Box::pin(async move {
                    sleep.await;
                    n
                })
            };
            two.push(sleep(0));
            two.push(sleep(2));
            assert_eq!(two.next().await, Some(0));
            two.push(sleep(1));
            assert_eq!((two.next().await, two.next().await), (Some(1), Some(2)));
            drop(two);
            write(&this, round.to_string());
        }
    });
    sim.end();
    assert_eq!(sim.logged().len() as u64, MANY);
    assert_eq!(sim.now().as_nanos() as u64, 2 * MANY);
}

#[test]
fn wakers_of_tasks_that_hold_each_other_are_dropped_with_the_kernel() {
    let sim = sim();
    let a = sim.node("a");
    let token = Rc::new(());
    for _ in 0..3 {
        let token = token.clone();
        sim.go(a, move |this| async move {
            let _token = token;
            let mut all: FuturesUnordered<_> = (1..4).map(|n| this.sleep(nanos(n * 1_000))).collect();
            while all.next().await.is_some() {}
        });
    }
    sim.to(1_500);
    drop(sim);
    assert_eq!(Rc::strong_count(&token), 1);
}
