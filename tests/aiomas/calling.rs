//! We call aiomas: `tests/peers/aiomas/serving.py`, with each codec, over TCP and Unix sockets.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use isochrone::channel::transport::{ConnectOptions, connect};
use isochrone::channel::{Config as ChannelConfig, Connection, Event, Failure};
use isochrone::codec::{Codec, Types, Value, from_value, to_value};
use isochrone::container::Binding;
use isochrone::prelude::*;
use isochrone::rpc::{Client, Remote, Service};
use isochrone::service;
use serde::{Deserialize, Serialize};

use crate::aiomas::programs::Program;
use crate::aiomas::python;
use crate::net::{Running, run};
use crate::programs::url;
use crate::serving::codec;

/// Where one codec is spoken over one transport.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    codec: String,
    transport: String,
    rpc: String,
    agents: String,
    channel: String,
}

/// The one program that serves all of this test program. It ends with our end of its standard input.
static TARGETS: LazyLock<(Mutex<Program>, Vec<Target>)> = LazyLock::new(|| {
    let program = Program::start(&mut python("serving.py"));
    let told = program.line();
    let targets = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{told}: {error}"));
    (Mutex::new(program), targets)
});

pub(crate) fn targets() -> &'static [Target] {
    &TARGETS.1
}

impl Target {
    pub(crate) fn codec(&self) -> Codec {
        codec(&self.codec)
    }

    /// Whether bytes and any key can be sent.
    fn is_binary(&self) -> bool {
        self.codec() != Codec::Json
    }

    fn config(&self, types: Types) -> ChannelConfig {
        let mut config = ChannelConfig::default();
        (config.codec, config.types) = (self.codec(), types);
        config
    }

    async fn client(&self, own: Service) -> Client {
        let config = self.config(Types::rpc(["Point"]));
        Client::connect_with(&self.rpc, &ConnectOptions::default(), config, own).await.unwrap()
    }

    /// A container of ours, with an agent that makes calls.
    pub(crate) async fn container(&self) -> Office {
        Office::open(&self.transport, self.codec(), &["Point"]).await
    }

    fn agent(&self, name: &str) -> String {
        format!("{}/{name}", self.agents)
    }
}

impl Office {
    pub(crate) async fn open(transport: &str, codec: Codec, types: &[&str]) -> Office {
        Office::open_with(transport, codec, types, |binding| binding).await
    }

