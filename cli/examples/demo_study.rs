//! What keeping the demo's transformer within its rating takes: the figures behind the design of the negotiating agents.
//!
//!     cargo run --release -p isochrone-cli --example demo_study
//!
//! In every step the excess is first charged into the batteries (each in proportion to what it can take), the rest is
//! curtailed at all PV plants alike; both are found by bisection on the power flow, so that the transformer's loading in
//! pandapower's sense is 100 % and not a hair more. The strategies differ in what the batteries do besides.

use std::error::Error;

use isochrone_cli::demo::baseline::{Content, of_kind, owned_plants};
use isochrone_cli::demo::data::{Case, LoadKind, Power, STEP_HOURS};
use isochrone_cli::demo::grid::{Flow, Grid};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Strategy {
    /// Only curtailment.
    NoBatteries,
    /// Each battery for its owner; the rest is curtailed.
    EachForItself,
    /// Batteries take any surplus of the whole grid, and cover its load: no foresight.
    Eager,
    /// Batteries take only what is above the rating, and cover the load of the grid.
    OnlyExcess,
    /// The same, but they also empty themselves at night into the medium-voltage grid (10 pm to 6 am).
    OnlyExcessEmptyAtNight,
}

fn main() -> Result<(), Box<dyn Error>> {
    let case = Case::embedded()?;
    let grid = Grid::new(&case)?;
    let net = |power: &[Power]| power.iter().map(|p| p.p_kw).sum::<f64>();

    println!(
        "loads in the week, kWh: {}",
        [LoadKind::Site, LoadKind::Charger, LoadKind::HeatPump]
            .map(|kind| {
                let (mut all, mut over, mut peak) = (0.0, 0.0, 0.0);
                for step in 0..case.steps() {
                    let kw = of_kind(&case, kind, step).p_kw;
                    all += kw * STEP_HOURS;
                    peak = f64::max(peak, kw);
                    if grid.solve(&case.uncontrolled(step)).is_ok_and(|flow| flow.loading_percent > 100.0) {
                        over += kw * STEP_HOURS;
                    }
                }
                format!("{kind:?} {all:.0} (peak {peak:.1} kW, {over:.0} while over the rating)")
            })
            .join(", ")
    );
    let pv = (0..case.steps()).map(|s| case.plants.iter().map(|p| case.plant_kw(p, s)).sum::<f64>());
    println!(
        "PV in the week: {:.0} kWh, peak {:.1} kW",
        pv.clone().sum::<f64>() * STEP_HOURS,
        pv.fold(0.0, f64::max)
    );
    let lossless = (0..case.steps()).map(|s| net(&case.uncontrolled(s))).collect::<Vec<_>>();
    println!(
        "sum of injections: peak {:.1} kW, above 160 kW {:.0} kWh",
        lossless.iter().copied().fold(0.0, f64::max),
        lossless.iter().map(|kw| (kw - 160.0).max(0.0) * STEP_HOURS).sum::<f64>()
    );
    println!("largest draw: {:.1} kW", -lossless.iter().copied().fold(0.0, f64::min));

    for strategy in [
        Strategy::NoBatteries,
        Strategy::EachForItself,
        Strategy::Eager,
        Strategy::OnlyExcess,
        Strategy::OnlyExcessEmptyAtNight,
    ] {
        study(&case, &grid, strategy)?;
    }
    Ok(())
}

