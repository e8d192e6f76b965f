//! What makes a run more than a function of its seed, and how `verify` finds it: each agent here has one of the usual leaks.
//!
//! ```text
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=clock       reads the system's clock
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=stopwatch   measures with the system's clock
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=map         goes through a std HashMap
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=sum         adds up what is in one
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=static      keeps something that outlives the run
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=dice        draws from a generator without a seed
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=select      waits with tokio's `select!`
//! cargo run --example leaks -- verify --seeds 0..4 --until 10s --param leak=none        none: waits with `isochrone::select!`
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "that is what it shows"
)]

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use isochrone::prelude::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    leak: Leak,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Leak {
    None,
    Clock,
    Stopwatch,
    Map,
    Sum,
    Static,
    Dice,
    Select,
}

/// Keeps what it is told.
struct Ledger;

#[agent]
impl Ledger {
    #[expose]
    fn note(&mut self, entry: f64) {
        let _ = entry;
    }
}

struct Leaky {
    leak: Leak,
    ledger: LedgerProxy,
    loads: HashMap<u32, f64>,
}

#[agent]
impl Leaky {
    #[every(seconds = 1)]
    async fn act(this: This<Self>) {
        let (leak, ledger) = this.with(|me| (me.leak, me.ledger.clone()));
        match leak {
            Leak::Clock => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                ledger.note(since.as_secs_f64()).send();
            }
            Leak::Stopwatch => {
                let start = Instant::now();
                let sum: f64 = (0..1_000).map(f64::from).map(f64::sqrt).sum();
                this.sleep(start.elapsed() + nanos(std::hint::black_box(sum) as u64 % 2)).await;
                ledger.note(1.0).send();
            }
            Leak::Map => {
                let loads: Vec<f64> = this.with(|me| me.loads.values().copied().collect());
                for load in loads {
                    ledger.note(load).send();
                }
            }
            Leak::Sum => {
                let sum = this.with(|me| me.loads.values().map(|load| load / 3.0).sum());
                ledger.note(sum).send();
            }
            Leak::Static => {
                static LOOKED: AtomicBool = AtomicBool::new(false);
                if LOOKED.swap(true, Ordering::Relaxed) {
                    this.random("noise").uniform();
                }
                ledger.note(1.0).send();
            }
            Leak::Dice => ledger.note((RandomState::new().build_hasher().finish() % 6) as f64).send(),
            Leak::Select => {
                tokio::select! {
                    () = this.sleep(millis(5)) => ledger.note(1.0).send(),
                    () = this.sleep(millis(5)) => ledger.note(2.0).send(),
                }
            }
            Leak::None => {
                isochrone::select! {
                    () = this.sleep(millis(5)) => ledger.note(1.0).send(),
                    () = this.sleep(millis(5)) => ledger.note(2.0).send(),
                }
            }
        }
    }
}

fn build(world: &Container) -> Built {
    let leak = world.shared::<Params>().map_or(Leak::None, |params| params.leak);
    let ledger = world.add("ledger", Ledger)?;
    let loads = (0..32).map(|n| (n, f64::from(n) / 8.0)).collect();
    world.add("leaky", Leaky { leak, ledger, loads })?;
    Ok(())
}

fn main() -> ExitCode {
    App::new("leaks").about("What `verify` finds").params::<Params>().scenario(build).main()
}
