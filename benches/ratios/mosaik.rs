//! The coupling to mosaik, over a pipe in this process, with a stand-in for mosaik that speaks its protocol.
//!
//! ```text
//!   stand-in for mosaik, with a grid that steps every 900 s       ours
//!   ---- [0, n, ["step", [900, {house_0: {vm_pu: ..}}, 1799], {}]] ---->
//!   <---- [1, n, 1800] -------------------------------------------------
//!   ---- [0, n, ["get_data", [{house_0: [p_mw, q_mvar]}], {}]] -------->
//!   <---- [1, n, {house_0: {p_mw: .., q_mvar: ..}}] --------------------
//! ```
//!
//! Why no mosaik: its own time would hide ours, and a bench must run where there is no Python. Requests are written ahead,
//! as bytes, and replies are not parsed beyond the time of the next step, so that nearly all that is measured is ours.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use cpu_time::ProcessTime;
use isochrone::agent::Vtable;
use isochrone::clock::Interrupt;
use isochrone::coupling::Mode;
use isochrone::coupling::mosaik::{Api, Kind, ModelOptions, Simulator, serve};
use isochrone::journal::{Header, Options, Writer};
use isochrone::prelude::*;
use isochrone::replay::{Memory, Source, Stops, Tape};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const HOUSES: usize = 100;
const STEP: i64 = 900;

#[derive(Default)]
struct House {
    seconds: u64,
    vm_pu: f64,
    /// what it has drawn: MW times seconds
    mj: f64,
}

#[agent(eid = "house_{n}")]
impl House {
    #[constructor]
    fn new(seconds: u64) -> Self {
        House { seconds, ..Default::default() }
    }

    fn period(&self) -> Duration {
        secs(self.seconds)
    }

    /// Meters what it draws: nothing of it shows before it is asked for.
    #[every(period)]
    fn meter(&mut self) {
        self.mj += self.p_mw() * self.seconds as f64;
    }

    #[input(trigger)]
    fn vm_pu(&mut self, values: Inputs<f64>) {
        self.vm_pu = values.sum();
    }

    #[output]
    fn p_mw(&self) -> f64 {
        0.003 * self.vm_pu * self.vm_pu
    }

    #[output]
    fn q_mvar(&self) -> f64 {
        0.001 * self.vm_pu * self.vm_pu
    }
}

/// A simulator of houses.
pub(crate) fn simulator(mode: Mode) -> Simulator {
    Simulator {
        kind: Kind::Hybrid,
        api: Api::V3,
        mode,
        models: [("House".to_string(), (Vtable::of::<House>(), ModelOptions::default()))].into(),
        extra: Default::default(),
        overrides: None,
        log_steps: false,
        initial_event: false,
        config: Config::new("bench"),
        build: Rc::new(|_, _| Ok(())),
        join: Default::default(),
        tape: Default::default(),
    }
}

/// mosaik's side of the connection.
struct Master {
    stream: DuplexStream,
    reply: Vec<u8>,
    /// requests and their replies, as JSON
    frames: Vec<(Vec<u8>, Vec<u8>)>,
    recording: bool,
}

impl Master {
    async fn ask(&mut self, request: &[u8]) {
        let length = u32::try_from(request.len()).expect("a short frame").to_be_bytes();
        let frame = [&length[..], request].concat();
        self.stream.write_all(&frame).await.expect("they listen");
        let length = self.stream.read_u32().await.expect("they answer");
        self.reply.resize(length as usize, 0);
        self.stream.read_exact(&mut self.reply).await.expect("they answer");
        assert!(self.reply.starts_with(b"[1,"), "a failure: {}", String::from_utf8_lossy(&self.reply));
        if self.recording {
            self.frames.push((request.to_vec(), self.reply.clone()));
        }
    }

    /// The last reply, if it is a number.
    fn number(&self) -> Option<i64> {
        let text = std::str::from_utf8(&self.reply).ok()?;
        text.trim_end_matches(']').rsplit(',').next()?.trim().parse().ok()
    }

