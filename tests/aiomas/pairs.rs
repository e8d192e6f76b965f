//! Every pair of the two programs `aiomas_peer`, in Rust and in Python.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::aiomas::programs::Program;
use crate::aiomas::python;
use crate::programs::{CODECS, Side, free_address, url};

/// One call of one program by the other.
struct Pair {
    what: &'static str,
    server: Side,
    client: Side,
    codec: &'static str,
    transport: &'static str,
}

const ARGS: &str = r#"[1, -2.5, "ü", null, [true, {"a": []}]]"#;

/// Where the servers are: by command, program, codec and transport.
type Servers = BTreeMap<(&'static str, Side, &'static str, &'static str), String>;

fn started(what: &'static str) -> &'static str {
    if what == "client" { "server" } else { "agents" }
}

/// The certificates of both programs; in a file each, as `--tls` wants them.
#[cfg(feature = "tls")]
fn certificates(directory: &Path) -> String {
    crate::authority::Authority::new().files(directory, &["localhost", "127.0.0.1"], "localhost")
}

/// What a master sees of a container that it drives, or how that differs from what it must.
fn drive(pair: &Pair, directory: &Path, tls: Option<&str>) -> Result<(), String> {
    let Pair { server, client, codec, transport, .. } = *pair;
    let free = |name: &str| match tls {
        // the encrypted ones are called by a name of their certificate
        Some(_) => free_address(transport, directory, name).replace("127.0.0.1", "localhost"),
        None => free_address(transport, directory, name),
    };
    let address = free(&format!("manager-{server:?}-{client:?}-{codec}"));
    let mut command = server.peer();
    command.args(["manager", &address, "--codec", codec]);
    if let Some(files) = tls {
        command.args(["--tls", files]);
    }
    let program = Program::start(&mut command);
    program.until("READY");
    let manager = format!("{}/0", url(&address));
    let got = match client {
        Side::Rust => crate::manager::master(transport, crate::serving::codec(codec), &manager, tls),
        Side::Python => {
            let here = free(&format!("master-{server:?}-{codec}"));
            let mut command = python("master.py");
            let said = Program::start(command.args([&here, &manager, codec]).args(tls)).finish();
            said.last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
        }
    };
    // it was told to stop
    program.finish();
    let expected = crate::manager::seen();
    if got == expected { Ok(()) } else { Err(format!("{got} is not {expected}")) }
}

/// What a pair's command gives, or how that differs from what it must.
fn call(pair: &Pair, servers: &Servers, directory: &Path, tls: Option<&str>) -> Result<(), String> {
    let Pair { what, server, client, codec, transport } = *pair;
    if what == "manager" {
        return drive(pair, directory, tls);
    }
    let address = servers[&(started(what), server, codec, transport)].clone();
    let mut command = client.peer();
    let here = free_address(transport, directory, &format!("{what}-{server:?}-{client:?}-{codec}"));
    // the encrypted ones are called by a name of their certificate
    let (address, here) = match tls {
        Some(_) => (address.replace("127.0.0.1", "localhost"), here.replace("127.0.0.1", "localhost")),
        None => (address, here),
    };
    let agent = format!("{}/1", url(&address));
    match what {
        "client" => command.args([what, &address, "echo", ARGS, r#"{"k": [1e-7]}"#]),
        "connect" => command.args([what, &here, &agent, "echo", ARGS]),
        _ => command.args(["connect", &here, &agent, "call_back", r#"["ping"]"#, "--pass-self"]),
    };
    command.args(["--codec", codec]);
    if let Some(files) = tls {
        command.args(["--tls", files]);
    }
    let said = Program::start(&mut command).finish();
    let got: Value = said
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| format!("it printed {said:?}"))?;
    let given: Value = serde_json::from_str(ARGS).unwrap();
    let proxy = format!("AgProxy('{agent}')");
    let expected = match what {
        "client" => json!({"result": [given, {"k": [1e-7]}]}),
        "connect" => json!({"proxy": proxy, "result": [given, {}]}),
        _ => json!({"proxy": proxy, "result": format!("pong from {}/0", url(&here))}),
    };
    if got == expected { Ok(()) } else { Err(format!("{got} is not {expected}")) }
}

/// Runs pairs, several at once; a row for each.
fn run(pairs: Vec<Pair>, directory: &Path, tls: Option<&str>) -> Vec<(Pair, Result<(), String>)> {
    let mut servers = Servers::new();
    let mut programs = Vec::new();
    for &Pair { what, server, codec, transport, .. } in &pairs {
        if what == "manager" {
            continue;
        }
        servers.entry((started(what), server, codec, transport)).or_insert_with(|| {
            let what = started(what);
            let address = free_address(transport, directory, &format!("{what}-{server:?}-{codec}"));
            let address = if tls.is_some() { address.replace("127.0.0.1", "localhost") } else { address };
            let mut command = server.peer();
            command.args([what, &address, "--codec", codec]);
            if let Some(files) = tls {
                command.args(["--tls", files]);
            }
            programs.push((what, address.clone(), Program::start(&mut command)));
            address
        });
    }
    for (what, address, program) in &programs {
        let addresses = program.until("READY");
        if *what == "agents" {
            let expected = (0..3).map(|n| Value::from(format!("{}/{n}", url(address))).to_string());
            assert_eq!(addresses, expected.collect::<Vec<_>>(), "of the agents");
        }
    }
    let (waiting, done) = (Mutex::new(pairs), Mutex::new(Vec::new()));
    let work = || {
        while let Some(pair) = waiting.lock().map(|mut waiting| waiting.pop()).unwrap() {
            // a program that fails panics, and its message is the row's
            let row = std::panic::catch_unwind(|| call(&pair, &servers, directory, tls))
                .unwrap_or_else(|panic| Err(panic.downcast_ref::<String>().cloned().unwrap_or_default()));
            done.lock().unwrap().push((pair, row));
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    done.into_inner().unwrap()
}

#[test]
fn every_pair_of_the_two_programs_works() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sides = [Side::Rust, Side::Python];
    let mut pairs = Vec::new();
    for what in ["client", "connect", "connect --pass-self", "manager"] {
        for (server, client) in sides.into_iter().flat_map(|side| sides.map(|other| (side, other))) {
            for (codec, transport) in CODECS.into_iter().flat_map(|codec| [(codec, "tcp"), (codec, "unix")]) {
                // aiomas with itself is there once, to compare with
                let both_python = (server, client) == (Side::Python, Side::Python);
                if !both_python || (codec, transport) == ("json", "tcp") {
                    pairs.push(Pair { what, server, client, codec, transport });
                }
            }
        }
    }
    let mut rows = run(pairs, directory, None);
    #[cfg(feature = "tls")]
    {
        let pair = |what, server, client| Pair { what, server, client, codec: "json", transport: "tls" };
        let pairs = ["client", "connect --pass-self", "manager"].into_iter().flat_map(|what| {
            [(Side::Rust, Side::Python), (Side::Python, Side::Rust), (Side::Rust, Side::Rust)]
                .map(|(server, client)| pair(what, server, client))
        });
        rows.extend(run(pairs.collect(), directory, Some(&certificates(directory))));
    }
    rows.sort_by_key(|(pair, _)| (pair.what, pair.server, pair.client, pair.transport, pair.codec));
    println!("{:<20} {:<7} {:<7} {:<8} {:<5}", "command", "server", "client", "codec", "over");
    for (pair, row) in &rows {
        let Pair { what, server, client, codec, transport } = pair;
        let (server, client) = (format!("{server:?}"), format!("{client:?}"));
        let verdict = row.as_ref().map_or_else(|error| format!("FAILED: {error}"), |()| "works".into());
        println!("{what:<20} {server:<7} {client:<7} {codec:<8} {transport:<5} {verdict}");
    }
    let failed = rows.iter().filter(|(_, row)| row.is_err()).count();
    assert_eq!(failed, 0, "pairs do not work, see the table");
}
