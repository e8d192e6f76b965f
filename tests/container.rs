//! What containers on the network promise.

use std::time::Instant;

use isochrone::channel::transport::{ConnectOptions, connect};
use isochrone::clock::{FreeRun, Interrupt, Wall};
use isochrone::codec::{Codec, Reference, Types, Value};
use isochrone::container::{AllowList, Binding, SameProcess};
use isochrone::prelude::*;
use isochrone::rpc::{Entry, Peer, Server, Service};
use net::{Running, run};

#[path = "support/net.rs"]
mod net;

#[derive(Debug, thiserror::Error)]
#[error("{0} kW are too much")]
struct TooMuch(f64);

#[derive(Default)]
struct House {
    kw: f64,
    kept: Option<Proxy>,
}

#[agent]
impl House {
    /// Sets the load in kW and returns it.
    #[expose]
    fn set(&mut self, kw: f64, #[default(1.0)] scale: f64) -> Result<f64, TooMuch> {
        if kw > 100.0 {
            return Err(TooMuch(kw));
        }
        self.kw = kw * scale;
        Ok(self.kw)
    }

    #[expose]
    fn echo(&self, value: Value) -> Value {
        value
    }

    #[expose]
    fn myself(&self, cx: &Ctx) -> Result<Proxy, CallError> {
        format!("local://a/{}", cx.path()).parse()
    }

    #[expose]
    async fn call_back(this: This<Self>, who: Proxy, method: String, arg: f64) -> Result<Value, CallError> {
        let _ = this;
        who.call(&method).arg(arg).await
    }

    #[expose]
    fn keep(&mut self, who: Proxy) {
        self.kept = Some(who);
    }

    #[expose]
    async fn call_kept(this: This<Self>, method: String, arg: f64) -> Result<Value, CallError> {
        let kept = this.with(|me| me.kept.clone());
        kept.ok_or_else(|| CallError::new("ValueError", "nobody was kept"))?.call(&method).arg(arg).await
    }

