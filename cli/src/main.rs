//! The program `isochrone`.

use std::process::ExitCode;

use isochrone_cli::demo::baseline::{self, Policy};
use isochrone_cli::demo::data::Case;
use isochrone_cli::demo::grid::Grid;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isochrone: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let case = Case::embedded()?;
    let grid = Grid::new(&case)?;
    for policy in [Policy::NoStorage, Policy::EachForItself] {
        let column = baseline::run(&case, &grid, policy, case.steps())?;
        println!("{}: {:?}", column.name, column.summary());
    }
    println!("{:?}", baseline::owned_plants(&case));
    Ok(())
}
