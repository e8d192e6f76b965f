//! Supervision: sensors that fail at random, and what becomes of a run under each policy.
//!
//! ```text
//!   sensor_0, sensor_1, .. ── read(value), every minute ──> Station
//! ```
//!
//! The first failure ends the run, with exit code 1 and a line that names agent, time and task:
//! `cargo run --example supervision -- sim --until 1h`
//! The others go on without it: `.. sim --until 1h --policy stop`
//! It comes back after a second: `.. sim --until 1h --policy restart`
//! More of them, or other luck: `.. sim --until 1h --param sensors=20 --param risk=0.01 --seed 3`

use isochrone::prelude::*;
use serde::Deserialize;

/// What `--param` sets.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// how many sensors there are
    sensors: u32,
    /// how likely one is to fail at a reading
    risk: f64,
}

impl Default for Params {
    fn default() -> Self {
        Params { sensors: 3, risk: 0.02 }
    }
}

struct Sensor {
    station: StationProxy,
    risk: f64,
}

#[agent]
impl Sensor {
    #[every(minutes = 1)]
    fn read(&mut self, cx: &Ctx) -> Result<(), CallError> {
        if cx.random("failures").chance(self.risk) {
            return Err(CallError::new("SensorError", "the wire came off"));
        }
        self.station.read(cx.random("weather").normal(20.0, 3.0)).send();
        Ok(())
    }
}

#[derive(Default)]
struct Station {
    readings: u32,
    sum: f64,
}

#[agent]
impl Station {
    /// Takes a reading in degrees Celsius.
    #[expose]
    fn read(&mut self, celsius: f64) {
        self.readings += 1;
        self.sum += celsius;
    }

    #[every(minutes = 10)]
    fn tell(&mut self, cx: &Ctx) {
        let mean = self.sum / f64::from(self.readings.max(1));
        println!("{}: {} readings, {mean:.1} °C on average", cx.now(), self.readings);
    }
}

fn main() -> ExitCode {
    App::new("supervision")
        .about("Sensors that fail at random: try --policy stop, restart, escalate")
        .params::<Params>()
        .scenario(|world| {
            let (sensors, risk) =
                world.shared::<Params>().map_or((0, 0.0), |params| (params.sensors, params.risk));
            let station = world.add("station", Station::default())?;
            for n in 0..sensors {
                let station = station.clone();
                let sensor = move |_: &Ctx| Ok::<_, CallError>(Sensor { station: station.clone(), risk });
                world.build(&format!("sensor_{n}"), sensor)?;
            }
            Ok(())
        })
        .main()
}
