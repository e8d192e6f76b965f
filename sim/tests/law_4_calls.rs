//! Law 4: every call ends exactly once, with a reply, an error, a timeout or a disconnect, unless its caller drops it.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use isochrone_sim::{Fault, Kernel, Ref, Status, Task, This, Time, homeless_messages, millis, nanos};

/// Broken once: `fire_next` asks the timers only up to one nanosecond before the deadline; the timeout won at 10.
#[test]
fn a_reply_at_the_deadline_beats_its_timeout_and_one_nanosecond_later_loses() {
    for (works, wins) in [(10, true), (11, false)] {
        for code in [later as fn(u64, u64) -> Msg, hold] {
            let sim = sim();
            let (a, b) = (sim.node("a"), sim.node("b"));
            sim.go(a, move |this| async move {
                let result = this.timeout(nanos(10), b.call(code(works, 7))).await;
                write(&this, if wins { format!("{result:?}") } else { result.is_err().to_string() });
            });
            sim.end();
            sim.expect(&[(10, if wins { "Ok(Ok(7))" } else { "true" })]);
            assert_eq!(sim.counts().late_replies, u64::from(!wins));
        }
    }
}

#[test]
fn the_first_poll_of_a_timeout_asks_its_future_before_its_deadline() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move {
        assert_eq!(this.timeout(nanos(0), std::future::ready(3)).await, Ok(3));
        let result = this.timeout(nanos(0), this.sleep(nanos(0))).await;
        assert_eq!(result, Ok(()), "what belongs to the instant comes before its deadlines");
        assert!(this.timeout(nanos(0), std::future::pending::<()>()).await.is_err());
        write(&this, "end");
    });
    sim.end();
    sim.expect(&[(0, "end")]);
}

/// Broken once: `Drop for ReplyTo` does nothing; the first caller waits for ever, and the run ends without its line.
#[test]
fn a_handler_that_gives_up_ends_the_call_as_abandoned() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |this| async move {
        write(&this, outcome(b.call(msg("shrug", |_, reply| drop(reply)))).await);
        write(&this, outcome(b.call(panicking("ouch"))).await);
        write(&this, outcome(b.call(note("after"))).await);
    });
    sim.end();
    sim.expect(&[
        (0, "agent b gave up `shrug` before it could answer: its handler ended without an answer"),
        (0, "agent b gave up `panicking` before it could answer: it failed"),
        (0, "agent b is stopped"),
    ]);
}

#[test]
fn a_task_that_fails_or_is_stopped_in_the_middle_ends_the_calls_it_serves() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    for n in 0..2 {
        sim.go(a, move |this| async move {
            let call: Msg = doing(move |this| async move {
                this.sleep(nanos(5 + n)).await;
                if n == 0 { panic!("in the middle") } else { 1 }
            });
            write(&this, outcome(b.call(call)).await);
        });
    }
    sim.end();
    let log = sim.logged();
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|(at, text)| *at == 5 && text.contains("gave up `doing`")), "{log:?}");
}

/// Broken once: `Calls::get` does not compare generations; the late reply answered the next call, with 1 at 5.
#[test]
fn a_dropped_call_is_forgotten_and_its_late_reply_counted_once() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |this| async move {
        let mut call = Box::pin(b.call(later(5, 1)));
        assert!(futures::poll!(call.as_mut()).is_pending());
        drop(call);
        // takes the place of the dropped call in the table
        write(&this, outcome(b.call(later(9, 2))).await);
    });
    sim.end();
    sim.expect(&[(9, "2")]);
    assert_eq!(sim.counts().late_replies, 1);
    assert_eq!(sim.open_calls(), []);
}

#[test]
fn a_call_that_is_dropped_before_its_message_arrives_is_handled_all_the_same() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |_| async move {
        let mut call = Box::pin(b.call(note("handled")));
        assert!(futures::poll!(call.as_mut()).is_pending());
    });
    // never polled, never sent
    sim.go(a, move |_| async move { drop(b.call(note("not sent"))) });
    sim.end();
    sim.expect(&[(0, "handled")]);
    assert_eq!(sim.counts().late_replies, 1);
}

