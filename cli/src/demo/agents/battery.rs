//! A battery: stands still unless it is paid; the emptiest charges first, the fullest gives first.

use isochrone::prelude::*;

use super::{CoordinatorProxy, Device, Need, Offer, think};
use crate::demo::baseline::Content;
use crate::demo::data;

/// What a kWh costs at the worst state of charge.
const COST: f64 = 0.1;

/// A battery.
#[derive(Debug)]
pub struct Battery {
    coordinator: CoordinatorProxy,
    member: usize,
    sizes: data::Battery,
    content: Content,
    /// Taken from the grid since `since`; below zero, given.
    kw: f64,
    since: Time,
}

#[agent(eid = "battery_{n}")]
impl Battery {
    /// Power, energy, the efficiency of each way, and the share of its content it loses in a day by itself.
    #[constructor]
    fn new(
        cx: &Ctx,
        coordinator: CoordinatorProxy,
        p_mw: f64,
        e_mwh: f64,
        #[default(0.95)] efficiency: f64,
        #[default(0.0)] loss_per_day: f64,
    ) -> Self {
        let sizes = data::Battery {
            name: cx.path(),
            bus: 0,
            power_kw: 1e3 * p_mw,
            energy_kwh: 1e3 * e_mwh,
            efficiency,
            self_discharge_per_day: loss_per_day,
        };
        let content = Content::first(&sizes);
        Battery { coordinator, member: 0, sizes, content, kw: 0.0, since: cx.now() }
    }

    #[start]
    async fn join(this: This<Self>) -> Result<(), CallError> {
        let joining = this.with(|me| me.coordinator.join(Device::Battery(this.me().into())));
        let member = joining.await?;
        this.with(|me| me.member = member);
        Ok(())
    }

    /// An interval is over: its energy is in the battery, and the next one begins with nothing.
    #[step]
    fn plan(&mut self, cx: &Ctx) {
        let span = cx.now().checked_since(self.since).unwrap_or_default();
        self.content.exchange(&self.sizes, self.kw, span.as_secs_f64() / 3600.0);
        (self.kw, self.since) = (0.0, cx.now());
        self.coordinator.announce(self.member, 0.0).send();
    }

    /// Answers a call for proposals.
    #[expose]
    async fn propose(this: This<Self>, need: Need) -> Option<Offer> {
        this.with(|me| me.offer(need))?;
        think(&this).await;
        this.with(|me| me.offer(need))
    }

    /// Does what it has been paid for, as far as it can.
    #[expose]
    fn award(&mut self, part: Need) -> f64 {
        let before = self.kw;
        let most = self.content.most_charging(&self.sizes, part.hours);
        let least = -self.content.most_discharging(&self.sizes, part.hours);
        self.kw = (before + part.kw).clamp(least, most);
        self.kw - before
    }

    /// What it draws; below zero, what it gives.
    #[output]
    fn p_mw(&self) -> f64 {
        1e-3 * self.kw
    }

    /// State of charge at the beginning of this interval, 0 to 1.
    #[output]
    fn soc(&self) -> f64 {
        self.content.soc(&self.sizes)
    }

    fn offer(&self, need: Need) -> Option<Offer> {
        let soc = self.content.soc(&self.sizes);
        if need.kw > 0.0 {
            Offer::of(self.content.most_charging(&self.sizes, need.hours) - self.kw, COST * soc)
        } else {
            Offer::of(-self.content.most_discharging(&self.sizes, need.hours) - self.kw, COST * (1.0 - soc))
        }
    }
}
