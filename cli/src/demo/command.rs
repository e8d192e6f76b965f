//! The command `isochrone demo`: three columns, one table, checks that are computed, a report.

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use isochrone::clock::Interrupt;
use isochrone::journal::{Header, JournalError, Level, Options, Writer};
use isochrone::replay::Tape;
use isochrone::sim::display_span;

use super::agents::INTERVAL;
use super::baseline::{self, Column, Policy, Summary};
use super::data::Case;
use super::grid::Grid;
use super::plant::{self, Outcome, Scenario};
use super::report::{Check, Report, write_report};

const STEPS_A_DAY: usize = 96;

/// Agents keep a real low-voltage grid within the rating of its transformer
#[derive(Debug, Clone, Args)]
#[command(long_about = "\
Agents keep a real low-voltage grid within the rating of its transformer.

The grid is SimBench's 1-LV-rural1--2-sw as it is: a 160 kVA transformer and 468 kW of PV plants. On a sunny day it is \
overloaded by 40 %. Every PV plant, battery, charging point and heat pump is an agent; in each interval of 15 minutes a \
coordinator calls for proposals, within two seconds of simulated time, and awards the cheapest.

The grid is an external simulator with a power flow of its own. It steps the agents as mosaik would; `isochrone agents` \
runs the same agents under the real mosaik (see examples/mosaik/).

Prints a table with three columns:
  no storage        the batteries stand still
  each for itself   each battery takes its owner's surplus, and is full before noon
  negotiated        the agents

and writes a report with charts, and with one negotiation message by message. The exit status is 1 if one of the checks \
of the last line fails.

Examples:
  isochrone demo
  isochrone demo --seed 2                other computers are late, so other bids win: another fingerprint
  isochrone demo --shuffle 5             permutes what the laws leave open: the checks hold all the same
  isochrone demo --days 1 --check-order  every event against the rules of order
  isochrone demo --copies 100            100 grids with 2,900 agents")]
pub struct Demo {
    /// Days to simulate, from 22 May 2016
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=7))]
    pub days: u32,
    /// Independent copies of the grid, with agents of their own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub copies: u32,
    /// Seed of the agents' random streams
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Permutes, by this seed, the order that the laws leave open: what breaks under a seed has a race
    #[arg(long, value_name = "SEED")]
    pub shuffle: Option<u64>,
    /// Checks every event against the rules of order
    #[arg(long)]
    pub check_order: bool,
    /// Records the agents' side into this journal: `isochrone journal cat` tells what happened
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How much is recorded: inputs, events or full
    #[arg(long, value_name = "LEVEL", default_value = "events", requires = "record")]
    pub record_level: Level,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "target/demo/report.html")]
    pub report: PathBuf,
}

/// What the command prints, and whether all checks held.
#[derive(Debug)]
pub struct Said {
    /// All lines.
    pub text: String,
    /// The running hash of all that happened.
    pub fingerprint: u64,
    /// Whether everything that was checked held.
    pub ok: bool,
}

impl Demo {
    /// What the run is recorded with.
    fn tape(&self) -> Result<Tape, JournalError> {
        let Some(path) = &self.record else { return Ok(Tape::default()) };
        let mut header = Header::new("demo", self.seed);
        header.shuffle = self.shuffle;
        header.clock = "coupled".into();
        header.level = self.record_level;
        Writer::create(path, header, Options::default()).map(Tape::record)
    }

