//! What would have happened otherwise: the recorded input is kept, and nothing else.

use std::path::Path;
use std::thread;

use isochrone::channel::{Config as ChannelConfig, Connection};
use isochrone::codec::Value;
use isochrone::journal::Record;
use isochrone::prelude::*;
use isochrone::replay::{self, Forked, Source};
use tokio::net::TcpStream;

use crate::net::run;
use crate::program::{Night, app, ask, at, converse, good};

/// Forks in the middle: the past is the same, the inputs are, the fork replays, and is named as what it is.
#[track_caller]
fn fork(night: &Night, from: &str, at: u64, seed: &str, to: &str) {
    let (parent, fork) = (night.path(from), night.path(to));
    good(&["fork", &parent, "--at", &at.to_string(), "--seed", seed, "--record", &fork]);
    assert_eq!(night.inputs(to), night.inputs(from), "what came in is kept");
    good(&["replay", &fork]);
    let sources = [&parent, &fork].map(|path| Source::File(path.into()));
    let compared = replay::diff(&sources[0], &sources[1]).unwrap();
    let seed: u64 = seed.parse().unwrap();
    let told = |fork: &Forked| (fork.is_second, fork.event, fork.seed);
    assert_eq!(compared.forks.iter().map(told).collect::<Vec<_>>(), [(true, at, seed)]);
    let counts = |record: &Record| !matches!(record, Record::Origin { .. } | Record::Checkpoint { .. });
    let before = night.records(from).iter().filter(|(event, record)| *event < at && counts(record)).count();
    assert!(compared.same >= before as u64, "{} of {before} are the same", compared.same);
    assert!(compared.parted.is_some(), "other numbers were drawn");
}

/// How many are the same at the beginning, and that the last are not.
#[track_caller]
fn part_at(before: &[String], after: &[String]) -> usize {
    assert_eq!(before.len(), after.len(), "each request has its reply");
    let same = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    assert_ne!(before.last(), after.last());
    same
}

