//! Agents of ours and agents of the real aiomas call each other.

use aiomas::programs::free_port;
use isochrone::codec::{Codec, Value};
use isochrone::container::Binding;
use isochrone::prelude::*;
use net::{Running, run};

#[path = "support/aiomas.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod aiomas;
#[cfg(feature = "tls")]
#[path = "support/authority.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod authority;
#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;

/// What `aiomas_peer.py` calls, and the way to call what it has.
#[derive(Default)]
struct Ours {
    peer: Option<Proxy>,
}

#[agent]
impl Ours {
    #[expose]
    fn ping(&self, cx: &Ctx) -> String {
        format!("pong from {}", cx.path())
    }

    #[expose]
    fn echo(&self, value: Value) -> Value {
        value
    }

    #[expose]
    fn fail(&self) -> Result<(), CallError> {
        Err(CallError::new("ValueError", "spam"))
    }

    #[expose]
    async fn call_back(this: This<Self>, who: Proxy) -> Result<Value, CallError> {
        let _ = this;
        who.call("ping").await
    }

    #[expose]
    async fn meet(this: This<Self>, url: String) -> Result<(), CallError> {
        let peer = Proxy::connect(&url, secs(5)).await?;
        this.with(|me| me.peer = Some(peer));
        Ok(())
    }