    /// Runs it.
    ///
    /// # Errors
    /// When there is no result; failed checks are one.
    pub async fn run(&self, interrupt: Interrupt) -> Result<Said, Box<dyn Error>> {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        let steps = (self.days as usize * STEPS_A_DAY).min(case.steps());
        let mut columns = Vec::new();
        for policy in [Policy::NoStorage, Policy::EachForItself] {
            columns.push(baseline::run(&case, &grid, policy, steps)?);
        }
        let scenario =
            Scenario { steps, copies: self.copies as usize, seed: self.seed, shuffle: self.shuffle };
        let order = self.check_order.then(|| isochrone::sim::OrderCheck::new(self.shuffle.is_some()));
        let watcher = order.clone().map(|order| Box::new(order) as Box<dyn isochrone::sim::Observer>);
        let tape = self.tape()?;
        let bar = progress_bar(steps);
        let outcome = plant::run(&case, &grid, scenario, watcher, &tape, interrupt, |step| {
            bar.set_position(step as u64)
        })
        .await;
        bar.finish_and_clear();
        let outcome = outcome?;

        let mut checks = checks(&case, &outcome);
        let mut text = String::new();
        writeln!(
            text,
            "SimBench 1-LV-rural1--2-sw from 22 May 2016, {} of 15 minutes; transformer of {:.0} kVA\n",
            count(steps as u64, "step"),
            case.transformer.rating_kva
        )?;
        columns.extend(outcome.columns.first().cloned());
        table(&mut text, &columns)?;
        let facts = facts(self, &outcome);
        for line in &facts {
            writeln!(text, "{:<18}{}", line.0, line.1)?;
        }
        if let Some(order) = &order {
            let violations = order.violations();
            if violations.is_empty() {
                writeln!(text, "{:<18}{} events ok", "order:", grouped(order.events()))?;
            } else {
                writeln!(
                    text,
                    "{:<18}{} events, {} against the rules",
                    "order:",
                    grouped(order.events()),
                    order.found()
                )?;
                violations.iter().try_for_each(|violation| writeln!(text, "  {violation}"))?;
                checks.push(Checked { what: "order", failed: Some(format!("{} violations", order.found())) });
            }
        }

        let mut report = Report::new(&case, columns);
        (report.negotiation, report.exchanges) = outcome.negotiation.unwrap_or_default();
        report.facts =
            facts.into_iter().map(|(name, value)| (name.trim_end_matches(':').to_owned(), value)).collect();
        report.checks = checks.iter().map(Checked::for_report).collect();
        write_report(&self.report, &report).map_err(|error| format!("{}: {error}", self.report.display()))?;
        let path = std::path::absolute(&self.report).unwrap_or_else(|_| self.report.clone());
        writeln!(text, "{:<18}{}", "report:", shown(&path).display())?;
        let all: Vec<_> = checks.iter().map(ToString::to_string).collect();
        writeln!(text, "checks: {}", all.join(", "))?;
        Ok(Said {
            text,
            fingerprint: outcome.run.fingerprint,
            ok: checks.iter().all(|check| check.failed.is_none()),
        })
    }
}

/// Something that was checked, and what is wrong with it.
#[derive(Debug)]
struct Checked {
    what: &'static str,
    failed: Option<String>,
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.failed {
            None => write!(f, "{} ok", self.what),
            Some(why) => write!(f, "{} FAILED: {why}", self.what),
        }
    }
}

impl Checked {
    fn for_report(&self) -> Check {
        let why = self.failed.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        Check { what: format!("{}{why}", self.what), ok: self.failed.is_none() }
    }
}

fn checks(case: &Case, outcome: &Outcome) -> Vec<Checked> {
    let Outcome { residual_kw, battery_kwh, account, run, .. } = outcome;
    let energy = if !within(*residual_kw, 1e-6) {
        Some(format!("the power flow is off by {residual_kw:.1e} kW"))
    } else if !within(*battery_kwh, 1e-6) {
        Some(format!("a battery's account is off by {battery_kwh:.1e} kWh"))
    } else {
        None
    };
    let ended = account.answered + account.timed_out;
    let calls = if account.called != ended || account.failed > 0 || run.open_calls > 0 {
        Some(format!(
            "{} sent, {} answered, {} timed out, {} failed, {} open",
            account.called, account.answered, account.timed_out, account.failed, run.open_calls
        ))
    } else if run.counts.late_replies != account.timed_out {
        // who is late answers all the same, to nobody: the kernel's count must agree with the coordinators'
        Some(format!("{} timed out, but {} late replies", account.timed_out, run.counts.late_replies))
    } else if run.counts.failures + run.counts.dead_letters > 0 {
        Some(format!("{} failures, {} dead letters", run.counts.failures, run.counts.dead_letters))
    } else {
        None
    };
    let rating = case.transformer.rating_kva;
    let peak = peak(outcome);
    let limit = (!within(peak, rating)).then(|| format!("{peak:.3} kVA"));
    vec![
        Checked { what: "energy balance", failed: energy },
        Checked { what: "every call for proposals answered or timed out", failed: calls },
        Checked { what: "limit kept", failed: limit },
    ]
}

/// NaN is not within anything.
fn within(value: f64, bound: f64) -> bool {
    value <= bound
}

fn peak(outcome: &Outcome) -> f64 {
    outcome.columns.iter().map(|column| column.summary().peak_kva).fold(0.0, f64::max)
}

