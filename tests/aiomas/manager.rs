//! Masters of both sides, and the containers that they drive.

use std::process::Command;

use isochrone::codec::{Codec, to_value};
use isochrone::container::Binding;
use isochrone::manager::{ManagerProxy, Moment};
use isochrone::prelude::*;
use serde_json::{Value, json};

use crate::aiomas::programs::Program;
use crate::aiomas::python;
use crate::calling::Office;
use crate::example::example;
use crate::net::run;

/// What a master sees, whoever it is and whoever has the manager: `tests/peers/aiomas/master.py`, and [`master`].
pub(crate) fn seen() -> Value {
    json!({
        "address": "/1", "pong": "/1", "second": "/2", "echo": [[1], {"k": [2.5]}], "back": "pong from ",
        "set": null, "woken": ["woken", 5], "later": ["woken", 7.5],
        "again": "ValueError: Time must be > 7.5 but is 7.5",
        "back in time": "ValueError: Time must be > 7.5 but is 1",
        "past": "ValueError: Date \"2\" is in the past",
        "kind of unknown": true, "kind of surplus": "TypeError", "stop": null,
    })
}

/// A master of ours, which does what `master.py` does.
pub(crate) fn master(transport: &str, codec: Codec, url: &str, tls: Option<&str>) -> Value {
    run(async {
        let office = Office::open_with(transport, codec, &[], |binding| encrypted(binding, tls)).await;
        let seen = drive(&office, url).await.unwrap_or_else(|error| Value::from(error.to_string()));
        office.stop().await;
        seen
    })
}

/// With these files.
#[cfg(feature = "tls")]
fn encrypted<'a>(binding: Binding<'a>, files: Option<&str>) -> Binding<'a> {
    use isochrone::channel::transport::{Tls, TlsFloor};
    match files {
        Some(files) => binding.tls(Tls::from_list(files, TlsFloor::V1_2).unwrap()),
        None => binding,
    }
}

#[cfg(not(feature = "tls"))]
fn encrypted<'a>(binding: Binding<'a>, _: Option<&str>) -> Binding<'a> {
    binding
}

async fn drive(office: &Office, url: &str) -> Result<Value, CallError> {
    let base = url.strip_suffix("/0").unwrap();
    let cut = |text: &str, front: &str| text.strip_prefix(front).unwrap_or(text).to_owned();
    let manager: ManagerProxy = office.world.connect(url, secs(10)).await?;
    let spawn = |args: Args| manager.spawn("aiomas_peer:Ag".into(), args);
    let (_, address) = spawn(Args::default()).await?;
    let agent: Proxy = office.world.connect(&address, Duration::ZERO).await?;
    let pong: String = agent.call("ping").returning().await?;
    let (_, its_address) = spawn(Args::default()).await?;
    let other: Proxy = office.world.connect(&its_address, Duration::ZERO).await?;
    let echo = agent.call("echo").arg(1).kwarg("k", [2.5]).await?;
    let me = office.world.enter(|| "local://office/caller".parse::<Proxy>().map(|me| to_value(&me)))?;
    let back: String = agent.call("call_back").arg(me.unwrap()).returning().await?;

    // time stands until it is set
    let waiting = tokio::task::spawn_local(agent.call("sleep_until").arg(5));
    let later = tokio::task::spawn_local(other.call("sleep_until").arg(7.5));
    tokio::time::sleep(millis(20)).await;
    assert!(!waiting.is_finished() && !later.is_finished());
    manager.set_time(Moment::Whole(0)).await?;
    tokio::time::sleep(millis(20)).await;
    assert!(!waiting.is_finished() && !later.is_finished());
    manager.set_time(Moment::Whole(5)).await?;
    let woken = waiting.await.unwrap()?;
    assert!(!later.is_finished());
    manager.set_time(Moment::Seconds(7.5)).await?;
    let later = later.await.unwrap()?;

    let failed =
        |result: Result<(), CallError>| result.map_or_else(|error| error.to_string(), |()| "fine".into());
    let again = failed(manager.set_time(Moment::Seconds(7.5)).await);
    let back_in_time = failed(manager.set_time(Moment::Whole(1)).await);
    let past = failed(agent.call("sleep_until").arg(2).await.map(drop));
    let unknown = manager.spawn("aiomas_peer:Nobody".into(), Args::default()).await.unwrap_err();
    let unknown = ["LookupError", "ValueError", "AttributeError", "ImportError"].contains(&unknown.kind());
    let surplus = spawn(Args::default().arg(1).arg(2)).await.unwrap_err();
    manager.stop().await?;
    let json = |value: isochrone::codec::Value| serde_json::from_str::<Value>(&value.to_string()).unwrap();
    Ok(json!({
        "address": cut(&address, base), "pong": cut(&pong, &format!("pong from {base}")),
        "second": cut(&its_address, base), "echo": json(echo), "back": &back[.."pong from ".len()],
        "set": null, "woken": json(woken), "later": json(later), "again": again, "back in time": back_in_time,
        "past": past, "kind of unknown": unknown, "kind of surplus": surplus.kind(), "stop": null,
    }))
}

#[test]
fn an_unchanged_master_of_aiomas_drives_a_worker_its_timers_are_exact_and_it_is_replayed_without_the_master()
{
    for codec in ["json", "blosc"] {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("run.jrn");
        let mut command = Command::new(example("workers"));
        command.args([
            "worker",
            "--bind",
            "tcp://127.0.0.1:0",
            "--init-time",
            "-1",
            "--codec",
            codec,
            "--record",
        ]);
        let worker = Program::start(command.arg(&journal));
        let line = worker.line();
        let url = line.strip_prefix("listening at ").unwrap_or_else(|| panic!("{line}"));
        let said = Program::start(python("houses.py").args([&format!("{url}/0"), codec])).finish();
        // a second after its creation at -1, then each second up to the 1800.25 that were granted
        assert_eq!(said, ["[1801, 0.0, 1800.0]"]);
        worker.finish();
        let replayed = Command::new(example("workers")).arg("replay").arg(&journal).output().unwrap();
        let told = String::from_utf8_lossy(&replayed.stderr);
        assert!(replayed.status.success() && told.contains(": the same, "), "{told}");
    }
}
