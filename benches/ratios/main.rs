//! How fast we are, as ratios to what anybody would use otherwise, taken in the same run.
//!
//! Why ratios: machines differ and are shared; two programs that run in turns on the same one do not. Each row is run
//! five times, ours and base in turns, in CPU time unless the table says wall time; the medians are
//! printed, and the median of the five ratios, which is what the target is about.
//!
//! ```text
//! cargo bench --bench ratios                 every row, four minutes with the programs it builds the first time
//! cargo bench --bench ratios -- wake ring    the rows whose names contain one of these
//! RUNS=1 valgrind --tool=callgrind ..        once each, under a profiler
//! ```
//!
//! | rows | base | what is measured |
//! |------|------|------------------|
//! | `wake_*` | a bare `BinaryHeap<(u64, u64, u32)>` loop, the same delays | ns a wakeup, agents' tasks that `sleep` |
//! | `wake_*_tokio`, `timeout_*` | tokio, current-thread, paused clock | the same; `sleep` inside a cancelled timeout |
//! | `ring_*` | a ring of tokio's `mpsc(16)` | ns a hop of a one-way message through `#[agent]` |
//! | `ask` | tokio's `mpsc` and `oneshot` | ns a request and its reply, one caller |
//! | `near` | the same over TCP, MsgPack | ns of CPU a call between two live containers of one process and thread, one after the other |
//! | `rss_1m` | 256 bytes | growth of the resident set per agent that sleeps between runs of an `#[every]` |
//! | `journal_read` | writing them | ns a record of a million, level events |
//! | `mosaik_step` | serde_json alone, the same frames | us a `step` and `get_data` with 100 entities |
//! | `mosaik_ahead` | the same agents with one timer per step | a day of 900 s steps with 1 s timers under the real mosaik, ms of wall time of the whole co-simulation |
//! | `record_inputs`, `record_events` | the program `isochrone demo` without a journal | ms of wall time, with a journal of that level |
//! | `record_bytes` | 61 | bytes of that journal for each record, level events |
//! | `replay` | the same steps under a stand-in for mosaik | us a `step` and `get_data` with 100 entities, replayed |
//! | `rpc_*_raw` | 24 byte frames echoed over the same socket, a window a write | thousands of calls/s, 256 and 1 in flight |
//! | `rpc_*_tarpc` | tarpc with bincode | the same |
//! | `rpc_*_aiomas` | aiomas to aiomas | the same, to an aiomas server and from an aiomas client, 1 in flight |
//! | `rpc_bytes` | 28 | bytes on the wire for one call and its reply |
//!
//! The `rpc` rows are rates, of which more is better, and measured in wall time: two processes, each on its core.
//!
//! A line a row, `name ours base ratio target ok|MISS`; the exit status is 1 if there is a miss.

mod built;
mod day;
mod journal;
mod local;
mod memory;
mod mosaik;
mod near;
#[path = "../../tests/peers/setup.rs"]
mod peers;
mod recorded;
mod rpc;
mod wake;

use cpu_time::ProcessTime;
use isochrone::prelude::*;

use wake::Delay;

/// One comparison.
struct Row {
    name: &'static str,
    /// `None` where it cannot be measured.
    ours: fn() -> Option<f64>,
    base: fn() -> f64,
    target: f64,
}

