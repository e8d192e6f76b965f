//! A heat pump: its house and its tank can be warmed ahead of time.

use isochrone::prelude::*;

use super::shift::Shift;
use super::{CoordinatorProxy, Device, Need, Offer, think};

/// A warmer tank loses more heat.
const COST: f64 = 0.3;

/// How much heat the tank holds above what is needed, in hours of rated power.
const HOURS_AHEAD: f64 = 1.0;

/// A heat pump.
#[derive(Debug)]
pub struct HeatPump {
    coordinator: CoordinatorProxy,
    member: usize,
    demand: Shift,
    since: Time,
}

#[agent(eid = "heat_pump_{n}")]
impl HeatPump {
    /// Its rated power.
    #[constructor]
    fn new(cx: &Ctx, coordinator: CoordinatorProxy, p_mw: f64) -> Self {
        let rated_kw = 1e3 * p_mw;
        HeatPump {
            coordinator,
            member: 0,
            demand: Shift::new(rated_kw, HOURS_AHEAD * rated_kw),
            since: cx.now(),
        }
    }

    #[start]
    async fn join(this: This<Self>) -> Result<(), CallError> {
        let joining = this.with(|me| me.coordinator.join(Device::HeatPump(this.me().into())));
        let member = joining.await?;
        this.with(|me| me.member = member);
        Ok(())
    }

    /// What it would draw if nobody asked.
    #[input]
    fn profile_mw(&mut self, mw: Inputs<f64>) {
        self.demand.profile_kw = 1e3 * mw.sum();
    }

    #[step]
    fn plan(&mut self, cx: &Ctx) {
        let span = cx.now().checked_since(self.since).unwrap_or_default();
        self.demand.end(span.as_secs_f64() / 3600.0);
        self.since = cx.now();
        self.coordinator.announce(self.member, -self.demand.kw()).send();
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
        self.demand.award(part)
    }

    /// What it draws.
    #[output]
    fn p_mw(&self) -> f64 {
        1e-3 * self.demand.kw()
    }

    fn offer(&self, need: Need) -> Option<Offer> {
        self.demand.offer(need, COST)
    }
}
