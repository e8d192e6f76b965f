//! The demo's grid: a power flow for radial grids behind one transformer.
//!
//! Why our own: the demo needs an external simulator that answers like pandapower and needs no Python. A radial grid needs
//! no matrix: from guessed voltages follow all currents, summed from the leaves to the feeder (backward), from the currents
//! all voltages, from the feeder to the leaves (forward), and so on until nothing changes. About ten sweeps over 15 branches,
//! a few microseconds, so a hundred copies of the grid are solved in each step without notice.
//!
//! The model is pandapower's default, in per unit and for the symmetrical case; `tests/pandapower.rs` holds it to 1e-6 pu:
//!
//! | element | model |
//! |---|---|
//! | external net | fixed voltage, angle 0 |
//! | transformer | T: tap (ideal, at the HV side), half the leakage, magnetising shunt in the middle, the other half |
//! | line | pi: series impedance, half of the capacitance at each end |
//! | load, PV, battery | constant active and reactive power |
//!
//! The vector group is left out: it turns all low-voltage angles alike and changes no magnitude and no power.
//!
//! Failure modes: a grid that is no tree behind the transformer is refused when it is built; a solution that does not
//! exist (too much load) is [`GridError::Diverged`], never a wrong number.

use num_complex::Complex64;

use super::data::{Case, Power};

/// Base of the per-unit system in kVA.
const BASE_KVA: f64 = 1000.0;
/// A sweep that changes no voltage by more than this (in per unit) was the last one.
const TOLERANCE: f64 = 1e-11;
const MOST_SWEEPS: usize = 100;

/// A grid that cannot be built or solved.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// A line closes a ring or joins buses that are fed twice.
    #[error("line {0} closes a ring: the solver is for radial grids")]
    Ring(String),
    /// A bus has no way to the external net.
    #[error("bus {0} is not connected to the external net")]
    Island(String),
    /// The number of injections is not the number of buses.
    #[error("{found} injections for {expected} buses")]
    Injections {
        /// Buses of the grid.
        expected: usize,
        /// Injections given.
        found: usize,
    },
    /// An injection is NaN or infinite.
    #[error("the injection at bus {0} is not a finite number")]
    NotFinite(usize),
    /// No voltages belong to these injections, or none that the sweeps find.
    #[error(
        "the power flow did not converge: after {sweeps} sweeps voltages still changed by {change:.1e} pu"
    )]
    Diverged {
        /// Sweeps done.
        sweeps: usize,
        /// Largest change of a voltage in the last one, in per unit.
        change: f64,
    },
}

/// The state of the grid for one set of injections.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Voltage of each bus in per unit, in the order of [`Case::buses`].
    pub vm_pu: Vec<f64>,
    /// Power from the medium-voltage side into the transformer; negative when the grid feeds back.
    pub hv: Power,
    /// Power from the transformer into the low-voltage busbar; negative when the grid feeds back.
    pub lv: Power,
    /// Loading of the transformer as pandapower defines it: the larger of the currents of its two sides, each over the
    /// rated current of its side, in percent.
    pub loading_percent: f64,
    /// Loading of the most loaded line: current over rated current, in percent.
    pub line_percent: f64,
    /// What the branches turn into heat, summed over them, in kW. It is not computed from the balance, so that
    /// `hv.p_kw + sum of injections == loss_kw` is a check.
    pub loss_kw: f64,
    /// Sweeps needed.
    pub sweeps: usize,
}

impl Flow {
    /// Lowest voltage in the low-voltage grid, in per unit.
    pub fn lowest_vm(&self) -> f64 {
        self.vm_pu.iter().skip(1).copied().fold(f64::INFINITY, f64::min)
    }

    /// Highest voltage in the low-voltage grid, in per unit.
    pub fn highest_vm(&self) -> f64 {
        self.vm_pu.iter().skip(1).copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Loading of the transformer in kVA: the larger current at rated voltage. It is at most the rating exactly if
    /// [`Flow::loading_percent`] is at most 100.
    pub fn load_kva(&self, rating_kva: f64) -> f64 {
        rating_kva * self.loading_percent / 100.0
    }
}

/// A branch from a node to the node it feeds.
#[derive(Debug, Clone)]
struct Branch {
    parent: usize,
    child: usize,
    /// Ideal transformer at the parent's end: voltage of the parent over voltage behind it.
    ratio: f64,
    /// Series impedance in per unit.
    z: Complex64,
    /// Shunt admittance at each end, in per unit: half of a line's capacitance.
    y: Complex64,
    /// Rated current in per unit; none for the halves of the transformer.
    rated: Option<f64>,
}

/// A radial grid, ready to be solved.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Number of buses; the node after them is the middle of the transformer.
    buses: usize,
    slack: f64,
    /// Parents before children. The first two are the halves of the transformer.
    branches: Vec<Branch>,
    /// Shunt admittance of each node in per unit.
    shunt: Vec<Complex64>,
    /// Per-unit current to percent of the rated one, for both sides of the transformer.
    hv_percent: f64,
    lv_percent: f64,
}

