//! The order of everything that happens in one round.
//!
//! Why: law 2. Messages to one agent are taken by (time, round, order key, sequence number). The order key is the rank
//! of the sender's container among the containers' names, then the sender's ordinal of creation; what comes from outside
//! has key 0 and is therefore first, by injection number.
//!
//! *Shuffle mode* permutes by a seed what the laws leave open: which agent of a round runs first, and in which order the
//! messages of different senders reach an agent. It never permutes one sender's messages, nor rounds, nor phases.

use crate::agent::AgentId;
use crate::fingerprint::fold;
use crate::time::Time;

/// A sender's place in the order of delivery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderKey(u64);

impl OrderKey {
    /// Before every agent.
    pub const OUTSIDE: OrderKey = OrderKey(0);

    #[inline]
    pub(crate) fn new(rank: u32, agent: AgentId) -> Self {
        OrderKey(u64::from(rank) << 32 | (u64::from(agent.ordinal()) + 1))
    }

    /// Rank of the container, and ordinal of the agent in it; `None` for senders from outside.
    pub fn parts(self) -> Option<(u32, u32)> {
        (self.0 != 0).then(|| ((self.0 >> 32) as u32, self.0 as u32 - 1))
    }

    /// As one number.
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
}

/// The seed of shuffle mode, bound to one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle(u64);

impl Shuffle {
    pub(crate) fn new(seed: u64, time: Time, round: u32) -> Self {
        let at = time.as_nanos() as u64 ^ u64::from(round) << 40;
        Shuffle(fold(seed ^ 0x8EBC_6AF0_9C88_C6E3, at ^ 0x5895_8CAA_F1B4_2D31))
    }

    /// Where an agent or a task stands among those that run in this round.
    pub(crate) fn turn(self, who: u32) -> u64 {
        fold(self.0 ^ 0x1D8E_4E27_C47D_124F, u64::from(who) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// Where a sender stands among those who wrote to `to`; outside stays first.
    pub(crate) fn sender(self, to: AgentId, from: u32) -> u64 {
        if from == 0 {
            return 0;
        }
        fold(self.0 ^ u64::from(to.ordinal()), u64::from(from) ^ 0xEB44_ACCA_B455_D165) | 1
    }
}

/// What is delivered to an agent, as far as the order is concerned.
pub(crate) trait Ordered {
    /// Receiver, sender (in the order of the order keys, 0 for outside), sequence number.
    fn order(&self) -> (AgentId, u32, u64);
}

/// Puts what arrives in one round into the order of delivery.
pub(crate) fn arrange<T: Ordered>(items: &mut [T], shuffle: Option<Shuffle>) {
    match shuffle {
        None if items.is_sorted_by_key(Ordered::order) => {}
        None => items.sort_unstable_by_key(Ordered::order),
        Some(shuffle) => items.sort_by_cached_key(|item| {
            let (to, from, sequence) = item.order();
            (shuffle.turn(to.ordinal()), to, shuffle.sender(to, from), from, sequence)
        }),
    }
}
