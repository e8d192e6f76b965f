//! RPC over one connection, both ends ours: services, typed proxies, call-backs, failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use isochrone::channel::{Config, Load};
use isochrone::codec::{Codec, Types, Value, to_value};
use isochrone::rpc::{Args, Call, CallError, Entry, Peer, Positional, Remote, Service, Shared};
use isochrone::service;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

#[derive(Debug, thiserror::Error)]
#[error("{0} kW are too much")]
struct TooMuch(f64);

#[derive(Default)]
struct Calc {
    calls: AtomicUsize,
}

#[service]
impl Calc {
    /// Adds two numbers.
    #[expose]
    fn add(&self, a: i64, #[default(40)] b: i64) -> i64 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.hidden(a, b)
    }

    #[expose]
    fn set(&self, kw: f64) -> Result<f64, TooMuch> {
        if kw > 5.0 { Err(TooMuch(kw)) } else { Ok(kw) }
    }

    #[expose]
    async fn slow(&self, ms: u64, value: Value) -> Value {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        value
    }

    #[expose]
    fn whoami(&self, peer: &Peer) -> String {
        peer.name().to_owned()
    }

    /// Calls the caller back while its call is still open.
    #[expose]
    async fn ask_back(&self, peer: &Peer, n: i64) -> Result<i64, CallError> {
        peer.call("double").arg(n).returning().await
    }

    #[expose]
    fn boom(&self) {
        panic!("a hole in the ship")
    }

    #[expose]
    async fn boom_later(&self) {
        tokio::task::yield_now().await;
        panic!("a later hole")
    }

    #[expose]
    fn echo(&self, first: Value, rest: Args) -> (Value, Value) {
        (first, to_value(&rest).unwrap())
    }

    #[expose]
    fn bytes(&self) -> Value {
        Value::Bytes(vec![1])
    }

    fn hidden(&self, a: i64, b: i64) -> i64 {
        a + b
    }
}

#[derive(Default)]
struct Tank {
    litres: f64,
}

#[service]
impl Tank {
    #[expose]
    fn fill(&mut self, litres: f64) -> f64 {
        self.litres += litres;
        self.litres
    }

    #[expose]
    fn level(&self) -> f64 {
        self.litres
    }

