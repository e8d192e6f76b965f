//! `isochrone call`, `list` and `ping` against containers of ours and of the real aiomas.

use std::process::{Command, Output, Stdio};

use isochrone::codec::Codec;
use isochrone::prelude::*;
use net::{Running, run};

#[path = "../../tests/support/aiomas.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod aiomas;
#[path = "../../tests/support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;

/// A flat.
struct House {
    kw: f64,
}

#[agent]
impl House {
    /// Sets the load in kW and returns it.
    #[expose]
    fn set(&mut self, kw: f64, #[default(1.0)] scale: f64) -> Result<f64, CallError> {
        if kw > 100.0 {
            return Err(CallError::new("TooMuch", format!("{kw} kW are too much")));
        }
        self.kw = kw * scale;
        Ok(self.kw)
    }

    #[expose]
    fn echo(&self, value: isochrone::codec::Value) -> isochrone::codec::Value {
        value
    }

    #[expose]
    async fn hang(this: This<Self>) {
        this.sleep(days(1)).await;
    }
}

/// Runs the program beside the test's own tasks.
async fn isochrone(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isochrone"));
    command.args(args).stdin(Stdio::null());
    let (told, said) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(told.send(command.output())));
    let Output { status, stdout, stderr } = said.await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_running_container_is_called_listed_and_pinged() {
    run(async {
        let site = Running::start(
            "site",
            "tcp://127.0.0.1:0",
            |all| all.codec(Codec::MsgPack),
            |world| {
                world.add("house", House { kw: 0.0 }).unwrap();
            },
        )
        .await;
        let (url, all) = (site.address("house"), site.node.endpoint().to_string());
        let said = isochrone(&["call", "--codec", "msgpack", &url, "set", "2.5", "scale=2"]).await;
        assert_eq!(said, (0, "5.0\n".into(), String::new()));
        let said =
            isochrone(&["call", "--codec", "msgpack", "--json", &url, "echo", r#"{"a": [1, null, "x"]}"#])
                .await;
        assert_eq!(said, (0, "{\"result\":{\"a\":[1,null,\"x\"]}}\n".into(), String::new()));
        let (_, said, _) = isochrone(&["call", "--codec", "msgpack", &url, "echo", "plain text"]).await;
        assert_eq!(said, "plain text\n");

        let (code, said, _) = isochrone(&["list", "--codec", "msgpack", &all]).await;
        assert_eq!(code, 0);
        assert_eq!(said.lines().next(), Some("house  House"));
        assert!(said.contains("\nHouse\n"), "{said}");
        assert!(
            said.contains(
                "  set(kw: f64, scale: f64 = ...) -> f64\n      Sets the load in kW and returns it.\n"
            ),
            "{said}"
        );
        let (_, said, _) = isochrone(&["list", "--codec", "msgpack", "--json", &url]).await;
        assert!(said.starts_with(r#"{"agents":[[0,"house","House"]],"types":{"House":{"#), "{said}");
        let (code, said, _) = isochrone(&["ping", "--codec", "msgpack", "-n", "3", &url]).await;
        assert_eq!(code, 0);
        assert!(said.contains("(House, isochrone): connected in") && said.contains("3 answers"), "{said}");

        for (args, code, says) in [
            (vec!["call", &url, "set", "101"], 1, "error: TooMuch: 101 kW are too much\n"),
            (
                vec!["call", &url, "set"],
                1,
                "error: TypeError: set() missing 1 required positional argument: 'kw'\n",
            ),
            (vec!["call", &url, "dance"], 1, "error: LookupError: House has no method \"dance\"\n"),
            (vec!["call", &all, "set", "1"], 2, "names no agent"),
            (vec!["call", "localhost:1/a", "set"], 2, "tcp://host:port/agent"),
            (vec!["call", &format!("{all}/nobody"), "set", "1"], 3, "no agent \"nobody\" is at"),
            (vec!["ping", "--timeout", "100ms", "tcp://127.0.0.1:1"], 3, "not reached within 100ms"),
            (vec!["call", "--timeout", "200ms", &url, "hang"], 4, "error: Timeout: no answer within 200ms\n"),
        ] {
            let args: Vec<&str> =
                [args[0], "--codec", "msgpack"].into_iter().chain(args[1..].iter().copied()).collect();
            let said = isochrone(&args).await;
            assert_eq!((said.0, said.1.as_str()), (code, ""), "{args:?}: {said:?}");
            assert!(said.2.contains(says), "{args:?}: {}", said.2);
        }
        for command in [&["call", &url, "set", "1"][..], &["list", &all], &["ping", "--codec", "blosc", &url]]
        {
            let (code, _, said) = isochrone(command).await;
            assert!(
                code == 3 && said.ends_with("; it answers with --codec msgpack\n"),
                "{command:?}: {said}"
            );
        }
        let (code, _, said) = isochrone(&["call", "--tls", "none.pem,a,b", &url, "set", "1"]).await;
        assert!(code == 2 && said.contains("--tls none.pem,a,b: none.pem"), "{said}");
        let said = isochrone(&["call", "--codec", "msgpack", "--json", &url, "set", "101"]).await;
        let told = "{\"error\":{\"kind\":\"TooMuch\",\"message\":\"101 kW are too much\"}}\n";
        assert_eq!(said, (1, told.into(), String::new()));
        site.stop().await;
    });
}

#[test]
fn a_container_of_aiomas_is_called_listed_as_far_as_it_tells_and_pinged() {
    let there = format!("127.0.0.1:{}", aiomas::programs::free_port());
    let peer = aiomas::Peer::start(&["agents", &there, "-n", "2"]);
    run(async {
        let (url, all) = (peer.said[1].as_str(), format!("tcp://{there}"));
        let said = isochrone(&["call", url, "ping"]).await;
        assert_eq!(said, (0, format!("pong from {url}\n"), String::new()));
        let said = isochrone(&["call", "--json", url, "echo", "1", "x", "k=[2.5, null]"]).await;
        assert_eq!(said, (0, "{\"result\":[[1,\"x\"],{\"k\":[2.5,null]}]}\n".into(), String::new()));
        let (code, said, _) = isochrone(&["list", &all]).await;
        assert_eq!(code, 0);
        assert!(said.starts_with("0  Ag\n1  Ag\n") || said.contains("Ag"), "{said}");
        assert!(
            said.contains(
                "is a container of aiomas: it tells the classes of its agents, but not what can be called"
            ),
            "{said}"
        );
        let (code, said, _) = isochrone(&["ping", url]).await;
        assert_eq!(code, 0);
        assert!(said.contains("aiomas): connected in"), "{said}");
        let (code, _, said) = isochrone(&["call", url, "when", "3"]).await;
        assert_eq!(code, 0, "{said}");
        let (code, _, said) = isochrone(&["call", url, "nothing"]).await;
        assert_eq!(code, 1);
        assert!(said.starts_with("error: LookupError: "), "{said}");
        let (code, _, said) = isochrone(&["call", &format!("{all}/2"), "ping"]).await;
        assert_eq!(code, 3, "{said}");
    });
}

#[test]
fn over_tls_certificates_of_isochrone_cert_open_the_door_and_say_who_comes() {
    use isochrone::channel::transport::{Tls, TlsFloor};
    use isochrone::container::AllowList;

    let dir = tempfile::tempdir().unwrap();
    let make = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isochrone"));
        assert!(command.arg("cert").args(args).current_dir(dir.path()).output().unwrap().status.success());
    };
    make(&["ca"]);
    make(&["issue", "localhost"]);
    make(&["issue", "visitor.example.org"]);
    let files = |name: &str| {
        let paths = ["ca.pem".into(), format!("{name}.pem"), format!("{name}.key")];
        paths.map(|path| dir.path().join(path).display().to_string()).join(",")
    };
    run(async {
        let tls = Tls::from_list(&files("localhost"), TlsFloor::V1_3).unwrap();
        let list = AllowList::new().rule("dns:visitor.example.org", "agents/house/set");
        let site = Running::start(
            "site",
            "tcp://localhost:0",
            |all| all.tls(tls).allow(list),
            |world| {
                world.add("house", House { kw: 0.0 }).unwrap();
            },
        )
        .await;
        let (url, visitor, own) = (site.address("house"), files("visitor.example.org"), files("localhost"));
        let said = isochrone(&["call", "--tls", &visitor, "--min-tls", "1.3", &url, "set", "2.5"]).await;
        assert_eq!(said, (0, "2.5\n".into(), String::new()));
        let (code, _, said) = isochrone(&["call", "--tls", &visitor, &url, "echo", "1"]).await;
        assert_eq!(code, 1);
        assert!(
            said.contains("PermissionError: dns:visitor.example.org may not call agents/house/echo"),
            "{said}"
        );
        let (code, _, said) = isochrone(&["call", "--tls", &own, &url, "set", "2.5"]).await;
        assert_eq!(code, 1);
        assert!(said.contains("PermissionError: dns:localhost may not call validate_aid"), "{said}");
        let (code, _, said) = isochrone(&["call", "--timeout", "300ms", &url, "set", "2.5"]).await;
        assert_eq!(code, 3, "without certificates nobody is let in");
        assert!(said.ends_with(": it speaks TLS; say --tls CA,CERT,KEY\n"), "{said}");
        site.stop().await;
    });
}