#[test]
fn a_full_mailbox_is_busy() {
    let mut config = config();
    config.mailbox = 2;
    let sim = sim_with(config);
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |this| async move {
        b.call(hold(10, 0)).send();
        this.sleep(nanos(1)).await;
        for n in 0..2 {
            b.call(note(n.to_string())).send();
        }
        // fails at once, in the same round, also behind foreign wakers, and leaves nothing behind
        let mut calls: FuturesUnordered<_> = (0..3).map(|_| outcome(b.call(note("no")))).collect();
        while let Some(text) = calls.next().await {
            write(&this, text);
        }
        b.call(note("lost")).send();
        this.sleep(nanos(20)).await;
        write(&this, outcome(b.call(note("room again"))).await);
    });
    sim.end();
    let busy = (1, "agent b is busy: 2 messages wait for it");
    sim.expect(&[busy, busy, busy, (10, "0"), (10, "1"), (21, "room again"), (21, "1")]);
    // three calls and a message
    assert_eq!(sim.counts().dead_letters, 4);
}

#[test]
fn messages_to_nobody_are_dead_letters_and_calls_to_nobody_end() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let elsewhere = Kernel::new(config()).expect("a kernel");
    let stranger: Ref<Node> = elsewhere.create(Some("s"), Node::new(&sim.log)).expect("a name");
    sim.stop(b.id());
    sim.go(a, move |this| async move {
        b.call(note("to the stopped")).send();
        stranger.call(note("to a stranger")).send();
        write(&this, outcome(b.call(note("?"))).await);
        write(&this, outcome(stranger.call(note("?"))).await);
    });
    sim.end();
    sim.expect(&[(0, "agent b is stopped"), (0, "no agent 0 of another container is here")]);
    let letters = sim.dead_letters();
    assert_eq!(sim.counts().dead_letters, 3, "{letters:?}");
    assert!(letters.iter().any(|letter| letter.contains("`note` to b: agent b is stopped")), "{letters:?}");

    // outside of any kernel: counted, never a panic
    let before = homeless_messages();
    a.call(note("homeless")).send();
    assert_eq!(homeless_messages(), before + 1);
    assert_eq!(ready(a.call(note("homeless"))), Err(Box::new(Fault::NoKernel)));
}

#[test]
fn stopping_refuses_what_waits_and_what_comes() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    for n in 0..4u64 {
        sim.go(a, move |this| async move {
            if n > 0 {
                this.sleep(nanos(n)).await;
            }
            write(&this, format!("{n}: {}", outcome(b.call(hold(10, 0))).await));
        });
    }
    sim.go(b, |this| async move {
        let me = this.clone();
        this.sleep(nanos(3)).await;
        unreachable!("{me:?} is in an exclusive method until 10");
    });
    sim.to(2);
    assert_eq!(sim.status(b.id()), Some(Status::Locked));
    sim.stop(b.id());
    assert_eq!(sim.status(b.id()), Some(Status::Stopped));
    sim.end();
    let stopped = "agent b gave up `hold` before it could answer: it was stopped";
    sim.expect(&[
        (2, &format!("0: {stopped}")),
        (2, "1: agent b is stopped"),
        (2, "2: agent b is stopped"),
        (3, "3: agent b is stopped"),
    ]);
    assert_eq!((sim.tasks(), sim.counts().failures), (0, 0));
}

#[test]
fn an_exclusive_method_keeps_messages_and_tasks_waiting_in_order() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(b, |this| async move {
        this.sleep(nanos(5)).await;
        write(&this, "task of b");
    });
    sim.go(a, move |this| async move {
        b.call(holding(|this| async move {
            assert!(this.try_with(|_| ()).is_none());
            this.sleep(nanos(10)).await;
            1
        }))
        .send();
        for n in 0..3 {
            this.sleep(nanos(1)).await;
            b.call(note(n.to_string())).send();
        }
    });
    sim.end();
    sim.expect(&[(10, "0"), (10, "1"), (10, "2"), (10, "task of b")]);
    assert_eq!(sim.received(b.id())[2..].iter().map(|(_, round, _)| *round).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn mail_that_waited_goes_before_mail_of_the_round_and_keeps_its_order_through_further_locks() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |this| async move {
        for n in 0..3u64 {
            b.call(hold(10, n)).send();
            b.call(note(n.to_string())).send();
        }
        this.sleep(nanos(10)).await;
        b.call(note("late")).send();
    });
    sim.end();
    sim.expect(&[(10, "0"), (20, "1"), (30, "2"), (30, "late")]);
}

