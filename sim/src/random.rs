//! Random numbers that do not depend on who else draws.
//!
//! **Why.** With one shared generator, an agent added or a draw more shifts every later number of everybody, and
//! two runs can no longer be compared. Here a number is a function of four: the run's seed, the identity of who
//! draws, the purpose, and how many were drawn before. There is no state to share, so placement, order and
//! threads cannot matter, and any draw can be repeated alone.
//!
//! **Contract.**
//!
//! | number | from | the same for |
//! |---|---|---|
//! | seed | the scenario | the whole run |
//! | identity | [`identity_of`] the agent's name path | one agent, wherever it is placed |
//! | purpose | [`purpose_of`] a name such as `"faults"` | one use within an agent |
//! | n | counts draws | one draw |
//!
//! The streams are part of what is released: golden values in the tests hold them, on every platform. Logarithms
//! and cosines are `libm`'s, since std's differ between platforms in the last bit.
//!
//! **Failure modes.** Nothing panics; what an empty or senseless range answers is written at each method. This
//! is not cryptography: who sees numbers can find the seed.

/// What all streams start from; the fraction bits of pi, nothing up the sleeve.
const PI: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// Draw number `n` for a purpose of an identity under a seed.
///
/// A chain of one-to-one mixers: for any three arguments fixed, no two values of the fourth give the same number.
#[inline]
pub const fn draw(seed: u64, identity: u64, purpose: u64, n: u64) -> u64 {
    mix(mix(mix(mix(seed ^ PI[0]).wrapping_add(identity ^ PI[1])).wrapping_add(purpose ^ PI[2]))
        .wrapping_add(n ^ PI[3]))
}

/// The finaliser of SplitMix64 (Stafford's variant 13): one-to-one, and every input bit moves half the output.
#[inline]
const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The purpose with this name. The same everywhere and in every release; usable in a `const`.
pub const fn purpose_of(name: &str) -> u64 {
    mix(fnv1a(name.as_bytes()) ^ PI[2])
}

/// The identity of what has this name path. The same everywhere and in every release.
pub const fn identity_of(path: &str) -> u64 {
    mix(fnv1a(path.as_bytes()) ^ PI[1])
}

/// FNV-1a, 64 bits.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// The draws of one identity for one purpose, in order.
///
/// ```
/// use isochrone_sim::random::{Draw, Stream, identity_of, purpose_of};
/// let mut stream = Stream::new(7, identity_of("grid/house-3"), purpose_of("arrivals"));
/// let first = stream.next_u64();
/// assert!(stream.below(6) < 6);
/// assert!(stream.uniform() < 1.0);
/// assert_eq!(stream.at(0).next_u64(), first);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    identity: u64,
    purpose: u64,
    n: u64,
}

impl Stream {
    /// A stream at its first draw.
    #[inline]
    pub const fn new(seed: u64, identity: u64, purpose: u64) -> Stream {
        Stream { seed, identity, purpose, n: 0 }
    }

    /// The number of draws so far.
    #[inline]
    pub const fn position(&self) -> u64 {
        self.n
    }

    /// The same stream with `n` draws done.
    #[inline]
    pub const fn at(&self, n: u64) -> Stream {
        Stream { n, ..*self }
    }
}

impl Draw for Stream {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        let bits = draw(self.seed, self.identity, self.purpose, self.n);
        self.n = self.n.wrapping_add(1);
        bits
    }
}

/// What can be drawn from a source of random bits. How many bits a draw takes is part of its contract: no release changes
/// a stream.
pub trait Draw {
    /// 64 random bits; one draw.
    fn next_u64(&mut self) -> u64;

    /// An integer in `0..n`, all equally likely (Lemire's method); 0 if `n` is 0.
    ///
    /// One draw, or one more for every rejection, which are rarer than one in 2^64 / `n`.
    #[inline]
    fn below(&mut self, n: u64) -> u64 {
        let mut wide = self.next_u64() as u128 * n as u128;
        if (wide as u64) < n {
            let least = n.wrapping_neg() % n;
            while (wide as u64) < least {
                wide = self.next_u64() as u128 * n as u128;
            }
        }
        (wide >> 64) as u64
    }

    /// A number in `[0, 1)`, a multiple of 2^-53; one draw.
    #[inline]
    fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number in `[low, high)`; `high` itself only where rounding leads to it. One draw.
    ///
    /// With `low` above `high` it lies between them all the same; where a bound is not finite, so may the answer.
    #[inline]
    fn range(&mut self, low: f64, high: f64) -> f64 {
        let u = self.uniform();
        // not low + u * (high - low), which overflows for bounds of opposite sign
        low * (1.0 - u) + high * u
    }

    /// True with probability `p`: never at or below 0 or for NaN, always from 1 on. One draw.
    #[inline]
    fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// A normally distributed number with this mean and standard deviation; two draws (Box-Muller).
    ///
    /// The second value of the pair is thrown away, so that a draw depends on nothing but its number.
    fn normal(&mut self, mean: f64, sd: f64) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        let angle = 2.0 * std::f64::consts::PI * self.uniform();
        mean + sd * (radius * libm::cos(angle))
    }

    /// An exponentially distributed number with this mean, as between arrivals; one draw.
    fn exponential(&mut self, mean: f64) -> f64 {
        mean * -libm::log(1.0 - self.uniform())
    }

    /// Brings a slice into random order, all orders equally likely (Fisher-Yates).
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }

    /// One element, all equally likely; `None`, and no draw, if there is none.
    fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }
}
