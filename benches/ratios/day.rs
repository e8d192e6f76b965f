//! A day of co-simulation under the real mosaik, from the start of its process to the end.
//!
//! ```text
//!   this program --- starts ---> day.py: mosaik, with a grid that steps every 900 s
//!        ^                          |  starts
//!        |  how many steps          v
//!        +------------------- this program, as a simulator of 100 houses, in `ahead`
//! ```
//!
//! Ours are houses with timers of 1 s, 8.64 million of them in all; the base are the same houses with one timer for each step.
//! Nothing of the timers shows before it is asked for, so mosaik must make the same 96 steps in both. Wall time, since it is what the
//! user of such a simulation waits for: mosaik and its Python are in it, on both sides.

use std::process::{Command, Stdio};
use std::time::Instant;

use isochrone::clock::Interrupt;
use isochrone::coupling::Mode;
use isochrone::coupling::mosaik::{connect, serve};

use crate::mosaik::simulator;
use crate::peers;

/// The argument that makes this program the simulator.
pub(crate) const CHILD: &str = "--houses";
/// Of the grid, over a day.
const STEPS: u64 = 96;

/// A day with timers of so many seconds; ms of wall time.
///
/// # Panics
/// When mosaik makes more steps than the grid does.
pub(crate) fn run(seconds: u64) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let command = format!("{} {CHILD} %(addr)s", program.display());
    let mut mosaik = Command::new(peers::python());
    mosaik.arg(peers::root().join("tests/peers/mosaik/day.py")).arg(command).arg(seconds.to_string());
    let start = Instant::now();
    let output = mosaik.stderr(Stdio::inherit()).output().expect("the interpreter runs");
    let wall = start.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "mosaik ended with {}: {said}", output.status);
    let steps = said.lines().find_map(|line| line.strip_prefix("steps ")).and_then(|n| n.parse().ok());
    assert_eq!(steps, Some(STEPS), "mosaik's steps with timers of {seconds} s");
    wall.as_secs_f64() * 1e3
}

/// What the simulator does: it prints its steps.
pub(crate) fn child(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let served = runtime.block_on(async {
        let stream = connect(address).await.expect("mosaik listens");
        serve(stream, &simulator(Mode::Ahead), Interrupt::default()).await
    });
    served.result.expect("a run without failures");
    println!("steps {}", served.coupling.map_or(0, |coupling| coupling.counts().0));
}
