//! Calls that leave the simulated world: the time of their result is fixed before the result is known.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use isochrone_sim::{Config, ExternalOutcome, Progress, Started, This, Time, nanos};

fn at(nanos: i64) -> Time {
    Time::from_nanos(nanos)
}

fn finish(sim: &Sim, started: Started) {
    let (id, outcome) = ready(started.run());
    sim.finish_external(id, outcome);
}

/// Broken once: `is_blocked` answers false; the kernel looked for the result at the same instant for ever.
#[test]
fn time_waits_for_a_result_that_is_late() {
    for latency in [0, 5] {
        let sim = sim();
        let (a, b) = (sim.node("a"), sim.node("b"));
        sim.go(a, move |this| async move {
            this.sleep(nanos(10)).await;
            let value: u32 = this.external("db", nanos(latency), || async { 42 }).await;
            write(&this, value.to_string());
        });
        sim.go(b, move |this| async move {
            for _ in 0..40 {
                this.sleep(nanos(1)).await;
                write(&this, ".");
            }
        });
        assert_eq!(sim.run_until(at(100)), Ok(Progress::Blocked));
        let due = 10 + latency as i64;
        assert_eq!((sim.now(), sim.next_event()), (at(due), Some(at(due))));
        assert_eq!(sim.run_until(at(100)), Ok(Progress::Blocked), "and waits for ever");
        let started = sim.take_external();
        assert_eq!((started.len(), &*started[0].name(), started[0].agent), (1, "db", a.id()));
        assert!(sim.take_external().is_empty());
        for started in started {
            finish(&sim, started);
        }
        sim.to(100);
        assert!(sim.logged().contains(&(due, "42".into())));
        assert_eq!(sim.logged().len(), 41);
    }
}

#[test]
fn with_latency_zero_the_agent_resumes_in_the_next_round() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, move |this| async move {
        this.external("db", nanos(0), || async {}).await;
        a.call(note("resumed")).send();
    });
    assert_eq!(sim.run_until(at(0)), Ok(Progress::Blocked));
    let round = sim.round();
    sim.finish_all();
    sim.to(0);
    assert_eq!(sim.received(a.id()).last(), Some(&(0, round + 1, "note")));
}

/// Broken once: `deliver_externals` sorts by something else (the length of the value); "second" came first.
#[test]
fn results_of_one_instant_are_all_awaited_and_resume_in_order_of_task_and_call_not_of_arrival() {
    let run = |backwards: bool| {
        let sim = sim();
        let a = sim.node("a");
        for name in ["first", "second", "third"] {
            sim.go(a, move |this| async move {
                let value: String = this.external(name, nanos(7), move || async move { name.into() }).await;
                write(&this, value);
                a.call(note("told")).send();
            });
        }
        sim.to(3);
        let mut started = sim.take_external();
        if backwards {
            started.reverse();
        }
        let last = started.pop().expect("three");
        for started in started {
            finish(&sim, started);
        }
        assert_eq!(sim.run_until(at(20)), Ok(Progress::Blocked));
        sim.expect(&[]);
        finish(&sim, last);
        sim.to(20);
        let told = (7, "told");
        sim.expect(&[(7, "first"), (7, "second"), (7, "third"), told, told, told]);
        sim.fingerprint()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_result_that_is_early_waits_for_its_time() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move {
        let value: u8 = this.external("db", nanos(9), || async { 3 }).await;
        write(&this, value.to_string());
    });
    sim.to(0);
    sim.finish_all();
    sim.to(8);
    sim.expect(&[]);
    assert_eq!(sim.next_event(), Some(at(9)));
    sim.end();
    sim.expect(&[(9, "3")]);
}

#[test]
fn an_operation_that_is_dropped_is_forgotten() {
    let sim = sim();
    let a = sim.node("a");
    let called = Rc::new(Cell::new(false));
    let call = called.clone();
    sim.go(a, move |this| async move {
        let never = this.external("db", nanos(9), move || {
            call.set(true);
            async { 1u8 }
        });
        assert!(this.timeout(nanos(4), never).await.is_err());
        write(&this, "gave up");
    });
    sim.to(4);
    let started = sim.take_external();
    // nobody waits for it any more: the clock goes on, and the outcome is ignored
    sim.to(20);
    for started in started {
        finish(&sim, started);
    }
    sim.end();
    sim.expect(&[(4, "gave up")]);
    assert!(called.get());
    assert_eq!(sim.counts().failures, 0);
}

#[test]
fn a_deadline_of_the_instant_of_the_result_loses() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move {
        let result = this.timeout(nanos(5), this.external("db", nanos(5), || async { 1u8 })).await;
        write(&this, format!("{result:?}"));
    });
    assert_eq!(sim.run_until(at(9)), Ok(Progress::Blocked));
    sim.finish_all();
    sim.end();
    sim.expect(&[(5, "Ok(1)")]);
}

