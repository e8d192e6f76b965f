//! The demo's agents: devices of a low-voltage grid and the coordinator that keeps its transformer within its rating.
//!
//! Written as any user would write them: nothing here knows whether the demo's own grid, mosaik or the wall clock moves time.
//!
//! ```text
//!  interval begins        Pv, Battery, Charger, HeatPump           Coordinator
//!                              │── announce(kW) ─────────────────────>│
//!                              │                                      │ settled: all plans of this instant are in
//!                              │<───────────── propose(need) ─────────│ if they do not fit, or the grid draws power
//!     thinks for some 100 ms   │── offer(kW, cost), or none ─────────>│ at most 2 s: who is late is left out
//!                              │<───────────── award(kW) ─────────────│ cheapest first
//!                              │── what it really does ──────────────>│ what is still missing is called for again
//! ```
//!
//! Units: ports are in MW, Mvar and MWh, since that is what co-simulators of grids speak; everything else is in kW and kWh.
//! Between agents power is positive where it flows into the grid; an output `p_mw` is positive the way the device is named:
//! a plant feeds in, all others draw.

mod battery;
mod charger;
mod coordinator;
mod heat_pump;
mod pv;
mod shift;

use std::collections::BTreeMap;
use std::time::Duration;

use isochrone::agent::Vtable;
use isochrone::coupling::{Mode, mosaik};
use isochrone::prelude::*;
use serde::{Deserialize, Serialize};

pub use battery::{Battery, BatteryProxy};
pub use charger::{Charger, ChargerProxy};
pub use coordinator::{Account, Coordinator, CoordinatorProxy};
pub use heat_pump::{HeatPump, HeatPumpProxy};
pub use pv::{Pv, PvProxy};

/// The program and its container: part of every identity, so that the agents draw the same numbers wherever they run.
pub const PROGRAM: &str = "agents";

/// Length of an interval, for which power is constant.
pub const INTERVAL: Duration = minutes(15);

/// How long the coordinator waits for an answer.
pub const PATIENCE: Duration = secs(2);

/// A call for proposals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// How many kW the devices shall feed in less, or draw more; below zero, how many they shall feed in more, or draw less.
    pub kw: f64,
    /// For how long, in hours.
    pub hours: f64,
}

/// A proposal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// How much of the need the device can cover at most, in kW; of the same sign.
    pub kw: f64,
    /// What it asks for a kWh; only the order counts.
    pub cost: f64,
}

impl Offer {
    /// An offer, if there is something to offer.
    fn of(kw: f64, cost: f64) -> Option<Offer> {
        (kw.abs() > 1e-6).then_some(Offer { kw, cost })
    }
}

/// A device that takes part, by its proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Device {
    /// A PV plant.
    Pv(PvProxy),
    /// A battery.
    Battery(BatteryProxy),
    /// A charging point.
    Charger(ChargerProxy),
    /// A heat pump.
    HeatPump(HeatPumpProxy),
}

impl Device {
    /// Calls for a proposal; the answer may be none.
    async fn propose(&self, need: Need) -> Result<Option<Offer>, CallError> {
        match self {
            Device::Pv(device) => device.propose(need).timeout(PATIENCE).await,
            Device::Battery(device) => device.propose(need).timeout(PATIENCE).await,
            Device::Charger(device) => device.propose(need).timeout(PATIENCE).await,
            Device::HeatPump(device) => device.propose(need).timeout(PATIENCE).await,
        }
    }

    /// Accepts a proposal, or a part of it; the answer is what the device really does of it.
    async fn award(&self, part: Need) -> Result<f64, CallError> {
        match self {
            Device::Pv(device) => device.award(part).timeout(PATIENCE).await,
            Device::Battery(device) => device.award(part).timeout(PATIENCE).await,
            Device::Charger(device) => device.award(part).timeout(PATIENCE).await,
            Device::HeatPump(device) => device.award(part).timeout(PATIENCE).await,
        }
    }
}

/// A device's computer takes its time; and now and then it takes so long that the coordinator goes on without it.
async fn think(cx: &Ctx) {
    let mut random = cx.random("think");
    let seconds = if random.chance(0.015) { random.range(2.5, 6.0) } else { random.range(0.15, 0.9) };
    cx.sleep(Duration::from_secs_f64(seconds)).await;
}

/// The program that mosaik starts: `isochrone agents mosaik HOST:PORT`.
pub fn app() -> App {
    App::new(PROGRAM)
        .about("The demo's agents: PV plants, batteries, chargers, heat pumps and their coordinator")
        .agent::<Coordinator>("Coordinator")
        .agent::<Pv>("Pv")
        .agent::<Battery>("Battery")
        .agent::<Charger>("Charger")
        .agent::<HeatPump>("HeatPump")
        .mode(Mode::Window(INTERVAL))
        .mosaik_type(mosaik::Kind::TimeBased)
}

/// The same types for a coupling of our own.
pub fn models() -> BTreeMap<String, &'static Vtable> {
    [
        Vtable::of::<Coordinator>(),
        Vtable::of::<Pv>(),
        Vtable::of::<Battery>(),
        Vtable::of::<Charger>(),
        Vtable::of::<HeatPump>(),
    ]
    .map(|vtable| (vtable.model.name.to_owned(), vtable))
    .into()
}