    /// Holds the tank for a while.
    #[expose]
    async fn fill_slowly(&mut self, litres: f64) -> f64 {
        let before = self.litres;
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.litres = before + litres;
        self.litres
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.types = Types::rpc([""; 0]);
    config
}

/// Two ends of a pipe, both driven: the one that calls, and the one with `service`.
fn pair(service: Service, own: Service) -> (Peer, Peer) {
    let (near, far) = duplex(1 << 16);
    let (client, driver) = Peer::over(near, "server", config(), own);
    client.close_when_unused();
    tokio::spawn(driver);
    let (server, driver) = Peer::over(far, "client", config(), service);
    tokio::spawn(driver);
    (client, server)
}

fn client(service: Service) -> Peer {
    pair(service, Service::new()).0
}

fn calc() -> CalcProxy {
    client(Service::of(Calc::default())).remote().into()
}

async fn failure<T: std::fmt::Debug>(call: impl Future<Output = Result<T, CallError>>) -> String {
    call.await.expect_err("a failure").to_string()
}

#[tokio::test]
async fn a_typed_proxy_calls_by_position_and_an_untyped_one_as_python_does() {
    let calc = calc();
    assert_eq!(calc.add(1, 2).await, Ok(3));
    assert_eq!(calc.remote().call("add").arg(2).await, Ok(Value::Int(42)));
    assert_eq!(calc.remote().call("add").kwarg("b", 1).kwarg("a", 2).returning::<i64>().await, Ok(3));
    assert_eq!(calc.slow(1, Value::from("x")).await, Ok(Value::from("x")));
    assert_eq!(calc.whoami().await, Ok("client".to_owned()));
}

#[tokio::test]
async fn wrong_arguments_are_told_in_pythons_words() {
    let calc = calc();
    let add = |args: Args| isochrone::rpc::Call::<Value>::new(calc.remote(), "add", args);
    assert_eq!(
        failure(add(Args::default())).await,
        "TypeError: add() missing 1 required positional argument: 'a'"
    );
    assert_eq!(
        failure(add(Args::default().arg("x"))).await,
        r#"TypeError: add() argument 'a': expected an int, got str "x""#
    );
    assert_eq!(
        failure(add(Args::default().arg(1).kwarg("c", 1))).await,
        "TypeError: add() got an unexpected keyword argument 'c'"
    );
    assert_eq!(failure(calc.remote().call("bytes")).await.split(':').next(), Some("TypeError"));
}

#[tokio::test]
async fn a_last_argument_takes_what_is_left() {
    let calc = calc();
    let rest = || Args::default().arg(2).kwarg("a", 3);
    let expected = r#"[1,[[2],{"a":3}]]"#;
    assert_eq!(to_value(&calc.echo(1.into(), rest()).await.unwrap()).unwrap().to_string(), expected);
    let echoed = calc.remote().call("echo").arg(1).args(rest()).await.unwrap();
    assert_eq!(echoed.to_string(), expected);
    assert_eq!(calc.remote().call("echo").arg(1).await.unwrap().to_string(), "[1,[[],{}]]");
}

/// Broken once: beyond 64 bits was read as beyond the codec, and the connection was cut.
#[tokio::test]
async fn an_integer_beyond_64_bits_fails_one_call_either_way() {
    for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let big = Value::BigInt("9".repeat(30));
        let (near, far) = duplex(1 << 16);
        let mut config = config();
        config.codec = codec;
        let (peer, driver) = Peer::over(near, "server", config.clone(), Service::new());
        tokio::spawn(driver);
        tokio::spawn(Peer::over(far, "client", config, Service::of(Calc::default())).1);
        let slow = tokio::spawn(peer.call("slow").arg(50).arg(1).returning::<i64>());
        // JSON carries it, and it is no i64; MsgPack has no form for it
        let error = failure(peer.call("add").arg(big).arg(1)).await;
        assert!(error.starts_with("TypeError: add() "), "{codec}: {error}");
        assert_eq!(peer.call("add").arg(1).arg(1).await, Ok(Value::Int(2)));
        assert_eq!(slow.await.unwrap(), Ok(1), "the others go on");
    }
}

#[tokio::test]
async fn failures_keep_their_kind_and_message_and_panics_are_failures() {
    let calc = calc();
    assert_eq!(failure(calc.set(9.0)).await, "TooMuch: 9 kW are too much");
    assert_eq!(failure(calc.boom()).await, "Panicked: a hole in the ship");
    assert_eq!(failure(calc.boom_later()).await, "Panicked: a later hole");
    assert_eq!(calc.set(2.0).await, Ok(2.0));
}