impl Grid {
    /// Builds the grid of a case.
    ///
    /// # Errors
    /// [`GridError::Ring`] and [`GridError::Island`] if the grid is no tree.
    pub fn new(case: &Case) -> Result<Grid, GridError> {
        let buses = case.buses.len();
        let middle = buses;
        let mut shunt = vec![Complex64::ZERO; buses + 1];
        let mut branches = Vec::with_capacity(buses);

        let t = &case.transformer;
        let (hv_kv, lv_kv) = (case.buses[t.hv].vn_kv, case.buses[t.lv].vn_kv);
        // impedances are those of the LV side, whose rated voltage need not be the bus's
        let scale = (t.vn_lv_kv / lv_kv).powi(2);
        let vkr_percent = 100.0 * t.copper_kw / t.rating_kva;
        let vkx_percent = (t.vk_percent.powi(2) - vkr_percent.powi(2)).max(0.0).sqrt();
        let z = Complex64::new(vkr_percent, vkx_percent) / 100.0 * BASE_KVA / t.rating_kva * scale;
        let no_load_kva = t.no_load_percent / 100.0 * t.rating_kva;
        let magnetising_kvar = (no_load_kva.powi(2) - t.iron_kw.powi(2)).max(0.0).sqrt();
        shunt[middle] = Complex64::new(t.iron_kw, -magnetising_kvar) / BASE_KVA / scale;
        let ratio = t.vn_hv_kv * (1.0 + t.tap_percent / 100.0) / t.vn_lv_kv * lv_kv / hv_kv;
        let half = Branch { parent: t.hv, child: middle, ratio, z: z / 2.0, y: Complex64::ZERO, rated: None };
        branches.push(half.clone());
        branches.push(Branch { parent: middle, child: t.lv, ratio: 1.0, ..half });

        let mut fed = vec![false; buses];
        fed[t.hv] = true;
        fed[t.lv] = true;
        let mut left = case.lines.iter().collect::<Vec<_>>();
        loop {
            let before = left.len();
            let mut ring = None;
            left.retain(|line| {
                let (parent, child) = match (fed[line.from], fed[line.to]) {
                    (true, false) => (line.from, line.to),
                    (false, true) => (line.to, line.from),
                    (false, false) => return true,
                    (true, true) => {
                        ring.get_or_insert_with(|| line.name.clone());
                        return true;
                    }
                };
                fed[child] = true;
                let kv = case.buses[child].vn_kv;
                let base_ohm = kv * kv * 1e3 / BASE_KVA;
                let y = Complex64::new(0.0, line.b_us_per_km * 1e-6 * line.length_km * base_ohm / 2.0);
                shunt[parent] += y;
                shunt[child] += y;
                branches.push(Branch {
                    parent,
                    child,
                    ratio: 1.0,
                    z: Complex64::new(line.r_ohm_per_km, line.x_ohm_per_km) * line.length_km / base_ohm,
                    y,
                    rated: Some(line.i_max_a / 1e3 * 3f64.sqrt() * kv * 1e3 / BASE_KVA),
                });
                false
            });
            if let Some(name) = ring {
                return Err(GridError::Ring(name));
            }
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        if let Some(bus) = fed.iter().position(|fed| !fed) {
            return Err(GridError::Island(case.buses[bus].name.clone()));
        }
        Ok(Grid {
            buses,
            slack: case.slack_vm_pu,
            branches,
            shunt,
            hv_percent: 100.0 * BASE_KVA / t.rating_kva * t.vn_hv_kv / hv_kv,
            lv_percent: 100.0 * BASE_KVA / t.rating_kva * t.vn_lv_kv / lv_kv,
        })
    }

    /// Solves the power flow for injections per bus (kW and kvar, positive when they feed in), in the order of
    /// [`Case::buses`]. What is injected at bus 0 does not pass the transformer and changes nothing.
    ///
    /// # Errors
    /// [`GridError::Diverged`] if there is no solution, [`GridError::Injections`] and [`GridError::NotFinite`] for
    /// injections that make no sense.
    pub fn solve(&self, injections: &[Power]) -> Result<Flow, GridError> {
        if injections.len() != self.buses {
            return Err(GridError::Injections { expected: self.buses, found: injections.len() });
        }
        if let Some(bus) =
            injections.iter().position(|power| !power.p_kw.is_finite() || !power.q_kvar.is_finite())
        {
            return Err(GridError::NotFinite(bus));
        }
        let powers = injections
            .iter()
            .map(|power| Complex64::new(power.p_kw, power.q_kvar) / BASE_KVA)
            .collect::<Vec<_>>();
        let mut voltages = vec![Complex64::new(self.slack, 0.0); self.buses + 1];
        let mut drawn = vec![Complex64::ZERO; self.buses + 1];
        let mut series = vec![Complex64::ZERO; self.branches.len()];
        let mut change = f64::INFINITY;
        for sweeps in 1..=MOST_SWEEPS {
            for (node, current) in drawn.iter_mut().enumerate() {
                let fed_in =
                    powers.get(node).map_or(Complex64::ZERO, |power| (power / voltages[node]).conj());
                *current = self.shunt[node] * voltages[node] - fed_in;
            }
            for (branch, current) in self.branches.iter().zip(&mut series).rev() {
                *current = drawn[branch.child];
                drawn[branch.parent] += *current / branch.ratio;
            }
            change = 0.0;
            for (branch, current) in self.branches.iter().zip(&series) {
                let voltage = voltages[branch.parent] / branch.ratio - branch.z * current;
                change = f64::max(change, (voltage - voltages[branch.child]).norm());
                voltages[branch.child] = voltage;
            }
            // f64::max drops a NaN, so ask the voltages themselves
            if voltages.iter().any(|voltage| !voltage.is_finite()) {
                return Err(GridError::Diverged { sweeps, change: f64::INFINITY });
            }
            if change < TOLERANCE {
                return Ok(self.flow(&voltages, &series, sweeps));
            }
        }
        Err(GridError::Diverged { sweeps: MOST_SWEEPS, change })
    }

    fn flow(&self, voltages: &[Complex64], series: &[Complex64], sweeps: usize) -> Flow {
        let power = |voltage: Complex64, current: Complex64| {
            let power = voltage * current.conj() * BASE_KVA;
            Power { p_kw: power.re, q_kvar: power.im }
        };
        let (hv_half, lv_half) = (&self.branches[0], &self.branches[1]);
        let (hv_current, lv_current) = (series[0] / hv_half.ratio, series[1]);
        let mut loss = self.shunt[self.buses].re * voltages[self.buses].norm_sqr();
        let mut line_percent = 0.0;
        for (branch, current) in self.branches.iter().zip(series) {
            loss += branch.z.re * current.norm_sqr();
            if let Some(rated) = branch.rated {
                let sent = current + branch.y * voltages[branch.parent];
                let arrived = current - branch.y * voltages[branch.child];
                line_percent = f64::max(line_percent, 100.0 * f64::max(sent.norm(), arrived.norm()) / rated);
            }
        }
        Flow {
            vm_pu: voltages[..self.buses].iter().map(|voltage| voltage.norm()).collect(),
            hv: power(voltages[hv_half.parent], hv_current),
            lv: power(voltages[lv_half.child], lv_current),
            loading_percent: f64::max(
                hv_current.norm() * self.hv_percent,
                lv_current.norm() * self.lv_percent,
            ),
            line_percent,
            loss_kw: loss * BASE_KVA,
            sweeps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn an_idle_grid_has_the_feeder_voltage_behind_the_tap_and_iron_losses() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let flow = Grid::new(&case)?.solve(&vec![Power::default(); case.buses.len()])?;
        assert_eq!(flow.vm_pu[0], 1.025);
        assert!((flow.lowest_vm() - 1.0).abs() < 1e-3 && (flow.highest_vm() - 1.0).abs() < 1e-3, "{flow:?}");
        assert!((flow.loss_kw - 0.46).abs() < 1e-3, "{flow:?}");
        Ok(())
    }

    #[test]
    fn what_enters_and_does_not_leave_is_lost() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        for step in 0..case.steps() {
            let injections = case.uncontrolled(step);
            let flow = grid.solve(&injections)?;
            let balance = flow.hv.p_kw + injections.iter().map(|power| power.p_kw).sum::<f64>();
            assert!(
                (balance - flow.loss_kw).abs() < 1e-6,
                "step {step}: {balance} kW and {} kW",
                flow.loss_kw
            );
        }
        Ok(())
    }

    #[test]
    fn more_load_than_the_cables_can_carry_is_an_error() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let mut injections = vec![Power::default(); case.buses.len()];
        injections[6].p_kw = -5000.0;
        let result = Grid::new(&case)?.solve(&injections);
        assert!(matches!(result, Err(GridError::Diverged { .. })), "{result:?}");
        Ok(())
    }

    #[test]
    fn injections_that_are_not_numbers_are_refused() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        let mut injections = vec![Power::default(); case.buses.len()];
        assert_eq!(grid.solve(&injections[1..]), Err(GridError::Injections { expected: 15, found: 14 }));
        injections[3].q_kvar = f64::NAN;
        assert_eq!(grid.solve(&injections), Err(GridError::NotFinite(3)));
        Ok(())
    }

    #[test]
    fn a_ring_and_an_island_are_refused_by_name() -> Result<(), Box<dyn Error>> {
        let mut case = Case::embedded()?;
        case.lines.push(case.lines[0].clone());
        assert_eq!(Grid::new(&case).err(), Some(GridError::Ring("LV1.101 Line 1".into())));
        case.lines.pop();
        case.lines.retain(|line| line.name != "LV1.101 Line 13");
        assert_eq!(Grid::new(&case).err(), Some(GridError::Island("LV1.101 Bus 13".into())));
        Ok(())
    }
}
