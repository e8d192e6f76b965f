//! Batteries under mosaik, in the energy scenario of tests/peers/mosaik/e2e_energy.py.
//!
//! ```text
//!   mosaik-csv ── load, pv ──> BatteryAgent ── p_bat ──> pandapower grid ── vm (one step later) ──> BatteryAgent
//! ```
//!
//! Every step each battery takes the surplus of its house, or covers its lack, within its power and its content.
//!
//! Run it under mosaik: `SIM_CONFIG = {"Agents": {"cmd": "target/release/examples/mosaik_battery mosaik %(addr)s"}}`

use isochrone::prelude::*;
use serde::Deserialize;

/// What `world.start("Agents", step_size=900)` tells.
#[derive(Deserialize)]
#[serde(default)]
struct Params {
    step_size: i64,
    time_resolution: f64,
}

impl Default for Params {
    fn default() -> Self {
        Params { step_size: 900, time_resolution: 1.0 }
    }
}

/// Above this voltage a battery charges with all its power.
const HIGH_PU: f64 = 1.03;

#[derive(Default)]
struct BatteryAgent {
    hours: f64,
    capacity_mwh: f64,
    p_max_mw: f64,
    soc: f64,
    p_bat: f64,
    load: f64,
    pv: f64,
    vm: f64,
}

#[agent(eid = "bat_{n}")]
impl BatteryAgent {
    #[constructor]
    fn new(cx: &Ctx, #[default(0.01)] capacity_mwh: f64, #[default(0.005)] p_max_mw: f64) -> Self {
        let Params { step_size, time_resolution } = *cx.shared::<Params>().unwrap_or_default();
        let hours = step_size as f64 * time_resolution / 3600.0;
        BatteryAgent { hours, capacity_mwh, p_max_mw, soc: 0.5, ..Default::default() }
    }

    #[input]
    fn load(&mut self, mw: Inputs<f64>) {
        self.load = mw.sum();
    }

    #[input]
    fn pv(&mut self, mw: Inputs<f64>) {
        self.pv = mw.sum();
    }

    #[input]
    fn vm(&mut self, pu: Inputs<f64>) {
        self.vm = pu.sum();
    }

    /// Positive is charging.
    #[step]
    fn decide(&mut self) {
        let surplus = self.pv - self.load;
        let vm = if self.vm == 0.0 { 1.0 } else { self.vm };
        let mut p =
            if vm > HIGH_PU { self.p_max_mw } else { (-self.p_max_mw).max(self.p_max_mw.min(surplus)) };
        p = p.min((1.0 - self.soc) * self.capacity_mwh / self.hours);
        p = p.max(-self.soc * self.capacity_mwh / self.hours);
        self.soc += p * self.hours / self.capacity_mwh;
        self.p_bat = p;
        // what no source writes in a step is nothing
        (self.load, self.pv, self.vm) = (0.0, 0.0, 0.0);
    }

    #[output]
    fn p_bat(&self) -> f64 {
        self.p_bat
    }

    #[output]
    fn soc(&self) -> f64 {
        self.soc
    }
}

fn main() -> ExitCode {
    App::new("batteries")
        .about("Battery agents for the energy scenario under mosaik")
        .agent::<BatteryAgent>("BatteryAgent")
        .params::<Params>()
        .main()
}