fn table(text: &mut String, columns: &[Column]) -> std::fmt::Result {
    let sums: Vec<_> = columns.iter().map(Column::summary).collect();
    write!(text, "{:28}", "")?;
    columns.iter().try_for_each(|column| write!(text, "{:>17}", column.name))?;
    writeln!(text)?;
    type Row = (&'static str, usize, fn(&Summary) -> f64);
    let rows: [Row; 4] = [
        ("peak, kVA", 1, |sum| sum.peak_kva),
        ("energy over the rating, kWh", 1, |sum| sum.over_kwh),
        ("lowest voltage, pu", 4, |sum| sum.lowest_vm),
        ("highest voltage, pu", 4, |sum| sum.highest_vm),
    ];
    for (name, digits, value) in rows {
        write!(text, "{name:28}")?;
        sums.iter().try_for_each(|sum| write!(text, "{:>17.digits$}", value(sum)))?;
        writeln!(text)?;
    }
    writeln!(text)
}

/// What the run was, as pairs of name and value.
fn facts(demo: &Demo, outcome: &Outcome) -> Vec<(String, String)> {
    let Outcome { account, run, .. } = outcome;
    let counts = run.counts;
    let simulated = INTERVAL * u32::try_from(run.steps.unwrap_or_default()).unwrap_or(u32::MAX);
    let wall = run.wall.as_secs_f64();
    let shuffle = demo.shuffle.map(|seed| format!(", shuffle {seed}")).unwrap_or_default();
    let mut facts = vec![
        (
            "agents:",
            format!(
                "{}, {} in {}, {}",
                count(counts.agents, "agent"),
                count(counts.messages, "message"),
                count(run.steps.unwrap_or_default(), "step"),
                count(outcome.reads, "read")
            ),
        ),
        (
            "negotiations:",
            format!(
                "{} against overload, {} to cover the grid's draw; {}",
                grouped(account.overloads),
                grouped(account.draws),
                count(account.awarded, "contract")
            ),
        ),
        (
            "proposals:",
            format!(
                "{} called for, {} answered, {} timed out; {} of PV curtailed",
                grouped(account.called),
                grouped(account.answered),
                grouped(account.timed_out),
                format_args!("{:.1} kWh", outcome.curtailed_kwh.max(0.0)),
            ),
        ),
        (
            "time:",
            format!(
                "{} simulated in {wall:.2} s, {} times real time",
                display_span(simulated),
                grouped((simulated.as_secs_f64() / wall.max(1e-9)) as u64)
            ),
        ),
        ("fingerprint:", format!("{:016x} (seed {}{shuffle})", run.fingerprint, demo.seed)),
    ];
    if outcome.columns.len() > 1 {
        let sums: Vec<_> = outcome.columns.iter().map(Column::summary).collect();
        let over = sums.iter().map(|sum| sum.over_kwh).sum::<f64>();
        let low = sums.iter().map(|sum| sum.lowest_vm).fold(f64::INFINITY, f64::min);
        let high = sums.iter().map(|sum| sum.highest_vm).fold(0.0, f64::max);
        let all = format!(
            "of {} grids peak {:.1} kVA, over the rating {over:.1} kWh, voltage {low:.4} to {high:.4} pu (table: the first)",
            sums.len(),
            peak(outcome)
        );
        facts.insert(0, ("negotiated:", all));
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn progress_bar(steps: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} steps  {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// A path as seen from the working directory, if it is below that.
fn shown(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// `1 step`, `12,345 steps`.
fn count(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(case: &Case, outcome: &Outcome) -> String {
        checks(case, outcome).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    #[tokio::test]
    async fn each_check_fails_for_its_own_reason() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        let scenario = Scenario { steps: 60, copies: 1, seed: 1, shuffle: None };
        let mut outcome =
            plant::run(&case, &grid, scenario, None, &Tape::default(), Interrupt::default(), |_| ()).await?;
        assert_eq!(
            line(&case, &outcome),
            "energy balance ok, every call for proposals answered or timed out ok, limit kept ok"
        );
        let (residual, battery) = (outcome.residual_kw, outcome.battery_kwh);
        outcome.residual_kw = f64::NAN;
        assert!(
            line(&case, &outcome)
                .starts_with("energy balance FAILED: the power flow is off by NaN kW, every")
        );
        (outcome.residual_kw, outcome.battery_kwh) = (residual, 0.1);
        assert!(line(&case, &outcome).starts_with("energy balance FAILED: a battery's account is off by"));
        outcome.battery_kwh = battery;
        outcome.account.called += 1;
        assert!(line(&case, &outcome).contains("timed out FAILED: "), "a call without an end");
        outcome.account.timed_out += 1;
        assert!(
            line(&case, &outcome).contains("late replies, limit"),
            "a time-out the kernel knows nothing of"
        );
        outcome.account.called -= 1;
        outcome.account.timed_out -= 1;
        outcome.columns[0].steps[50].load_kva = -160.2;
        assert!(line(&case, &outcome).ends_with("limit kept FAILED: 160.200 kVA"));
        Ok(())
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
