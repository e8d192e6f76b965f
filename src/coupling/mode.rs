//! How far the agents run in a step; the head of [`coupling`](crate::coupling) says which mode to choose.

use std::fmt;
use std::time::Duration;

/// How far the agents run in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// To the time of the step.
    #[default]
    Exact,
    /// On over a window of this length.
    Window(Duration),
    /// On until something shows.
    Ahead,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "exact" => Ok(Mode::Exact),
            None if text == "ahead" => Ok(Mode::Ahead),
            Some(("window", span)) => match isochrone_sim::parse_span(span) {
                Ok(span) if !span.is_zero() => Ok(Mode::Window(span)),
                Ok(_) => Err("a window must be longer than nothing".into()),
                Err(error) => Err(error.to_string()),
            },
            _ => Err(format!("{text:?} is no mode: write exact, window=15min or ahead")),
        }
    }
}

/// As it is read: `exact`, `window=15min`, `ahead`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Exact => f.write_str("exact"),
            Mode::Window(window) => write!(f, "window={}", isochrone_sim::display_span(*window)),
            Mode::Ahead => f.write_str("ahead"),
        }
    }
}
