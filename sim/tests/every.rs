//! Periodic code that runs in place: in the order in which it was set, whatever shares its timer, and until its agent ends.

mod common;

use common::*;
use isochrone_sim::{Ref, This, Time, nanos};
use proptest::prelude::*;

/// Writes down that it has run.
fn tick(this: &This<Node>) -> Option<String> {
    write(this, this.path());
    None
}

fn every(sim: &Sim, agent: Ref<Node>, period: u64, run: fn(&This<Node>) -> Option<String>) {
    sim.go(agent, move |this| async move { this.every("tick", nanos(period), run) });
}

fn sleeper(sim: &Sim, name: &str, span: u64) {
    sim.go(sim.node(name), move |this| async move {
        this.sleep(nanos(span)).await;
        write(&this, this.path());
    });
}

fn stop(sim: &Sim, agents: &[Ref<Node>]) {
    agents.iter().for_each(|agent| sim.stop(agent.id()));
}

/// Broken once: a sleep does not close the beat, and `c` runs before `d`.
#[test]
fn a_timer_that_is_set_between_two_others_fires_between_them() {
    let sim = sim();
    every(&sim, sim.node("a"), 10, tick);
    every(&sim, sim.node("b"), 10, tick);
    sleeper(&sim, "d", 10);
    every(&sim, sim.node("c"), 10, tick);
    // of another instant: it keeps nobody apart
    sleeper(&sim, "e", 20);
    sim.to(20);
    let first = [(10, "a"), (10, "b"), (10, "d"), (10, "c")];
    sim.expect(&[&first[..], &[(20, "e"), (20, "a"), (20, "b"), (20, "c")]].concat());
}

/// Broken once: who set the timer of others takes it along.
#[test]
fn who_leaves_takes_nobody_along_and_the_last_one_leaves_nothing() {
    let sim = sim();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| sim.node(name));
    [a, b, c, d].into_iter().for_each(|agent| every(&sim, agent, 10, tick));
    sim.to(5);
    stop(&sim, &[a, c]);
    sim.to(10);
    sim.expect(&[(10, "b"), (10, "d")]);
    sim.to(15);
    stop(&sim, &[d, b]);
    assert_eq!(sim.next_event(), None);
    let late = sim.node("late");
    every(&sim, late, 5, tick);
    sim.to(20);
    sim.expect(&[(10, "b"), (10, "d"), (20, "late")]);
    stop(&sim, &[late]);
    sim.end();
}

#[test]
fn one_that_has_been_alone_leaves_nothing_either() {
    let sim = sim();
    let [a, b] = ["a", "b"].map(|name| sim.node(name));
    every(&sim, a, 10, tick);
    sim.to(5);
    stop(&sim, &[a]);
    assert_eq!(sim.next_event(), None);
    // for the same instant as the timer that is gone
    every(&sim, b, 5, tick);
    sim.to(12);
    sim.expect(&[(10, "b")]);
}

/// Broken once: a panic is put down to the first of those that run together.
#[test]
fn a_failure_ends_the_code_of_one_agent_and_not_that_of_the_others() {
    let sim = sim();
    every(&sim, sim.node("a"), 10, tick);
    every(&sim, sim.node("b"), 10, |_| panic!("thrown"));
    every(&sim, sim.node("c"), 10, tick);
    every(&sim, sim.node("d"), 10, |_| Some("told".into()));
    every(&sim, sim.node("e"), 10, |_| panic!("thrown last"));
    sim.to(20);
    sim.expect(&[(10, "a"), (10, "c"), (20, "a"), (20, "c")]);
    let failures: Vec<_> =
        sim.reports().iter().map(|report| (report.agent.clone(), report.message.clone())).collect();
    let told = [("b", "thrown"), ("d", "told"), ("e", "thrown last")];
    assert_eq!(failures, told.map(|(path, message)| (path.to_string(), message.to_string())));
}

/// Broken once: the tasks of a beat are not looked for, and all but the first are strays.
#[test]
fn what_waits_for_its_time_together_waits_for_something() {
    let sim = sim();
    for name in ["a", "b", "c"] {
        every(&sim, sim.node(name), 10, tick);
    }
    sim.to(5);
    assert!(sim.stray_tasks().is_empty(), "{:?}", sim.stray_tasks());
}

#[test]
fn what_is_longer_than_all_of_time_never_comes() {
    let mut config = config();
    config.start = Time::from_nanos(-1);
    let sim = sim_with(config);
    every(&sim, sim.node("a"), u64::MAX, tick);
    every(&sim, sim.node("b"), u64::MAX, tick);
    sim.to(0);
    assert_eq!(sim.next_event(), None);
}

/// How an agent ticks.
#[derive(Clone, Copy, Debug)]
struct Ticking {
    starts: u64,
    period: u64,
    /// from its start on
    stops: u64,
    in_place: bool,
}

fn ticking() -> impl Strategy<Value = Ticking> {
    (0..4u64, 1..5u64, 1..30u64, any::<bool>()).prop_map(|(starts, period, stops, in_place)| Ticking {
        starts,
        period,
        stops,
        in_place,
    })
}

fn run(agents: &[Ticking], in_place: impl Fn(&Ticking) -> bool) -> Vec<(i64, String)> {
    let sim = sim();
    for (n, agent) in agents.iter().enumerate() {
        let (Ticking { starts, period, stops, .. }, in_place) = (*agent, in_place(agent));
        let node = sim.node(&n.to_string());
        sim.go(node, move |this| async move {
            this.sleep(nanos(starts)).await;
            let ends = this.sleep(nanos(stops));
            if in_place {
                this.every("tick", nanos(period), tick);
            } else {
                let ticks = this.clone();
                this.start_now("tick", async move {
                    let mut interval = ticks.interval(nanos(period));
                    loop {
                        interval.tick().await;
                        tick(&ticks);
                    }
                });
            }
            ends.await;
            this.stop();
        });
    }
    sim.end();
    sim.logged()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// A future that waits for each tick has a timer of its own each time.
    #[test]
    fn it_runs_when_and_in_the_order_in_which_a_future_would(agents in prop::collection::vec(ticking(), 1..9)) {
        let futures = run(&agents, |_| false);
        prop_assert_eq!(&run(&agents, |_| true), &futures);
        prop_assert_eq!(&run(&agents, |agent| agent.in_place), &futures);
    }
}