#[test]
fn a_closure_or_future_that_panics_is_the_agents_failure() {
    let sim = sim();
    let (a, b, c) = (sim.node("a"), sim.node("b"), sim.node("c"));
    sim.go(a, |this| async move {
        this.external::<(), _, _>("make", nanos(0), || {
            assert!(std::hint::black_box(false), "in the closure");
            std::future::ready(())
        })
        .await
    });
    sim.go(b, |this| async move {
        this.external("future", nanos(0), || async { assert!(std::hint::black_box(false), "in the future") })
            .await
    });
    sim.go(c, |this| async move { this.external("lost", nanos(0), || async {}).await });
    assert_eq!(sim.run_until(at(0)), Ok(Progress::Blocked));
    for started in sim.take_external() {
        if started.name() == "lost" {
            sim.finish_external(started.id, ExternalOutcome::failed("the line is dead".into()));
        } else {
            finish(&sim, started);
        }
    }
    sim.end();
    let said: Vec<_> =
        sim.reports().iter().map(|report| format!("{}: {}", report.agent, report.message)).collect();
    assert_eq!(
        said,
        [
            "a: external operation \"make\": in the closure",
            "b: external operation \"future\": in the future",
            "c: external operation \"lost\": the line is dead",
        ]
    );
}

#[test]
fn an_agent_that_is_stopped_leaves_no_operation_behind() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move { this.external("db", nanos(5), || async {}).await });
    sim.to(1);
    sim.stop(a.id());
    sim.end();
    assert_eq!(sim.next_event(), None);
    sim.finish_all();
    sim.end();
}

#[test]
fn many_at_once_behind_foreign_wakers() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move {
        let one = |n: u64| this.external("db", nanos(10 - n), move || async move { n });
        let mut all: FuturesUnordered<_> = (0..5).map(one).collect();
        while let Some(value) = all.next().await {
            write(&this, value.to_string());
        }
    });
    sim.to(0);
    sim.finish_all();
    sim.end();
    sim.expect(&[(6, "4"), (7, "3"), (8, "2"), (9, "1"), (10, "0")]);
}

#[test]
fn in_real_time_the_agent_resumes_when_the_result_is_there() {
    let mut config: Config = config();
    config.realtime = true;
    let sim = sim_with(config);
    let a = sim.node("a");
    sim.go(a, |this| async move {
        let value: u8 = this.external("db", nanos(50), || async { 3 }).await;
        write(&this, value.to_string());
    });
    sim.to(5);
    assert_eq!(sim.next_event(), None);
    sim.to(90);
    sim.finish_all();
    assert_eq!(sim.next_event(), Some(at(90)), "there is something to do now");
    sim.to(91);
    sim.expect(&[(90, "3")]);
}

#[test]
fn what_comes_in_while_the_clock_stands_is_handled_in_the_next_round() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, |this| async move {
        this.external("peer", nanos(0), || async {}).await;
        write(&this, "result");
    });
    assert_eq!(sim.run_until(at(50)), Ok(Progress::Blocked));
    let round = sim.round();
    sim.inject(sim.now(), b, note("request")).expect("not past");
    sim.finish_all();
    sim.to(50);
    sim.expect(&[(0, "request"), (0, "result")]);
    assert_eq!(sim.received(b.id()), [(0, round, "note")]);
}

#[test]
fn the_outcome_is_part_of_the_fingerprint() {
    let run = |value: f64, name: &'static str, latency: u64| {
        let sim = sim();
        let a = sim.node("a");
        sim.go(a, move |this: This<Node>| async move {
            let _: f64 = this.external(name, nanos(latency), move || async move { value }).await;
        });
        sim.to(0);
        sim.finish_all();
        sim.end();
        sim.fingerprint()
    };
    let base = run(1.0, "db", 5);
    assert_eq!(base, run(1.0, "db", 5));
    assert_ne!(base, run(f64::from_bits(1.0f64.to_bits() ^ 1), "db", 5));
    assert_ne!(base, run(1.0, "dc", 5));
    assert_ne!(base, run(1.0, "db", 6));
}

#[test]
fn the_closure_is_called_by_the_driver_and_never_by_the_kernel() {
    let sim = sim();
    let a = sim.node("a");
    let calls: Rc<RefCell<u32>> = Rc::default();
    let count = calls.clone();
    sim.go(a, move |this| async move {
        let value: u8 = this
            .external("db", nanos(5), move || {
                *count.borrow_mut() += 1;
                async { 1 }
            })
            .await;
        write(&this, value.to_string());
    });
    sim.to(0);
    let started = sim.take_external().pop().expect("one");
    // a replay hands in what was recorded
    let (id, _) = (started.id, drop(started));
    assert_eq!(sim.run_until(at(9)), Ok(Progress::Blocked));
    let recorded = ready({
        let other = self::sim();
        let b = other.node("a");
        other.go(
            b,
            |this| async move { assert_eq!(this.external("db", nanos(5), || async { 1u8 }).await, 1) },
        );
        other.to(0);
        other.take_external().pop().expect("one").run()
    });
    sim.finish_external(id, recorded.1);
    sim.end();
    assert_eq!(*calls.borrow(), 0);
    sim.expect(&[(5, "1")]);
}
