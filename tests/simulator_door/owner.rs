//! Who may ask, what is answered while a step is under way, and what happens when the owner is gone.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use isochrone::channel::transport::{ListenOptions, Listener};
use isochrone::channel::{Config, Connection, Event, RequestId};
use isochrone::clock::Interrupt;
use isochrone::codec::Value;
use isochrone::coupling::rpc::{Offer, OwnerLoss, Server};
use isochrone::coupling::{Mode, ServeError, Served};
use isochrone::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::agents::{offer, request, value};
use crate::support;

/// A simulator at the other end.
struct Client {
    connection: Connection<TcpStream>,
    name: String,
}

impl Client {
    async fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let name = format!("tcp://{}", stream.local_addr().expect("connected"));
        Client { connection: Connection::new(stream, Config::default()), name }
    }

    /// Sends a request and does not wait for its answer.
    async fn send(&mut self, path: &str, args: &str) -> RequestId {
        let content = request(path, args).into_content().expect("a request");
        let id = self.connection.channel().request(&content).expect("sent");
        self.connection.flush().await.expect("written");
        id
    }

    async fn answer(&mut self, id: RequestId) -> Result<Value, CallError> {
        loop {
            match self.connection.event().await.expect("connected") {
                Some(Event::Answer { request, result }) if request == id => {
                    return result.map_err(CallError::from_failure);
                }
                Some(_) => {}
                None => panic!("the connection has ended"),
            }
        }
    }

    async fn try_ask(&mut self, path: &str, args: &str) -> Result<Value, CallError> {
        let id = self.send(path, args).await;
        self.answer(id).await
    }

    async fn ask(&mut self, path: &str, args: &str) -> Value {
        self.try_ask(path, args).await.unwrap_or_else(|error| panic!("{path} {args}: {error}"))
    }

    async fn refused(&mut self, path: &str, args: &str) -> CallError {
        self.try_ask(path, args).await.expect_err("refused")
    }

    async fn described(&mut self, what: &str) -> Value {
        self.ask("sim/describe", "[]").await.get(what).cloned().expect("described")
    }

    /// Waits until what is described is so.
    async fn wait_for(&mut self, what: &str, so: impl Fn(&Value) -> bool) {
        while !so(&self.described(what).await) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Serves one run while `scenario` plays the simulators, and tells how it ended.
fn play<F: AsyncFnOnce(String, Rc<Notify>)>(on_owner_loss: OwnerLoss, scenario: F) -> Served {
    play_over(Offer::connections(), on_owner_loss, scenario)
}

/// The same over such connections.
fn play_over<F: AsyncFnOnce(String, Rc<Notify>)>(
    channel: Config,
    on_owner_loss: OwnerLoss,
    scenario: F,
) -> Served {
    support::block_on(async {
        let endpoint = "tcp://127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(&endpoint, ListenOptions::default()).await.expect("a free port");
        let address = listener.endpoint().to_string().replace("tcp://", "");
        let gate = Rc::new(Notify::new());
        let offer = Offer { channel, ..offer(Mode::Exact, &gate) };
        let mut server = Server::new(listener, on_owner_loss);
        let both = async {
            let served = async {
                let served = server.serve(&offer, Interrupt::default()).await;
                server.close().await;
                served
            };
            tokio::join!(served, scenario(address, gate))
        };
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("it ends").0
    })
}

/// Broken once: the reply failed, and what was in it was lost.
#[test]
fn a_reply_that_is_too_long_for_a_frame_reaches_its_owner_in_parts_or_the_next_one() {
    let mut channel = Offer::connections();
    channel.max_frame = 4096;
    let served = play_over(channel, OwnerLoss::Wait, async |address, gate| {
        let events = |reply: &Value| reply.get("events").and_then(Value::as_list).map_or(0, <[_]>::len);
        let mut owner = Client::new(&address).await;
        owner.ask("sim/create", r#"["Meter"]"#).await;
        let mut parts = vec![owner.ask("sim/step", r#"["30min"]"#).await];
        while parts.last().and_then(|part| part.get("more")) == Some(&Value::Bool(true)) {
            parts.push(owner.ask("sim/rest", "[]").await);
        }
        assert!(parts.len() > 3, "{}", parts.len());
        assert_eq!(parts.iter().map(events).sum::<usize>(), 180);

        // who is lost before its reply leaves a part in it, and the rest
        owner.send("sim/step", r#"["1h", {"meter_0": {"wait": {"a": true}}}]"#).await;
        owner.wait_for("under_way", |what| !what.is_null()).await;
        drop(owner);
        let mut next = Client::new(&address).await;
        next.wait_for("owner", Value::is_null).await;
        gate.notify_one();
        next.wait_for("under_way", Value::is_null).await;
        let lost = next.ask("sim/unanswered", "[]").await;
        let mut left = vec![lost.get("reply").cloned().expect("a reply")];
        while left.last().and_then(|part| part.get("more")) == Some(&Value::Bool(true)) {
            left.push(next.ask("sim/rest", "[]").await);
        }
        assert!(left.len() > 3, "{}", left.len());
        assert_eq!(left.iter().map(events).sum::<usize>(), 180);
        next.ask("sim/stop", "[]").await;
    });
    assert!(served.result.is_ok(), "{:?}", served.result);
}

const WAIT: &str = r#"["10s", {"meter_0": {"wait": {"a": true}}}]"#;

#[test]
fn a_second_master_is_refused_with_the_name_of_the_first_and_may_look_on() {
    let served = play(OwnerLoss::Stop, async |address, _| {
        let (mut first, mut second) = (Client::new(&address).await, Client::new(&address).await);
        assert!(second.described("owner").await.is_null());
        first.ask("sim/create", r#"["Meter"]"#).await;
        for (path, args) in [
            ("sim/create", r#"["Meter"]"#),
            ("sim/step", "[0]"),
            ("clock/advance", "[0]"),
            ("sim/get", r#"[{"meter_0": ["seen"]}]"#),
            ("sim/connect", "[{}]"),
            ("sim/rest", "[]"),
            ("sim/stop", "[]"),
        ] {
            let error = second.refused(path, args).await;
            assert_eq!(error.kind(), "NotOwner", "{path}");
            assert!(error.message().contains(&first.name), "{path}: {error}");
        }
        assert_eq!(second.described("owner").await, Value::from(first.name.as_str()));
        second.ask("sim/inject", r#"["5s", "meter_0", "level", 3]"#).await;
        assert_eq!(second.ask("clock/next_event", "[]").await, Value::Int(0));
        let reply = first.ask("sim/step", r#"["10s"]"#).await;
        assert_eq!(reply.get("events"), Some(&value(r#"[[10000000000, "meter_0", "ticks", 3.0]]"#)));
        // a looker-on that leaves is nobody's loss
        drop(second);
        let summary = first.ask("sim/stop", "[]").await;
        assert_eq!(summary.get("steps"), Some(&Value::Int(1)));
    });
    served.result.expect("it ended well");
}

#[test]
fn what_is_offered_is_described_with_docs_parameters_and_kinds_of_ports() {
    let served = play(OwnerLoss::Stop, async |address, _| {
        let mut client = Client::new(&address).await;
        client.ask("sim/create", r#"["House"]"#).await;
        let described = client.ask("sim/describe", "[]").await;
        for (what, is) in [
            ("interface", "1"),
            ("name", r#""test""#),
            ("epoch", r#""1970-01-01T00:00:00Z""#),
            ("seed", "0"),
            ("mode", r#""exact""#),
            ("now", "0"),
            (
                "agents",
                r#"{"house_0": {"model": "House", "parent": null}, "meter_0": {"model": "Meter", "parent": "house_0"}}"#,
            ),
            ("holders", "[]"),
            ("under_way", "null"),
            ("failed", "null"),
        ] {
            assert_eq!(described.get(what), Some(&value(is)), "{what}");
        }
        let meter = described.get("models").and_then(|models| models.get("Meter")).expect("a model");
        let expected = r#"{
            "doc": "", "create": true,
            "params": [{"name": "level", "type": "f64", "optional": true}],
            "inputs": [{"name": "level", "trigger": false, "doc": "The level from now on."},
                       {"name": "fail", "trigger": true, "doc": ""}, {"name": "wait", "trigger": true, "doc": ""}],
            "outputs": [{"name": "seen", "kind": "state", "doc": "The level at the last tick."},
                        {"name": "changed", "kind": "on_change", "doc": ""}, {"name": "ticks", "kind": "event", "doc": ""}]}"#;
        assert_eq!(meter, &value(expected));
        client.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn while_a_step_is_under_way_time_and_describe_are_answered_and_the_rest_is_refused_by_name() {
    let served = play(OwnerLoss::Stop, async |address, gate| {
        let (mut owner, mut other) = (Client::new(&address).await, Client::new(&address).await);
        owner.ask("sim/create", r#"["Meter"]"#).await;
        let step = owner.send("sim/step", WAIT).await;
        other.wait_for("under_way", |what| what.as_str() == Some("sim/step(\"10s\")")).await;
        assert_eq!(other.ask("clock/time", "[]").await, Value::Int(10_000_000_000));
        for (path, args) in [("clock/next_event", "[]"), ("sim/inject", r#"["20s", "meter_0", "level", 3]"#)]
        {
            let error = other.refused(path, args).await;
            assert_eq!(error.kind(), "Busy");
            assert!(error.message().contains("sim/step") && error.message().contains(&owner.name), "{error}");
        }
        assert_eq!(owner.refused("sim/get", r#"[{}]"#).await.kind(), "Busy");
        gate.notify_one();
        assert_eq!(owner.answer(step).await.expect("it ends").get("now"), Some(&Value::Int(10_000_000_000)));
        assert_eq!(other.ask("clock/next_event", "[]").await, Value::Int(20_000_000_000));
        owner.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn requests_that_are_sent_without_waiting_are_taken_in_their_order() {
    let served = play(OwnerLoss::Stop, async |address, _| {
        let mut owner = Client::new(&address).await;
        let mut sent = Vec::new();
        for (path, args) in [
            ("sim/create", r#"["Meter"]"#),
            ("sim/inject", r#"["5s", "meter_0", "level", 1]"#),
            ("sim/inject", r#"["5s", "meter_0", "level", 2]"#),
            ("clock/next_event", "[]"),
            ("sim/step", r#"["10s"]"#),
        ] {
            sent.push(owner.send(path, args).await);
        }
        let mut replies = Vec::new();
        for id in sent {
            replies.push(owner.answer(id).await.expect("answered"));
        }
        // the meter's first code runs at 0
        assert_eq!(replies[3], Value::Int(0));
        assert_eq!(replies[4].get("events"), Some(&value(r#"[[10000000000, "meter_0", "ticks", 2.0]]"#)));
        owner.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn a_step_whose_owner_is_lost_ends_and_the_next_owner_goes_on_with_what_the_first_did_not_get() {
    let served = play(OwnerLoss::Wait, async |address, gate| {
        let (mut first, mut second) = (Client::new(&address).await, Client::new(&address).await);
        first.ask("sim/create", r#"["Meter"]"#).await;
        first.send("sim/step", WAIT).await;
        second.wait_for("under_way", |what| !what.is_null()).await;
        let name = first.name.clone();
        drop(first);
        second.wait_for("owner", Value::is_null).await;
        assert_eq!(second.refused("sim/step", r#"["20s"]"#).await.kind(), "Busy");
        gate.notify_one();
        second.wait_for("under_way", Value::is_null).await;
        let unanswered = second.ask("sim/unanswered", "[]").await;
        assert_eq!(unanswered.get("owner"), Some(&Value::from(name.as_str())));
        let events = unanswered.get("reply").and_then(|reply| reply.get("events"));
        assert_eq!(events, Some(&value(r#"[[10000000000, "meter_0", "ticks", 0.0]]"#)));
        // a step that is refused is none
        second.refused("sim/step", "[0]").await;
        assert!(!second.ask("sim/unanswered", "[]").await.is_null());
        let reply = second.ask("sim/step", r#"["20s"]"#).await;
        assert_eq!(reply.get("events"), Some(&value(r#"[[20000000000, "meter_0", "ticks", 0.0]]"#)));
        assert!(second.ask("sim/unanswered", "[]").await.is_null());
        assert_eq!(second.described("owner").await, Value::from(second.name.as_str()));
        second.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn a_run_whose_owner_is_lost_ends_when_the_step_has_and_says_where() {
    let served = play(OwnerLoss::Stop, async |address, gate| {
        let (mut owner, mut other) = (Client::new(&address).await, Client::new(&address).await);
        owner.ask("sim/create", r#"["Meter"]"#).await;
        owner.send("sim/step", WAIT).await;
        other.wait_for("under_way", |what| !what.is_null()).await;
        drop(owner);
        other.wait_for("owner", Value::is_null).await;
        gate.notify_one();
    });
    let error = served.result.expect_err("the owner is gone").to_string();
    assert!(
        error.contains("was lost in the middle of sim/step") && error.contains("has ended at 10s"),
        "{error}"
    );
    let coupling = served.coupling.expect("the agents");
    assert_eq!(coupling.container().now(), Time::ZERO + secs(10));
}

#[test]
fn an_owner_that_leaves_without_stop_is_a_loss() {
    let served = play(OwnerLoss::Stop, async |address, _| {
        let mut owner = Client::new(&address).await;
        owner.ask("sim/create", r#"["Meter"]"#).await;
        owner.ask("sim/step", r#"["15min"]"#).await;
    });
    let error = served.result.expect_err("the owner is gone");
    assert!(matches!(error, ServeError::Lost(_)), "{error:?}");
    assert!(error.to_string().contains("was lost at 15min, without a `stop`"), "{error}");
}

#[test]
fn no_step_begins_while_somebody_holds_the_clock() {
    let served = play(OwnerLoss::Stop, async |address, _| {
        let (mut owner, mut other) = (Client::new(&address).await, Client::new(&address).await);
        let mut third = Client::new(&address).await;
        owner.ask("sim/create", r#"["Meter"]"#).await;
        assert_eq!(other.ask("clock/hold", "[]").await, Value::Int(0));
        let step = owner.send("sim/step", r#"["10s"]"#).await;
        let waits = format!("which waits: the clock is held by {}", other.name);
        third.wait_for("under_way", |what| what.as_str().is_some_and(|what| what.contains(&waits))).await;
        // a second holder need not wait for a step that waits
        assert_eq!(third.ask("clock/hold", "[]").await, Value::Int(0));
        assert_eq!(other.ask("clock/release", "[]").await, Value::Bool(true));
        assert_eq!(other.ask("clock/release", "[]").await, Value::Bool(false));
        assert_eq!(other.ask("clock/time", "[]").await, Value::Int(0));
        assert_eq!(other.described("holders").await, Value::list([third.name.as_str()]));
        // holding ends with the connection
        drop(third);
        assert_eq!(
            owner.answer(step).await.expect("it goes on").get("now"),
            Some(&Value::Int(10_000_000_000))
        );
        owner.ask("clock/hold", "[]").await;
        let error = owner.refused("sim/step", r#"["20s"]"#).await;
        assert!(error.message().contains("you hold the clock yourself"), "{error}");
        owner.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn hold_is_answered_when_the_step_under_way_has_ended() {
    let served = play(OwnerLoss::Stop, async |address, gate| {
        let (mut owner, mut other) = (Client::new(&address).await, Client::new(&address).await);
        owner.ask("sim/create", r#"["Meter"]"#).await;
        let step = owner.send("sim/step", WAIT).await;
        other.wait_for("under_way", |what| !what.is_null()).await;
        let hold = other.send("clock/hold", "[]").await;
        other.wait_for("holders", |holders| holders.as_list().is_some_and(|list| list.len() == 1)).await;
        gate.notify_one();
        assert_eq!(other.answer(hold).await.expect("it is held"), Value::Int(10_000_000_000));
        owner.answer(step).await.expect("it has ended");
        owner.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn a_step_that_waits_for_a_held_clock_never_begins_when_its_owner_is_lost() {
    let served = play(OwnerLoss::Wait, async |address, _| {
        let (mut owner, mut other) = (Client::new(&address).await, Client::new(&address).await);
        owner.ask("sim/create", r#"["Meter"]"#).await;
        other.ask("clock/hold", "[]").await;
        owner.send("sim/step", r#"["10s"]"#).await;
        other.wait_for("under_way", |what| !what.is_null()).await;
        drop(owner);
        other.wait_for("under_way", Value::is_null).await;
        other.ask("clock/release", "[]").await;
        let reply = other.ask("sim/step", "[0]").await;
        assert_eq!(reply.get("now"), Some(&Value::Int(0)));
        other.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

#[test]
fn a_run_that_has_failed_is_told_to_the_owner_and_fails_the_program() {
    let served = play(OwnerLoss::Wait, async |address, _| {
        let mut owner = Client::new(&address).await;
        owner.ask("sim/create", r#"["Meter"]"#).await;
        let error = owner.refused("sim/step", r#"[0, {"meter_0": {"fail": {"a": true}}}]"#).await;
        assert_eq!(error.kind(), "AgentFailure");
        assert!(
            owner.described("failed").await.as_str().is_some_and(|text| text.contains("the meter is broken"))
        );
        // nobody can go on from here: it ends although it would wait for another owner
    });
    let error = served.result.expect_err("it has failed");
    assert!(matches!(&error, ServeError::Failed(text) if text.contains("the meter is broken")), "{error:?}");
}

#[test]
fn rubbish_on_one_connection_does_not_disturb_the_owner() {
    let served = play(OwnerLoss::Stop, async |address, _| {
        let mut owner = Client::new(&address).await;
        owner.ask("sim/create", r#"["Meter"]"#).await;
        for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\x02[]", b"\0\0\0\0", b"\0\0\0\x09[0,1,null"]
        {
            let mut stream = TcpStream::connect(&address).await.expect("somebody listens");
            stream.write_all(rubbish).await.expect("written");
            drop(stream);
            owner.ask("sim/step", "[0]").await;
        }
        let error = owner.refused("sim/fly", "[]").await;
        assert_eq!(error.to_string(), r#"LookupError: Name "fly" not found in "sim""#);
        assert_eq!(owner.refused("agents/0", "[]").await.kind(), "LookupError");
        let error = owner.refused("clock/time", "[5]").await;
        assert_eq!(error.to_string(), "TypeError: time() takes 0 positional arguments but 1 was given");
        owner.ask("sim/stop", "[]").await;
    });
    served.result.expect("it ended well");
}

/// A program that serves, and where.
fn program(flags: &[&str]) -> (Child, String) {
    let mut program = Command::new(support::example("plant_controller"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let mut line = String::new();
    BufReader::new(program.stdout.take().expect("piped")).read_line(&mut line).expect("it says where");
    let address = line.trim().strip_prefix("listening at tcp://").expect("an address").to_string();
    (program, address)
}

#[test]
fn with_keep_a_program_serves_run_after_run_at_one_address() {
    let (mut program, address) = program(&["--keep"]);
    let mut fingerprints = Vec::new();
    support::block_on(async {
        for lost in [false, true, false] {
            let mut client = Client::new(&address).await;
            let created = client.ask("sim/create", r#"["Thermostat"]"#).await;
            assert_eq!(created, value(r#"["thermostat_0"]"#));
            client.ask("sim/step", r#"["1h"]"#).await;
            if !lost {
                fingerprints.push(client.ask("sim/stop", "[]").await);
            }
        }
    });
    program.kill().expect("it runs");
    program.wait().expect("it is dead");
    assert_eq!(fingerprints[0], fingerprints[1]);
}

#[test]
fn a_recorded_run_is_replayed_without_a_simulator_also_if_its_owner_was_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plant.jrn");
    let path = path.to_str().expect("text");
    let (program, address) = program(&["--seed", "7", "--on-owner-loss", "wait", "--record", path]);
    let stopped = support::block_on(async {
        let mut first = Client::new(&address).await;
        let mut second = Client::new(&address).await;
        first.ask("sim/create", r#"["Thermostat"]"#).await;
        first
            .ask("sim/step", r#"["15min", {"thermostat_0": {"celsius": {"room": 18.25}}}, null, true]"#)
            .await;
        first.refused("sim/step", "[0]").await;
        second.refused("sim/step", r#"["30min"]"#).await;
        drop(first);
        second.wait_for("owner", Value::is_null).await;
        second.ask("sim/inject", r#"["29min", "thermostat_0", "celsius", 22.5]"#).await;
        second.ask("clock/advance", r#"["20min", false]"#).await;
        second.ask("sim/step", r#"["2h"]"#).await;
        second.ask("sim/stop", "[]").await
    });
    let ended = program.wait_with_output().expect("it ends");
    let fingerprint = stopped.get("fingerprint").and_then(Value::as_str).expect("a fingerprint");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let replayed =
        Command::new(support::example("plant_controller")).args(["replay", path]).output().expect("runs");
    let said = String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success(), "{said}");
    assert!(said.contains(&format!("fingerprint {fingerprint}")) && said.contains("the same"), "{said}");
}
