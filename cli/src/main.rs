//! The program `isochrone`: the demo, its agents for mosaik, and the tools around multi-agent runs.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use isochrone::clock::Interrupt;
use isochrone_cli::cert::Cert;
use isochrone_cli::demo::agents;
use isochrone_cli::demo::command::Demo;
use isochrone_cli::journal::Journal;
use isochrone_cli::visit;

/// Multi-agent systems whose agents do not know which clock they run on
#[derive(Debug, Parser)]
#[command(name = "isochrone", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(Demo),
    Cert(Cert),
    Call(visit::Call),
    List(visit::List),
    Ping(visit::Ping),
    Journal(Journal),
    /// The demo's agents as a program of their own: `isochrone agents mosaik HOST:PORT` under mosaik
    #[command(disable_help_flag = true)]
    Agents {
        /// What every program of agents takes: mosaik, sim, live, each with --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let interrupt = Interrupt::default();
    match Cli::parse().command {
        Command::Demo(demo) => match run(&demo, &interrupt) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error}");
                // as a shell reports what Ctrl-C has ended
                if interrupt.is_set() { ExitCode::from(130) } else { ExitCode::FAILURE }
            }
        },
        Command::Cert(cert) => match cert.run() {
            Ok(said) => {
                print!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Command::Journal(journal) => journal.run(),
        Command::Call(call) => block_on(call.run()),
        Command::List(list) => block_on(list.run()),
        Command::Ping(ping) => block_on(ping.run()),
        Command::Agents { args } => {
            agents::app().run(std::iter::once(OsString::from("isochrone agents")).chain(args))
        }
    }
}

fn block_on(visit: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(visit),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(demo: &Demo, interrupt: &Interrupt) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let said = runtime.block_on(async {
        let stop = interrupt.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.set();
            }
        });
        demo.run(interrupt.clone()).await
    })?;
    print!("{}", said.text);
    Ok(said.ok)
}
