//! `isochrone journal`: what was recorded, checked, mended, told and exported.
//!
//! Contract: exit code 0 if the journal is whole, be it up to a torn tail; 4 if it is damaged; 1 for everything else.
//! Nothing but `repair` changes a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use isochrone::journal::export::{ExportError, Window, json_lines, mermaid, perfetto};
use isochrone::journal::{JournalError, Reader, Repair, Story, Survey, Tail, repair};
use isochrone::sim::Time;

/// Looks into recordings: checks, repairs, tells and exports them
#[derive(Debug, Args)]
pub struct Journal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads everything and says whether it is whole: exit code 0, or 4 if it is damaged
    Verify {
        /// The first file of the recording
        file: PathBuf,
    },
    /// Cuts what a killed writer left unfinished
    Repair {
        /// The first file of the recording
        file: PathBuf,
        /// Also cuts everything from the first damaged byte on, and keeps it in *.damaged
        #[arg(long)]
        cut_damage: bool,
    },
    /// Tells what happened, a line each: event, time and round, who, what
    Cat {
        /// The recording
        file: PathBuf,
        #[command(flatten)]
        shown: Shown,
    },
    /// Says of which run it is, and how much there is of what
    Stat {
        /// The recording
        file: PathBuf,
    },
    /// Writes it in another format
    Export {
        /// The recording
        file: PathBuf,
        /// Which
        #[arg(long, value_enum)]
        format: Format,
        #[command(flatten)]
        shown: Shown,
        /// Where to; default: standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Every record as a JSON object on a line of its own
    Jsonl,
    /// A sequence diagram of a short window
    Mermaid,
    /// A trace for ui.perfetto.dev
    Perfetto,
}

#[derive(Debug, Args)]
struct Shown {
    /// Not before this time: 15min, 1h02m03.5s
    #[arg(long, allow_hyphen_values = true)]
    from: Option<Time>,
    /// Not after this time
    #[arg(long, allow_hyphen_values = true)]
    until: Option<Time>,
    /// Only what concerns this agent: its path, or the end of it; * stands for anything
    #[arg(long)]
    agent: Option<String>,
}

impl Shown {
    fn window(&self) -> Window {
        let mut window = Window::default();
        (window.from, window.until, window.agent) = (self.from, self.until, self.agent.clone());
        window
    }
}

impl Journal {
    /// Does it; tells on standard output, complains on standard error.
    pub fn run(&self) -> ExitCode {
        let mut out = BufWriter::new(io::stdout().lock());
        let done = self.command.run(&mut out).and_then(|()| Ok(out.flush()?));
        match done {
            Ok(()) => ExitCode::SUCCESS,
            // as in `journal cat .. | head`
            Err(ExportError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                // what was read before the damage is told before it
                let _ = out.flush();
                eprintln!("error: {error}");
                ExitCode::from(code(&error))
            }
        }
    }
}

fn code(error: &ExportError) -> u8 {
    match error {
        ExportError::Journal(
            JournalError::Damaged { .. }
            | JournalError::Missing { .. }
            | JournalError::Empty { .. }
            | JournalError::NotAJournal { .. },
        ) => 4,
        _ => 1,
    }
}

impl Command {
    fn run(&self, out: &mut impl Write) -> Result<(), ExportError> {
        match self {
            Command::Verify { file } => verify(file, out),
            Command::Repair { file, cut_damage } => mend(file, *cut_damage, out),
            Command::Cat { file, shown } => cat(file, &shown.window(), out),
            Command::Stat { file } => stat(file, out),
            Command::Export { file, format, shown, output: None } => export(file, *format, shown, out),
            Command::Export { file, format, shown, output: Some(output) } => {
                let mut output = BufWriter::new(File::create(output)?);
                export(file, *format, shown, &mut output)?;
                Ok(output.flush()?)
            }
        }
    }
}

