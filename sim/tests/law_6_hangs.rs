//! Law 6: no hang without a name.
#![allow(clippy::disallowed_methods, reason = "wakes from other threads are what is tested")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::*;
use futures::channel::oneshot;
use isochrone_sim::{Kernel, Ref, SimError, This, Time, nanos};

// ---- livelocks

fn ping(at: Ref<Node>, back: Ref<Node>) -> Msg {
    msg("ping", move |_, _| at.call(ping(back, at)).send())
}

/// Broken once: `is_busy` is always false; the test ran until it was killed.
#[test]
fn a_livelock_names_both_agents_after_a_settable_number_of_rounds() {
    let mut config = config();
    config.livelock = 50;
    let sim = sim_with(config);
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.inject(Time::from_nanos(3), a, ping(b, a)).expect("not past");
    let error = sim.fails();
    assert_eq!(
        error.to_string(),
        "livelock at 3ns: 50 rounds at one instant and still busy: a is to receive `ping` from b"
    );
    // who asks again gets as many rounds more: the limit counts per step
    let Err(SimError::Livelock { rounds, .. }) = sim.run_until(Time::MAX) else { panic!("a livelock") };
    assert_eq!((rounds, sim.round()), (50, 100));
}

#[test]
fn every_way_to_be_busy_for_ever_is_named() {
    let busy = |name: &str, code: fn(This<Node>, Ref<Node>) -> Later<()>| {
        let mut config = config();
        config.livelock = 100;
        let sim = sim_with(config);
        let (a, b) = (sim.node("a"), sim.node("b"));
        sim.go(a, move |this| code(this, b));
        let error = sim.fails();
        assert!(matches!(&error, SimError::Livelock { busy, .. } if !busy.is_empty()), "{name}: {error}");
        error.to_string()
    };
    let text =
        busy("calls", |_, b| Box::pin(async move { while b.call(doing(|_| async { 1 })).await.is_ok() {} }));
    assert!(
        text.contains("a is to receive a reply from b") || text.contains("b is to receive `doing` from a"),
        "{text}"
    );
    let text = busy("sleep(0)", |this, _| {
        Box::pin(async move {
            loop {
                this.sleep(nanos(0)).await
            }
        })
    });
    assert!(text.contains("a is to run `task`"), "{text}");
    busy("settled", |this, _| {
        Box::pin(async move {
            loop {
                this.settled().await
            }
        })
    });
    busy("timeout(0)", |this, _| {
        Box::pin(async move { while this.timeout(nanos(0), std::future::pending::<()>()).await.is_err() {} })
    });
    busy("yielding", |_, _| {
        Box::pin(std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }))
    });
    let text = busy("creating", |this, _| {
        struct Parent;
        impl isochrone_sim::Actor for Parent {
            type Msg = ();
            type Reply = ();
            const TYPE: &'static str = "Parent";
            fn started(this: &This<Self>) {
                this.create(None, Parent).expect("unnamed");
            }
            fn receive(_: &This<Self>, (): (), _: isochrone_sim::ReplyTo<Self>) {}
            fn label((): &()) -> &'static str {
                ""
            }
            fn message_hash((): &()) -> u64 {
                0
            }
            fn reply_hash((): &()) -> u64 {
                0
            }
        }
        Box::pin(async move { drop(this.create(None, Parent)) })
    });
    assert!(text.contains("Parent#0 is to receive `start` from"), "{text}");
}

#[test]
fn as_many_rounds_as_the_limit_and_then_quiet_is_no_livelock() {
    for rounds in 1..12u64 {
        let mut config = config();
        config.livelock = 10;
        let sim = sim_with(config);
        let a = sim.node("a");
        sim.go(a, move |this| async move {
            for _ in 1..rounds {
                this.sleep(nanos(0)).await;
            }
        });
        let result = sim.run_until(Time::MAX);
        assert_eq!(result.is_ok(), rounds <= 10, "{rounds}: {result:?}");
        assert_eq!(u64::from(sim.round()), rounds.min(10));
    }
}

#[test]
fn inputs_that_never_end_are_no_livelock_if_time_goes_on() {
    let mut config = config();
    config.livelock = 10;
    let sim = sim_with(config);
    let a = sim.node("a");
    sim.go(a, |this| async move {
        for _ in 0..1_000 {
            this.sleep(nanos(1)).await;
        }
    });
    sim.end();
}

// ---- cycles of waiting calls