#[test]
fn many_calls_at_once_with_foreign_wakers_and_sleeps_inside() {
    let sim = sim();
    let (a, b, c) = (sim.node("a"), sim.node("b"), sim.peer("c"));
    sim.go(a, move |this| async move {
        let one = |n: u64| {
            let this = this.clone();
            async move {
                this.sleep(nanos(10 - n)).await;
                if n.is_multiple_of(2) { b.call(later(n, n)).await } else { c.call(later(n, n)).await }
            }
        };
        let mut all: FuturesUnordered<_> = (0..5).map(one).collect();
        while let Some(value) = all.next().await {
            write(&this, format!("{value:?}"));
        }
        let (x, y, ()) = futures::join!(b.call(hold(5, 1)), b.call(hold(5, 2)), this.sleep(nanos(3)));
        write(&this, format!("{x:?} {y:?}"));
        let quick = Box::pin(b.call(later(3, 3)));
        let slow = Box::pin(c.call(later(4, 4)));
        match futures::future::select(quick, slow).await {
            futures::future::Either::Left((value, slow)) => {
                write(&this, format!("{value:?}, then {:?}", slow.await))
            }
            futures::future::Either::Right(_) => unreachable!(),
        }
        // a timeout around the whole bundle
        let mut bundle: FuturesUnordered<_> = (1..4u64).map(|n| this.sleep(nanos(n * 10))).collect();
        let mut done = 0;
        let all = this
            .timeout(nanos(20), async {
                while bundle.next().await.is_some() {
                    done += 1
                }
            })
            .await;
        write(&this, format!("{done} {}", all.is_err()));
    });
    sim.end();
    // at 10, the replies of one round in order of their senders, b before c, and of one sender as they were sent
    sim.expect(&[
        (10, "Ok(4)"),
        (10, "Ok(2)"),
        (10, "Ok(3)"),
        (10, "Ok(1)"),
        (10, "Ok(0)"),
        (20, "Ok(1) Ok(2)"),
        (24, "Ok(3), then Ok(4)"),
        (44, "2 true"),
    ]);
    assert_eq!(sim.next_event(), None);
}

#[test]
fn a_call_that_moves_to_another_task_wakes_that_task() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |this| async move {
        let mut call = Box::pin(b.call(later(5, 5)));
        assert!(futures::poll!(call.as_mut()).is_pending());
        let me = this.clone();
        this.spawn(async move { write(&me, format!("{:?}", call.await)) });
    });
    sim.end();
    sim.expect(&[(5, "Ok(5)")]);
}

#[test]
fn a_receiver_never_sees_what_the_sender_changes_later() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.go(a, move |this| async move {
        let mut text = String::from("as sent");
        let copy = text.clone();
        let call = b.call(msg("keep", move |this, reply| {
            write(this, copy);
            reply.send(0);
        }));
        text.push_str(", changed");
        call.await.expect("an answer");
        write(&this, text);
    });
    sim.end();
    sim.expect(&[(0, "as sent"), (0, "as sent, changed")]);
}

#[test]
fn cancelling_ends_a_task_and_its_calls_where_it_waits() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let tasks: Rc<RefCell<Vec<Task>>> = Rc::default();
    let kept = tasks.clone();
    sim.go(a, move |this| async move {
        for _ in 0..2 {
            let me = this.clone();
            kept.borrow_mut().push(this.spawn(async move {
                write(&me, format!("{:?}", b.call(later(10, 1)).await));
            }));
        }
        this.sleep(nanos(5)).await;
        let first = kept.borrow_mut().remove(0);
        first.cancel();
        // the free place is taken at once: the second handle must not mean it
        let me = this.clone();
        this.spawn(async move {
            me.sleep(nanos(1)).await;
            write(&me, "third");
        });
    });
    sim.end();
    sim.expect(&[(6, "third"), (10, "Ok(1)")]);
    assert_eq!(sim.counts().late_replies, 1);
    // long over
    sim.enter(|| tasks.borrow_mut().pop().expect("the second").cancel());
}

