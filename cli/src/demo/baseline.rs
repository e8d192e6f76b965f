//! The two columns that the agents are measured against, and the account that all three columns are kept in.
//!
//! * *no storage*: the batteries stand still, everything else does as its profile says;
//! * *each for itself*: each battery serves its owner alone. The owner has the loads at the battery's bus and the PV plants
//!   there; since SimBench put no battery and no plant at the same bus, the owner also has the nearest plant along the
//!   lines that no nearer battery has ([`owned_plants`]). The battery takes the owner's surplus and covers the owner's load,
//!   as far as its power and content let it. So it is full before noon, when the transformer would need it.
//!
//! No agents here: the columns are the same in every run, whatever the seed.

use super::data::{Battery, Case, STEP_HOURS};
use super::grid::{Flow, Grid, GridError};

/// Share of its energy that a battery holds at the start of a run.
pub const FIRST_SOC: f64 = 0.5;

/// What a battery holds; the agents keep their account with the same struct.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Content {
    /// Energy in kWh.
    pub kwh: f64,
}

impl Content {
    /// The content of a battery at the start of a run.
    pub fn first(battery: &Battery) -> Content {
        Content { kwh: FIRST_SOC * battery.energy_kwh }
    }

    /// State of charge, 0 to 1.
    pub fn soc(&self, battery: &Battery) -> f64 {
        self.kwh / battery.energy_kwh
    }

    /// The most power in kW that the battery can take at its terminals for so many hours.
    pub fn most_charging(&self, battery: &Battery, hours: f64) -> f64 {
        let room = (battery.energy_kwh - self.kwh).max(0.0);
        f64::min(battery.power_kw, room / battery.efficiency / hours)
    }

    /// The most power in kW that the battery can give at its terminals for so many hours.
    pub fn most_discharging(&self, battery: &Battery, hours: f64) -> f64 {
        f64::min(battery.power_kw, self.kwh.max(0.0) * battery.efficiency / hours)
    }

    /// Lets the battery take (positive) or give (negative) power in kW for so many hours, then lose what it loses by
    /// itself. Returns the power that it could really take or give.
    pub fn exchange(&mut self, battery: &Battery, kw: f64, hours: f64) -> f64 {
        let kw = kw.min(self.most_charging(battery, hours)).max(-self.most_discharging(battery, hours));
        let stored = if kw > 0.0 { kw * battery.efficiency } else { kw / battery.efficiency };
        let kept = 1.0 - battery.self_discharge_per_day * hours / 24.0;
        // rounding must not leave a battery a hair below empty or above full
        self.kwh = ((self.kwh + stored * hours) * kept).clamp(0.0, battery.energy_kwh);
        kw
    }
}

/// What the batteries do in a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They stand still.
    NoStorage,
    /// Each serves its owner alone.
    EachForItself,
}

/// The state of the grid in one step of 15 minutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Loading of the transformer in kVA, signed: positive when the grid draws, negative when it feeds back.
    pub load_kva: f64,
    /// Active power from the medium-voltage side into the transformer in kW, signed alike.
    pub hv_kw: f64,
    /// Lowest voltage of the low-voltage buses in per unit.
    pub lowest_vm: f64,
    /// Highest voltage of the low-voltage buses in per unit.
    pub highest_vm: f64,
    /// State of charge of each battery at the end of the step, 0 to 1.
    pub soc: Vec<f64>,
}

impl Step {
    /// Takes down the state of the grid.
    pub fn new(flow: &Flow, rating_kva: f64, soc: Vec<f64>) -> Step {
        Step {
            load_kva: flow.load_kva(rating_kva).copysign(flow.hv.p_kw),
            hv_kw: flow.hv.p_kw,
            lowest_vm: flow.lowest_vm(),
            highest_vm: flow.highest_vm(),
            soc,
        }
    }
}

/// One column of the demo's table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// The rating of the transformer in kVA.
    pub rating_kva: f64,
    /// All steps in order.
    pub steps: Vec<Step>,
}

/// What the table shows of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Largest loading of the transformer in kVA, in either direction.
    pub peak_kva: f64,
    /// Active power on the medium-voltage side at that peak in kW, without its sign.
    pub peak_kw: f64,
    /// Energy above the rating of the transformer in kWh (strictly kVAh: loading less rating, times the step).
    pub over_kwh: f64,
    /// Steps above the rating.
    pub steps_over: usize,
    /// Lowest voltage in per unit.
    pub lowest_vm: f64,
    /// Highest voltage in per unit.
    pub highest_vm: f64,
}

impl Column {
    /// Sums the column up; an empty one has peaks of 0 and voltages of 1.
    pub fn summary(&self) -> Summary {
        let nothing = Summary {
            peak_kva: 0.0,
            peak_kw: 0.0,
            over_kwh: 0.0,
            steps_over: 0,
            lowest_vm: 1.0,
            highest_vm: 1.0,
        };
        let Some(first) = self.steps.first() else { return nothing };
        let mut sum = Summary { lowest_vm: first.lowest_vm, highest_vm: first.highest_vm, ..nothing };
        for step in &self.steps {
            let load = step.load_kva.abs();
            if load > sum.peak_kva {
                (sum.peak_kva, sum.peak_kw) = (load, step.hv_kw.abs());
            }
            if load > self.rating_kva {
                sum.over_kwh += (load - self.rating_kva) * STEP_HOURS;
                sum.steps_over += 1;
            }
            sum.lowest_vm = sum.lowest_vm.min(step.lowest_vm);
            sum.highest_vm = sum.highest_vm.max(step.highest_vm);
        }
        sum
    }
}