/// Calls and holds the state meanwhile; logs what came out.
fn hold_and(call: impl FnOnce() -> isochrone_sim::Call<Node> + 'static) -> Msg {
    holding(move |this| {
        let (call, me) = (call(), this.clone());
        async move {
            let text = outcome(call).await;
            // the state is in the exclusive future: the log is reached through a message
            me.me().call(note(text)).send();
            1
        }
    })
}

fn first(sim: &Sim) -> String {
    sim.end();
    assert_eq!(sim.open_calls(), []);
    assert_eq!(sim.tasks(), 0);
    let log = sim.logged();
    let cycles: Vec<_> = log.iter().filter(|(_, text)| text.starts_with("a cycle")).collect();
    assert_eq!(cycles.len(), 1, "{log:?}");
    cycles[0].1.clone()
}

/// Broken once: `wait_cycle` answers `None`; the end of the run found the open call of `a` to itself.
#[test]
fn a_call_to_oneself_from_an_exclusive_method_is_refused() {
    let sim = sim();
    let a = sim.node("a");
    sim.inject(Time::ZERO, a, hold_and(move || a.call(note("never")))).expect("not past");
    assert_eq!(first(&sim), "a cycle of waiting calls: a.hold -> a.note");
}

#[test]
fn cycles_of_two_and_three_are_refused_where_they_close() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.inject(Time::ZERO, a, hold_and(move || b.call(hold_and(move || a.call(note("never"))))))
        .expect("not past");
    assert_eq!(first(&sim), "a cycle of waiting calls: a.hold -> b.hold -> a.note");

    let sim = self::sim();
    let (a, b, c) = (sim.node("a"), sim.node("b"), sim.node("c"));
    let innermost = move || a.call(hold_and(move || b.call(note("never"))));
    sim.inject(Time::ZERO, a, hold_and(move || b.call(hold_and(move || c.call(hold_and(innermost))))))
        .expect("not past");
    assert_eq!(first(&sim), "a cycle of waiting calls: a.hold -> b.hold -> c.hold -> a.hold");
}

#[test]
fn two_that_call_each_other_in_the_same_round_are_refused_once() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.inject(Time::ZERO, a, hold_and(move || b.call(note("from a")))).expect("not past");
    sim.inject(Time::ZERO, b, hold_and(move || a.call(note("from b")))).expect("not past");
    // the second of them closes the cycle: calls arrive in order of the callees
    assert_eq!(first(&sim), "a cycle of waiting calls: b.hold -> a.hold -> b.note");
    assert!(sim.logged().iter().any(|(_, text)| text == "from b"));
}

#[test]
fn a_cycle_through_a_handler_that_is_not_exclusive_is_refused() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let back: Msg = doing(move |this| async move {
        this.sleep(nanos(3)).await;
        write(&this, outcome(a.call(note("never"))).await);
        1
    });
    sim.inject(Time::ZERO, a, hold_and(move || b.call(back))).expect("not past");
    assert_eq!(first(&sim), "a cycle of waiting calls: a.hold -> b.doing -> a.note");
}

/// Broken once: the kernel did not know that a task waits for its own agent's exclusive method; `b` and `a` hung.
#[test]
fn a_cycle_through_a_task_that_is_not_polled_is_refused() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    // b holds and waits for a task of a; then a holds, so the task is not polled, and waits for b
    sim.inject(Time::ZERO, b, hold_and(move || a.call(later(5, 1)))).expect("not past");
    sim.inject(Time::from_nanos(2), a, hold_and(move || b.call(note("never")))).expect("not past");
    assert_eq!(first(&sim), "a cycle of waiting calls: b.hold -> a.later -> a.hold -> b.note");
}

#[test]
fn a_cycle_that_closes_when_the_lock_changes_hands_is_refused() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.inject(Time::ZERO, b, hold(10, 0)).expect("not past");
    // at 10, b goes to this one, which needs a; and a's own call waits in b's queue behind it
    sim.inject(Time::from_nanos(1), b, hold_and(move || a.call(note("never")))).expect("not past");
    sim.inject(Time::from_nanos(2), a, hold_and(move || b.call(note("in the queue")))).expect("not past");
    assert_eq!(first(&sim), "a cycle of waiting calls: a.hold -> b.hold -> a.note");
}

