//! A thermostat for a room that another program simulates: any program that can make an RPC.
//!
//! ```text
//!   plant ── celsius ──> Thermostat ── heat_kw (state), decisions (events) ──> plant
//!                        decides every 15 min; its valve takes 30 s
//! ```
//!
//! Run it with a plant in Python, which starts it: `cargo build --example plant_controller; python examples/plant_by_rpc.py`;
//! or alone, for whoever connects: `cargo run --example plant_controller -- serve --listen 127.0.0.1:5800`.

use isochrone::prelude::*;
use serde::{Deserialize, Serialize};

/// What a thermostat has decided, and on what ground.
#[derive(Clone, Serialize, Deserialize)]
struct Decision {
    celsius: f64,
    heat: bool,
}

struct Thermostat {
    setpoint: f64,
    celsius: f64,
    open: bool,
    decisions: Vec<Decision>,
}

/// Heats a room when it is colder than wanted.
#[agent(eid = "thermostat_{n}")]
impl Thermostat {
    /// `setpoint` in degrees Celsius.
    #[constructor]
    fn new(#[default(20.0)] setpoint: f64) -> Self {
        Thermostat { setpoint, celsius: setpoint, open: false, decisions: Vec::new() }
    }

    /// The room's temperature in degrees Celsius: the mean of its sensors.
    #[input]
    fn celsius(&mut self, sensors: Inputs<f64>) {
        self.celsius = sensors.sum() / sensors.len() as f64;
    }

    #[every(minutes = 15)]
    async fn decide(this: This<Self>) {
        let heat = this.with(|me| {
            let heat = match me.celsius - me.setpoint {
                difference if difference < -0.5 => true,
                difference if difference > 0.5 => false,
                _ => me.open,
            };
            me.decisions.push(Decision { celsius: me.celsius, heat });
            heat
        });
        this.sleep(secs(30)).await; // the valve takes its time
        this.with(|me| me.open = heat);
    }

    /// The heat it lets into the room, in kW.
    #[output]
    fn heat_kw(&self) -> f64 {
        if self.open { 3.0 } else { 0.0 }
    }

    /// What it has decided, on what temperature.
    #[output(event)]
    fn decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }
}

fn main() -> ExitCode {
    App::new("plant_controller")
        .about("A thermostat for a room that another program simulates")
        .agent::<Thermostat>("Thermostat")
        .main()
}
