//! A PV plant: feeds in what the sun gives, and less when it is paid for that.

use isochrone::prelude::*;

use super::{CoordinatorProxy, Device, Need, Offer, think};

/// Dearer than everything else: what is not fed in is lost.
const COST: f64 = 1.0;

/// A PV plant.
#[derive(Debug)]
pub struct Pv {
    coordinator: CoordinatorProxy,
    member: usize,
    profile_kw: f64,
    curtailed_kw: f64,
}

#[agent(eid = "pv_{n}")]
impl Pv {
    #[constructor]
    fn new(coordinator: CoordinatorProxy) -> Self {
        Pv { coordinator, member: 0, profile_kw: 0.0, curtailed_kw: 0.0 }
    }

    #[start]
    async fn join(this: This<Self>) -> Result<(), CallError> {
        let joining = this.with(|me| me.coordinator.join(Device::Pv(this.me().into())));
        let member = joining.await?;
        this.with(|me| me.member = member);
        Ok(())
    }

    /// What the sun gives.
    #[input]
    fn profile_mw(&mut self, mw: Inputs<f64>) {
        self.profile_kw = 1e3 * mw.sum();
    }

    #[step]
    fn plan(&mut self) {
        self.curtailed_kw = 0.0;
        self.coordinator.announce(self.member, self.profile_kw).send();
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
        let before = self.curtailed_kw;
        self.curtailed_kw = (before + part.kw).clamp(0.0, self.profile_kw);
        self.curtailed_kw - before
    }

    /// What it feeds in.
    #[output]
    fn p_mw(&self) -> f64 {
        1e-3 * (self.profile_kw - self.curtailed_kw)
    }

    fn offer(&self, need: Need) -> Option<Offer> {
        if need.kw > 0.0 { Offer::of(self.profile_kw - self.curtailed_kw, COST) } else { None }
    }
}