    #[expose]
    async fn ask(this: This<Self>, method: String, args: Vec<Value>) -> Result<Value, CallError> {
        let peer =
            this.with(|me| me.peer.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        let call = args.into_iter().fold(peer.call(&method), |call, arg| call.arg(arg));
        call.await
    }

    /// Passes itself.
    #[expose]
    async fn be_kept(this: This<Self>) -> Result<(), CallError> {
        let peer =
            this.with(|me| me.peer.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        peer.call("keep").arg(this.proxy()).returning().await
    }

    /// Passes somebody else.
    #[expose]
    async fn pass_on(this: This<Self>, other: Proxy) -> Result<Value, CallError> {
        let peer =
            this.with(|me| me.peer.clone()).ok_or_else(|| CallError::new("ValueError", "met nobody"))?;
        peer.call("keep").arg(other).await
    }
}

fn args() -> Args {
    Args::default()
}

const CODECS: [(&str, Codec); 3] =
    [("json", Codec::Json), ("msgpack", Codec::MsgPack), ("blosc", Codec::MsgPackBlosc)];

async fn ours(address: &str, codec: Codec, bind: impl FnOnce(Binding<'_>) -> Binding<'_>) -> Running {
    Running::start(
        "ours",
        address,
        |binding| bind(binding.codec(codec)),
        |world| {
            world.add("a", Ours::default()).unwrap();
            world.add("b", Ours::default()).unwrap();
        },
    )
    .await
}

/// Where both sides listen: ours as an address, theirs as `aiomas_peer.py` takes it.
fn places(dir: &tempfile::TempDir, unix: bool) -> (String, String) {
    match unix {
        true => {
            (format!("ipc://[{}/ours]", dir.path().display()), format!("{}/theirs", dir.path().display()))
        }
        false => ("tcp://127.0.0.1:0".into(), format!("127.0.0.1:{}", free_port())),
    }
}

async fn we_call(name: &str, codec: Codec, unix: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = places(&dir, unix);
    let theirs = aiomas::Peer::start(&["agents", &there, "-n", "2", "--codec", name]);
    let ours = ours(&here, codec, |binding| binding).await;
    let ask = |method: &str, values: Vec<Value>| {
        let args = args().arg(method).arg(values);
        let ours = &ours;
        async move { ours.ask("a", "ask", args).await }
    };
    let url = theirs.said[1].clone();
    ours.ask("a", "meet", args().arg(&url)).await.unwrap();
    assert_eq!(ask("ping", vec![]).await, Ok(Value::from(format!("pong from {url}"))), "{name}");
    let values =
        vec![Value::from(1), Value::from(2.5), Value::from("x\u{e9}"), Value::Null, Value::list([1, 2])];
    let both = Value::List(vec![Value::List(values.clone()), Value::Map(vec![])]);
    assert_eq!(ask("echo", values).await, Ok(both));
    let date = |text: &str| Value::Date(chrono::DateTime::parse_from_rfc3339(text).unwrap());
    let tomorrow = ask("when", vec![date("2016-05-22T06:00:00.5+02:00")]).await;
    assert_eq!(tomorrow, Ok(date("2016-05-23T06:00:00.5+02:00")));
    // what they keep of us they call later, over whichever connection
    ours.ask("a", "be_kept", args()).await.unwrap();
    assert_eq!(ask("call_kept", vec!["ping".into()]).await, Ok(Value::from("pong from a")));
    // their failures are ours
    let error = ask("nothing", vec![]).await.unwrap_err();
    assert_eq!(error.kind(), "LookupError", "{error}");
    let error = ask("ping", vec![1.into()]).await.unwrap_err();
    assert_eq!(error.kind(), "TypeError", "{error}");
    // they connect to us while we wait, and call another agent
    let address = ours.address("b");
    assert_eq!(ask("call", vec![address.into(), "ping".into()]).await, Ok(Value::from("pong from b")));
    let missing = ours.address("nobody");
    let error = ask("call", vec![missing.into(), "ping".into()]).await.unwrap_err();
    assert!(error.message().contains("Agent \"nobody\" does not exist"), "{error}");
    // who is not there
    let nobody = url.rsplit_once('/').unwrap().0.to_string() + "/7";
    let error = ours.ask("a", "meet", args().arg(&nobody)).await.unwrap_err();
    assert!(error.message().contains("no agent \"7\" is at"), "{error}");
    // a third party cannot be handed over to them, and nothing is harmed by trying
    let other = args().arg("tcp://somewhere:1/else");
    let error = ours.ask("a", "pass_on", other).await.unwrap_err();
    assert!(error.message().contains("pass the address as text"), "{error}");
    assert_eq!(ask("ping", vec![]).await, Ok(Value::from(format!("pong from {url}"))));
    ours.stop().await;
}

#[test]
fn our_agents_call_agents_of_aiomas_in_every_codec_over_tcp_and_unix_sockets() {
    run(async {
        for (name, codec) in CODECS {
            we_call(name, codec, false).await;
            we_call(name, codec, true).await;
        }
    });
}

async fn they_call(name: &str, codec: Codec, unix: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = places(&dir, unix);
    let ours = ours(&here, codec, |binding| binding).await;
    let call = |rest: &[&str]| {
        let args: Vec<String> = ["connect", &there]
            .iter()
            .chain(rest)
            .chain(&["--codec", name])
            .map(ToString::to_string)
            .collect();
        async move { aiomas::run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let said = call(&[&ours.address("0"), "ping"]).await;
    assert!(said.contains(r#""result": "pong from a""#), "{said}");
    let said = call(&[&ours.address("a"), "echo", r#"[[1, 2.5, null, {"x": "\u00e9"}]]"#]).await;
    assert!(said.contains(r#""result": [1, 2.5, null, {"x": "\u00e9"}]"#), "{said}");
    let said = call(&[&ours.address("a"), "call_back", "--pass-self"]).await;
    assert!(said.contains(r#""result": "pong from "#) && said.contains("/0\""), "{said}");
    if unix || name != "json" {
        // what follows has nothing to do with codecs and transports, and each call starts a Python
        return ours.stop().await;
    }
    let said = call(&[&ours.address("a"), "fail"]).await;
    assert!(said.contains("exception") && said.contains("ValueError: spam"), "{said}");
    let said = call(&[&ours.address("a"), "container"]).await;
    assert!(said.contains("LookupError"), "{said}");
    let said = call(&[&ours.address("5"), "ping"]).await;
    assert!(said.contains("connection") && said.contains("does not exist"), "{said}");
    ours.stop().await;
}

#[test]
fn agents_of_aiomas_call_our_agents_in_every_codec_over_tcp_and_unix_sockets() {
    run(async {
        for (name, codec) in CODECS {
            they_call(name, codec, false).await;
        }
        they_call("json", Codec::Json, true).await;
    });
}

#[cfg(feature = "tls")]
#[test]
fn agents_of_both_call_each_other_over_tls() {
    use isochrone::channel::transport::{Tls, TlsFloor};

    let dir = tempfile::tempdir().unwrap();
    let authority = authority::Authority::new();
    let files = |name: &str| authority.files(dir.path(), &["localhost"], name);
    let tls = Tls::from_list(&files("ours"), TlsFloor::V1_2).unwrap();
    let certificates = files("theirs");
    let there = || format!("localhost:{}", free_port());

    run(async {
        let peer = aiomas::Peer::start(&["agents", &there(), "-n", "1", "--tls", &certificates]);
        let list = isochrone::container::AllowList::new().rule("cn:theirs", "agents/b/*");
        let ours = Running::start(
            "ours",
            "tcp://localhost:0",
            |all| all.tls(tls).allow(list),
            |world| {
                world.add("a", Ours::default()).unwrap();
                world.add("b", Ours::default()).unwrap();
            },
        )
        .await;
        ours.ask("a", "meet", args().arg(&peer.said[0])).await.unwrap();
        let ask = |agent: &str| {
            let address = vec![Value::from(ours.address(agent)), Value::from("ping")];
            ours.ask("a", "ask", args().arg("call").arg(address))
        };
        assert_eq!(ask("b").await, Ok(Value::from("pong from b")), "there and back");
        let refused = ask("a").await.unwrap_err();
        assert!(refused.message().contains("PermissionError"), "its name is known: {refused}");
        // without certificates nobody gets in
        let said = aiomas::run(&["connect", &there(), &ours.address("b"), "ping"]).await;
        assert!(said.contains("connection"), "{said}");
        ours.stop().await;
    });
}