#[tokio::test]
async fn only_what_was_put_in_can_be_called() {
    let calc = calc();
    for (path, says) in [
        ("hidden", r#"LookupError: Name "hidden" not found in """#),
        ("add/x", r#"LookupError: Name "x" not found in "add""#),
        ("add/", r#"LookupError: Name "" not found in "add""#),
        ("", r#"LookupError: Name "" not found in """#),
        ("calls", r#"LookupError: Name "calls" not found in """#),
    ] {
        assert_eq!(failure(calc.remote().call(path)).await, says);
    }
}

#[tokio::test]
async fn services_nest_and_change_at_run_time() {
    let houses = Service::new();
    let root = Service::new().with("houses", houses.clone()).with("calc", Calc::default());
    let peer = client(root.clone());
    assert_eq!(peer.call("calc/add").arg(1).await, Ok(Value::Int(41)));
    let error = failure(peer.call("houses/7/add").arg(1)).await;
    assert_eq!(error, r#"LookupError: Name "7" not found in "houses""#);
    houses.insert("7", Calc::default());
    assert_eq!(peer.proxy("houses/7").call("add").arg(2).await, Ok(Value::Int(42)));
    assert!(houses.remove("7"));
    assert_eq!(failure(peer.call("houses/7/add").arg(1)).await, error);
    root.insert("late", Entry::function(|_, args| Ok(args.positional.len().into())));
    assert_eq!(peer.call("late").arg(1).arg(2).await, Ok(Value::Int(2)));
    assert_eq!(root.paths()[0], "calc/add");
}

#[tokio::test]
async fn methods_that_change_the_object_have_it_alone() {
    let tank = Shared::new(Tank::default());
    let proxy = TankProxy::from(client(Service::of(tank.clone())).remote());
    let calls = (proxy.fill_slowly(1.0), proxy.fill(1.0), proxy.fill_slowly(1.0), proxy.level());
    let (first, second, third, level) = tokio::join!(calls.0, calls.1, calls.2, calls.3);
    assert_eq!((first, second, third, level), (Ok(1.0), Ok(2.0), Ok(3.0), Ok(3.0)));
    assert_eq!(tank.read().await.litres, 3.0);
}

#[tokio::test]
async fn a_call_back_runs_while_the_call_is_open() {
    let own = Service::new()
        .with("double", Entry::function(|_, args| Ok((args.positional[0].as_i64().unwrap() * 2).into())));
    let (client, _) = pair(Service::of(Calc::default()), own);
    let calc = CalcProxy::from(client.remote());
    assert_eq!(calc.ask_back(21).await, Ok(42));
    let many = futures::future::join_all((0..500).map(|n| calc.ask_back(n))).await;
    assert!(many.into_iter().eq((0..500).map(|n| Ok(2 * n))));
}

#[tokio::test]
async fn calls_answer_in_the_order_of_their_ends() {
    let calc = calc();
    let order = std::sync::Mutex::new(Vec::new());
    let note = async |ms: u64| {
        calc.slow(ms, Value::Null).await.unwrap();
        order.lock().unwrap().push(ms);
    };
    tokio::join!(note(30), note(1), note(15));
    assert_eq!(*order.lock().unwrap(), [1, 15, 30]);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_counted_when_its_reply_comes() {
    let calc = calc();
    let error = failure(calc.slow(20, Value::Null).timeout(Duration::from_millis(1))).await;
    assert_eq!(error, "Timeout: no answer within 1ms");
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(calc.add(1, 1).await, Ok(2));
    assert_eq!(calc.remote().peer().counters().late, 1);
}

#[tokio::test]
async fn what_is_no_call_is_answered_with_a_protocol_error() {
    let (mut raw, far) = duplex(1 << 16);
    let (_server, driver) = Peer::over(far, "client", config(), Service::of(Calc::default()));
    tokio::spawn(driver);
    for content in [r#""x""#, "null", r#"["add", null, {}]"#, "[]"] {
        let payload = format!("[0, 5, {content}]");
        raw.write_all(&(payload.len() as u32).to_be_bytes()).await.unwrap();
        raw.write_all(payload.as_bytes()).await.unwrap();
        let mut reply = vec![0; raw.read_u32().await.unwrap() as usize];
        raw.read_exact(&mut reply).await.unwrap();
        let reply = String::from_utf8(reply).unwrap();
        assert!(
            reply.starts_with(r#"[2,5,"ProtocolError: a request is [path, [args], {kwargs}]"#),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn a_connection_over_which_nothing_is_said_is_ended() {
    let (near, mut far) = duplex(64);
    let mut who = isochrone::channel::transport::Peer::from("tcp://192.0.2.7:5");
    who.first_frame = Some(Duration::from_millis(50));
    let (peer, driver) = Peer::over(near, who, config(), Service::of(Calc::default()));
    let ended = tokio::time::timeout(Duration::from_secs(10), driver).await.expect("cut").unwrap_err();
    assert_eq!(ended.to_string(), "the peer has sent no frame within 50ms of coming");
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    drop(peer);
}

#[tokio::test]
async fn with_too_many_requests_in_all_those_who_have_many_wait_and_the_others_do_not() {
    let mut config = config();
    config.load = Load::new(100);
    let (gate, taken) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let waits = {
        let (gate, taken) = (gate.clone(), taken.clone());
        Entry::future(move |_, _| {
            taken.fetch_add(1, Ordering::Relaxed);
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(Value::Null)
            }
        })
    };
    let service = Service::new().with("wait", waits).with("calc", Calc::default());
    let connect = || {
        let (near, far) = duplex(1 << 16);
        let (peer, driver) = Peer::over(near, "server", self::config(), Service::new());
        tokio::spawn(driver);
        tokio::spawn(Peer::over(far, "client", config.clone(), service.clone()).1);
        peer
    };
    let ask = |peer: &Peer, count: usize| {
        let calls: Vec<_> = (0..count).map(|_| peer.call("wait")).collect();
        tokio::spawn(futures::future::join_all(calls))
    };
    // until nothing moves any more
    let settled = async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        taken.load(Ordering::Relaxed)
    };
    let (heavy, light, third) = (connect(), connect(), connect());
    let many = ask(&heavy, 300);
    assert_eq!(settled().await, 100);
    let some = ask(&light, 40);
    assert_eq!(settled().await, 116, "its share, whatever the other one has");
    assert_eq!(third.call("calc/add").arg(1).await, Ok(Value::Int(41)), "who has few is not disturbed");
    assert_eq!(config.load.unanswered(), 116);
    gate.add_permits(340);
    let all = async { (many.await.unwrap(), some.await.unwrap()) };
    let (many, some) =
        tokio::time::timeout(Duration::from_secs(10), all).await.expect("they are taken later");
    assert!(many.iter().chain(&some).all(Result::is_ok));
    assert_eq!((taken.load(Ordering::Relaxed), settled().await), (340, 340));
    assert_eq!(config.load.unanswered(), 0);
}

/// Asks over a connection while it is written into a request on it.
struct Asks(Peer);

impl serde::Serialize for Asks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.call("count").arg([1, 2]).send().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str("asked")
    }
}

#[test]
fn what_is_written_into_a_request_may_call_over_the_same_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let (done, answered) = std::sync::mpsc::channel();
    // on a thread of its own, which a deadlock keeps
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let count = move |_: &Peer, _| Ok(Value::from(count.fetch_add(1, Ordering::Relaxed) as i64));
            let service = Service::new()
                .with("echo", Entry::function(|_, args| Ok(args.positional[0].clone())))
                .with("count", Entry::function(count));
            let peer = client(service);
            let arguments = Positional((Asks(peer.clone()),));
            let _ = done.send(Call::<String, _>::new(&peer.remote(), "echo", arguments).await);
        });
    });
    assert_eq!(answered.recv_timeout(Duration::from_secs(10)), Ok(Ok("asked".into())));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// Answers with so many bytes, or so many numbers; says how many came.
fn much() -> Service {
    let size = |args: &Args| usize::try_from(args.positional[0].as_i64().unwrap()).unwrap();
    Service::new()
        .with("text", Entry::function(move |_, args| Ok("x".repeat(size(&args)).into())))
        .with("list", Entry::function(move |_, args| Ok(Value::List(vec![Value::Int(0); size(&args)]))))
        .with(
            "later",
            Entry::future(move |_, args| async move {
                tokio::task::yield_now().await;
                Ok("x".repeat(size(&args)).into())
            }),
        )
        .with("count", Entry::function(|_, args| Ok(args.positional[0].as_list().unwrap().len().into())))
}

/// A client of that service.
fn with_much(codec: Codec) -> Peer {
    let (near, far) = duplex(1 << 16);
    let mut config = config();
    config.codec = codec;
    let (peer, driver) = Peer::over(near, "server", config.clone(), Service::new());
    tokio::spawn(driver);
    tokio::spawn(Peer::over(far, "client", config, much()).1);
    peer
}

#[tokio::test]
async fn what_is_too_long_either_way_fails_the_one_call_with_its_size_and_the_limit() {
    for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let peer = with_much(codec);
        for method in ["text", "later"] {
            let error = failure(peer.call(method).arg(16 << 20)).await;
            let says = "bytes are too long for one frame, the limit is 16777216: send it in parts";
            assert!(error.starts_with("TypeError: the result cannot be sent: 167772"), "{error}");
            assert!(error.ends_with(says), "{error}");
        }
        let sent = peer.counters().bytes_out;
        let error = failure(peer.call("count").arg("x".repeat(16 << 20))).await;
        assert!(error.starts_with("TypeError: count() cannot be sent: 167772"), "{error}");
        assert!(error.contains("the limit is 16777216"), "{error}");
        assert_eq!(peer.counters().bytes_out, sent, "it failed before anything was sent");
        // as long as it may be
        let text: String = peer.call("text").arg((16 << 20) - 64).returning().await.unwrap();
        assert_eq!(text.len(), (16 << 20) - 64);
    }
}

#[tokio::test]
async fn what_holds_too_many_values_either_way_fails_the_one_call() {
    for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let peer = with_much(codec);
        let other = peer.call("list").arg(10).returning::<Vec<u8>>();
        let error = failure(peer.call("list").arg(300_000)).await;
        assert!(
            error.starts_with("ProtocolError: the answer cannot be read: more than 262144 values"),
            "{error}"
        );
        assert!(error.ends_with("send it in parts"), "{error}");
        let error = failure(peer.call("count").arg(vec![0; 300_000])).await;
        assert!(error.starts_with("ProtocolError: the request cannot be read: more than 262144"), "{error}");
        assert_eq!(peer.call("count").arg(vec![0; 200_000]).await, Ok(Value::Int(200_000)));
        assert_eq!(other.await.map(|list| list.len()), Ok(10));
    }
}

