//! aiomas calls us: the checks of `tests/peers/aiomas/calling.py`, against `aiomas_peer` in Rust.
//!
//! One Python program makes all of them once, for each codec and transport; each test here looks at what became of its own.

use std::sync::LazyLock;

use isochrone::channel::transport::{ListenOptions, Listener, Stream};
use isochrone::channel::{Channel, Config, Connection, Endpoint, Event};
use isochrone::codec::{Codec, Value};
use isochrone::rpc::CallError;
use serde_json::json;

use crate::aiomas::programs::Program;
use crate::aiomas::python;
use crate::programs::{CODECS, Side, free_address, url};

/// What became of a check.
#[derive(serde::Deserialize)]
struct Checked {
    check: String,
    target: String,
    error: Option<String>,
}

static CHECKED: LazyLock<Vec<Checked>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut programs = Vec::new();
    let mut targets = Vec::new();
    for (codec, transport) in CODECS.into_iter().flat_map(|codec| [(codec, "tcp"), (codec, "unix")]) {
        let mut serve = |what: &str| {
            let address = free_address(transport, directory, &format!("{codec}-{what}"));
            let program = Program::start(Side::Rust.peer().args([what, &address, "--codec", codec]));
            programs.push(program);
            address
        };
        let (rpc, agents) = (serve("server"), serve("agents"));
        let channel = free_address(transport, directory, &format!("{codec}-channel"));
        serve_channels(codec, &url(&channel));
        let here = free_address(transport, directory, &format!("{codec}-here"));
        let name = format!("{codec} over {transport}");
        targets.push(json!({
            "name": name, "codec": codec, "rpc": rpc, "agents": agents, "channel": channel, "here": here,
        }));
    }
    for program in &programs {
        program.until("READY");
    }
    let targets = serde_json::Value::from(targets).to_string();
    let said = Program::start(python("calling.py").arg(targets)).finish();
    let read = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    said.iter().map(read).collect()
});

/// What one check said, of all targets.
fn check(name: &str) {
    let of_it: Vec<&Checked> = CHECKED.iter().filter(|checked| checked.check == name).collect();
    assert_eq!(of_it.len(), 2 * CODECS.len(), "each codec, over each transport");
    let failed: Vec<String> = of_it
        .into_iter()
        .filter_map(|checked| Some(format!("{}:\n{}", checked.target, checked.error.as_ref()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

macro_rules! checks {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_check_has_its_test() {
            let named = [$(stringify!($name)),*];
            for checked in CHECKED.iter() {
                assert!(named.contains(&checked.check.as_str()), "{}", checked.check);
            }
        }
    };
}

checks! {
    channel_asks_and_is_asked
    rpc_calls
    many_calls_at_once_are_answered_each
    nested_services
    call_backs_during_a_call_and_proxies_as_arguments
    proxies_as_results
    failures_have_kind_and_message
    a_caller_that_gave_up_dies_of_the_late_reply_and_nobody_else_does
    agents_and_connect
    a_proxy_is_called_by_several_at_once
    dates
    validate_aid
    nothing_is_reached_by_accident
}

pub(crate) fn codec(name: &str) -> Codec {
    match name {
        "json" => Codec::Json,
        "msgpack" => Codec::MsgPack,
        _ => Codec::MsgPackBlosc,
    }
}

/// Answers on plain channels for as long as the test program runs: `["echo", x]` with x, `["fail", x]` with a ValueError; for
/// `["ask", x]` it asks x back first.
fn serve_channels(codec_name: &str, address: &str) {
    let mut config = Config::default();
    config.codec = codec(codec_name);
    let endpoint: Endpoint = address.parse().unwrap();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut listener = Listener::bind(&endpoint, ListenOptions::default()).await.unwrap();
            ready.send(()).unwrap();
            loop {
                let stream = listener.accept().await.establish().await.unwrap();
                tokio::spawn(answer(stream, config.clone()));
            }
        });
    });
    is_ready.recv().unwrap();
}

async fn answer(stream: Stream, config: Config) {
    let mut connection = Connection::new(stream, config);
    // who asked us, and the request that we asked back
    let mut asked = Vec::new();
    while let Some(event) = connection.event().await.unwrap() {
        let channel: &mut Channel = connection.channel();
        match event {
            Event::Request { id, content } => {
                let [what, value] = content.as_list().unwrap() else { panic!("{content}") };
                match what.as_str().unwrap() {
                    "echo" => channel.reply(&id, value).unwrap(),
                    "fail" => {
                        let error = CallError::new("ValueError", value.to_string());
                        channel.fail(&id, &error.to_aiomas()).unwrap();
                    }
                    _ => asked.push((channel.request(value).unwrap(), id)),
                }
            }
            Event::Answer { request, result } => {
                let at = asked.iter().position(|(of, _)| *of == request).unwrap();
                let (_, id) = asked.swap_remove(at);
                channel.reply(&id, &Value::List(vec!["you said".into(), result.unwrap()])).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}
