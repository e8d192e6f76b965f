//! The external simulator of the demo: it owns the grid and the profiles, and moves the agents' clock.
//!
//! It is what mosaik with mosaik-csv and pandapower is in `examples/mosaik/`, and it knows as little of the agents: entities,
//! ports, steps. In each step of 15 minutes it tells what the devices' profiles say, lets the agents run over the
//! [window](Mode::Window) of the step, reads what the devices do, and solves the power flow for that.
//!
//! Contract: what the agents say is checked, not believed. The plant keeps the batteries' accounts itself, and the power
//! flow's losses must be what is fed in less what comes out.

use std::time::Instant;

use isochrone::agent::Container;
use isochrone::app::Summary;
use isochrone::clock::{Interrupt, RunError};
use isochrone::codec::{Value, from_value};
use isochrone::coupling::{CoupleError, Coupling, Mode, PortInput};
use isochrone::journal::{JournalError, Packed};
use isochrone::replay::Tape;
use isochrone::rpc::Args;
use isochrone::sim::{Config, CreateError, Epoch, Event, Observer, SimError, Time};

use super::agents::{Account, INTERVAL, PROGRAM, models};
use super::baseline::{Column, Content, Step};
use super::data::{Case, Load, LoadKind, Power, STEP_HOURS};
use super::grid::{Flow, Grid, GridError};
use super::report::Exchange;
use super::trace::Trace;

