//! Faults of a run, as its command line says them.
//!
//! Why on the command line: then one line repeats a run, by hand, in a test and from its journal.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use isochrone_sim::random::{Draw, Stream, identity_of, purpose_of};
use isochrone_sim::{Injected, Kernel, Time, display_span, local, parse_span};

use super::tape::Tape;

/// A fault: `12.5s:house_3:pause:2s`, that is when, whom, what, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// Path of the agent below its container.
    pub agent: String,
    /// What.
    pub fault: Injected,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.at, self.agent, self.fault.name())?;
        self.fault.span().map_or(Ok(()), |span| write!(f, ":{}", display_span(span)))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no fault: write when:agent:crash, :err, :pause:SPAN or :restart:SPAN");
        let parts: Vec<&str> = text.split(':').collect();
        let (at, agent, name, span) = match parts[..] {
            [at, agent, name] => (at, agent, name, None),
            [at, agent, name, span] => (at, agent, name, Some(span)),
            _ => return Err(wrong()),
        };
        let at = at.parse::<Time>().map_err(|error| error.to_string())?;
        let span = span.map(|span| parse_span(span).map_err(|error| error.to_string())).transpose()?;
        let fault = Injected::from_name(name, span.unwrap_or_default()).ok_or_else(wrong)?;
        if fault.span().is_some() != span.is_some() {
            return Err(wrong());
        }
        Ok(Fault { at, agent: agent.into(), fault })
    }
}

/// Most faults of one run.
const MOST: u64 = 8;

/// Draws the faults of a run: first which kinds there are in it at all, then how many, when and whom. A run in which
/// everything happens at once hides what two kinds do together.
pub(crate) fn draw(seed: u64, agents: &[String], until: Time) -> Vec<Fault> {
    let mut stream = Stream::new(seed, identity_of("explore"), purpose_of("faults"));
    let span = |stream: &mut Stream| {
        let most = until.checked_since(Time::ZERO).unwrap_or_default() / 4;
        Duration::from_nanos(stream.below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)).max(1))
    };
    let kinds: Vec<u64> = (0..4).filter(|_| stream.chance(0.5)).collect();
    if kinds.is_empty() || agents.is_empty() || until <= Time::ZERO {
        return Vec::new();
    }
    let count = 1 + stream.below(MOST);
    let mut faults = Vec::new();
    for _ in 0..count {
        let at = Time::from_nanos(stream.below(until.as_nanos().unsigned_abs()).cast_signed());
        let agent = agents[stream.below(agents.len() as u64) as usize].clone();
        let fault = match stream.choose(&kinds) {
            Some(0) => Injected::Crash,
            Some(1) => Injected::Restart(span(&mut stream)),
            Some(2) => Injected::Pause(span(&mut stream)),
            _ => Injected::Err,
        };
        faults.push(Fault { at, agent, fault });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Lets faults happen in a run that has not begun.
///
/// # Errors
/// A fault lies in the past.
pub(crate) fn arrange(kernel: &Kernel, faults: &[Fault], tape: &Tape) -> Result<(), String> {
    for fault in faults.iter().cloned() {
        let (at, tape) = (fault.at, tape.clone());
        let inject = move || {
            // one that is not there, or not any more, has no fault
            if let Some(agent) = local::find(&fault.agent) {
                tape.fault(&fault);
                local::inject_fault(agent, fault.fault);
            }
        };
        kernel.inject_with(at, inject).map_err(|error| error.to_string())?;
    }
    Ok(())
}
