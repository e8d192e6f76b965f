//! Agents whose clock a simulator moves, on the network all the same: `serve --bind`, `mosaik --bind`; and what goes over
//! the simulator's own connection.
#![cfg(all(feature = "mosaik", feature = "serve"))]

use std::cell::Cell;
use std::process::Command;
use std::thread;

use isochrone::channel::{Config as ChannelConfig, Connection, Event};
use isochrone::codec::{Limits, Value, json};
use isochrone::journal::{Reader, Record};
use isochrone::prelude::*;
use isochrone::rpc::Request;
use net::run;
use programs::{Program, free_port};
use tokio::net::TcpStream;

#[path = "support/net.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod net;
#[path = "support/programs.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod programs;
#[path = "support/strangers.rs"]
mod strangers;
mod support;

thread_local! {
    /// What friends tell, in this thread's runs.
    static TOLD: Cell<f64> = const { Cell::new(1.5) };
}

/// Talks each second to somebody elsewhere, who calls back.
struct Friend {
    peer: String,
    heard: f64,
}

#[agent]
impl Friend {
    #[constructor]
    fn new(peer: String) -> Self {
        Friend { peer, heard: 0.0 }
    }

    #[every(seconds = 1)]
    async fn talk(this: This<Self>) -> Result<(), CallError> {
        let peer = Proxy::connect(&this.with(|me| me.peer.clone()), secs(5)).await?;
        let told: f64 = peer.call("call_back").arg(this.proxy()).arg(TOLD.get()).returning().await?;
        this.with(|me| me.heard += told);
        Ok(())
    }

    #[expose]
    fn double(&mut self, x: f64) -> f64 {
        2.0 * x
    }

    #[expose]
    async fn later(this: This<Self>) {
        this.sleep(hours(1)).await;
    }

    #[output]
    fn heard(&self) -> f64 {
        self.heard
    }
}

fn app() -> App {
    App::new("friends").agent::<Friend>("Friend").scenario(|_| Ok(()))
}

/// A simulator at the other end.
struct Simulator(Connection<TcpStream>);