#[test]
fn a_run_at_the_simulators_door_is_forked_with_its_requests_and_so_is_the_fork() {
    let night = Night::new();
    let (socket, listen) = night.socket();
    let record = night.path("run.jrn");
    let door =
        thread::spawn(move || app(&["serve", "--listen", &listen, "--record", &record, "--seed", "4"]));
    let mut requests = vec![r#"["sim/create", ["Trader", 2], {}]"#.to_owned()];
    for second in 0..12 {
        let price = r#"{"trader_0": {"price": {"market": 7.0}}}"#;
        requests.push(format!(r#"["sim/step", ["{second}s", {price}], {{}}]"#));
    }
    requests.push(r#"["sim/stop", [], {}]"#.into());
    run(async { converse(at(&socket).await, &requests, |_| Value::Null).await });
    assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(0))");

    // between two steps, and in the middle of one
    for (number, off) in [(6, 0), (6, 4)] {
        fork(&night, "run.jrn", night.event("run.jrn", number) + off, "9", "fork.jrn");
        assert_eq!(part_at(&night.replies("run.jrn"), &night.replies("fork.jrn")), number);
        fork(&night, "fork.jrn", night.event("fork.jrn", 9) + off, "10", "again.jrn");
        assert_eq!(part_at(&night.replies("fork.jrn"), &night.replies("again.jrn")), 9);
    }
    // of a fork what came before it: the first seed is not drawn from
    fork(&night, "again.jrn", night.event("again.jrn", 4), "11", "other.jrn");
    assert_eq!(part_at(&night.replies("again.jrn"), &night.replies("other.jrn")), 4);
}

/// A step that ended where something was seen ends there in the fork too, whatever is seen then: the next one was made for
/// that time.
#[test]
fn steps_that_follow_what_agents_do_are_forked_as_they_were_made() {
    for mode in ["exact", "ahead", "window=3s"] {
        let night = Night::new();
        let (socket, listen) = night.socket();
        let record = night.path("run.jrn");
        let door = thread::spawn(move || {
            app(&["serve", "--listen", &listen, "--record", &record, "--seed", "4", "--mode", mode])
        });
        run(async {
            let mut connection = Connection::new(at(&socket).await, ChannelConfig::default());
            let mut say = async |text: String| ask(&mut connection, &text, |_| Value::Null).await;
            say(r#"["sim/create", ["Walker"], {}]"#.into()).await;
            let (mut time, end) = (0, 40_000_000_000_i64);
            while time < end {
                let limit = time + 10_000_000_000;
                let stop = mode != "ahead";
                let target = if stop { limit } else { time };
                let step =
                    format!(r#"["sim/step", [{target}, {{}}, {limit}], {{"stop_at_output": {stop}}}]"#);
                let reading = say(step).await;
                let next = if stop { "now" } else { "next_event" };
                time = reading.get(next).and_then(Value::as_i64).unwrap_or(limit).min(limit);
            }
            say(r#"["sim/stop", [], {}]"#.into()).await;
        });
        assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(0))");
        for number in [3, 6] {
            fork(&night, "run.jrn", night.event("run.jrn", number), "9", "fork.jrn");
            let refused: Vec<String> =
                night.replies("fork.jrn").into_iter().filter(|reply| reply.starts_with("Err")).collect();
            assert!(refused.is_empty(), "{mode}: {refused:?}");
        }
    }
}

#[test]
fn what_mosaik_was_not_asked_at_that_time_is_refused_by_name_and_what_it_was_is_answered() {
    let night = Night::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, record) = (port.to_string(), night.path("run.jrn"));
    let mosaik = thread::spawn({
        let address = address.clone();
        move || app(&["mosaik", "--listen", &address, "--record", &record, "--seed", "4"])
    });
    let mut requests = vec![
        r#"["init", ["Traders"], {"time_resolution": 1.0}]"#.to_owned(),
        r#"["create", [1, "Trader"], {}]"#.into(),
        r#"["setup_done", [], {}]"#.into(),
    ];
    for second in 0..16 {
        let ask = r#"{"trader_0": {"ask": {"somebody": true}}}"#;
        requests.push(format!(r#"["step", [{second}, {ask}, 100], {{}}]"#));
        requests.push(r#"["get_data", [{"trader_0": ["bid", "answers"]}], {}]"#.into());
    }
    run(async {
        let stream = loop {
            match TcpStream::connect(&address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(millis(5)).await,
            }
        };
        // each answer is another one
        let count = std::cell::Cell::new(0);
        converse(stream, &requests, |asked| {
            count.set(count.get() + 1);
            Value::list([asked.clone(), Value::Int(count.get())])
        })
        .await;
    });
    // it is gone without a word, as mosaik is when it fails
    assert_eq!(mosaik.join().unwrap(), "ExitCode(unix_exit_status(1))");

    fork(&night, "run.jrn", night.event("run.jrn", 15), "9", "fork.jrn");
    let (before, after) = (night.replies("run.jrn"), night.replies("fork.jrn"));
    let data = |replies: &[String]| -> Vec<String> { replies[4..].iter().step_by(2).cloned().collect() };
    let (before, after) = (data(&before), data(&after));
    assert_eq!(before[..6], after[..6]);
    let numbered = |text: &String| text.split("Grid.load_").nth(1).map(str::to_owned);
    let (mut same, mut refused) = (0, 0);
    for (before, after) in before.iter().zip(&after).skip(6) {
        if after.contains("NotRecorded") {
            refused += 1;
            assert!(after.contains("agent trader_0 asks mosaik.get_data at "), "{after}");
        } else {
            same += 1;
            assert_eq!(numbered(after).unwrap()[..1], numbered(before).unwrap()[..1], "the same question");
            let answer = |text: &String| text.rsplit("Grid.load_").next().unwrap().to_owned();
            assert_eq!(answer(after).split("bid").next(), answer(before).split("bid").next());
        }
    }
    assert!(same > 1 && refused > 1, "{same} answered, {refused} refused: {after:?}");
}

#[test]
fn a_call_that_a_peer_was_not_made_at_that_time_is_refused_by_name() {
    let night = Night::new();
    let (peer, there) = (night.path("peer"), format!("ipc://[{}]", night.path("peer")));
    let (socket, listen) = night.socket();
    let (record, own) = (night.path("run.jrn"), format!("ipc://[{}]", night.path("own")));
    let peers = thread::spawn({
        let there = there.clone();
        move || app(&["worker", "--bind", &there])
    });
    let door = thread::spawn(move || {
        app(&["serve", "--listen", &listen, "--bind", &own, "--record", &record, "--seed", "4"])
    });
    let mut requests = vec![r#"["sim/create", ["Trader"], {}]"#.to_owned()];
    for second in 0..16 {
        let call = format!(r#"{{"trader_0": {{"call": {{"somebody": "{there}/maker"}}}}}}"#);
        requests.push(format!(r#"["sim/step", ["{second}s", {call}], {{}}]"#));
    }
    requests.push(r#"["sim/stop", [], {}]"#.into());
    run(async {
        let master = at(Path::new(&peer)).await;
        converse(at(&socket).await, &requests, |_| Value::Null).await;
        converse(master, &[r#"["agents/0/stop", [], {}]"#.into()], |_| Value::Null).await;
    });
    assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(0))");
    assert_eq!(peers.join().unwrap(), "ExitCode(unix_exit_status(0))");

    fork(&night, "run.jrn", night.event("run.jrn", 8), "9", "fork.jrn");
    let (before, after) = (night.replies("run.jrn"), night.replies("fork.jrn"));
    assert_eq!(part_at(&before, &after), 8);
    let answers = |reply: &String| reply.split("answers").last().unwrap().to_owned();
    let (mut same, mut refused) = (0, 0);
    // the last tells the fingerprint
    for (before, after) in before.iter().zip(&after).take(17).skip(8) {
        if after.contains("NotRecorded") {
            refused += 1;
            assert!(after.contains("agent trader_0 asks call `mark` of ipc://["), "{after}");
        } else {
            assert_eq!(answers(after), answers(before));
            same += 1;
        }
    }
    assert!(same > 1 && refused > 1, "{same} answered, {refused} refused: {after:?}");
}

#[test]
fn a_worker_is_forked_with_the_calls_of_its_master() {
    let night = Night::new();
    let (socket, bind) = night.socket();
    let record = night.path("run.jrn");
    let worker = thread::spawn(move || app(&["worker", "--bind", &bind, "--record", &record, "--seed", "4"]));
    let mut requests = vec![r#"["agents/0/spawn", ["Trader"], {}]"#.to_owned()];
    for second in 1..12 {
        requests.push(format!(r#"["agents/0/set_time", ["{second}s"], {{}}]"#));
        requests.push(r#"["agents/1/set_price", [7.0], {}]"#.into());
    }
    requests.push(r#"["agents/0/stop", [], {}]"#.into());
    run(async { converse(at(&socket).await, &requests, |_| Value::Null).await });
    assert_eq!(worker.join().unwrap(), "ExitCode(unix_exit_status(0))");

    for off in [0, 1, 2] {
        fork(&night, "run.jrn", night.event("run.jrn", 13) + off, "9", "fork.jrn");
        let same = part_at(&night.replies("run.jrn")[..23], &night.replies("fork.jrn")[..23]);
        assert!((13..=14).contains(&same), "{same}");
    }
    fork(&night, "fork.jrn", night.event("fork.jrn", 17), "10", "again.jrn");
}

#[test]
fn a_live_run_is_forked_at_once_with_the_turns_and_calls_of_the_night() {
    let night = Night::new();
    let (socket, bind) = night.socket();
    let record = night.path("run.jrn");
    let live = thread::spawn(move || {
        let args = ["live", "--bind", &bind, "--until", "5s", "--record", &record, "--seed", "4"];
        app(&args)
    });
    let requests: Vec<String> =
        (0..10).map(|n| format!(r#"["agents/maker/set_price", [{n}], {{}}]"#)).collect();
    run(async {
        let stream = at(&socket).await;
        converse(stream, &requests[..5], |_| Value::Null).await;
        tokio::time::sleep(millis(2_200)).await;
        converse(at(&socket).await, &requests[5..], |_| Value::Null).await;
    });
    assert_eq!(live.join().unwrap(), "ExitCode(unix_exit_status(0))");
    fork(&night, "run.jrn", night.event("run.jrn", 3), "9", "fork.jrn");
    assert!(part_at(&night.replies("run.jrn"), &night.replies("fork.jrn")) >= 5);
}

#[test]
fn an_event_that_is_not_there_is_said_to_be_none() {
    let night = Night::new();
    good(&["sim", "--until", "3s", "--record", &night.path("run.jrn")]);
    let (run, fork) = (night.path("run.jrn"), night.path("fork.jrn"));
    let code = app(&["fork", &run, "--at", "1000", "--seed", "1", "--record", &fork]);
    assert_eq!(code, "ExitCode(unix_exit_status(2))");
}
