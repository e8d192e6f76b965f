//! Demand that can be served ahead of time: what is drawn early is saved later.

use super::{Need, Offer};

/// A demand and how far it is ahead of its profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    pub(super) profile_kw: f64,
    /// Above the profile in this interval; below zero, less than the profile.
    extra_kw: f64,
    ahead_kwh: f64,
    rated_kw: f64,
    most_kwh: f64,
}

impl Shift {
    pub(super) fn new(rated_kw: f64, most_kwh: f64) -> Self {
        Shift { profile_kw: 0.0, extra_kw: 0.0, ahead_kwh: 0.0, rated_kw, most_kwh }
    }

    /// What is drawn.
    pub(super) fn kw(&self) -> f64 {
        self.profile_kw + self.extra_kw
    }

    /// Ends an interval of so many hours.
    pub(super) fn end(&mut self, hours: f64) {
        self.ahead_kwh = (self.ahead_kwh + self.extra_kw * hours).clamp(0.0, self.most_kwh);
        self.extra_kw = 0.0;
    }

    /// How much more can be drawn (positive), or less (negative), than now.
    fn room(&self, need: Need) -> f64 {
        if need.kw > 0.0 {
            let stored = (self.most_kwh - self.ahead_kwh) / need.hours - self.extra_kw;
            f64::min(stored, self.rated_kw - self.kw()).max(0.0)
        } else {
            let saved = self.ahead_kwh / need.hours + self.extra_kw;
            -f64::min(saved, self.kw()).max(0.0)
        }
    }

    /// Drawing early costs something, giving back what was drawn early does not.
    pub(super) fn offer(&self, need: Need, cost: f64) -> Option<Offer> {
        Offer::of(self.room(need), if need.kw > 0.0 { cost } else { 0.0 })
    }

    pub(super) fn award(&mut self, part: Need) -> f64 {
        let room = self.room(part);
        let kw = if part.kw > 0.0 { part.kw.min(room) } else { part.kw.max(room) };
        self.extra_kw += kw;
        kw
    }
}