/// Broken once: the frame ended the connection, and every call that was open on it.
#[tokio::test]
async fn a_frame_that_is_too_long_for_its_receiver_fails_the_one_call() {
    for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let (near, far) = duplex(1 << 16);
        let (mut small, mut large) = (config(), config());
        (small.codec, small.max_frame) = (codec, 1 << 20);
        (large.codec, large.max_frame) = (codec, 4 << 20);
        let (peer, driver) =
            Peer::over(near, "server", large, Service::of(Calc::default()).with("much", much()));
        tokio::spawn(driver);
        let (back, driver) =
            Peer::over(far, "client", small, Service::of(Calc::default()).with("much", much()));
        tokio::spawn(driver);
        let slow = peer.call("slow").arg(50).arg("well").returning::<String>();
        let slow = tokio::spawn(slow);
        assert_eq!(peer.call("much/text").arg(3).await, Ok(Value::from("xxx")));
        let error = failure(peer.call("much/count").arg("x".repeat(2 << 20))).await;
        assert!(error.starts_with("ProtocolError: the request cannot be read: 20971"), "{error}");
        let says = "too long for one frame, the limit is 1048576: send it in parts, or raise `max_frame` where it is received";
        assert!(error.ends_with(says), "{error}");
        // an answer is told to whoever waits for it
        let error = failure(back.call("much/text").arg(2 << 20)).await;
        assert!(error.starts_with("ProtocolError: the answer cannot be read: 20971"), "{error}");
        assert!(error.ends_with(says), "{error}");
        assert_eq!(slow.await.unwrap(), Ok("well".into()), "the other calls go on");
    }
}