/// What the plant is called in journals.
const PLANT: &str = "plant";
/// Reads as the first instant of the profiles.
const EPOCH: &str = "2016-05-22";

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Steps of 15 minutes.
    pub steps: usize,
    /// Grids with their agents, independent of each other, in one container.
    pub copies: usize,
    /// Seed of the agents' random streams.
    pub seed: u64,
    /// Seed of shuffle mode.
    pub shuffle: Option<u64>,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlantError {
    /// The agents, or the coupling to them.
    #[error(transparent)]
    Couple(#[from] CoupleError),
    /// The container.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The recording.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The end of the recording.
    #[error("the recording: {0}")]
    Journal(#[from] JournalError),
    /// The power flow.
    #[error("step {step}: {source}")]
    Grid {
        /// Which step.
        step: usize,
        /// Why.
        source: GridError,
    },
    /// A port said something that makes no sense.
    #[error("{eid}: {what}")]
    Reading {
        /// The entity.
        eid: String,
        /// What it said.
        what: String,
    },
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// One column a copy.
    pub columns: Vec<Column>,
    /// What the coordinators have counted, summed up.
    pub account: Account,
    /// PV energy that was not fed in, all copies, in kWh.
    pub curtailed_kwh: f64,
    /// One negotiation of the first copy.
    pub negotiation: Option<(String, Vec<Exchange>)>,
    /// What the kernel has counted.
    pub run: Summary,
    /// Reads of ports.
    pub reads: u64,
    /// The largest of |power from outside + injections - losses|, in kW.
    pub residual_kw: f64,
    /// The largest difference between a battery's account and the plant's, in kWh.
    pub battery_kwh: f64,
}

/// A device as the plant sees it.
#[derive(Debug)]
struct Device {
    eid: String,
    bus: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Plant(usize),
    Load(usize),
    Battery(usize),
}

/// One grid with its agents.
#[derive(Debug)]
struct Copy {
    coordinator: String,
    devices: Vec<Device>,
    contents: Vec<Content>,
    last: Power,
}

/// Lets agents and grid run; `observer` sees all that happens, `progress` is told after each step.
///
/// # Errors
/// [`PlantError`].
pub async fn run(
    case: &Case,
    grid: &Grid,
    scenario: Scenario,
    observer: Option<Box<dyn Observer>>,
    tape: &Tape,
    interrupt: Interrupt,
    mut progress: impl FnMut(usize),
) -> Result<Outcome, PlantError> {
    let started = Instant::now();
    let mut config = Config::new(PROGRAM);
    config.seed = scenario.seed;
    config.shuffle = scenario.shuffle;
    config.epoch = Epoch::parse(EPOCH).unwrap_or_default();
    let container = Container::new(config)?;
    let begin = container.now();
    tape.attach(container.kernel());
    let coupling = Coupling::new(container, models(), Mode::Window(INTERVAL), interrupt);
    let mut coupling = coupling.with_tape(tape.clone());
    let mut copies = Vec::new();
    // whoever is asked for the ports of the first copy gets them first, so more copies change nothing for it
    for _ in 0..scenario.copies {
        copies.push(Copy::create(&mut coupling, case)?);
    }
    let ports = ports(&mut coupling, &copies)?;
    let trace = copies
        .first()
        .and_then(|copy| coupling.entity(&copy.coordinator))
        .map(|position| Trace::of(coupling.entities()[position].agent));
    if let Some(watchers) = watchers(trace.clone(), observer) {
        coupling.container().kernel().add_observer(watchers);
    }

    let rating = case.transformer.rating_kva;
    let column = || Column {
        name: "negotiated".into(),
        rating_kva: rating,
        steps: Vec::with_capacity(scenario.steps),
    };
    let mut columns: Vec<_> = copies.iter().map(|_| column()).collect();
    let (mut residual_kw, mut battery_kwh, mut curtailed_kwh) = (0.0, 0.0, 0.0);
    for step in 0..scenario.steps {
        let time = begin.saturating_add(INTERVAL * step as u32);
        let inputs: Vec<_> = copies.iter().flat_map(|copy| copy.inputs(case, step)).collect();
        let kernel = coupling.container().kernel();
        let asked = tape.request(Some(kernel), PLANT, || request(time, &inputs));
        coupling.step(time, inputs, Some(time.saturating_add(INTERVAL))).await?;
        let readings = coupling.read(&ports)?;
        let read = || Ok(Packed::list(readings.values.iter().map(|(_, _, value)| value)));
        tape.replied(Some(coupling.container().kernel()), asked, PLANT, read)?;
        let mut values = readings.values.iter().map(|(eid, _, value)| number(eid, value));
        for (copy, column) in copies.iter_mut().zip(&mut columns) {
            let mut injections = vec![Power::default(); case.buses.len()];
            for load in &case.loads {
                let power = case.load(load, step);
                injections[load.bus].q_kvar -= power.q_kvar;
                if load.kind == LoadKind::Site {
                    injections[load.bus].p_kw -= power.p_kw;
                }
            }
            for device in &copy.devices {
                let mut next = || {
                    let missing =
                        || PlantError::Reading { eid: device.eid.clone(), what: "says nothing".into() };
                    values.next().unwrap_or_else(|| Err(missing()))
                };
                let kw = 1e3 * next()?;
                match device.kind {
                    Kind::Plant(plant) => {
                        injections[device.bus].p_kw += kw;
                        curtailed_kwh += (case.plant_kw(&case.plants[plant], step) - kw) * STEP_HOURS;
                    }
                    Kind::Load(_) => injections[device.bus].p_kw -= kw,
                    Kind::Battery(index) => {
                        let (battery, content) = (&case.batteries[index], &mut copy.contents[index]);
                        let told = next()? * battery.energy_kwh;
                        battery_kwh = worst(battery_kwh, (told - content.kwh).abs());
                        let done = content.exchange(battery, kw, STEP_HOURS);
                        battery_kwh = worst(battery_kwh, (done - kw).abs() * STEP_HOURS);
                        injections[device.bus].p_kw -= kw;
                    }
                }
            }
            let flow = grid.solve(&injections).map_err(|source| PlantError::Grid { step, source })?;
            residual_kw = worst(residual_kw, residual(&flow, &injections));
            copy.last = flow.hv;
            let soc =
                case.batteries.iter().zip(&copy.contents).map(|(battery, content)| content.soc(battery));
            column.steps.push(Step::new(&flow, rating, soc.collect()));
        }
        if let Some(trace) = &trace {
            trace.end_interval();
        }
        progress(step + 1);
    }

    tape.finish(coupling.container().kernel(), "the days are over")?;
    let account = account(&mut coupling, &copies)?;
    let kernel = coupling.container().kernel();
    let (steps, reads) = coupling.counts();
    let negotiation = trace.and_then(|trace| {
        let name = |agent| {
            let entity = coupling.entity_of(agent).map(|position| coupling.entities()[position].eid.as_str());
            entity.map_or("outside", |eid| copies[0].name(case, eid)).to_owned()
        };
        let (begin, exchanges) =
            trace.exchanges(name, |time| clock(kernel.config(), time, "%H:%M:%S%.3f"))?;
        let title = format!("One negotiation, {}", clock(kernel.config(), begin, "%-d %B %Y, %H:%M"));
        Some((title, exchanges))
    });
    Ok(Outcome {
        columns,
        account,
        curtailed_kwh,
        negotiation,
        run: Summary::of(kernel, begin, started.elapsed()).steps(steps),
        reads,
        residual_kw,
        battery_kwh,
    })
}

impl Copy {
    /// Creates the agents of one grid: the coordinator first, since the others are given its address.
    fn create(coupling: &mut Coupling, case: &Case) -> Result<Copy, CoupleError> {
        let rating = Args::default().kwarg("rating_mva", 1e-3 * case.transformer.rating_kva);
        let coordinator = create(coupling, "Coordinator", rating)?;
        let address = format!("local://{PROGRAM}/{coordinator}");
        let to = || Args::default().kwarg("coordinator", &address);
        let mut devices = Vec::new();
        for (index, plant) in case.plants.iter().enumerate() {
            let eid = create(coupling, "Pv", to())?;
            devices.push(Device { eid, bus: plant.bus, kind: Kind::Plant(index) });
        }
        for (index, battery) in case.batteries.iter().enumerate() {
            let sizes = to()
                .kwarg("p_mw", 1e-3 * battery.power_kw)
                .kwarg("e_mwh", 1e-3 * battery.energy_kwh)
                .kwarg("efficiency", battery.efficiency)
                .kwarg("loss_per_day", battery.self_discharge_per_day);
            let eid = create(coupling, "Battery", sizes)?;
            devices.push(Device { eid, bus: battery.bus, kind: Kind::Battery(index) });
        }
        for (index, load) in case.loads.iter().enumerate() {
            let model = match load.kind {
                LoadKind::Site => continue,
                LoadKind::Charger => "Charger",
                LoadKind::HeatPump => "HeatPump",
            };
            let eid = create(coupling, model, to().kwarg("p_mw", 1e-3 * load.peak.p_kw))?;
            devices.push(Device { eid, bus: load.bus, kind: Kind::Load(index) });
        }
        let contents = case.batteries.iter().map(Content::first).collect();
        Ok(Copy { coordinator, devices, contents, last: Power::default() })
    }

    /// What the agents are told in a step.
    fn inputs(&self, case: &Case, step: usize) -> Vec<PortInput> {
        let mw = |load: &Load| 1e-3 * case.load(load, step).p_kw;
        let sites = case.loads.iter().filter(|load| load.kind == LoadKind::Site);
        let sites = sites.map(|load| (load.name.clone(), Value::from(mw(load)))).collect();
        let mut inputs =
            vec![PortInput { eid: self.coordinator.clone(), port: "sites_mw".into(), values: sites }];
        for (port, value) in [("p_mw", self.last.p_kw), ("q_mvar", self.last.q_kvar)] {
            inputs.push(one(&self.coordinator, port, "transformer", 1e-3 * value));
        }
        for device in &self.devices {
            let mw = match device.kind {
                Kind::Plant(plant) => 1e-3 * case.plant_kw(&case.plants[plant], step),
                Kind::Load(load) => mw(&case.loads[load]),
                Kind::Battery(_) => continue,
            };
            inputs.push(one(&device.eid, "profile_mw", "profile", mw));
        }
        inputs
    }

    /// What the data call an agent.
    fn name<'a>(&'a self, case: &'a Case, eid: &'a str) -> &'a str {
        let device = self.devices.iter().find(|device| device.eid == eid);
        device.map_or("coordinator", |device| match device.kind {
            Kind::Plant(plant) => &case.plants[plant].name,
            Kind::Load(load) => &case.loads[load].name,
            Kind::Battery(battery) => &case.batteries[battery].name,
        })
    }
}

