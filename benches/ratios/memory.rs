//! The resident set of a million agents, measured in a process of its own, where nothing has been freed before.

use std::process::Command;

use isochrone::prelude::*;

/// The argument that makes this program the child.
pub(crate) const CHILD: &str = "--resident";

struct Idle;

#[agent]
impl Idle {
    #[every(hours = 1)]
    fn tick(&mut self) {}
}

/// Bytes per agent; `None` where the system does not tell.
pub(crate) fn growth(agents: u32) -> Option<f64> {
    resident()?;
    let program = std::env::current_exe().expect("this program has a path");
    let output =
        Command::new(program).args([CHILD, &agents.to_string()]).output().expect("this program runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// What the child does: it prints the growth.
pub(crate) fn child(agents: u32) {
    let before = resident().expect("the parent has looked");
    let world = crate::world();
    for _ in 0..agents {
        world.add_unnamed(Idle).expect("room");
    }
    world.run_until(Time::ZERO + secs(1)).expect("no failure");
    let after = resident().expect("as before");
    assert_eq!(world.kernel().tasks(), agents as usize, "each has a task that sleeps");
    println!("{:.1}", (after - before) / f64::from(agents));
    // taking a million agents apart shows nothing
    std::process::exit(0);
}

#[cfg(target_os = "linux")]
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = statm.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(1024.0 * line.trim().strip_suffix(" kB")?.parse::<f64>().ok()?)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<f64> {
    None
}