    pub(crate) async fn open_with(
        transport: &str,
        codec: Codec,
        types: &[&str],
        bind: impl FnOnce(Binding<'_>) -> Binding<'_>,
    ) -> Office {
        let directory = tempfile::tempdir().unwrap();
        let here = match transport {
            "tcp" | "tls" => "tcp://127.0.0.1:0".to_owned(),
            _ => url(&directory.path().join("here").display().to_string()),
        };
        let build = |world: &Container| {
            world.add("caller", Caller::default()).unwrap();
        };
        let running = Running::start(
            "office",
            &here,
            |binding| bind(binding.codec(codec).types(types.iter().copied())),
            build,
        )
        .await;
        Office { running, _directory: directory }
    }
}

/// A container of ours, with the directory of its socket.
pub(crate) struct Office {
    running: Running,
    _directory: tempfile::TempDir,
}

impl std::ops::Deref for Office {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Office {
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// Runs a test at every target.
fn each(test: impl AsyncFn(&Target)) {
    run(async {
        for target in targets() {
            println!("{} over {}", target.codec, target.transport);
            test(target).await;
        }
    });
}

/// Values that are the same everywhere.
fn values(target: &Target) -> Vec<Value> {
    let mut values = vec![
        Value::Null,
        Value::Bool(true),
        0.into(),
        i64::MIN.into(),
        u64::MAX.into(),
        0.1.into(),
        1.0.into(),
        (-0.0).into(),
        5e-324.into(),
        f64::INFINITY.into(),
        f64::NAN.into(),
        "".into(),
        "ü\u{2603}\u{1F600}\"\\\n\0".into(),
        Value::List(vec![]),
        Value::list([Value::list([1.into(), Value::list([2.5])])]),
        Value::Map(vec![]),
        Value::map([("a", Value::map([("b", Value::Null)])), ("ü", "".into())]),
        "x".repeat(100_000).into(),
    ];
    if target.is_binary() {
        let keys = [(1.into(), "x"), (Value::Null, "y"), (Value::list([1, 2]), "z")];
        values.extend([Value::Bytes(vec![]), Value::Bytes(vec![0, 255]), Value::map(keys)]);
    } else {
        values.push(Value::BigInt("-1180591620717411303424".into()));
    }
    values
}

fn assert_same(got: &Value, expected: &Value) {
    assert!(got.same(expected), "{got} is not {expected}");
}

async fn failure<T: std::fmt::Debug>(call: impl Future<Output = Result<T, CallError>>) -> CallError {
    call.await.expect_err("a failure")
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$type::Point")]
struct Point {
    x: f64,
    y: f64,
}

#[test]
fn a_channel_asks_and_is_asked() {
    each(async |target| {
        let endpoint = target.channel.parse().unwrap();
        let stream = connect(&endpoint, &ConnectOptions::default()).await.unwrap();
        let mut connection = Connection::new(stream, target.config(Types::channel(["Point"])));
        let values = values(target);
        let say = |what: &str, value: Value| Value::List(vec![what.into(), value]);
        let mut asked = Vec::new();
        for value in &values {
            asked.push(connection.channel().request(&say("echo", value.clone())).unwrap());
        }
        for (expected, value) in asked.iter().zip(&values) {
            let Some(Event::Answer { request, result }) = connection.event().await.unwrap() else { panic!() };
            assert_eq!(request, *expected, "answers come in order");
            assert_same(&result.unwrap(), value);
        }
        let failing = connection.channel().request(&say("fail", 42.into())).unwrap();
        let failed = connection.event().await.unwrap();
        let result = Err(Failure::Remote("ValueError: 42\n".into()));
        assert_eq!(failed, Some(Event::Answer { request: failing, result }));
        let open = connection.channel().request(&say("ask", "how much?".into())).unwrap();
        let Some(Event::Request { id, content }) = connection.event().await.unwrap() else { panic!() };
        assert_eq!(content.as_str(), Some("how much?"));
        connection.channel().reply(&id, &Value::from(1.5)).unwrap();
        let answered = Value::List(vec!["you said".into(), 1.5.into()]);
        let answered = Event::Answer { request: open, result: Ok(answered) };
        assert_eq!(connection.event().await.unwrap(), Some(answered));
    });
}

#[test]
fn rpc_calls_by_position_keyword_and_default() {
    each(async |target| {
        let client = target.client(Service::new()).await;
        assert_eq!(client.call("add").arg(1).returning::<i64>().await, Ok(1));
        assert_eq!(client.call("add").arg(1).arg(2).returning::<i64>().await, Ok(3));
        assert_eq!(client.call("add").arg(0.5).kwarg("b", 2).returning::<f64>().await, Ok(2.5));
        let mut all = Args::new(values(target), Vec::new());
        all = all.kwarg("k", [1.5]);
        let echoed = client.call("echo").args(all.clone()).await.unwrap();
        assert_same(&echoed, &to_value(&all).unwrap());
        assert_eq!(
            client.call("swap").arg(Point { x: 1.0, y: 2.5 }).returning().await,
            Ok(Point { x: 2.5, y: 1.0 })
        );
        client.close().await;
    });
}

#[test]
fn many_calls_at_once_are_answered_each() {
    each(async |target| {
        let client = target.client(Service::new()).await;
        let add = |n: i64| client.call("add").arg(n).kwarg("b", 1).returning::<i64>();
        let sums = futures::future::join_all((0..500).map(add)).await;
        assert!(sums.into_iter().eq((0..500).map(|n| Ok(n + 1))));
        let order = std::cell::RefCell::new(Vec::new());
        let slow = async |seconds: f64| {
            client.call("slow").arg(seconds).arg(seconds).await.unwrap();
            order.borrow_mut().push(seconds);
        };
        tokio::join!(slow(0.12), slow(0.0), slow(0.06));
        assert_eq!(*order.borrow(), [0.0, 0.06, 0.12]);
    });
}

#[test]
fn nested_services_and_what_is_none() {
    each(async |target| {
        let client = target.client(Service::new()).await;
        assert_eq!(client.call("sub/whoami").returning::<String>().await, Ok("sub".into()));
        let sub = client.peer().proxy("sub");
        assert_eq!(sub.call("whoami").returning::<String>().await, Ok("sub".into()));
        let error = failure(sub.call("x")).await;
        assert_eq!((error.kind(), error.message()), ("LookupError", r#"Name "x" not found in "sub""#));
        // aiomas finds it, and it is no function
        assert_eq!(failure(client.call("sub")).await.kind(), "TypeError");
    });
}

struct Mine;

#[service]
impl Mine {
    #[expose]
    fn ping(&self, n: i64) -> (String, i64) {
        ("own pong".into(), n)
    }

    /// Calls back a second time, while both calls are open.
    #[expose]
    async fn again(&self, peer: &isochrone::rpc::Peer, n: i64) -> Result<i64, CallError> {
        peer.call("add").arg(n).arg(1).returning().await
    }

    #[expose]
    fn boom(&self) -> Result<(), CallError> {
        Err(CallError::new("KeyError", "'lost'").with_trace(["House#1.boom"]))
    }
}

#[test]
fn call_backs_during_a_call_and_proxies_as_arguments() {
    each(async |target| {
        let client = target.client(Service::of(Mine)).await;
        let me = client.peer().own("").unwrap();
        let call = |method: &str, n: i64| client.call("call_back").arg(&me).arg(method).arg(n);
        let pong = |n: i64| Value::List(vec!["own pong".into(), n.into()]);
        assert_eq!(call("ping", 1).await, Ok(pong(1)));
        assert_eq!(call("again", 41).await, Ok(Value::Int(42)));
        let many = futures::future::join_all((0..200).map(|n| call("ping", n))).await;
        assert!(many.into_iter().eq((0..200).map(|n| Ok(pong(n)))));
        let error = failure(client.call("call_back").arg(&me).arg("boom")).await;
        assert!(error.message().contains("KeyError: 'lost'"), "{error}");
        assert!(!format!("{:?}", error.trace()).contains("House#1"), "what we do not tell: {error}");
        // unless we do tell
        client.peer().service().unwrap().tell_traces(true);
        let error = failure(client.call("call_back").arg(&me).arg("boom")).await;
        assert!(error.trace().concat().contains("House#1.boom"), "{:?}", error.trace());
        assert_eq!(error.to_string(), "KeyError: 'lost'", "as it is near");
    });
}

#[test]
fn proxies_as_results_are_called() {
    each(async |target| {
        let client = target.client(Service::new()).await;
        let sub: Remote = client.call("get_sub").returning().await.unwrap();
        assert_eq!(sub.path(), "sub");
        assert_eq!(sub.call("whoami").returning::<String>().await, Ok("sub".into()));
        let error = failure(client.call("echo").arg(&sub)).await;
        assert!(error.message().contains("cannot be passed on"), "{error}");
    });
}

#[test]
fn failures_have_kind_message_and_trace() {
    each(async |target| {
        let client = target.client(Service::new()).await;
        let error = failure(client.call("fail").arg("a: b\nc")).await;
        assert_eq!((error.kind(), error.message()), ("ValueError", "a: b\nc"));
        let trace = error.trace();
        assert_eq!(trace.first().map(String::as_str), Some("Traceback (most recent call last):"));
        assert!(
            trace.iter().any(|line| line.contains("aiomas_peer.py") && line.contains("in fail")),
            "{trace:?}"
        );
        let error = failure(client.call("caused")).await;
        assert_eq!((error.kind(), error.message()), ("RuntimeError", "no x"));
        assert!(error.trace().iter().any(|line| line.contains("KeyError: 'x'")), "{:?}", error.trace());
        let error = failure(client.call("add")).await;
        assert!(error.message().contains("missing 1 required positional argument: 'a'"), "{error}");
        assert_eq!(error.kind(), "TypeError");
        // what cannot be sent fails the one call
        let dict = Value::map([("__type__", Value::list([1, 2]))]);
        assert!(failure(client.call("echo").arg(dict)).await.message().contains("__type__"));
        if !target.is_binary() {
            let bytes = failure(client.call("echo").arg(Value::Bytes(vec![1]))).await;
            assert_eq!(bytes.kind(), "TypeError");
        }
        assert_eq!(client.call("add").arg(1).returning::<i64>().await, Ok(1));
    });
}

#[test]
fn a_call_that_we_give_up_disturbs_nobody() {
    each(async |target| {
        let client = target.client(Service::new()).await;
        let before: i64 = client.call("answered").returning().await.unwrap();
        let error = failure(client.call("later").arg(0.05).timeout(millis(5))).await;
        assert_eq!(error.kind(), "Timeout");
        client.call("slow").arg(0.08).await.unwrap();
        assert_eq!(client.call("answered").returning::<i64>().await, Ok(before + 1));
        assert_eq!(client.peer().counters().late, 1);
    });
}

/// An agent that calls what it is told to.
#[derive(Default)]
pub(crate) struct Caller {
    met: Option<Proxy>,
}

#[agent]
impl Caller {
    #[expose]
    async fn meet(this: This<Self>, url: String) -> Result<(), CallError> {
        let met = Proxy::connect(&url, secs(5)).await?;
        this.with(|me| me.met = Some(met));
        Ok(())
    }

    #[expose]
    async fn call(this: This<Self>, method: String, rest: Args) -> Result<Value, CallError> {
        met(&this)?.call(&method).args(rest).await
    }

    #[expose]
    async fn pass_self(this: This<Self>, method: String, rest: Args) -> Result<Value, CallError> {
        met(&this)?.call(&method).arg(this.proxy()).args(rest).await
    }

    #[expose]
    async fn connect_and_call(
        this: This<Self>,
        url: String,
        method: String,
        rest: Args,
    ) -> Result<Value, CallError> {
        let _ = this;
        Proxy::connect(&url, Duration::ZERO).await?.call(&method).args(rest).await
    }

    #[expose]
    async fn ping(this: This<Self>) -> String {
        let address = this.proxy().untyped().address();
        format!("pong from {}", address.unwrap_or_default())
    }

    #[expose]
    fn double(&self, x: f64) -> f64 {
        2.0 * x
    }

    #[expose]
    fn boom(&self) -> Result<(), CallError> {
        Err(CallError::new("KeyError", "'lost'"))
    }
}

fn met(this: &This<Caller>) -> Result<Proxy, CallError> {
    this.with(|me| me.met.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))
}

fn args() -> Args {
    Args::default()
}

/// A container of ours whose agent has met agent 0 of aiomas's.
async fn office(target: &Target) -> Office {
    let office = target.container().await;
    office.ask("caller", "meet", args().arg(target.agent("0"))).await.unwrap();
    office
}

#[test]
fn agents_call_agents_of_aiomas() {
    each(async |target| {
        let office = office(target).await;
        let pong = |n: &str| Ok(Value::from(format!("pong from {}", target.agent(n))));
        assert_eq!(office.ask("caller", "call", args().arg("ping")).await, pong("0"));
        let all = Args::new(values(target), Vec::new()).kwarg("k", [1.5]);
        let echoed = office.ask("caller", "call", args().arg("echo").and(all.clone())).await.unwrap();
        assert_same(&echoed, &to_value(&all).unwrap());
        let other = args().arg(target.agent("1")).arg("ping");
        assert_eq!(office.ask("caller", "connect_and_call", other).await, pong("1"));
        let swapped = args().arg("swap").arg(Point { x: 1.0, y: 2.0 });
        let swapped = office.ask("caller", "call", swapped).await.unwrap();
        assert_eq!(from_value::<Point>(swapped), Ok(Point { x: 2.0, y: 1.0 }));
        let error = failure(office.ask("caller", "call", args().arg("call_kept").arg("ping"))).await;
        // nobody was kept: `None` has no methods
        assert_eq!(error.kind(), "AttributeError");
        assert!(office.node.connections() == 1, "one connection leads there");
        office.stop().await;
    });
}

#[test]
fn agents_pass_themselves_to_aiomas_and_are_called_back() {
    each(async |target| {
        let office = office(target).await;
        let doubled = office.ask("caller", "pass_self", args().arg("call_back").arg("double").arg(21)).await;
        assert_eq!(doubled, Ok(Value::Float(42.0)));
        assert_eq!(office.ask("caller", "pass_self", args().arg("keep")).await, Ok(Value::Null));
        let kept = args().arg("call_kept").arg("double").arg(4);
        assert_eq!(office.ask("caller", "call", kept).await, Ok(Value::Float(8.0)));
        // by address aiomas opens a connection of its own
        let by_address = args().arg("call").arg(office.address("caller")).arg("double").arg(0.5);
        assert_eq!(office.ask("caller", "call", by_address).await, Ok(Value::Float(1.0)));
        let error = failure(office.ask("caller", "pass_self", args().arg("call_back").arg("boom"))).await;
        assert!(error.message().contains("KeyError: 'lost'"), "{error}");
        office.stop().await;
    });
}

#[test]
fn an_agent_that_aiomas_does_not_have_is_named() {
    each(async |target| {
        let office = target.container().await;
        let error = failure(office.ask("caller", "meet", args().arg(target.agent("77")))).await;
        assert_eq!(error.kind(), "LookupError");
        assert!(error.message().contains("77") && error.message().contains(&target.agents), "{error}");
        let container = target.client_of_agents().await;
        assert_eq!(container.call("validate_aid").arg("0").await, Ok(Value::from("Clever")));
        assert_eq!(container.call("validate_aid").arg("77").await, Ok(Value::Null));
        office.stop().await;
    });
}

impl Target {
    /// A program without agents at the container.
    async fn client_of_agents(&self) -> Client {
        let config = self.config(Types::container(["Point"]));
        Client::connect_with(&self.agents, &ConnectOptions::default(), config, Service::new()).await.unwrap()
    }
}

#[test]
fn dates_keep_their_offset() {
    each(async |target| {
        let office = office(target).await;
        for (sent, expected) in [
            ("2016-01-01T00:00:00+01:00", "2016-01-02T00:00:00+01:00"),
            ("2016-02-28T23:59:59.123456-05:30", "2016-02-29T23:59:59.123456-05:30"),
            // nanoseconds are cut
            ("1969-12-31T00:00:00.123456789+00:00", "1970-01-01T00:00:00.123456+00:00"),
        ] {
            let date = |text: &str| Value::Date(text.parse::<DateTime<FixedOffset>>().unwrap());
            let moved = office.ask("caller", "call", args().arg("when").arg(date(sent))).await.unwrap();
            assert_same(&moved, &date(expected));
        }
        office.stop().await;
    });
}