#[test]
fn look_alikes_that_can_end_are_not_refused() {
    let sim = sim();
    let names = ["a", "b", "c", "d"];
    let [a, b, c, d] = names.map(|name| sim.node(name));
    // a message to oneself
    sim.inject(
        Time::ZERO,
        a,
        holding(move |this| async move {
            a.call(note("to myself")).send();
            this.sleep(nanos(1)).await;
            1
        }),
    )
    .expect("not past");
    // another task of the same agent calls the locked agent
    sim.go(b, move |this| async move {
        b.call(hold(5, 1)).send();
        write(&this, outcome(b.call(note("from another task"))).await);
    });
    // the callee answers at once and calls back on its own account
    sim.inject(
        Time::from_nanos(10),
        c,
        hold_and(move || {
            d.call(msg("answer, then ask", move |this: &This<Node>, reply| {
                let me = this.clone();
                reply.send(5);
                this.spawn(async move { write(&me, outcome(c.call(note("afterwards"))).await) });
            }))
        }),
    )
    .expect("not past");
    // two exclusive methods need the same third, which needs nobody
    for (n, who) in [a, b].into_iter().enumerate() {
        sim.inject(Time::from_nanos(20 + n as i64), who, hold_and(move || d.call(hold(7, n as u64))))
            .expect("not past");
    }
    // a chain that comes back to an agent which holds nothing
    sim.inject(
        Time::from_nanos(50),
        a,
        doing(move |this| async move {
            write(&this, outcome(b.call(hold_and(move || a.call(note("not held"))))).await);
            1
        }),
    )
    .expect("not past");
    // the callee has kept the reply for later, and waits for nobody
    let kept: Rc<RefCell<Vec<isochrone_sim::ReplyTo<Node>>>> = Rc::default();
    let keep = kept.clone();
    sim.inject(
        Time::from_nanos(60),
        b,
        hold_and(move || c.call(msg("keep", move |_, reply| keep.borrow_mut().push(reply)))),
    )
    .expect("not past");
    sim.inject(Time::from_nanos(61), d, hold_and(move || b.call(note("after all")))).expect("not past");
    sim.inject(
        Time::from_nanos(62),
        c,
        msg("answer", move |_, _| kept.borrow_mut().pop().expect("kept").send(6)),
    )
    .expect("not past");
    sim.end();
    let log = sim.logged();
    assert!(log.iter().all(|(_, text)| !text.contains("cycle")), "{log:?}");
    assert_eq!((sim.open_calls(), sim.tasks(), sim.counts().failures), (vec![], 0, 0), "{log:?}");
    assert!(log.iter().any(|(_, text)| text == "after all"));
}

#[test]
fn a_cycle_is_refused_even_if_a_timeout_would_end_it() {
    let sim = sim();
    let a = sim.node("a");
    sim.inject(
        Time::ZERO,
        a,
        holding(move |this| async move {
            let text = match this.timeout(nanos(5), a.call(note("never"))).await {
                Ok(result) => result.expect_err("refused").kind(),
                Err(_) => "elapsed",
            };
            a.call(note(text)).send();
            1
        }),
    )
    .expect("not past");
    sim.end();
    sim.expect(&[(0, "WaitCycle")]);
}

// ---- calls that are open at the end

/// Broken once: `check_end` looks at `tasks()` instead of the calls; the agent that waits for an input was an error.
#[test]
fn an_open_call_at_the_end_is_an_error_that_names_both_and_waiting_for_an_input_is_not() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let kept: Rc<RefCell<Vec<isochrone_sim::ReplyTo<Node>>>> = Rc::default();
    let keep = kept.clone();
    sim.go(b, |_| std::future::pending());
    sim.end();
    assert_eq!(sim.check_end(), Ok(()));
    sim.inject(
        Time::from_nanos(4),
        a,
        msg("ask", move |this, _| {
            this.start("asking", async move {
                let _ = b.call(msg("lose", move |_, reply| keep.borrow_mut().push(reply))).await;
            });
        }),
    )
    .expect("not past");
    assert_eq!(sim.check_end(), Ok(()), "something is left to happen");
    sim.end();
    let error = sim.check_end().expect_err("open");
    assert_eq!(
        error.to_string(),
        "at 4ns, nothing is left to happen, and calls are still open: a waits for `lose` of b since 4ns"
    );
    // late, but an answer
    sim.inject(sim.now(), b, msg("find", move |_, _| kept.borrow_mut().pop().expect("kept").send(1)))
        .expect("not past");
    sim.end();
    assert_eq!(sim.check_end(), Ok(()));
}