fn create(coupling: &mut Coupling, model: &str, params: Args) -> Result<String, CoupleError> {
    let created = coupling.create(model, 1, &params)?;
    let nothing = || CoupleError::Create {
        eid: model.into(),
        source: CreateError::Constructor { kind: "", message: "nothing was created".into() },
    };
    created.first().map(|position| coupling.entities()[*position].eid.clone()).ok_or_else(nothing)
}

/// A step as it is recorded: its time, and the numbers of its inputs in the order of devices and ports, which never changes.
fn request(time: Time, inputs: &[PortInput]) -> Packed {
    let values = inputs.iter().flat_map(|input| &input.values).map(|(_, value)| value);
    Packed::request_of("step", &[Packed::new(&Value::Int(time.as_nanos())), Packed::list(values)])
}

fn one(eid: &str, port: &str, source: &str, value: f64) -> PortInput {
    PortInput { eid: eid.into(), port: port.into(), values: vec![(source.into(), Value::from(value))] }
}

/// The ports that are read in each step, copy after copy and device after device; of batteries two.
fn ports(coupling: &mut Coupling, copies: &[Copy]) -> Result<Vec<(usize, usize)>, CoupleError> {
    let mut ports = Vec::new();
    for device in copies.iter().flat_map(|copy| &copy.devices) {
        ports.push(coupling.locate(&device.eid, "p_mw")?);
        if matches!(device.kind, Kind::Battery(_)) {
            ports.push(coupling.locate(&device.eid, "soc")?);
        }
    }
    coupling.connect(&ports);
    Ok(ports)
}

