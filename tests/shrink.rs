//! A live run that failed comes back with the few calls from outside that it needs to fail, a coupled one with the few
//! requests of its simulator.
#![cfg(all(unix, feature = "serve"))]

use std::path::{Path, PathBuf};

use isochrone::channel::{Config as ChannelConfig, Connection, Event};
use isochrone::codec::{Limits, json};
use isochrone::journal::{Reader, Record};
use isochrone::prelude::*;
use isochrone::rpc::Client;
use net::run;
use tokio::net::UnixStream;

#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;

/// Bursts when it is filled with 23 litres while it is closed.
#[derive(Default)]
struct Tank {
    is_closed: bool,
    litres: i64,
}

#[agent(eid = "tank_{n}")]
impl Tank {
    #[constructor]
    fn new() -> Self {
        Tank::default()
    }

    /// Litres that have flowed in, as a simulator says.
    #[input]
    fn inflow(&mut self, pipes: Inputs<f64>) {
        let litres = pipes.sum();
        self.litres += litres as i64;
        isochrone::always!(!self.is_closed || litres != 23.0, "no tank bursts", "it holds {}", self.litres);
    }

    #[input]
    fn lid(&mut self, valves: Inputs<f64>) {
        self.is_closed = valves.sum() > 0.5;
    }

    #[expose]
    fn close(&mut self) {
        self.is_closed = true;
    }

    #[expose]
    fn fill(&mut self, litres: i64) -> i64 {
        self.litres += litres;
        isochrone::always!(!self.is_closed || litres != 23, "no tank bursts", "it holds {}", self.litres);
        self.litres
    }

    #[every(millis = 20)]
    fn leak(&mut self) {
        self.litres -= 1;
    }
}

/// Has nothing to do with it.
struct Bystander;

#[agent]
impl Bystander {
    #[every(millis = 50)]
    fn stand(&mut self) {}
}

fn app(args: &[&str]) -> String {
    let app = App::new("tanks").agent::<Tank>("Tank").scenario(|world| {
        world.add("tank", Tank::default())?;
        for n in 0..5 {
            world.add(&format!("bystander_{n}"), Bystander)?;
        }
        Ok(())
    });
    let code = app.run([&["tanks"], args].concat());
    // a search mutes panics; those of this test are to be heard
    let _ = std::panic::take_hook();
    format!("{code:?}")
}

/// What peers called, and the turns.
fn told(path: &Path) -> (Vec<String>, usize) {
    let records: Vec<Record> = Reader::open(path).unwrap().map(|entry| entry.unwrap().record).collect();
    let calls = records.iter().filter_map(|record| match record {
        Record::Call { method, .. } => Some(method.to_string()),
        _ => None,
    });
    (calls.collect(), records.iter().filter(|record| matches!(record, Record::Turn { .. })).count())
}

/// The agents whose code ran.
fn started(path: &Path) -> Vec<String> {
    let records = Reader::open(path).unwrap().map(|entry| entry.unwrap().record);
    let started = records.filter_map(|record| match record {
        Record::Started { agent } => Some(agent.to_string()),
        _ => None,
    });
    started.collect()
}

/// Records a live run that peers call until it ends.
fn record(folder: &Path, calls: impl AsyncFn(&Client)) -> PathBuf {
    let (journal, socket) = (folder.join("run.jrn"), folder.join("socket"));
    let (record, bind) = (journal.display().to_string(), format!("ipc://[{}]", socket.display()));
    let there = bind.clone();
    let live = std::thread::spawn(move || {
        app(&["live", "--bind", &bind, "--until", "20s", "--record", &record, "--grace", "1s"])
    });
    run(async {
        let client = loop {
            match Client::connect(&there).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(millis(10)).await,
            }
        };
        calls(&client).await;
    });
    live.join().unwrap();
    journal
}