#[test]
fn a_task_that_is_cancelled_in_its_round_gives_its_place_to_nobody_in_that_round() {
    let sim = sim();
    let a = sim.node("a");
    sim.go(a, |this| async move {
        // both wake at 1, in this order; the first cancels the second and starts a third
        let victim: Rc<RefCell<Option<Task>>> = Rc::default();
        let (me, killer) = (this.clone(), victim.clone());
        this.spawn(async move {
            me.sleep(nanos(1)).await;
            killer.borrow_mut().take().expect("the victim").cancel();
            let third = me.clone();
            me.spawn(async move { write(&third, "third") });
            me.me().call(note("a message of this round")).send();
        });
        let me = this.clone();
        *victim.borrow_mut() = Some(this.spawn(async move {
            me.sleep(nanos(1)).await;
            write(&me, "victim");
        }));
    });
    sim.end();
    // in the next round, and so after its messages
    sim.expect(&[(1, "a message of this round"), (1, "third")]);
}

#[test]
fn a_call_from_outside_is_answered_at_most_once() {
    let sim = sim();
    let a = sim.node("a");
    let mut asked = sim.ask(a, later(3, 9));
    assert_eq!(sim.answer(&mut asked), None);
    sim.to(2);
    assert_eq!((sim.answer(&mut asked), sim.open_calls().len()), (None, 1));
    sim.end();
    assert_eq!(sim.answer(&mut asked), Some(Ok(9)));
    assert_eq!(sim.answer(&mut asked), None);
    assert_eq!(sim.open_calls(), []);
}

#[test]
fn a_reply_whose_hash_panics_still_ends_the_call() {
    use isochrone_sim::{Actor, ReplyTo};
    struct Odd;
    impl Actor for Odd {
        type Msg = ();
        type Reply = u64;
        const TYPE: &'static str = "Odd";
        fn receive(_: &This<Self>, (): (), reply: ReplyTo<Self>) {
            reply.send(13);
        }
        fn label((): &()) -> &'static str {
            "odd"
        }
        fn message_hash((): &()) -> u64 {
            0
        }
        fn reply_hash(_: &u64) -> u64 {
            panic!("thirteen")
        }
    }
    let sim = sim();
    let a = sim.node("a");
    let odd = sim.create(Some("odd"), Odd).expect("a name");
    sim.go(a, move |this| async move { write(&this, outcome(odd.call(())).await) });
    sim.end();
    assert!(sim.logged()[0].1.contains("gave up `odd`"));
    assert_eq!(sim.reports()[0].message, "thirteen");
}

#[test]
fn a_reply_call_or_sleep_inside_another_kernel_touches_nothing_there() {
    let sim = sim();
    let (a, b) = (sim.node("a"), sim.node("b"));
    let other = sim_with(config());
    let (x, y) = (other.node("x"), other.node("y"));
    // the other kernel has a call, a sleep and a timeout of the same numbers
    other.go(x, move |this| async move {
        write(&this, format!("{:?}", this.timeout(nanos(50), y.call(later(20, 4))).await));
    });
    other.to(1);
    let other = Rc::new(other);
    let guest = other.clone();
    sim.go(a, move |this| async move {
        let mut call = Box::pin(b.call(later(20, 4)));
        let mut timeout = Box::pin(this.timeout(nanos(50), std::future::pending::<()>()));
        let mut sleep = Box::pin(this.sleep(nanos(20)));
        assert!(futures::poll!(call.as_mut()).is_pending());
        assert!(futures::poll!(timeout.as_mut()).is_pending());
        assert!(futures::poll!(sleep.as_mut()).is_pending());
        guest.enter(move || drop((call, timeout, sleep)));
        let _ = this
            .timeout(millis(1), b.call(msg("keep", move |_, reply| guest.enter(move || reply.send(1)))))
            .await;
    });
    sim.to(100);
    other.end();
    other.expect(&[(20, "Ok(Ok(4))")]);
    assert_eq!(other.counts().late_replies, 0);
    let _ = sim.run_until(Time::MAX);
}