    /// As if somebody else had told it so.
    #[expose]
    fn trip(&self) -> Result<(), CallError> {
        Err(CallError::new("Fault", "it tripped").with_trace([r#"  File "/home/me/plant.py", line 3"#]))
    }

    #[expose]
    async fn hang(this: This<Self>) {
        this.sleep(days(1)).await;
    }

    #[expose]
    fn leave(&mut self, cx: &Ctx) {
        cx.stop();
    }

    fn not_exposed(&self) -> f64 {
        self.kw
    }
}

#[derive(Default)]
struct Caller {
    house: Option<HouseProxy>,
    known: Vec<Proxy>,
}

#[agent]
impl Caller {
    #[expose]
    async fn meet(this: This<Self>, url: String) -> Result<(), CallError> {
        let house = HouseProxy::connect(&url, Duration::ZERO).await?;
        this.with(|me| me.house = Some(house));
        Ok(())
    }

    #[expose]
    async fn set(this: This<Self>, kw: f64, scale: f64) -> Result<f64, CallError> {
        let house =
            this.with(|me| me.house.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        house.set(kw, scale).await
    }

    #[expose]
    async fn set_by_name(this: This<Self>, kw: f64) -> Result<f64, CallError> {
        let house =
            this.with(|me| me.house.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        house.untyped().call("set").arg(kw).kwarg("scale", 3).returning().await
    }

    #[expose]
    async fn send(this: This<Self>, kw: f64) {
        if let Some(house) = this.with(|me| me.house.clone()) {
            house.set(kw, 1.0).send();
        }
    }

    /// Passes itself, and is called back before it gets its answer.
    #[expose]
    async fn pass_self(this: This<Self>, kw: f64) -> Result<f64, CallError> {
        let house =
            this.with(|me| me.house.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        let me = this.proxy().untyped();
        house.call_back(me, "double".into(), kw).await.map(|value| value.as_f64().unwrap_or_default())
    }

    #[expose]
    fn forget(&mut self) {
        self.house = None;
    }

    /// Has proxies of agents in so many containers, instead of those that it had.
    #[expose]
    fn know(&mut self, first: u16, count: u16) -> Result<usize, CallError> {
        self.known.clear();
        for n in first..first + count {
            self.known.push(format!("tcp://127.0.0.1:{}/house", n + 1).parse()?);
        }
        Ok(self.known.len())
    }

    /// Passes somebody else to somebody whom it has never met.
    #[expose]
    async fn pass(this: This<Self>, to: String, other: Proxy) -> Result<Value, CallError> {
        let _ = this;
        to.parse::<Proxy>()?.call("call_back").arg(other).await
    }

    #[expose]
    fn double(&self, x: f64) -> f64 {
        2.0 * x
    }

    /// Hands the house to somebody else.
    #[expose]
    async fn introduce(this: This<Self>, to: HouseProxy) -> Result<(), CallError> {
        let house =
            this.with(|me| me.house.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        to.keep(house.untyped()).await
    }
}

fn args() -> Args {
    Args::default()
}

/// Over sockets, though all are in this process.
fn socket(binding: Binding<'_>) -> Binding<'_> {
    binding.same_process(SameProcess::Socket)
}

async fn houses(name: &str, address: &str, how: fn(Binding<'_>) -> Binding<'_>) -> Running {
    Running::start(name, address, how, |world| {
        world.add("house", House::default()).unwrap();
    })
    .await
}

async fn callers(name: &str, address: &str, how: fn(Binding<'_>) -> Binding<'_>) -> Running {
    Running::start(name, address, how, |world| {
        world.add("caller", Caller::default()).unwrap();
    })
    .await
}

async fn work_together(address: [&str; 2], how: fn(Binding<'_>) -> Binding<'_>) {
    let a = houses("a", address[0], how).await;
    let b = callers("b", address[1], how).await;
    b.ask("caller", "meet", args().arg(a.address("house"))).await.unwrap();
    assert_eq!(b.ask("caller", "set", args().arg(2).arg(1.5)).await, Ok(Value::from(3.0)));
    assert_eq!(b.ask("caller", "set_by_name", args().arg(2)).await, Ok(Value::from(6.0)));
    assert_eq!(b.ask("caller", "pass_self", args().arg(21)).await, Ok(Value::from(42.0)));
    let error = b.ask("caller", "set", args().arg(101).arg(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), ("TooMuch", "101 kW are too much"), "as near, so far");
    b.ask("caller", "send", args().arg(7)).await.unwrap();
    for _ in 0..200 {
        tokio::time::sleep(millis(5)).await;
        let id = a.world.kernel().find("house").unwrap();
        if a.world.kernel().look::<House, _>(id, |me| me.not_exposed()) == Some(7.0) {
            a.stop().await;
            return b.stop().await;
        }
    }
    panic!("the one-way message did not arrive");
}

#[test]
fn agents_of_two_containers_call_each_other_on_every_transport() {
    let dir = tempfile::tempdir().unwrap();
    let unix = ["a", "b"].map(|name| format!("ipc://[{}/{name}]", dir.path().display()));
    run(async {
        work_together(["tcp://127.0.0.1:0"; 2], socket).await;
        work_together(["tcp://localhost:0"; 2], socket).await;
        work_together(["tcp://[::1]:0"; 2], socket).await;
        work_together([&unix[0], &unix[1]], socket).await;
        work_together(["local://house", "local://caller"], socket).await;
    });
}

#[test]
fn agents_of_two_containers_call_each_other_in_every_codec() {
    run(async {
        work_together(["tcp://127.0.0.1:0"; 2], |binding| socket(binding).codec(Codec::Json)).await;
        work_together(["tcp://127.0.0.1:0"; 2], |binding| socket(binding).codec(Codec::MsgPack)).await;
    });
}

#[test]
fn containers_of_one_process_need_no_socket_and_no_encoding_unless_they_want_it() {
    run(async {
        for how in [|binding| binding, |binding: Binding<'_>| binding.same_process(SameProcess::Encoded)]
            as [fn(Binding<'_>) -> Binding<'_>; 2]
        {
            work_together(["tcp://127.0.0.1:0"; 2], how).await;
        }
        let a = houses("a", "tcp://127.0.0.1:0", |binding| binding).await;
        for (how, connections) in [(SameProcess::Direct, 0), (SameProcess::Encoded, 1)] {
            let b = Running::start(
                "b",
                "tcp://127.0.0.1:0",
                |binding| binding.same_process(how),
                |world| {
                    world.add("caller", Caller::default()).unwrap();
                },
            )
            .await;
            b.ask("caller", "meet", args().arg(a.address("house"))).await.unwrap();
            assert_eq!(b.ask("caller", "set", args().arg(2).arg(2)).await, Ok(Value::from(4.0)));
            assert_eq!((b.node.connections(), a.node.connections()), (connections, connections), "{how:?}");
            b.stop().await;
        }
        a.stop().await;
    });
}

#[test]
fn a_received_proxy_can_be_handed_to_a_third_container() {
    run(async {
        let a = houses("a", "tcp://127.0.0.1:0", socket).await;
        let b = callers("b", "tcp://127.0.0.1:0", socket).await;
        let c = houses("c", "tcp://127.0.0.1:0", socket).await;
        b.ask("caller", "meet", args().arg(a.address("house"))).await.unwrap();
        b.ask("caller", "introduce", args().arg(c.address("house"))).await.unwrap();
        assert_eq!(c.ask("house", "call_kept", args().arg("set").arg(5)).await, Ok(Value::from(5.0)));
        // and back to where it came from: there it is a neighbour again
        c.ask("house", "keep", args().arg(c.address("house"))).await.unwrap();
        assert_eq!(c.ask("house", "call_kept", args().arg("set").arg(6)).await, Ok(Value::from(6.0)));
        for running in [a, b, c] {
            running.stop().await;
        }
    });
}

/// Who comes to this port within a second.
async fn comes_to(port: u16) -> bool {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::time::timeout(secs(1), listener.accept()).await.is_ok()
}

#[test]
fn dropping_the_last_proxy_frees_everything() {
    run(async {
        // the place of a container that nobody has a proxy of any more: there are 4,096
        let b = callers("b", "tcp://127.0.0.1:0", socket).await;
        let know = |first: i64, count: i64| b.ask("caller", "know", args().arg(first).arg(count));
        for _ in 0..3 {
            assert_eq!(know(0, 4_000).await, Ok(Value::from(4_000)));
            know(0, 0).await.unwrap();
        }
        assert_eq!(know(0, 4_000).await, Ok(Value::from(4_000)));
        assert_eq!(know(4_000, 4_000).await, Ok(Value::from(4_000)), "others, in the place of those");
        let error = know(0, 8_000).await.unwrap_err();
        assert!(error.message().contains("knows at most 4096 others"), "{error}");
        assert_eq!(know(8_000, 4_000).await, Ok(Value::from(4_000)));
        know(0, 0).await.unwrap();

        // and a container that is gone is looked for only while somebody has a proxy
        for keeps in [true, false] {
            let a = houses("a", "tcp://127.0.0.1:0", socket).await;
            let isochrone::channel::Endpoint::Tcp { port, .. } = *a.node.endpoint() else { unreachable!() };
            b.ask("caller", "meet", args().arg(a.address("house"))).await.unwrap();
            if !keeps {
                b.ask("caller", "forget", args()).await.unwrap();
            }
            a.stop().await;
            assert_eq!(comes_to(port).await, keeps);
            b.ask("caller", "forget", args()).await.unwrap();
        }
        b.stop().await;
    });
}

/// A peer that answers hello by `hello`, and has an agent 0 with `call_back`, which says what it got; its address.
async fn peer(hello: Entry) -> String {
    let mut server = Server::bind("tcp://127.0.0.1:0").await.unwrap();
    server.config.types = Types::container([""; 0]).with_addresses();
    let address = server.endpoint().agent("0").to_string();
    let told = |_: &Peer, args: Args| match &args.positional[0] {
        Value::Proxy(reference) => Ok(Value::from(reference.as_text())),
        other => Err(CallError::new("TypeError", other.to_string())),
    };
    let known = Entry::function(|_, _| Ok("House".into()));
    let service = Service::new().with("_iso/hello", hello).with("validate_aid", known);
    tokio::task::spawn_local(server.serve(service.with("agents/0/call_back", Entry::function(told))));
    address
}

#[test]
fn what_a_peer_is_shows_when_it_passes_over_our_hello_and_not_by_the_time_it_takes() {
    run(async {
        let b = callers("b", "tcp://127.0.0.1:0", socket).await;
        let third = Value::Proxy(Reference::Address("tcp://third.example.org:1/house".into()));
        // as aiomas does, but without a word
        let silent = peer(Entry::future(|_, _| std::future::pending())).await;
        let start = Instant::now();
        let error = b.ask("caller", "pass", args().arg(&silent).arg(&third)).await.unwrap_err();
        assert!(error.message().contains("it is an aiomas program"), "{error}");
        assert!(start.elapsed() < millis(500), "{:?}", start.elapsed());
        // one of ours that is busy with something else
        let hello = |_: &Peer, _: Args| {
            std::thread::sleep(millis(1_300));
            Ok(Value::list([Value::Int(1), Value::Null, "busy".into()]))
        };
        let (address, started) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            run(async {
                address.send(peer(Entry::function(hello)).await).unwrap();
                tokio::time::sleep(secs(20)).await;
            })
        });
        let got = b.ask("caller", "pass", args().arg(started.await.unwrap()).arg(&third)).await;
        assert_eq!(got, Ok(Value::from("tcp://third.example.org:1/house")));
        b.stop().await;
    });
}

#[test]
fn one_connection_leads_to_each_container() {
    run(async {
        let a = Running::start("a", "tcp://127.0.0.1:0", socket, |world| {
            for n in 0..5 {
                world.add(&format!("house_{n}"), House::default()).unwrap();
            }
        })
        .await;
        let b = Running::start("b", "tcp://127.0.0.1:0", socket, |world| {
            for n in 0..5 {
                world.add(&format!("caller_{n}"), Caller::default()).unwrap();
            }
        })
        .await;
        let meet = |n: usize| {
            let (a, b) = (&a, &b);
            async move {
                let house = a.address(&format!("house_{n}"));
                b.ask(&format!("caller_{n}"), "meet", args().arg(house)).await.unwrap();
            }
        };
        futures::future::join_all((0..5).map(meet)).await;
        assert_eq!((a.node.connections(), b.node.connections()), (1, 1));
        a.stop().await;
        b.stop().await;
    });
}

#[test]
fn a_dead_address_or_a_missing_agent_fails_each_time_at_once_and_clearly() {
    run(async {
        let a = houses("a", "tcp://127.0.0.1:0", socket).await;
        let b = callers("b", "tcp://127.0.0.1:0", socket).await;
        let (nobody, dead) = (a.address("nobody"), "tcp://127.0.0.1:1/house");
        let start = Instant::now();
        for _ in 0..5 {
            let error = b.ask("caller", "meet", args().arg(&nobody)).await.unwrap_err();
            assert_eq!(error.kind(), "LookupError");
            assert!(error.message().contains("no agent \"nobody\" is at tcp://127.0.0.1:"), "{error}");
            let error = b.ask("caller", "meet", args().arg(dead)).await.unwrap_err();
            assert_eq!(error.kind(), "Disconnected");
            assert!(
                error.message().contains("tcp://127.0.0.1:1") && error.message().contains("refused"),
                "{error}"
            );
            for wrong in ["house", "tcp://127.0.0.1:1", "tcp://127.0.0.1/house"] {
                let error = b.ask("caller", "meet", args().arg(wrong)).await.unwrap_err();
                assert_eq!(error.kind(), "ValueError", "{error}");
            }
        }
        assert!(start.elapsed() < secs(2), "{:?}", start.elapsed());
        // somebody comes later
        b.ask("caller", "meet", args().arg(a.address("house"))).await.unwrap();
        a.stop().await;
        b.stop().await;
    });
}

/// A peer that is no container: what it sends is what it says.
async fn plain(to: &Running) -> Peer {
    let stream = connect(to.node.endpoint(), &ConnectOptions::default()).await.unwrap();
    let mut config = isochrone::channel::Config::default();
    config.types = Types::container([""; 0]);
    let (peer, driver) = Peer::over(stream, "a container", config, Service::new());
    tokio::spawn(driver);
    peer
}

#[test]
fn agents_are_called_by_name_and_by_number_and_nothing_else_of_them_is_reachable() {
    run(async {
        let a = Running::start(
            "a",
            "tcp://127.0.0.1:0",
            |binding| binding,
            |world| {
                world.add("house", House::default()).unwrap();
                world.add_unnamed(House::default()).unwrap();
            },
        )
        .await;
        let peer = plain(&a).await;
        for (agent, other) in [("0", "house"), ("1", "House#0")] {
            for name in [agent, other] {
                assert_eq!(peer.call(&format!("agents/{name}/set")).arg(3).await, Ok(Value::from(3.0)));
                assert_eq!(peer.call("validate_aid").arg(name).await, Ok(Value::from("House")));
            }
        }
        for nobody in ["2", "00", "+0", "-1", "", "house/x", "4294967295", "4294967296"] {
            assert_eq!(peer.call("validate_aid").arg(nobody).await, Ok(Value::Null), "{nobody}");
        }
        for path in [
            "agents",
            "agents/",
            "agents/0",
            "agents/0/",
            "agents//set",
            "agents/0/not_exposed",
            "agents/0/container",
            "agents/0/container/validate_aid",
            "agents/0/kept/set",
            "agents/2/set",
            "container/validate_aid",
            "",
            "/validate_aid",
            "validate_aid/x",
            "agents/0/set/x",
            "_iso",
            "_iso/",
            "_iso/hello/x",
            "__class__",
        ] {
            let error = peer.call(path).await.unwrap_err();
            assert_eq!(error.kind(), "LookupError", "{path}: {error}");
        }
        let error = peer.call("agents/0/set").arg("much").await.unwrap_err();
        assert_eq!(error.kind(), "TypeError", "{error}");
        a.stop().await;
    });
}

#[test]
fn an_agent_that_has_left_is_gone_and_its_number_is_nobody_elses() {
    run(async {
        let a = houses("a", "tcp://127.0.0.1:0", |binding| binding).await;
        let peer = plain(&a).await;
        peer.call("agents/0/leave").await.unwrap();
        assert_eq!(peer.call("validate_aid").arg("0").await, Ok(Value::Null));
        assert_eq!(peer.call("agents/0/set").arg(1).await.unwrap_err().kind(), "Stopped");
        a.world.add("another", House::default()).unwrap();
        assert_eq!(peer.call("validate_aid").arg("1").await, Ok(Value::from("House")));
        assert_eq!(peer.call("validate_aid").arg("0").await, Ok(Value::Null));
        a.stop().await;
    });
}

#[test]
fn services_stand_beside_agents_and_come_and_go() {
    run(async {
        let service = Service::new().with("ping", Entry::function(|_, _| Ok("pong".into())));
        let a = Running::start("a", "tcp://127.0.0.1:0", |binding| binding.services(service), |_| ()).await;
        let peer = plain(&a).await;
        assert_eq!(peer.call("ping").await, Ok(Value::from("pong")));
        assert_eq!(peer.call("sub/hi").await.unwrap_err().kind(), "LookupError");
        a.node.services().insert("sub/hi", Entry::function(|_, _| Ok("ho".into())));
        assert_eq!(peer.call("sub/hi").await, Ok(Value::from("ho")));
        assert!(a.node.services().remove("sub"));
        assert_eq!(peer.call("sub/hi").await.unwrap_err().kind(), "LookupError");
        a.stop().await;
    });
}

/// Broken once: what `limits` changes was dropped.
#[test]
fn a_container_sets_the_limits_of_its_connections() {
    run(async {
        let house = |world: &Container| drop(world.add("house", House::default()).unwrap());
        let small = |config: &mut isochrone::channel::Config| config.max_frame = 1_000;
        let a = Running::start("a", "tcp://127.0.0.1:0", |all| all.limits(small), house).await;
        let peer = plain(&a).await;
        let echo = |len: usize| peer.call("agents/house/echo").arg("x".repeat(len));
        assert_eq!(echo(900).await, Ok(Value::from("x".repeat(900))));
        for error in [echo(990).await, echo(2_000).await] {
            let error = error.unwrap_err();
            assert!(error.message().contains("too long for one frame, the limit is 1000"), "{error}");
        }
        a.stop().await;
    });
}

/// Broken once: nobody could ask for them.
#[test]
fn failures_tell_peers_no_paths_of_this_machine_unless_that_is_wanted() {
    run(async {
        for tell in [false, true] {
            let services = Service::new();
            services.tell_traces(tell);
            let house = |world: &Container| drop(world.add("house", House::default()).unwrap());
            let a = Running::start("a", "tcp://127.0.0.1:0", |all| all.services(services), house).await;
            let error = plain(&a).await.call("agents/house/trip").await.unwrap_err();
            assert_eq!((error.kind(), error.message()), ("Fault", "it tripped"));
            assert_eq!(error.trace().concat().contains("/home/me/plant.py"), tell, "{:?}", error.trace());
            a.stop().await;
        }
    });
}

#[cfg(unix)]
#[test]
fn with_an_allow_list_peers_do_what_it_says_and_strangers_nothing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("ipc://[{}/a]", dir.path().display());
        let list = AllowList::new().rule("uid:*", "agents/*/set");
        let bind = list.clone();
        let a = Running::start(
            "a",
            &path,
            |binding| binding.allow(bind),
            |world| {
                world.add("house", House::default()).unwrap();
            },
        )
        .await;
        let peer = plain(&a).await;
        assert_eq!(peer.call("agents/house/set").arg(1).await, Ok(Value::from(1.0)));
        assert_eq!(peer.call("validate_aid").arg("house").await, Ok(Value::from("House")));
        let error = peer.call("agents/house/leave").await.unwrap_err();
        assert_eq!(error.kind(), "PermissionError");
        assert!(
            error.message().contains("uid:") && error.message().ends_with("may not call agents/house/leave"),
            "{error}"
        );
        a.stop().await;
        // over plain TCP nobody is anybody
        let a = Running::start(
            "a",
            "tcp://127.0.0.1:0",
            |binding| binding.allow(list),
            |world| {
                world.add("house", House::default()).unwrap();
            },
        )
        .await;
        let peer = plain(&a).await;
        for path in ["agents/house/set", "validate_aid", "_iso/hello", "nowhere"] {
            assert_eq!(peer.call(path).arg(1).await.unwrap_err().kind(), "PermissionError");
        }
        a.stop().await;
    });
}

#[test]
fn shutdown_ends_with_a_hanging_handler() {
    run(async {
        let a = houses("a", "tcp://127.0.0.1:0", |binding| binding).await;
        let peer = plain(&a).await;
        let hanging = tokio::spawn(async move { peer.call("agents/house/hang").await });
        tokio::time::sleep(millis(50)).await;
        let start = Instant::now();
        // the run goes on: the handler really hangs
        a.node.shutdown(millis(200)).await;
        assert!(start.elapsed() < millis(1_500), "{:?}", start.elapsed());
        let error = tokio::time::timeout(secs(5), hanging).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), "Disconnected", "{error}");
    });
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    #[derive(Default)]
    struct Slow;

    #[agent]
    impl Slow {
        #[expose]
        async fn think(this: This<Self>) -> u32 {
            this.sleep(millis(200)).await;
            42
        }
    }

    run(async {
        let a = Running::start(
            "a",
            "tcp://127.0.0.1:0",
            |binding| binding,
            |world| {
                world.add("slow", Slow).unwrap();
            },
        )
        .await;
        let peer = plain(&a).await;
        let thinking = tokio::spawn(async move { peer.call("agents/slow/think").await });
        tokio::time::sleep(millis(50)).await;
        let endpoint = a.node.endpoint().clone();
        let (ended, answer, late) = tokio::join!(
            async {
                let start = Instant::now();
                a.node.shutdown(secs(5)).await;
                start.elapsed()
            },
            thinking,
            async {
                tokio::time::sleep(millis(50)).await;
                connect(&endpoint, &ConnectOptions::default()).await
            }
        );
        assert_eq!(answer.unwrap(), Ok(Value::from(42)));
        assert!(ended < secs(3), "{ended:?}");
        assert!(late.is_err(), "nobody is let in any more");
    });
}

/// Calls an agent elsewhere, in simulated time.
struct Simulated {
    peer: String,
    log: Vec<(Time, String)>,
}

#[agent]
impl Simulated {
    #[every(seconds = 10)]
    async fn ask(this: This<Self>) -> Result<(), CallError> {
        let peer = Proxy::connect(&this.with(|me| me.peer.clone()), secs(5)).await?;
        let told = match peer.call("think").await {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        };
        let now = this.now();
        this.with(|me| me.log.push((now, told)));
        let later = peer.call("think").detached(secs(3)).await;
        let now = this.now();
        this.with(|me| {
            me.log.push((now, later.map_or_else(|error| error.kind().into(), |value| value.to_string())))
        });
        Ok(())
    }
}

#[test]
fn simulated_time_stands_while_an_agent_elsewhere_is_asked_unless_the_call_is_detached() {
    struct Thinker(Duration);

    #[agent]
    impl Thinker {
        #[expose]
        async fn think(this: This<Self>) -> u32 {
            this.sleep(this.with(|me| me.0)).await;
            1
        }
    }

    let simulate = |thinks: Duration, patience: Duration| async move {
        let peer = Running::start("peer", "tcp://127.0.0.1:0", socket, |world| {
            world.add("thinker", Thinker(thinks)).unwrap();
        })
        .await;
        let world = Container::new(Config::new("simulated")).unwrap();
        let (wall, live) = Wall::new(Interrupt::default());
        let node = socket(world.bind("tcp://127.0.0.1:0")).patience(patience).serve(&live).await.unwrap();
        drop(wall);
        let address = peer.address("thinker");
        let asker = world.add("asker", Simulated { peer: address, log: Vec::new() }).unwrap();
        FreeRun::default().run(world.kernel(), Time::ZERO + secs(25), |_| ()).await.unwrap();
        drop(node);
        peer.stop().await;
        world.with(asker.agent(), |me| me.log.clone()).unwrap()
    };
    run(async {
        let at = |s| Time::ZERO + secs(s);
        let seen = simulate(millis(20), secs(5)).await;
        let one = || "1".to_string();
        assert_eq!(seen, [(at(10), one()), (at(13), one()), (at(20), one()), (at(23), one())]);
        let seen = simulate(secs(30), millis(100)).await;
        assert_eq!(seen.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at(10), at(13), at(20), at(23)]);
        let text = &seen[0].1;
        assert!(text.starts_with("Timeout: call `think` of tcp://127.0.0.1:"), "{text}");
        assert!(text.contains("/thinker: no answer within 100ms of wall time"), "{text}");
    });
}

#[test]
fn set_up_code_connects_too() {
    run(async {
        let a = houses("a", "tcp://127.0.0.1:0", socket).await;
        let b = callers("b", "tcp://127.0.0.1:0", socket).await;
        let house: HouseProxy = b.world.connect(&a.address("house"), secs(5)).await.unwrap();
        assert_eq!(house.set(2.0, 4.0).await, Ok(8.0));
        let own: CallerProxy = b.world.connect(&b.address("caller"), secs(5)).await.unwrap();
        assert_eq!(
            own.agent().id(),
            b.world.kernel().find("caller").unwrap(),
            "an agent of one's own is near"
        );
        let unbound = Container::new(Config::new("unbound")).unwrap();
        let error = unbound.connect::<Proxy>(&a.address("house"), secs(5)).await.unwrap_err();
        assert!(error.message().contains("bind it to an address first"), "{error}");
        a.stop().await;
        b.stop().await;
    });
}

#[test]
fn values_come_back_as_they_went_out_dates_and_proxies_too() {
    run(async {
        let a = houses("a", "tcp://127.0.0.1:0", socket).await;
        let peer = plain(&a).await;
        let date = chrono::DateTime::parse_from_rfc3339("2016-05-22T06:00:00.123456+02:00").unwrap();
        let value =
            Value::list([Value::Date(date), Value::from(f64::INFINITY), Value::Bool(true), Value::Null]);
        assert_eq!(peer.call("agents/house/echo").arg(&value).await, Ok(value));
        // to a peer of which we know no address, one of our agents is a path
        let path = Value::Proxy(Reference::Path("agents/house".into()));
        assert_eq!(peer.call("agents/house/myself").await, Ok(path));
        a.stop().await;
    });
}
