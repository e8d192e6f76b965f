//! The coordinator: keeps the transformer within its rating by contract net, and lets the batteries cover what the grid
//! draws, so that they are empty again before the next noon.

use futures::future::join_all;
use isochrone::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Device, Need};

/// Share of the rating that is aimed at, since the voltage is not known, and losses and reactive power are those of the
/// interval before.
const AIM: f64 = 0.99;

/// Smaller needs are not worth a call, in kW.
const WORTH_A_CALL: f64 = 0.05;

/// Calls for what is still missing because somebody was late, in one interval.
const MOST_CALLS: usize = 6;

/// What a coordinator has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Intervals with a call for proposals because the transformer would be overloaded.
    pub overloads: u64,
    /// Intervals with one because the grid draws power.
    pub draws: u64,
    /// Calls for proposals, one per device asked.
    pub called: u64,
    /// Answers to them, declines among them.
    pub answered: u64,
    /// Devices that did not answer in time.
    pub timed_out: u64,
    /// Devices that answered with an error.
    pub failed: u64,
    /// Proposals accepted.
    pub awarded: u64,
    /// Overloads that no proposal was there for.
    pub uncovered: u64,
}

impl std::ops::AddAssign for Account {
    fn add_assign(&mut self, other: Account) {
        self.overloads += other.overloads;
        self.draws += other.draws;
        self.called += other.called;
        self.answered += other.answered;
        self.timed_out += other.timed_out;
        self.failed += other.failed;
        self.awarded += other.awarded;
        self.uncovered += other.uncovered;
    }
}

#[derive(Debug)]
struct Member {
    device: Device,
    /// Into the grid.
    kw: f64,
}

/// A coordinator of one low-voltage grid.
#[derive(Debug)]
pub struct Coordinator {
    rating_kva: f64,
    hours: f64,
    members: Vec<Member>,
    /// What homes and farms draw.
    sites_kw: f64,
    /// Through the transformer in the last interval; positive where the grid draws.
    measured: Option<(f64, f64)>,
    /// Into the grid in the last interval, as agreed.
    agreed_kw: f64,
    account: Account,
}

#[agent(eid = "coordinator_{n}")]
impl Coordinator {
    /// Rating of the transformer, and length of an interval in seconds.
    #[constructor]
    fn new(rating_mva: f64, #[default(900.0)] interval: f64) -> Self {
        Coordinator {
            rating_kva: 1e3 * rating_mva,
            hours: interval / 3600.0,
            members: Vec::new(),
            sites_kw: 0.0,
            measured: None,
            agreed_kw: 0.0,
            account: Account::default(),
        }
    }

    /// A device takes part from now on; returns its number.
    #[expose]
    fn join(&mut self, device: Device) -> usize {
        self.members.push(Member { device, kw: 0.0 });
        self.members.len() - 1
    }

    /// A device tells what it plans to feed in (positive) or draw (negative) in this interval.
    #[expose]
    fn announce(&mut self, member: usize, kw: f64) {
        if let Some(member) = self.members.get_mut(member) {
            member.kw = kw;
        }
    }

    /// What homes and farms draw, from their meters.
    #[input]
    fn sites_mw(&mut self, mw: Inputs<f64>) {
        self.sites_kw = 1e3 * mw.sum();
    }

    /// Active power through the transformer in the last interval; positive where the grid draws.
    #[input]
    fn p_mw(&mut self, mw: Inputs<f64>) {
        self.measured.get_or_insert_default().0 = 1e3 * mw.sum();
    }

    /// Reactive power through the transformer in the last interval.
    #[input]
    fn q_mvar(&mut self, mvar: Inputs<f64>) {
        self.measured.get_or_insert_default().1 = 1e3 * mvar.sum();
    }

    /// Once an interval: waits for all plans, and negotiates if they do not fit.
    #[step]
    async fn decide(this: This<Self>) {
        // a device announces its plan in the instant of the step, in whatever round
        this.settled().await;
        let mut missing = this.with(Self::need);
        let draws = missing < 0.0;
        for _ in 0..MOST_CALLS {
            if missing.abs() < WORTH_A_CALL {
                break;
            }
            let late;
            (missing, late) = Self::call(&this, missing).await;
            // what the grid draws is a wish, the rating is a limit; and who has answered has offered all there is
            if draws || late == 0 {
                break;
            }
        }
        this.with(|me| me.conclude(missing));
    }

    /// Counts of calls and contracts so far.
    #[output]
    fn account(&self) -> Account {
        self.account
    }

    /// One call for proposals to all, and contracts with the cheapest; returns what is still missing, and how many gave no
    /// answer.
    async fn call(this: &This<Self>, missing: f64) -> (f64, usize) {
        let (devices, hours) = this.with(|me| {
            me.account.called += me.members.len() as u64;
            (me.members.iter().map(|member| member.device.clone()).collect::<Vec<_>>(), me.hours)
        });
        let need = Need { kw: missing, hours };
        let answers = join_all(devices.iter().map(|device| device.propose(need))).await;

        let late = answers.iter().filter(|answer| answer.is_err()).count();
        let mut offers = Vec::new();
        this.with(|me| {
            for (member, answer) in answers.into_iter().enumerate() {
                match answer {
                    Ok(offer) => {
                        me.account.answered += 1;
                        offers.extend(offer.map(|offer| (offer, member)));
                    }
                    Err(error) if error.kind() == "Timeout" => me.account.timed_out += 1,
                    Err(_) => me.account.failed += 1,
                }
            }
        });
        // equal costs: who joined first
        offers.sort_by(|(a, i), (b, j)| a.cost.total_cmp(&b.cost).then(i.cmp(j)));

        let mut left = missing;
        let mut awards = Vec::new();
        for (offer, member) in offers {
            let kw = if missing > 0.0 { offer.kw.min(left) } else { offer.kw.max(left) };
            if kw.abs() > 0.0 {
                awards.push((member, Need { kw, hours }));
                left -= kw;
            }
        }
        let done = join_all(awards.iter().map(|(member, part)| devices[*member].award(*part))).await;
        this.with(|me| {
            let mut missing = missing;
            for ((member, _), kw) in awards.iter().zip(done) {
                // who does not confirm is taken to do nothing
                let kw = kw.unwrap_or(0.0);
                me.account.awarded += 1;
                me.members[*member].kw -= kw;
                missing -= kw;
            }
            (missing, late)
        })
    }

    /// How many kW too much would flow: above zero what overloads the transformer, below zero what the grid draws.
    fn need(&mut self) -> f64 {
        let planned = self.injection();
        let (p, q) = self.measured.unwrap_or_default();
        // what went into the grid and did not come out at the transformer
        let losses = (p + self.agreed_kw).clamp(0.0, 0.05 * self.rating_kva);
        let limit = AIM * self.rating_kva;
        let most = (limit * limit - q * q).max(0.0).sqrt() + losses;
        let need = if planned > most { planned - most } else { planned.min(0.0) };
        if need >= WORTH_A_CALL {
            self.account.overloads += 1;
        } else if need <= -WORTH_A_CALL {
            self.account.draws += 1;
        }
        need
    }

    fn conclude(&mut self, missing: f64) {
        self.agreed_kw = self.injection();
        if missing >= WORTH_A_CALL {
            self.account.uncovered += 1;
        }
    }

    fn injection(&self) -> f64 {
        self.members.iter().map(|member| member.kw).sum::<f64>() - self.sites_kw
    }
}