fn verify(file: &Path, out: &mut impl Write) -> Result<(), ExportError> {
    let survey = Survey::of(file)?;
    let (file, events) = (file.display(), survey.events);
    let segments =
        if survey.segments > 1 { format!(" in {} segments", survey.segments) } else { String::new() };
    writeln!(out, "{file}: whole, {events} events{segments}")?;
    match &survey.tail {
        Tail::Torn { path, offset, bytes } => writeln!(
            out,
            "{} has a torn tail of {bytes} bytes at byte {offset}, which `isochrone journal repair` cuts",
            path.display()
        )?,
        Tail::Open => writeln!(out, "it does not say that it ended: its writer was killed, or still runs")?,
        _ => {}
    }
    if let Some((event, because)) = &survey.breaks_replay {
        writeln!(out, "it cannot be replayed from event {event} on: {because}")?;
    }
    Ok(())
}

fn mend(file: &Path, cut_damage: bool, out: &mut impl Write) -> Result<(), ExportError> {
    match repair(file, cut_damage) {
        Ok(Repair::CutTail { path, offset, bytes }) => {
            writeln!(out, "{}: a torn tail of {bytes} bytes is cut at byte {offset}", path.display())?;
        }
        Ok(Repair::CutDamage { path, offset, kept }) => {
            writeln!(out, "{}: cut at byte {offset}, where the damage begins", path.display())?;
            for kept in kept {
                writeln!(out, "{}: what was cut", kept.display())?;
            }
        }
        Ok(_) => writeln!(out, "{}: nothing to repair", file.display())?,
        Err(error @ JournalError::Damaged { .. }) => {
            writeln!(
                out,
                "{}: not changed; --cut-damage keeps only what lies before the damage",
                file.display()
            )?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn cat(file: &Path, window: &Window, out: &mut impl Write) -> Result<(), ExportError> {
    for entry in Reader::open(file)? {
        let entry = entry?;
        if window.shows(&entry) {
            writeln!(out, "{}", Story(&entry))?;
        }
    }
    Ok(())
}

fn stat(file: &Path, out: &mut impl Write) -> Result<(), ExportError> {
    let survey = Survey::of(file)?;
    let header = &survey.header;
    let mut row = |key: &str, value: &dyn std::fmt::Display| writeln!(out, "{key:<16}{value}");
    row("scenario", &header.scenario)?;
    row("seed", &header.seed)?;
    if let Some(shuffle) = header.shuffle {
        row("shuffle", &shuffle)?;
    }
    row("clock", &header.clock)?;
    row("level", &header.level)?;
    row("epoch", &header.epoch)?;
    if let Some((journal, event)) = &header.parent {
        row("fork of", &format_args!("{journal} at event {event}"))?;
    }
    for (name, value) in header.build.iter().chain(&header.configuration) {
        row(name, value)?;
    }
    if let Some((from, until)) = survey.span {
        row("time", &format_args!("{from} to {until}"))?;
    }
    row("segments", &survey.segments)?;
    row("bytes", &survey.bytes)?;
    row("events", &survey.events)?;
    if survey.records() > 0 {
        row("bytes a record", &format_args!("{:.1}", survey.bytes as f64 / survey.records() as f64))?;
    }
    let end = match (&survey.tail, &survey.because) {
        (Tail::Ended, Some(because)) => because.clone(),
        (Tail::Torn { bytes, .. }, _) => format!("a torn tail of {bytes} bytes"),
        _ => "open".into(),
    };
    row("end", &end)?;
    writeln!(out)?;
    for (kind, count) in &survey.kinds {
        writeln!(out, "{kind:<16}{count}")?;
    }
    Ok(())
}

fn export(file: &Path, format: Format, shown: &Shown, out: &mut dyn Write) -> Result<(), ExportError> {
    let (mut reader, window) = (Reader::open(file)?, shown.window());
    match format {
        Format::Jsonl => json_lines(&mut reader, &window, out),
        Format::Mermaid => mermaid(&mut reader, &window, out),
        Format::Perfetto => perfetto(&mut reader, &window, out),
    }
}