    async fn set_up(&mut self, seconds: u64) {
        self.ask(br#"[0, 0, ["init", ["Agents-0"], {"time_resolution": 1.0}]]"#).await;
        let create = format!(r#"[0, 1, ["create", [{HOUSES}, "House"], {{"seconds": {seconds}}}]]"#);
        self.ask(create.as_bytes()).await;
        self.ask(br#"[0, 2, ["setup_done", [], {}]]"#).await;
    }

    /// A step and the reading of all outputs.
    async fn step(&mut self, [step, data]: &[Vec<u8>; 2]) -> Option<i64> {
        self.ask(step).await;
        let next = self.number();
        self.ask(data).await;
        next
    }
}

/// The requests of the step at `time`, with a voltage for every house.
fn requests(time: i64, max_advance: i64) -> [Vec<u8>; 2] {
    let (mut inputs, mut wanted) = (String::new(), String::new());
    for house in 0..HOUSES {
        let comma = if house == 0 { "" } else { ", " };
        let vm_pu = 1.0 + ((time as f64 + 37.0 * house as f64) / 7.0).sin() / 20.0;
        let source = house % 13;
        write!(inputs, r#"{comma}"house_{house}": {{"vm_pu": {{"Grid-0.bus_{source}": {vm_pu}}}}}"#)
            .expect("memory");
        write!(wanted, r#"{comma}"house_{house}": ["p_mw", "q_mvar"]"#).expect("memory");
    }
    let step = format!(r#"[0, {}, ["step", [{time}, {{{inputs}}}, {max_advance}], {{}}]]"#, 2 * time + 3);
    let data = format!(r#"[0, {}, ["get_data", [{{{wanted}}}], {{}}]]"#, 2 * time + 4);
    [step.into_bytes(), data.into_bytes()]
}

/// Runs the stand-in against a simulator of ours, on one thread as in a program of ours, and returns what it returns.
fn run<R>(mode: Mode, master: impl AsyncFnOnce(&mut Master) -> R) -> R {
    run_with(mode, Tape::default(), master)
}

fn run_with<R>(mode: Mode, tape: Tape, master: impl AsyncFnOnce(&mut Master) -> R) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let mut simulator = simulator(mode);
        simulator.tape = tape.clone();
        let mut mosaik = Master { stream: near, reply: Vec::new(), frames: Vec::new(), recording: false };
        let playing = async {
            let result = master(&mut mosaik).await;
            mosaik.ask(br#"[0, 1, ["stop", [], {}]]"#).await;
            result
        };
        let (served, result) = tokio::join!(serve(far, &simulator, Interrupt::default()), playing);
        served.result.expect("a run without failures");
        let kernel = served.coupling.as_ref().expect("a run").container().kernel();
        tape.finish(kernel, "stop").expect("memory");
        result
    })
}

/// CPU time of a `step` and its `get_data`, in us; the stand-in's part, which copies bytes, is in it.
pub(crate) fn step(steps: i64) -> Option<f64> {
    let requests: Vec<_> = (0..steps).map(|n| requests(n * STEP, n * STEP + STEP - 1)).collect();
    Some(run(Mode::Exact, async |master| {
        master.set_up(STEP as u64).await;
        let start = ProcessTime::now();
        for request in &requests {
            master.step(request).await;
        }
        start.elapsed().as_nanos() as f64 / 1e3 / steps as f64
    }))
}

/// CPU time of the same steps, replayed from a recording of level `events`, in us each.
pub(crate) fn replay(steps: i64) -> Option<f64> {
    let memory = Memory::default();
    let mut header = Header::new("bench", 0);
    header.clock = "coupled".into();
    let writer = Writer::to_stream(memory.clone(), header, Options::default()).ok()?;
    record(steps, Tape::record(writer));
    memory.seal();
    let mut simulator = simulator(Mode::Exact);
    simulator.tape = Tape::play(Source::Memory(memory), Stops::default(), false).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let start = ProcessTime::now();
    let replayed = runtime.block_on(isochrone::coupling::mosaik::replay(&simulator, Interrupt::default()));
    let took = start.elapsed().as_nanos() as f64 / 1e3 / steps as f64;
    let kernel = replayed.coupling.as_ref().expect("a run").container().kernel();
    simulator.tape.finish(kernel, "stop").ok()?;
    let verdict = simulator.tape.verdict();
    assert!(verdict.is_none(), "{verdict:?}");
    Some(took)
}

/// CPU time of the steps, recorded or not, in us each.
fn record(steps: i64, tape: Tape) -> f64 {
    let requests: Vec<_> = (0..steps).map(|n| requests(n * STEP, n * STEP + STEP - 1)).collect();
    let took = run_with(Mode::Exact, tape.clone(), async |master| {
        let start = ProcessTime::now();
        master.set_up(STEP as u64).await;
        for request in &requests {
            master.step(request).await;
        }
        start.elapsed().as_nanos() as f64 / 1e3 / steps as f64
    });
    drop(tape);
    took
}

/// The run itself, which a replay is compared with.
pub(crate) fn run_itself(steps: i64) -> f64 {
    record(steps, Tape::default())
}

thread_local!(static RECORDED: RefCell<Vec<(Vec<u8>, serde_json::Value)>> = const { RefCell::new(Vec::new()) });

/// The same of parsing the same requests and writing the same replies with serde_json.
pub(crate) fn step_json(steps: i64) -> f64 {
    if RECORDED.with_borrow(Vec::is_empty) {
        let frames = run(Mode::Exact, async |master| {
            master.set_up(STEP as u64).await;
            master.recording = true;
            for n in 0..steps {
                master.step(&requests(n * STEP, n * STEP + STEP - 1)).await;
            }
            master.recording = false;
            std::mem::take(&mut master.frames)
        });
        let parsed = |(request, reply): (Vec<u8>, Vec<u8>)| {
            (request, serde_json::from_slice(&reply).expect("what we write is JSON"))
        };
        RECORDED.set(frames.into_iter().map(parsed).collect());
    }
    RECORDED.with_borrow(|frames| {
        let start = ProcessTime::now();
        for (request, reply) in frames {
            let value: serde_json::Value = serde_json::from_slice(request).expect("JSON");
            std::hint::black_box(&value);
            std::hint::black_box(serde_json::to_vec(reply).expect("JSON"));
        }
        start.elapsed().as_nanos() as f64 / 1e3 / steps as f64
    })
}
