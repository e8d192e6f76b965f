//! Faults that are injected: what they do to one agent, and that they do nothing to the others.

mod common;

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

use common::*;
use isochrone_sim::{Form, Injected, Progress, Ref, Status, Time, nanos};

/// Asks `b` every 10 ns, and writes what it says.
fn asking(sim: &Sim, a: Ref<Node>, b: Ref<Node>) {
    sim.go(a, move |this| async move {
        for _ in 0..3 {
            this.sleep(nanos(10)).await;
            let said = outcome(b.call(later(4, 7))).await;
            write(&this, said);
        }
    });
}

fn at(nanos: i64) -> Time {
    Time::from_nanos(nanos)
}

#[test]
fn a_crashed_agent_answers_no_more_and_nobody_reports_it() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    asking(&sim, a, b);
    sim.to(12);
    assert!(sim.inject_fault(b.id(), Injected::Crash));
    assert!(!sim.inject_fault(b.id(), Injected::Crash), "once is enough");
    sim.end();
    let logged = sim.logged();
    assert_eq!(logged[0], (12, "agent b gave up `later` before it could answer: it was stopped".into()));
    assert_eq!(logged[1..], [(22, "agent b is stopped".into()), (32, "agent b is stopped".into())]);
    assert_eq!((sim.reports().len(), sim.counts().failures), (0, 0));
}

#[test]
fn a_restarted_agent_is_built_anew_and_takes_the_mail_that_waited() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.phoenix("b"));
    asking(&sim, a, b);
    sim.to(12);
    assert!(sim.inject_fault(b.id(), Injected::Restart(nanos(20))));
    sim.to(31);
    assert_eq!(sim.status(b.id()), Some(Status::Down));
    sim.end();
    let logged = sim.logged();
    assert!(logged[0].0 == 12 && logged[0].1.contains("it failed and restarts"), "{logged:?}");
    assert_eq!(logged[1..], [(36, "7".into()), (50, "7".into())]);
    assert!(!sim.inject_fault(a.id(), Injected::Restart(nanos(1))), "it has no constructor");
}

#[test]
fn a_paused_agent_loses_nothing() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    asking(&sim, a, b);
    sim.to(12);
    assert!(sim.inject_fault(b.id(), Injected::Pause(nanos(100))));
    sim.end();
    assert_eq!(sim.logged(), [(112, "7".into()), (126, "7".into()), (140, "7".into())]);
}

#[test]
fn the_next_message_of_a_tripped_agent_fails_and_no_other() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    asking(&sim, a, b);
    sim.to(5);
    assert!(sim.inject_fault(b.id(), Injected::Err));
    sim.end();
    let logged = sim.logged();
    assert_eq!(
        logged[0],
        (10, "agent b gave up `later` before it could answer: a fault was injected".into())
    );
    assert_eq!(logged[1..], [(24, "7".into()), (38, "7".into())]);
}

/// The number as it is written down: in a box that only the form knows.
fn form() -> Form<u64> {
    Form {
        encode: |value| Ok(Rc::new(*value)),
        decode: |written: &dyn Any| written.downcast_ref().copied().ok_or("no number".into()),
    }
}

#[test]
fn a_recorded_outcome_resumes_an_agent_without_its_closure() {
    let run = |recorded: Option<Rc<dyn Any>>| {
        let sim = sim();
        let a = sim.node("a");
        let called = Rc::new(Cell::new(false));
        let calls = called.clone();
        sim.go(a, move |this| async move {
            let make = move || {
                calls.set(true);
                async { 42 }
            };
            write(&this, this.external_as("db", nanos(5), form(), make).await.to_string());
        });
        assert_eq!(sim.run_until(at(9)), Ok(Progress::Blocked));
        let started = sim.take_external().remove(0);
        let (id, outcome) = match &recorded {
            None => ready(started.run()),
            Some(recorded) => started.recall(Ok(&**recorded)),
        };
        let written = outcome.encode().expect("it has a form");
        sim.finish_external(id, outcome);
        sim.end();
        assert_eq!(called.get(), recorded.is_none());
        assert_eq!(sim.logged(), [(5, "42".into())]);
        (written, sim.fingerprint())
    };
    let (written, fingerprint) = run(None);
    assert_eq!(run(Some(written)).1, fingerprint);
}

/// Whoever creates it, and whenever: no code of its own runs.
#[test]
fn an_agent_that_is_left_out_is_gone_as_soon_as_it_is_created() {
    let mut config = config();
    config.without = vec!["b".into(), "a/child".into()];
    let sim = sim_with(config);
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(b, |this| async move { write(&this, "it runs") });
    asking(&sim, a, b);
    let (log, child) = (sim.log.clone(), Rc::new(Cell::new(None)));
    let created = child.clone();
    sim.go(a, move |this| async move {
        this.sleep(nanos(15)).await;
        created.set(this.create(Some("child"), Node::<0>::new(&log)).ok().map(|child| child.id()));
    });
    sim.end();
    assert_eq!(sim.logged(), [10, 20, 30].map(|at| (at, "agent b is stopped".into())));
    assert_eq!(sim.status(child.get().expect("it was created")), Some(Status::Stopped));
}