/// Broken once: calls that were open heard of the end only.
#[tokio::test]
async fn what_runs_when_a_peer_must_be_cut_is_answered_with_the_reason() {
    let (mut raw, far) = duplex(1 << 16);
    let (_peer, driver) = Peer::over(far, "raw", config(), Service::of(Calc::default()));
    let driving = tokio::spawn(driver);
    for payload in [r#"[0, 7, ["slow", [600000, 1], {}]]"#, r#"[0, 8, ["add", [1, 1], {}]]"#, "[0, 9, oh]"] {
        raw.write_all(&[&(payload.len() as u32).to_be_bytes(), payload.as_bytes()].concat()).await.unwrap();
    }
    let mut said = Vec::new();
    raw.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("[1,8,2]"), "{said}");
    let (_, reason) = said.split_once("[2,7,").expect("it is answered");
    let says = r#""ProtocolError: the connection is cut: the peer sent a frame that cannot be read: invalid JSON at byte 0: expected a value"#;
    assert!(reason.starts_with(says), "{said}");
    driving.abort();
}

#[tokio::test]
async fn a_service_is_passed_as_a_proxy_and_called_back_over_it() {
    let own = Service::new().with("houses/7", Tank::default());
    let callee = Service::new().with(
        "call_back",
        Entry::future(|_, args| async move {
            let litres = args.positional[1].clone();
            let tank: TankProxy = isochrone::codec::from_value(args.positional[0].clone()).unwrap();
            tank.fill(litres.as_f64().unwrap()).await.map(Value::from)
        }),
    );
    let (client, _) = pair(callee.clone(), own);
    let tank = client.own("houses/7").unwrap();
    assert_eq!(client.call("call_back").arg(&tank).arg(2.0).await, Ok(Value::Float(2.0)));
    assert_eq!(client.own("houses/8").unwrap_err().to_string(), r#"LookupError: "houses/8" is not exposed"#);
    // a service of another connection means nothing to this peer
    let error = failure(self::client(callee).call("call_back").arg(&tank).arg(2.0)).await;
    assert!(error.contains(r#""houses/7" is not exposed for the connection to server"#), "{error}");
}

#[tokio::test]
async fn a_received_proxy_is_passed_on_to_nobody() {
    let (client, _) = pair(Service::of(Calc::default()), Service::new());
    let proxy: Remote = client.proxy("sub");
    let error = failure(client.call("slow").arg(0).arg(&proxy)).await;
    assert!(error.contains("cannot be passed on: pass the address"), "{error}");
}

#[tokio::test]
async fn dropping_the_last_proxy_frees_everything() {
    let (near, far) = duplex(1 << 16);
    let (server, driver) = Peer::over(far, "client", config(), Service::of(Calc::default()));
    let served = tokio::spawn(driver);
    let marker = Arc::new(());
    let held = marker.clone();
    let own = Service::new().with("held", Entry::function(move |_, _| Ok(Arc::strong_count(&held).into())));
    let (client, driver) = Peer::over(near, "server", config(), own);
    client.close_when_unused();
    let driven = tokio::spawn(driver);
    let calc = CalcProxy::from(client.remote());
    drop(client);
    assert_eq!(calc.add(1, 1).await, Ok(2));
    // one-way, and still answered before the end
    calc.slow(5, Value::Null).send().unwrap();
    drop(calc);
    driven.await.unwrap().unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(server.counters().answers, 2);
    assert_eq!(Arc::strong_count(&marker), 1);
}

#[tokio::test]
async fn shutdown_answers_what_was_accepted_and_ends_with_a_hanging_handler() {
    let (client, server) = pair(Service::of(Calc::default()), Service::new());
    let calc = CalcProxy::from(client.remote());
    let mut slow = Box::pin(calc.slow(20, Value::from(1)));
    assert!(futures::poll!(&mut slow).is_pending());
    assert_eq!(calc.add(1, 1).await, Ok(2));
    let ended = tokio::spawn(async move { server.shutdown(Duration::from_secs(5)).await });
    assert_eq!(slow.await, Ok(Value::Int(1)));
    ended.await.unwrap();
    assert_eq!(failure(calc.add(1, 1)).await.split(':').next(), Some("Disconnected"));

    let (client, server) = pair(Service::of(Calc::default()), Service::new());
    let calc = CalcProxy::from(client.remote());
    let hanging = tokio::spawn(calc.slow(3_600_000, Value::Null));
    assert_eq!(calc.add(1, 1).await, Ok(2));
    server.shutdown(Duration::from_millis(20)).await;
    assert_eq!(failure(async { hanging.await.unwrap() }).await.split(':').next(), Some("Disconnected"));
}
