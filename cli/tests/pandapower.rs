//! The promise: the demo's power flow answers as pandapower does, on the same grid.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use isochrone_cli::demo::baseline::{self, Policy};
use isochrone_cli::demo::data::{Case, Power};
use isochrone_cli::demo::grid::Grid;

#[path = "../../tests/peers/setup.rs"]
mod setup;

/// 40 instants: the four extreme ones of the week, the others spread over all hours.
fn instants(case: &Case, grid: &Grid) -> Result<Vec<usize>, Box<dyn Error>> {
    let column = baseline::run(case, grid, Policy::NoStorage, case.steps())?;
    let extreme = |value: fn(&baseline::Step) -> f64| {
        let best = column.steps.iter().enumerate().max_by(|a, b| value(a.1).total_cmp(&value(b.1)));
        best.map_or(0, |(step, _)| step)
    };
    let mut steps = vec![
        extreme(|step| step.load_kva),
        extreme(|step| -step.load_kva),
        extreme(|step| step.highest_vm),
        extreme(|step| -step.lowest_vm),
    ];
    steps.extend((0..36).map(|k| (k * 18 + k % 7) % case.steps()));
    Ok(steps)
}

fn pandapower(python: &Path, sets: &[Vec<Power>]) -> Result<Vec<Vec<f64>>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(python)
        .arg(root.join("../tests/peers/pandapower/check_grid.py"))
        .arg(root.join("data/simbench/grid.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        for set in sets {
            let cells =
                set.iter().map(|power| format!("{:?}:{:?}", power.p_kw, power.q_kvar)).collect::<Vec<_>>();
            writeln!(input, "{}", cells.join(" "))?;
        }
    }
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "check_grid.py failed: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.lines().map(|line| line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>());
    Ok(numbers.collect::<Result<Vec<_>, _>>()?)
}

#[test]
fn voltages_differ_from_pandapowers_by_less_than_a_millionth() -> Result<(), Box<dyn Error>> {
    let python = setup::python();
    let case = Case::embedded()?;
    let grid = Grid::new(&case)?;
    let mut sets =
        instants(&case, &grid)?.into_iter().map(|step| case.uncontrolled(step)).collect::<Vec<_>>();
    // and two that no week brings: all PV plants at full power without a load, and the loads at their peaks at night
    let mut noon = vec![Power::default(); case.buses.len()];
    case.plants.iter().for_each(|plant| noon[plant.bus].p_kw += plant.peak_kw);
    let mut night = vec![Power::default(); case.buses.len()];
    for load in &case.loads {
        night[load.bus].p_kw -= load.peak.p_kw;
        night[load.bus].q_kvar -= load.peak.q_kvar;
    }
    sets.extend([noon, night]);

    let theirs = pandapower(&python, &sets)?;
    assert_eq!(theirs.len(), sets.len());
    let (mut voltage, mut percent, mut kw) = (0.0, 0.0, 0.0);
    for (set, theirs) in sets.iter().zip(&theirs) {
        let flow = grid.solve(set)?;
        let buses = flow.vm_pu.len();
        assert_eq!(theirs.len(), buses + 7);
        for (ours, theirs) in flow.vm_pu.iter().zip(theirs) {
            voltage = f64::max(voltage, (ours - theirs).abs());
        }
        for (ours, theirs) in [(flow.loading_percent, theirs[buses]), (flow.line_percent, theirs[buses + 5])]
        {
            percent = f64::max(percent, (ours - theirs).abs());
        }
        let ours = [flow.hv.p_kw, flow.hv.q_kvar, flow.lv.p_kw, flow.lv.q_kvar, flow.loss_kw];
        let theirs =
            [theirs[buses + 1], theirs[buses + 2], theirs[buses + 3], theirs[buses + 4], theirs[buses + 6]];
        for (ours, theirs) in ours.iter().zip(theirs) {
            kw = f64::max(kw, (ours - theirs).abs());
        }
    }
    println!(
        "{} power flows: max |dV| {voltage:.1e} pu, loading {percent:.1e} %, power {kw:.1e} kW",
        sets.len()
    );
    assert!(voltage < 1e-6, "max |dV| = {voltage:e} pu");
    assert!(percent < 1e-4, "loading differs by {percent:e} %");
    assert!(kw < 1e-3, "power differs by {kw:e} kW or kvar");
    Ok(())
}