/// Computes a baseline over the first so many steps of a case.
///
/// # Errors
/// [`GridError`] if a step has no solution.
pub fn run(case: &Case, grid: &Grid, policy: Policy, steps: usize) -> Result<Column, GridError> {
    let owned = owned_plants(case);
    let mut contents = case.batteries.iter().map(Content::first).collect::<Vec<_>>();
    let mut column = Column {
        name: match policy {
            Policy::NoStorage => "no storage",
            Policy::EachForItself => "each for itself",
        }
        .to_owned(),
        rating_kva: case.transformer.rating_kva,
        steps: Vec::with_capacity(steps.min(case.steps())),
    };
    for step in 0..steps.min(case.steps()) {
        let mut injections = case.uncontrolled(step);
        if policy == Policy::EachForItself {
            for ((battery, content), plants) in case.batteries.iter().zip(&mut contents).zip(&owned) {
                let surplus = surplus_kw(case, battery, plants, step);
                injections[battery.bus].p_kw -= content.exchange(battery, surplus, STEP_HOURS);
            }
        }
        let flow = grid.solve(&injections)?;
        let soc = match policy {
            Policy::NoStorage => Vec::new(),
            Policy::EachForItself => {
                case.batteries.iter().zip(&contents).map(|(battery, content)| content.soc(battery)).collect()
            }
        };
        column.steps.push(Step::new(&flow, case.transformer.rating_kva, soc));
    }
    Ok(column)
}

/// What the owner of a battery has over in a step, in kW: PV less all loads at the battery's bus; negative when short.
fn surplus_kw(case: &Case, battery: &Battery, plants: &[usize], step: usize) -> f64 {
    let made = plants
        .iter()
        .filter_map(|&plant| case.plants.get(plant))
        .map(|plant| case.plant_kw(plant, step))
        .sum::<f64>();
    let used = case
        .loads
        .iter()
        .filter(|load| load.bus == battery.bus)
        .map(|load| case.load(load, step).p_kw)
        .sum::<f64>();
    made - used
}

/// The plants (indices) that belong to the owner of each battery: first the plants at its bus; then each battery without
/// one gets the nearest plant along the lines, nearer pairs first, no plant twice.
pub fn owned_plants(case: &Case) -> Vec<Vec<usize>> {
    let mut owned = vec![Vec::new(); case.batteries.len()];
    let mut taken = vec![false; case.plants.len()];
    let mut pairs = Vec::new();
    for (b, battery) in case.batteries.iter().enumerate() {
        let distances = distances_km(case, battery.bus);
        for (p, plant) in case.plants.iter().enumerate() {
            if plant.bus == battery.bus && !taken[p] {
                owned[b].push(p);
                taken[p] = true;
            } else {
                pairs.push((distances[plant.bus], b, p));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, b, p) in pairs {
        if owned[b].is_empty() && !taken[p] {
            owned[b].push(p);
            taken[p] = true;
        }
    }
    owned
}

/// Length of the way along the lines from one bus to each other, in km; infinite where there is none.
fn distances_km(case: &Case, from: usize) -> Vec<f64> {
    let mut distances = vec![f64::INFINITY; case.buses.len()];
    distances[from] = 0.0;
    // as many rounds as there are buses are enough for the longest way
    for _ in 0..case.buses.len() {
        for line in &case.lines {
            distances[line.to] = distances[line.to].min(distances[line.from] + line.length_km);
            distances[line.from] = distances[line.from].min(distances[line.to] + line.length_km);
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn battery() -> Battery {
        Battery {
            name: "b".into(),
            bus: 0,
            power_kw: 10.0,
            energy_kwh: 20.0,
            efficiency: 0.95,
            self_discharge_per_day: 0.0,
        }
    }

    #[test]
    fn a_battery_takes_no_more_than_its_power_and_its_room() {
        let battery = battery();
        let mut content = Content { kwh: 0.0 };
        assert_eq!(content.exchange(&battery, 50.0, 1.0), 10.0);
        assert_eq!(content.kwh, 9.5);
        content.kwh = 19.05;
        assert!((content.exchange(&battery, 50.0, 1.0) - 1.0).abs() < 1e-12);
        assert_eq!(content.kwh, 20.0);
        assert_eq!(content.exchange(&battery, 1.0, 1.0), 0.0);
    }

    #[test]
    fn a_battery_gives_no_more_than_it_holds() {
        let battery = battery();
        let mut content = Content { kwh: 2.0 };
        assert!((content.exchange(&battery, -50.0, 1.0) + 1.9).abs() < 1e-12);
        assert_eq!(content.kwh, 0.0);
    }

    #[test]
    fn charging_and_discharging_each_cost_their_share() {
        let battery = battery();
        let mut content = Content { kwh: 0.0 };
        let charged = content.exchange(&battery, 4.0, 1.0);
        let given = content.exchange(&battery, -10.0, 1.0);
        assert!((-given / charged - 0.95 * 0.95).abs() < 1e-12);
    }

    #[test]
    fn no_plant_serves_two_owners() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let owned = owned_plants(&case);
        let mut all = owned.concat();
        assert!(owned.iter().all(|plants| plants.len() == 1), "{owned:?}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), case.batteries.len());
        Ok(())
    }

    #[test]
    fn batteries_that_serve_their_owners_do_not_spare_the_transformer() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        for policy in [Policy::NoStorage, Policy::EachForItself] {
            let sum = run(&case, &grid, policy, case.steps())?.summary();
            assert!(sum.peak_kva > 225.0 && sum.over_kwh > 800.0, "{policy:?}: {sum:?}");
        }
        Ok(())
    }
}
