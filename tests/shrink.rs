//! A live run that failed comes back with the few calls from outside that it needs to fail.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use isochrone::journal::{Reader, Record};
use isochrone::prelude::*;
use isochrone::rpc::Client;
use net::run;

#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;

/// Bursts when it is filled with 23 litres while it is closed.
#[derive(Default)]
struct Tank {
    is_closed: bool,
    litres: i64,
}

#[agent]
impl Tank {
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

fn app(args: &[&str]) -> String {
    let app = App::new("tanks").scenario(|world| {
        world.add("tank", Tank::default())?;
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