#[test]
fn a_live_run_is_shrunk_to_the_calls_that_it_needs_to_fail_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let journal = record(folder.path(), async |client| {
        let tank = client.peer().proxy("agents/tank");
        for litres in 0..40 {
            if litres == 11 {
                tank.call("close").await.unwrap();
            }
            if tank.call("fill").arg(litres).await.is_err() {
                return;
            }
        }
        panic!("the tank bursts");
    });
    let (calls, turns) = told(&journal);
    assert_eq!(calls.len(), 25, "{calls:?}");
    let (journal, smaller) = (journal.display().to_string(), folder.path().join("run.min.jrn"));
    assert_eq!(app(&["shrink", &journal]), "ExitCode(unix_exit_status(0))");
    let (calls, less) = told(&smaller);
    assert_eq!(calls, ["close", "fill"]);
    assert!(less <= 3 && less < turns, "{less} turns of {turns}");
    assert_eq!(started(Path::new(&journal)).len(), 6);
    assert_eq!(started(&smaller), ["tank"], "the others are left out");
    assert_eq!(app(&["replay", smaller.to_str().unwrap()]), "ExitCode(unix_exit_status(0))");
    let broken = Reader::open(&smaller).unwrap().map(Result::unwrap).any(
        |entry| matches!(entry.record, Record::Failed { message, .. } if message.contains("no tank bursts")),
    );
    assert!(broken, "it is the same failure");
}

/// What a simulator asks; the last is refused, as the run has failed.
async fn simulate(path: &Path, requests: &[String]) {
    let stream = loop {
        match UnixStream::connect(path).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(millis(5)).await,
        }
    };
    let mut connection = Connection::new(stream, ChannelConfig::default());
    for (n, text) in requests.iter().enumerate() {
        let content = json::decode(text.as_bytes(), &Limits::default()).expect(text);
        let id = connection.channel().request(&content).unwrap();
        let is_right = loop {
            match connection.event().await.unwrap().expect("connected") {
                Event::Answer { request, result } if request == id => break result.is_ok(),
                _ => {}
            }
        };
        assert_eq!(is_right, n + 1 < requests.len(), "{text}");
    }
}

#[test]
fn a_coupled_run_is_shrunk_to_the_requests_that_it_needs_to_fail_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, socket) = (folder.path().join("run.jrn"), folder.path().join("socket"));
    let (record, listen) = (journal.display().to_string(), format!("ipc://[{}]", socket.display()));
    let fault = ["--fault", "5s:bystander_1:crash"];
    let door = std::thread::spawn(move || {
        app(&[&["serve", "--listen", &listen, "--record", &record][..], &fault[..]].concat())
    });
    let mut requests = vec![r#"["sim/create", ["Tank", 4], {}]"#.to_owned()];
    for second in 0..24 {
        let lid = if second == 11 { r#", "lid": {"valve": 1.0}"# } else { "" };
        requests.push(format!(
            r#"["sim/step", ["{second}s", {{"tank_2": {{"inflow": {{"pipe": {second}.0}}{lid}}}}}], {{}}]"#
        ));
    }
    run(simulate(&socket, &requests));
    assert_eq!(door.join().unwrap(), "ExitCode(unix_exit_status(1))");
    let asked = |path: &Path| {
        let records = Reader::open(path).unwrap().map(|entry| entry.unwrap().record);
        let asked = records.filter_map(|record| match record {
            Record::Request { content, .. } => Some(content.to_string()),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    assert_eq!(asked(&journal).len(), requests.len());
    let (journal, smaller) = (journal.display().to_string(), folder.path().join("run.min.jrn"));
    assert_eq!(app(&["shrink", &journal]), "ExitCode(unix_exit_status(0))");
    let left = asked(&smaller);
    assert!(left.len() == 3 && left[1].contains("11s") && left[2].contains("23s"), "{left:?}");
    assert_eq!(started(&smaller), ["tank_2"], "the others are left out");
    let faults = |path: &Path| {
        let records = Reader::open(path).unwrap().map(|entry| entry.unwrap().record);
        records.filter(|record| matches!(record, Record::Fault { .. })).count()
    };
    assert_eq!((faults(Path::new(&journal)), faults(&smaller)), (1, 0), "nor is the fault needed");
    assert_eq!(app(&["replay", smaller.to_str().unwrap()]), "ExitCode(unix_exit_status(0))");
    let broken = Reader::open(&smaller).unwrap().map(Result::unwrap).any(
        |entry| matches!(entry.record, Record::Failed { message, .. } if message.contains("no tank bursts")),
    );
    assert!(broken, "it is the same failure");
}

#[test]
fn a_run_that_did_not_fail_is_not_shrunk() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("fine.jrn").display().to_string();
    assert_eq!(app(&["live", "--until", "100ms", "--record", &journal]), "ExitCode(unix_exit_status(0))");
    assert_eq!(app(&["shrink", &journal]), "ExitCode(unix_exit_status(1))");
    assert!(!folder.path().join("fine.min.jrn").exists());
}
