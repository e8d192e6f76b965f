//! The program as a worker: a master in another process creates its agents and moves its time.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isochrone_sim::Config;

use super::cli::Worker as Flags;
use super::run::{Ended, Taping, conclude, configure, set_up};
use super::{App, params};
use crate::agent::Container;
use crate::clock::{Interrupt, RunError};
use crate::manager::{Registry, Worker};

/// The kernel's configuration.
pub(super) fn configuration(app: &App, args: &Flags) -> Config {
    let mut config = configure(app.config.clone(), &args.common);
    config.start = args.init_time;
    config
}

pub(super) async fn run(
    app: &Rc<App>,
    args: &Flags,
    taping: &Taping<'_>,
    interrupt: Interrupt,
) -> Result<(), Ended> {
    let params = params::parse(&args.common.params).map_err(Ended::Usage)?;
    let mut access = args.network.access(taping.is_replay())?;
    access.numbers = true;
    let mut config = configuration(app, args);
    let tape = taping.tape(app, &mut config, "coupled", &args.common.record)?;
    let world = Container::new(config).map_err(|error| Ended::Failed(error.to_string()))?;
    tape.attach(world.kernel());
    (app.prepare)(&world, &params).map_err(Ended::Usage)?;
    let watched = args.with_parent && !tape.is_playing();
    let orphaned = watched.then(|| watch_parent(interrupt.clone(), args.network.grace));
    let types =
        app.types.iter().fold(Registry::default(), |types, kind| types.with_vtable(&kind.name, kind.vtable));
    // first, for masters know the manager as agent 0
    let mut worker =
        Worker::new(&world, types, interrupt).map_err(|error| Ended::Failed(error.to_string()))?;
    worker.set_tape(tape.clone());
    let mut node = access.join(app, &world, &worker.live(), &tape).await.map_err(Ended::Failed)?;
    set_up(app, &world, &args.common, &tape).map_err(Ended::Failed)?;
    let (from, started) = (world.now(), Instant::now());
    let mut result = worker.run().await;
    if tape.is_resumed() && result.is_ok() && !worker.is_stopped() {
        // its next master finds it where the last one did
        node = access.join(app, &world, &worker.live(), &tape).await.map_err(Ended::Failed)?;
        result = worker.run().await;
    }
    // whoever still waits hears that the run is over
    drop(worker);
    if let Some(node) = node {
        node.shutdown(args.network.grace).await;
    }
    let result = match result {
        Err(RunError::Interrupted(_)) if orphaned.is_some_and(|is| is.load(Ordering::SeqCst)) => Ok(()),
        result => result,
    };
    conclude(&world, (from, started), &tape, result)
}

/// Ends the run when the standard input ends, which is when the parent does; and the process, if the run does not end.
fn watch_parent(interrupt: Interrupt, grace: Duration) -> Arc<AtomicBool> {
    let orphaned = Arc::new(AtomicBool::new(false));
    let is_orphaned = orphaned.clone();
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut nothing = [0; 256];
        while stdin.read(&mut nothing).is_ok_and(|read| read > 0) {}
        is_orphaned.store(true, Ordering::SeqCst);
        interrupt.set();
        // agents that never give way, peers that take their time
        std::thread::sleep(2 * grace);
        std::process::exit(1);
    });
    orphaned
}