const ROWS: &[Row] = &[
    Row {
        name: "wake_1k",
        ours: || wake::ours(1_000, 1_000, Delay::Millis(1_000)),
        base: || wake::heap(1_000, 1_000, Delay::Millis(1_000)),
        target: 1.0,
    },
    Row {
        name: "wake_100k",
        ours: || wake::ours(100_000, 20, Delay::Millis(1_000)),
        base: || wake::heap(100_000, 20, Delay::Millis(1_000)),
        target: 0.7,
    },
    Row {
        name: "wake_1m",
        ours: || wake::ours(1_000_000, 3, Delay::Millis(1_000_000)),
        base: || wake::heap(1_000_000, 3, Delay::Millis(1_000_000)),
        target: 1.2,
    },
    Row {
        name: "wake_100k_ns",
        ours: || wake::ours(100_000, 20, Delay::Nanos(1_000_000_000)),
        base: || wake::heap(100_000, 20, Delay::Nanos(1_000_000_000)),
        target: 1.5,
    },
    Row {
        name: "wake_1k_tokio",
        ours: || wake::ours(1_000, 500, Delay::Millis(1_000)),
        base: || wake::tokio(1_000, 500, Delay::Millis(1_000)),
        target: 0.13,
    },
    Row {
        name: "wake_100k_tokio",
        ours: || wake::ours(100_000, 20, Delay::Millis(1_000)),
        base: || wake::tokio(100_000, 20, Delay::Millis(1_000)),
        target: 0.15,
    },
    Row {
        name: "timeout_1k_tokio",
        ours: || wake::ours_in_timeout(1_000, 500, Delay::Millis(1_000)),
        base: || wake::tokio_in_timeout(1_000, 500, Delay::Millis(1_000)),
        target: 0.12,
    },
    Row {
        name: "ring_1",
        ours: || local::ring(1_000_000, 1),
        base: || local::tokio_ring(1_000_000, 1),
        target: 0.30,
    },
    Row {
        name: "ring_64",
        ours: || local::ring(2_000_000, 64),
        base: || local::tokio_ring(2_000_000, 64),
        target: 0.25,
    },
    Row { name: "ask", ours: || local::ask(500_000), base: || local::tokio_ask(500_000), target: 0.45 },
    Row { name: "near", ours: || near::direct(100_000), base: || near::tcp(20_000), target: 0.05 },
    Row { name: "rss_1m", ours: || memory::growth(1_000_000), base: || 256.0, target: 1.0 },
    Row { name: "mosaik_step", ours: || mosaik::step(200), base: || mosaik::step_json(200), target: 3.0 },
    Row { name: "mosaik_ahead", ours: || Some(day::run(1)), base: || day::run(900), target: 1.5 },
    Row { name: "rpc_bytes", ours: rpc::bytes, base: || 28.0, target: 1.0 },
    Row { name: "journal_read", ours: journal::read, base: journal::write, target: 1.0 },
    Row {
        name: "record_inputs",
        ours: || recorded::demo(Some("inputs")),
        base: || recorded::demo(None).unwrap_or(f64::NAN),
        target: 1.05,
    },
    Row {
        name: "record_events",
        ours: || recorded::demo(Some("events")),
        base: || recorded::demo(None).unwrap_or(f64::NAN),
        target: 1.30,
    },
    Row { name: "record_bytes", ours: recorded::bytes, base: || 61.0, target: 1.0 },
    Row { name: "replay", ours: || mosaik::replay(200), base: || mosaik::run_itself(200), target: 1.5 },
];

const RUNS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [memory::CHILD, agents] = [0, 1].map(|at| arguments.get(at).map_or("", String::as_str)) {
        memory::child(agents.parse().expect("a number of agents"));
        return ExitCode::SUCCESS;
    }
    if let [day::CHILD, address] = [0, 1].map(|at| arguments.get(at).map_or("", String::as_str)) {
        day::child(address);
        return ExitCode::SUCCESS;
    }
    if let Some((rpc::CHILD, role)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        rpc::child(&role.iter().map(String::as_str).collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let wanted =
        |row: &&Row| arguments.is_empty() || arguments.iter().any(|part| row.name.contains(part.as_str()));
    println!("{:18} {:>9} {:>9} {:>7} {:>7}", "name", "ours", "base", "ratio", "target");
    let mut misses =
        ROWS.iter().filter(wanted).filter(|row| !row.run(|ratio, target| ratio <= target)).count();
    misses +=
        rpc::RATES.iter().filter(wanted).filter(|row| !row.run(|ratio, target| ratio >= target)).count();
    if rpc::RATES.iter().filter(wanted).any(|row| row.name == "rpc_from_aiomas") {
        println!("{}", rpc::shares());
    }
    if misses == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Row {
    /// Measures and prints; false is a miss.
    fn run(&self, reached: fn(f64, f64) -> bool) -> bool {
        let (mut ours, mut bases, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let runs = std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
        for _ in 0..runs {
            let base = (self.base)();
            let Some(own) = (self.ours)().filter(|_| !base.is_nan()) else {
                println!("{:18} {:>9} {base:>9.1} {:>7} {:>7} n/a", self.name, "n/a", "n/a", self.target);
                return true;
            };
            ours.push(own);
            bases.push(base);
            ratios.push(own / base);
        }
        let (ours, base, ratio) = (median(ours), median(bases), median(ratios));
        let met = reached(ratio, self.target);
        let verdict = if met { "ok" } else { "MISS" };
        println!("{:18} {ours:9.1} {base:9.1} {ratio:7.2} {:7} {verdict}", self.name, self.target);
        met
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A container that takes a million rounds at one instant for no livelock.
fn world() -> Container {
    let mut config = Config::new("bench");
    config.livelock = u32::MAX;
    Container::new(config).expect("a kernel")
}

/// The CPU time of this process since `start`, in ns for each of `count`.
fn nanos_each(start: ProcessTime, count: u64) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}
