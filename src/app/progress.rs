//! A progress bar, when somebody is looking.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use isochrone_sim::Time;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    from: Time,
}

impl Progress {
    pub(super) fn new(from: Time, until: Time) -> Self {
        let length = until.checked_since(from).map_or(0, |span| span.as_millis() as u64);
        let bar = (std::io::stderr().is_terminal() && until != Time::MAX).then(|| {
            let bar = ProgressBar::new(length);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}  {eta} left") {
                bar.set_style(style);
            }
            bar
        });
        Progress { bar, from }
    }

    pub(super) fn show(&self, now: Time) {
        if let Some(bar) = &self.bar {
            bar.set_position(now.checked_since(self.from).map_or(0, |span| span.as_millis() as u64));
            bar.set_message(now.to_string());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