/// Sums up what the coordinators have counted.
fn account(coupling: &mut Coupling, copies: &[Copy]) -> Result<Account, PlantError> {
    let ports = copies.iter().map(|copy| coupling.locate(&copy.coordinator, "account"));
    let ports = ports.collect::<Result<Vec<_>, _>>()?;
    let mut sum = Account::default();
    for (eid, _, value) in coupling.read(&ports)?.values {
        let wrong =
            |error: isochrone::codec::CodecError| PlantError::Reading { eid, what: error.to_string() };
        sum += from_value::<Account>(value).map_err(wrong)?;
    }
    Ok(sum)
}

fn number(eid: &str, value: &Value) -> Result<f64, PlantError> {
    let wrong = || PlantError::Reading { eid: eid.into(), what: format!("{value:?} is no number") };
    value.as_f64().filter(|number| number.is_finite()).ok_or_else(wrong)
}

/// What is fed in less what comes out less what the branches turn into heat, in kW.
fn residual(flow: &Flow, injections: &[Power]) -> f64 {
    let fed_in = injections.iter().map(|power| power.p_kw).sum::<f64>();
    (flow.hv.p_kw + fed_in - flow.loss_kw).abs()
}

/// The larger one; unlike `f64::max` it keeps a NaN, which no check passes.
fn worst(so_far: f64, now: f64) -> f64 {
    if so_far.is_nan() || now <= so_far { so_far } else { now }
}

fn clock(config: &Config, time: Time, format: &str) -> String {
    config.epoch.utc(time).map_or_else(|| time.to_string(), |date| date.format(format).to_string())
}

/// Several observers as one.
struct Watchers(Vec<Box<dyn Observer>>);

impl Observer for Watchers {
    fn observe(&mut self, event: &Event) {
        for watcher in &mut self.0 {
            watcher.observe(event);
        }
    }
}

fn watchers(trace: Option<Trace>, other: Option<Box<dyn Observer>>) -> Option<Box<dyn Observer>> {
    let mut all: Vec<Box<dyn Observer>> = Vec::new();
    if let Some(trace) = trace {
        all.push(Box::new(trace));
    }
    all.extend(other);
    if all.is_empty() { None } else { Some(Box::new(Watchers(all))) }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::path::Path;

    use isochrone::journal::{Header, Level, Options, Reader, Record, Writer};

    use super::*;

    /// The replies that whoever kills this process now would find, of which the last must be the last record, after the
    /// checkpoint of its step.
    fn replies(journal: &Path) -> usize {
        let entries: Vec<_> = Reader::open(journal).unwrap().map(Result::unwrap).collect();
        let last = entries.last_chunk().map(|last: &[_; 2]| last.each_ref().map(|entry| &entry.record));
        assert!(matches!(last, Some([Record::Checkpoint { .. }, Record::Replied { .. }])), "{last:?}");
        entries.iter().filter(|entry| matches!(entry.record, Record::Replied { .. })).count()
    }

    /// Broken once: the reply was recorded without a commit after it; then the journal had only its head.
    #[tokio::test]
    async fn the_journal_has_each_step_before_the_plant_goes_on_with_its_reply() -> Result<(), Box<dyn Error>>
    {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        let scenario = Scenario { steps: 50, copies: 1, seed: 1, shuffle: None };
        let folder = tempfile::tempdir()?;
        for level in [Level::Inputs, Level::Events] {
            let path = folder.path().join(format!("{level}.jrn"));
            let mut header = Header::new("demo", 1);
            header.level = level;
            let tape = Tape::record(Writer::create(&path, header, Options::default())?);
            let mut seen = 0;
            run(&case, &grid, scenario, None, &tape, Interrupt::default(), |step| {
                assert_eq!(replies(&path), step);
                seen = step;
            })
            .await?;
            assert_eq!(seen, scenario.steps);
        }
        Ok(())
    }
}