// ---- wakes from elsewhere

/// Waits for a channel; the sender is handed out.
fn listening(sim: &Sim, at: Ref<Node>) -> oneshot::Sender<u64> {
    let (sender, receiver) = oneshot::channel::<u64>();
    sim.go(at, |this| async move {
        if let Ok(value) = receiver.await {
            write(&this, value.to_string());
        }
    });
    sim.to(0);
    sender
}

/// Broken once: `admit_wakes` wakes whatever is alive; the run went on as if nothing had happened.
#[test]
fn a_wake_from_another_thread_is_an_error_that_names_the_task() {
    let sim = sim();
    let sender = listening(&sim, sim.node("a"));
    std::thread::spawn(move || sender.send(5)).join().expect("joined").expect("sent");
    assert!(sim.has_wakes());
    let error = sim.fails();
    assert!(
        error.to_string().starts_with(
            "at 0s, task `task` of agent a was woken from outside the kernel: in simulated time only"
        ),
        "{error}"
    );
}

#[test]
fn a_wake_by_another_agents_code_is_an_error_that_names_both() {
    let sim = sim();
    let sender = listening(&sim, sim.node("a"));
    sim.inject(Time::from_nanos(3), sim.node("b"), msg("tell", move |_, _| sender.send(5).expect("sent")))
        .expect("not past");
    let error = sim.fails();
    assert!(
        error
            .to_string()
            .starts_with("at 3ns, task `task` of agent a was woken by code of agent b without a message:"),
        "{error}"
    );
}

#[test]
fn a_wake_by_code_of_the_same_agent_is_welcome() {
    let sim = sim();
    let a = sim.node("a");
    let sender = listening(&sim, a);
    sim.inject(Time::from_nanos(3), a, msg("tell", move |_, _| sender.send(5).expect("sent")))
        .expect("not past");
    sim.end();
    sim.expect(&[(3, "5")]);
}

#[test]
fn a_wake_of_a_task_that_has_ended_is_nothing() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let waker: Rc<RefCell<Option<std::task::Waker>>> = Rc::default();
    let keep = waker.clone();
    sim.go(a, |this| async move {
        std::future::poll_fn(|cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            std::task::Poll::Ready(())
        })
        .await;
        write(&this, "end");
    });
    sim.to(0);
    // the task's place is another task's now
    sim.go(b, |_| std::future::pending());
    sim.to(0);
    let stale = waker.borrow_mut().take().expect("polled");
    stale.wake_by_ref();
    std::thread::spawn(move || stale.wake()).join().expect("joined");
    sim.end();
    assert_eq!(sim.counts().failures, 0);
}

#[test]
fn in_real_time_wakes_from_elsewhere_are_how_the_world_comes_in() {
    let mut config = config();
    config.realtime = true;
    let sim = sim_with(config);
    let sender = listening(&sim, sim.node("a"));
    std::thread::spawn(move || sender.send(5)).join().expect("joined").expect("sent");
    sim.to(10);
    sim.expect(&[(0, "5")]);
}

#[test]
fn a_kernel_cannot_be_run_by_code_that_it_runs() {
    let kernel = Rc::new(Kernel::new(config()).expect("a kernel"));
    let log = Log::default();
    let a: Ref<Node> = kernel.create(Some("a"), Node::new(&log)).expect("a name");
    let weak = Rc::downgrade(&kernel);
    kernel
        .inject(
            Time::ZERO,
            a,
            msg("recurse", move |this, _| {
                let kernel = weak.upgrade().expect("it runs");
                write(this, kernel.run_until(Time::MAX).expect_err("refused").to_string());
            }),
        )
        .expect("not past");
    kernel.run_until(Time::MAX).expect("it runs");
    assert_eq!(*log.borrow(), [(0, "a kernel cannot be run by code that it runs itself".to_string())]);
}

#[test]
fn the_kernel_answers_questions_after_an_error() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let sender = listening(&sim, a);
    sim.inject(Time::from_nanos(3), b, msg("tell", move |_, _| sender.send(5).expect("sent")))
        .expect("not past");
    assert!(matches!(sim.run_until(Time::from_nanos(9)), Err(SimError::ForeignWake { .. })));
    assert_eq!((sim.now(), sim.path(a.id()), sim.tasks()), (Time::from_nanos(3), "a".to_string(), 1));
    let _ = (sim.fingerprint(), sim.counts(), sim.reports(), sim.open_calls(), sim.next_event());
}
