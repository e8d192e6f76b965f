//! How many connections there may be, in all and from one address.
//!
//! Contract: a [`Permit`] counts until it is dropped, on whichever thread.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the connections of one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of: BTreeMap<IpAddr, usize>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Gate,
    ip: Option<IpAddr>,
}

impl Gate {
    /// Lets one more in, if there is room.
    pub(super) fn enter(&self, ip: Option<IpAddr>, max: usize, max_of_one: usize) -> Option<Permit> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = ip.map_or(0, |ip| counts.of.get(&ip).copied().unwrap_or_default());
        if counts.all >= max || of_this >= max_of_one {
            return None;
        }
        counts.all += 1;
        if let Some(ip) = ip {
            counts.of.insert(ip, of_this + 1);
        }
        Some(Permit { gate: self.clone(), ip })
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        let Some(ip) = self.ip else { return };
        match counts.of.get_mut(&ip) {
            Some(1) | None => {
                counts.of.remove(&ip);
            }
            Some(count) => *count -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let gate = Gate::default();
        let [one, two] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(|ip| Some(IpAddr::from(ip)));
        let first = gate.enter(one, 3, 2).unwrap();
        let _second = gate.enter(one, 3, 2).unwrap();
        assert!(gate.enter(one, 3, 2).is_none());
        let _third = gate.enter(two, 3, 2).unwrap();
        assert!(gate.enter(None, 3, 2).is_none());
        drop(first);
        assert!(gate.enter(one, 3, 2).is_some());
        assert_eq!(gate.open(), 2);
    }
}
