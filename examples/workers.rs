//! One program in several processes: a master starts two workers of itself, creates a house in each, and moves their time
//! together. Then it loses one.
//!
//! ```text
//!   master ──┬── north: workers worker --bind tcp://127.0.0.1:0 --with-parent
//!            └── south: the same
//! ```
//!
//! ```text
//!   cargo run --example workers [-- --wait]                (waits before it loses one)
//!   cargo run --example workers -- worker --bind tcp://127.0.0.1:5556 --init-time -1      (for a master of your own)
//! ```
//!
//! The last one waits for any master, one written with aiomas too: that connects to `tcp://127.0.0.1:5556/0`, calls
//! `spawn('plant.house:House', 3.5)`, then `set_time(900)`, then `stop()`.

use std::error::Error;
use std::process::ExitCode;

use isochrone::channel;
use isochrone::channel::transport::ConnectOptions;
use isochrone::codec::Types;
use isochrone::manager::Workers;
use isochrone::prelude::*;
use isochrone::rpc::{Client, Remote, Service};

struct House {
    kw: f64,
    kwh: f64,
    readings: Vec<Time>,
}

#[agent]
impl House {
    #[constructor]
    fn new(kw: f64, #[default(0.0)] kwh: f64) -> Self {
        House { kw, kwh, readings: Vec::new() }
    }

    #[every(seconds = 1)]
    fn read(&mut self, cx: &Ctx) {
        self.kwh += self.kw / 3600.0;
        self.readings.push(cx.now());
    }

    /// What its meter shows.
    #[expose]
    fn kwh(&self) -> f64 {
        self.kwh
    }

    /// How often its meter was read, and in which seconds first and last.
    #[expose]
    fn readings(&self) -> (usize, Option<f64>, Option<f64>) {
        let seconds = |time: &Time| time.as_nanos() as f64 / 1e9;
        (self.readings.len(), self.readings.first().map(seconds), self.readings.last().map(seconds))
    }
}

/// A worker, its manager and its house.
struct Place {
    name: &'static str,
    manager: Remote,
    house: Remote,
}

async fn place(workers: &mut Workers, name: &'static str, kw: f64) -> Result<Place, Box<dyn Error>> {
    let args = ["worker", "--bind", "tcp://127.0.0.1:0", "--with-parent"];
    let endpoint = workers.start(name, args).await?;
    let mut config = channel::Config::default();
    config.types = Types::container([""; 0]);
    let (address, options) = (endpoint.to_string(), ConnectOptions::default());
    let client = Client::connect_with(&address, &options, config, Service::new()).await?;
    let manager = client.peer().proxy("agents/0");
    let (house, _): (Remote, String) =
        manager.call("spawn").arg("plant.house:House").arg(kw).returning().await?;
    Ok(Place { name, manager, house })
}

async fn master() -> Result<(), Box<dyn Error>> {
    let mut workers = Workers::new()?;
    println!("the master is process {}", std::process::id());
    let places = [place(&mut workers, "north", 3.5).await?, place(&mut workers, "south", 0.5).await?];
    for Place { name, .. } in &places {
        println!("{name} is process {}", workers.process(name).unwrap_or_default());
    }
    for time in ["15min", "1h", "1h"] {
        // both run at the same time, each as fast as it can
        let granted = places.each_ref().map(|place| place.manager.call("set_time").arg(time));
        futures::future::try_join_all(granted).await?;
        for Place { name, house, .. } in &places {
            let (kwh, readings): (f64, (usize, Option<f64>, Option<f64>)) =
                (house.call("kwh").returning().await?, house.call("readings").returning().await?);
            println!("at {time:>5} {name} has used {kwh:.3} kWh, read {} times", readings.0);
        }
    }
    if std::env::args().any(|arg| arg == "--wait") {
        println!("waiting");
        std::future::pending::<()>().await;
    }
    workers.kill("north");
    let killed = places[0].house.call("kwh").await.expect_err("nobody is there");
    println!("north does not answer: {killed}");
    places[1].manager.call("stop").await?;
    println!("{}", workers.gone().await);
    println!("had to be killed: {:?}", workers.stop(secs(5)).await);
    Ok(())
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|arg| arg != "--wait") {
        return App::new("workers").agent::<House>("plant.house:House").main();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(master())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