/// Smallest x in 0..=1 for which the loading is at most 100 %, or 1.
fn bisect(mut loading: impl FnMut(f64) -> Result<Flow, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    if loading(0.0)?.loading_percent <= 100.0 {
        return Ok(0.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if loading(middle)?.loading_percent <= 100.0 { high = middle } else { low = middle }
    }
    Ok(high)
}

fn study(case: &Case, grid: &Grid, strategy: Strategy) -> Result<(), Box<dyn Error>> {
    let owned = owned_plants(case);
    let mut contents = case.batteries.iter().map(Content::first).collect::<Vec<_>>();
    println!("\n{strategy:?}");
    println!(
        "{:>12} {:>6} {:>11} {:>10} {:>12} {:>10} {:>13} {:>13}",
        "day", "steps", "charged max", "charged", "curtailed max", "curtailed", "stored first", "stored most"
    );
    let (mut all_cut, mut all_steps, mut most, mut limits) = (0.0, 0, 0.0, (f64::INFINITY, 0.0));
    for day in 0..case.steps() / 96 {
        let (mut steps, mut charged_max, mut charged, mut cut_max, mut cut) = (0, 0.0, 0.0, 0.0, 0.0);
        let stored = |contents: &[Content]| contents.iter().map(|c| c.kwh).sum::<f64>();
        let mut first = 0.0;
        let mut fullest = 0.0;
        for step in day * 96..(day + 1) * 96 {
            let base = case.uncontrolled(step);
            let over = grid.solve(&base)?.loading_percent > 100.0;
            if over && steps == 0 {
                first = stored(&contents);
            }
            let surplus = base.iter().map(|p| p.p_kw).sum::<f64>();
            let hour = (step % 96) / 4;
            // what the batteries do besides taking the excess, as power taken per battery
            let takes = contents.iter().map(|_| 0.0).collect::<Vec<f64>>();
            let share = |kw: f64| -> Vec<f64> {
                let can = case
                    .batteries
                    .iter()
                    .zip(&contents)
                    .map(|(b, c)| {
                        if kw > 0.0 {
                            c.most_charging(b, STEP_HOURS)
                        } else {
                            c.most_discharging(b, STEP_HOURS)
                        }
                    })
                    .collect::<Vec<_>>();
                let sum = can.iter().sum::<f64>();
                can.iter()
                    .map(|can| if sum > 0.0 { can * (kw / sum).clamp(-1.0, 1.0) } else { 0.0 })
                    .collect()
            };
            let takes = match strategy {
                Strategy::NoBatteries => takes,
                Strategy::EachForItself => case
                    .batteries
                    .iter()
                    .zip(&owned)
                    .map(|(b, plants)| {
                        let made = plants.iter().map(|&p| case.plant_kw(&case.plants[p], step)).sum::<f64>();
                        let used = case
                            .loads
                            .iter()
                            .filter(|l| l.bus == b.bus)
                            .map(|l| case.load(l, step).p_kw)
                            .sum::<f64>();
                        made - used
                    })
                    .collect(),
                Strategy::Eager => share(surplus),
                Strategy::OnlyExcess => share(surplus.min(0.0)),
                Strategy::OnlyExcessEmptyAtNight => {
                    share(if !(6..22).contains(&hour) { -60.0 } else { surplus.min(0.0) })
                }
            };
            let takes = case
                .batteries
                .iter()
                .zip(&contents)
                .zip(takes)
                .map(|((b, c), kw)| {
                    kw.min(c.most_charging(b, STEP_HOURS)).max(-c.most_discharging(b, STEP_HOURS))
                })
                .collect::<Vec<_>>();
            let with = |takes: &[f64], kept: f64| {
                let mut injections = base.clone();
                for (battery, kw) in case.batteries.iter().zip(takes) {
                    injections[battery.bus].p_kw -= kw;
                }
                for plant in &case.plants {
                    injections[plant.bus].p_kw -= (1.0 - kept) * case.plant_kw(plant, step);
                }
                injections
            };
            let room = case
                .batteries
                .iter()
                .zip(&contents)
                .map(|(b, c)| c.most_charging(b, STEP_HOURS))
                .collect::<Vec<_>>();
            let fill = |x: f64| {
                takes
                    .iter()
                    .zip(&room)
                    .map(|(kw, room)| {
                        if strategy == Strategy::NoBatteries || strategy == Strategy::EachForItself {
                            *kw
                        } else {
                            kw + x * (room - kw).max(0.0)
                        }
                    })
                    .collect::<Vec<_>>()
            };
            let x = bisect(|x| Ok(grid.solve(&with(&fill(x), 1.0))?))?;
            let takes = fill(x);
            let y = bisect(|y| Ok(grid.solve(&with(&takes, 1.0 - y))?))?;
            let done = with(&takes, 1.0 - y);
            let flow = grid.solve(&done)?;
            assert!(flow.loading_percent < 100.0 + 1e-9, "step {step}: {}", flow.loading_percent);
            if flow.loading_percent > 99.999 {
                let net = done.iter().map(|p| p.p_kw).sum::<f64>();
                limits = (f64::min(limits.0, net), f64::max(limits.1, net));
            }
            let pv = case.plants.iter().map(|p| case.plant_kw(p, step)).sum::<f64>();
            for ((battery, content), kw) in case.batteries.iter().zip(&mut contents).zip(&takes) {
                content.exchange(battery, *kw, STEP_HOURS);
            }
            let taken = takes.iter().sum::<f64>();
            if over {
                steps += 1;
                charged_max = f64::max(charged_max, taken);
                charged += taken * STEP_HOURS;
            }
            cut_max = f64::max(cut_max, y * pv);
            cut += y * pv * STEP_HOURS;
            fullest = f64::max(fullest, stored(&contents));
        }
        all_cut += cut;
        all_steps += steps;
        most = f64::max(most, cut_max);
        println!(
            "{:>12} {steps:>6} {charged_max:>8.1} kW {charged:>6.0} kWh {cut_max:>9.1} kW {cut:>6.0} kWh {first:>9.0} kWh {fullest:>9.0} kWh",
            &case.time(day * 96)[..10]
        );
    }
    println!(
        "week: {all_steps} steps over, curtailed {all_cut:.1} kWh, at most {most:.1} kW; at the limit the injections sum to {:.2}..{:.2} kW",
        limits.0, limits.1
    );
    Ok(())
}
