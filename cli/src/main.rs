//! The program `isochrone`; for now the demo's baselines and a report of them.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use isochrone_cli::demo::baseline::{self, Policy};
use isochrone_cli::demo::data::Case;
use isochrone_cli::demo::grid::Grid;
use isochrone_cli::demo::report::{Report, write_report};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isochrone: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let case = Case::embedded()?;
    let grid = Grid::new(&case)?;
    let policies = [Policy::NoStorage, Policy::EachForItself];
    let columns = policies.map(|policy| baseline::run(&case, &grid, policy, case.steps()));
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    for column in &columns {
        let sum = column.summary();
        println!(
            "{:<16} peak {:>6.1} kVA ({:.1} kW)   over the rating {:>6.0} kWh in {} steps   voltage {:.4} to {:.4} pu",
            column.name,
            sum.peak_kva,
            sum.peak_kw,
            sum.over_kwh,
            sum.steps_over,
            sum.lowest_vm,
            sum.highest_vm
        );
    }
    let path = Path::new("target/demo/report.html");
    write_report(path, &Report::new(&case, columns))?;
    println!("{}", path.display());
    Ok(())
}