impl Simulator {
    async fn connect(address: &str) -> Self {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let mut config = ChannelConfig::default();
                    // as mosaik, which has no limit
                    (config.max_frame, config.max_first_frame) = (1 << 30, 1 << 30);
                    return Simulator(Connection::new(stream, config));
                }
                // it is about to listen
                Err(_) => tokio::time::sleep(millis(5)).await,
            }
        }
    }

    async fn ask(&mut self, path: &str, args: &str, kwargs: &str) -> Value {
        self.try_ask(path, args, kwargs).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_ask(&mut self, path: &str, args: &str, kwargs: &str) -> Result<Value, String> {
        let text = format!(r#"["{path}", {args}, {kwargs}]"#);
        let content = json::decode(text.as_bytes(), &Limits::default()).expect(&text);
        let content = Request::from_content(content).unwrap().into_content().unwrap();
        let id = self.0.channel().request(&content).unwrap();
        loop {
            match self.0.event().await.unwrap().expect("connected") {
                Event::Answer { request, result } if request == id => {
                    return result.map_err(|error| format!("{error:?}"));
                }
                _ => {}
            }
        }
    }
}

/// Runs the program this way beside a stranger, while `steps` plays the simulator; then replays it without either, and
/// changed.
///
/// Broken once: what leaves for a peer was not recorded; then the changed run was the same.
fn play(how: &'static str, steps: impl AsyncFnOnce(Simulator, &net::Running, String)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jrn").display().to_string();
    run(async {
        let stranger = strangers::start().await;
        let [listen, bind] = [0, 1].map(|_| format!("127.0.0.1:{}", free_port()));
        let (address, friend) = (listen.clone(), format!("tcp://{bind}"));
        let (ended, program) = tokio::sync::oneshot::channel();
        let (record, url) = (path.clone(), friend.clone());
        thread::spawn(move || {
            let args = ["friends", how, "--listen", &listen, "--bind", &url, "--record", &record];
            ended.send(format!("{:?}", app().run(args)))
        });
        steps(Simulator::connect(&address).await, &stranger, friend).await;
        assert_eq!(program.await.unwrap(), format!("{:?}", ExitCode::SUCCESS));
        stranger.stop().await;
    });
    let replayed = app().run(["friends", "replay", &path]);
    assert_eq!(format!("{replayed:?}"), format!("{:?}", ExitCode::SUCCESS));
    let calls = Reader::open(std::path::Path::new(&path)).unwrap();
    let calls = calls.filter(|entry| matches!(entry.as_ref().unwrap().record, Record::Call { .. }));
    assert_eq!(calls.count(), 3 + 2, "those within steps, and those between them");
    // the peer's answers are those of the recording: only what it is told has changed
    TOLD.set(2.5);
    for how in [&["replay", &path][..], &["replay", &path, "--against"]] {
        let replayed = app().run([&["friends"], how].concat());
        assert_eq!(format!("{replayed:?}"), format!("{:?}", ExitCode::from(3)), "{how:?}");
    }
}

/// The stranger calls an agent of the coupled run.
async fn call(stranger: &net::Running, url: &str, method: &str, args: Args) -> Result<Value, CallError> {
    stranger.ask("stranger", "call", Args::default().arg(url).arg(method).and(args)).await
}

#[test]
fn agents_call_peers_within_steps_and_are_called_between_them_and_the_run_is_replayed() {
    play("serve", async |mut simulator, stranger, friend| {
        let peer = stranger.address("stranger");
        simulator.ask("sim/create", r#"["Friend"]"#, &format!(r#"{{"params": {{"peer": "{peer}"}}}}"#)).await;
        let url = format!("{friend}/Friend_0");
        let early = call(stranger, &url, "double", Args::default().arg(4.0));
        let stepped = simulator.ask("sim/step", "[0]", "{}");
        let (early, _) = tokio::join!(early, stepped);
        assert_eq!(early, Ok(Value::Float(8.0)), "it waited for the start of the agents");
        let stepped = simulator.ask("sim/step", r#"["3s"]"#, "{}").await;
        assert_eq!(
            stepped.get("outputs").and_then(|all| all.get("Friend_0")?.get("heard")),
            Some(&9.0.into())
        );
        let open = call(stranger, &url, "later", Args::default());
        let stopped = async {
            tokio::time::sleep(millis(100)).await;
            simulator.ask("sim/stop", "[]", "{}").await
        };
        let (open, _) = tokio::join!(open, stopped);
        let open = open.unwrap_err().to_string();
        assert!(open.contains("the run is over"), "{open}");
    });
}

#[test]
fn agents_of_a_mosaik_scenario_are_on_the_network_too() {
    play("mosaik", async |mut simulator, stranger, friend| {
        let peer = stranger.address("stranger");
        simulator.ask("init", r#"["Friends-0"]"#, r#"{"time_resolution": 1.0}"#).await;
        let made = simulator.ask("create", r#"[1, "Friend"]"#, &format!(r#"{{"peer": "{peer}"}}"#)).await;
        let eid = made.as_list().unwrap()[0].get("eid").unwrap().as_str().unwrap().to_string();
        simulator.ask("setup_done", "[]", "{}").await;
        for second in 0..4 {
            simulator.ask("step", &format!("[{second}, {{}}, 4]"), "{}").await;
        }
        let data = simulator.ask("get_data", &format!(r#"[{{"{eid}": ["heard"]}}]"#), "{}").await;
        assert_eq!(data.get(&eid).and_then(|all| all.get("heard")), Some(&9.0.into()));
        let url = format!("{friend}/{eid}");
        assert_eq!(call(stranger, &url, "double", Args::default().arg(0.5)).await, Ok(Value::Float(1.0)));
        let open = call(stranger, &url, "later", Args::default());
        let stopped = async {
            tokio::time::sleep(millis(100)).await;
            simulator.ask("stop", "[]", "{}").await
        };
        let (open, _) = tokio::join!(open, stopped);
        assert!(open.unwrap_err().to_string().contains("the run is over"));
    });
}

/// Broken once: the program's last line was that the connection to mosaik was lost.
#[test]
fn what_keeps_a_program_off_the_network_is_its_last_line_and_mosaik_hears_it_too() {
    let somebody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", somebody.local_addr().unwrap());
    let listen = format!("127.0.0.1:{}", free_port());
    let mut program = Command::new(support::example("mosaik_battery"));
    let program = Program::start(program.args(["mosaik", "--listen", &listen, "--bind", &taken]));
    let told = run(async {
        let mut simulator = Simulator::connect(&listen).await;
        simulator.try_ask("init", r#"["Batteries-0"]"#, r#"{"time_resolution": 1.0}"#).await.unwrap_err()
    });
    let ended = program.ended();
    let last = ended.complained.last().expect("it says why");
    assert!(last.contains(&taken) && last.contains("in use"), "{ended:?}");
    assert!(told.contains(&taken) && told.contains("in use"), "{told}");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}

/// Keeps what it is told.
struct Library {
    text: String,
}

#[agent]
impl Library {
    #[constructor]
    fn new() -> Self {
        Library { text: String::new() }
    }

    #[input]
    fn write(&mut self, text: Inputs<String>) {
        self.text = text.iter().map(|(_, text)| text.as_str()).collect();
    }

    #[output]
    fn text(&self) -> String {
        self.text.clone()
    }
}

/// Broken once: the frame of the inputs ended the run, and that of the outputs failed, for which mosaik has no other way.
#[test]
fn the_inputs_and_outputs_of_a_large_scenario_come_in_one_frame() {
    const LONG: usize = 20 << 20;
    let listen = format!("127.0.0.1:{}", free_port());
    let address = listen.clone();
    let program = thread::spawn(move || {
        let app = App::new("library").agent::<Library>("Library").scenario(|_| Ok(()));
        format!("{:?}", app.run(["library", "mosaik", "--listen", &listen]))
    });
    run(async {
        let mut simulator = Simulator::connect(&address).await;
        simulator.ask("init", r#"["Library-0"]"#, r#"{"time_resolution": 1.0}"#).await;
        simulator.ask("create", r#"[1, "Library"]"#, "{}").await;
        simulator.ask("setup_done", "[]", "{}").await;
        let text = "x".repeat(LONG);
        let inputs = format!(r#"[0, {{"Library_0": {{"write": {{"a": "{text}"}}}}}}, 10]"#);
        simulator.ask("step", &inputs, "{}").await;
        let data = simulator.ask("get_data", r#"[{"Library_0": ["text"]}]"#, "{}").await;
        let read = data.get("Library_0").and_then(|ports| ports.get("text")?.as_str());
        assert_eq!(read.map(str::len), Some(LONG));
        simulator.ask("stop", "[]", "{}").await;
    });
    assert_eq!(program.join().unwrap(), format!("{:?}", ExitCode::SUCCESS));
}
