//! What the streams promise.

use std::collections::BTreeSet;

use isochrone_sim::random::{Draw, Stream, draw, identity_of, purpose_of};

fn stream() -> Stream {
    Stream::new(42, identity_of("grid/house-3"), purpose_of("arrivals"))
}

#[test]
fn no_release_and_no_platform_changes_a_stream() {
    const PURPOSE: u64 = purpose_of("arrivals");
    assert_eq!(purpose_of(""), 0x126d_2602_1fb1_3d5e);
    assert_eq!(PURPOSE, 0x8f9d_4c38_90d6_e95b);
    assert_eq!(identity_of("arrivals"), 0xd431_7e07_d58c_d6fe);
    assert_eq!(identity_of("grid/house-3"), 0x6389_4bc4_c85d_9cac);
    assert_eq!(draw(0, 0, 0, 0), 0xa7e6_7aca_b2b0_27b0);
    assert_eq!(draw(1, 2, 3, 4), 0xdeaa_69ab_2771_91d1);
    let mut s = stream();
    assert_eq!(s.next_u64(), 0xa07d_ef2a_7ba3_045c);
    assert_eq!(s.below(1_000_000), 51027);
    assert_eq!(s.uniform().to_bits(), 0x3fc7_86d8_9f90_c6c8);
    assert_eq!(s.range(-1.0, 3.0).to_bits(), 0x3fc0_8f57_122f_e670);
    assert_eq!(s.normal(10.0, 2.0).to_bits(), 0x4024_ccbd_40a0_cc9e);
    assert_eq!(s.exponential(5.0).to_bits(), 0x4015_fca2_c856_7d24);
    let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
    s.shuffle(&mut items);
    assert_eq!(items.iter().fold(0, |a, i| a * 10 + i), 61452037);
    assert_eq!(*s.choose(&items).unwrap(), 5);
    assert_eq!(s.position(), 15);
}

#[test]
fn every_bit_of_every_input_moves_half_the_output() {
    let base = |i: u64| [i, i.wrapping_mul(0x1234_5678_9abc_def1), i / 3, i % 5];
    let call = |a: [u64; 4]| draw(a[0], a[1], a[2], a[3]);
    let samples = 2_000;
    for input in 0..4 {
        for bit in 0..64 {
            let mut flips = [0u32; 64];
            for i in 0..samples {
                let mut args = base(i);
                let before = call(args);
                args[input] ^= 1 << bit;
                let changed = before ^ call(args);
                for (out, flips) in flips.iter_mut().enumerate() {
                    *flips += (changed >> out & 1) as u32;
                }
            }
            for (out, flips) in flips.iter().enumerate() {
                let share = f64::from(*flips) / samples as f64;
                // five standard deviations and a little
                assert!((share - 0.5).abs() < 0.065, "input {input} bit {bit} output {out}: {share}");
            }
        }
    }
}

#[test]
fn a_million_draws_do_not_repeat() {
    let mut seen = BTreeSet::new();
    for i in 0..250_000 {
        for fresh in [draw(1, 2, 3, i), draw(i, 7, 8, 9), draw(4, i, 5, 6), draw(10, 11, i, 12)] {
            assert!(seen.insert(fresh), "{i}");
        }
    }
}

#[test]
fn bytes_are_uniform_across_draws_and_across_identities() {
    for by_identity in [false, true] {
        let mut counts = [[0u32; 256]; 8];
        let draws = 256_000;
        for i in 0..draws {
            let bits = if by_identity { draw(1, i, 3, 0) } else { draw(1, 2, 3, i) };
            for (byte, counts) in bits.to_le_bytes().iter().zip(&mut counts) {
                counts[usize::from(*byte)] += 1;
            }
        }
        for counts in counts {
            let expected = draws as f64 / 256.0;
            let chi: f64 = counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
            // 255 degrees of freedom: mean 255, deviation 22.6
            assert!((145.0..365.0).contains(&chi), "{chi}");
        }
    }
}

#[test]
fn moments_are_those_of_the_distributions() {
    let mut s = stream();
    let n = 200_000;
    let mut moments = |mut f: Box<dyn FnMut(&mut Stream) -> f64>| {
        let values: Vec<f64> = (0..n).map(|_| f(&mut s)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(values.iter().all(|v| v.is_finite()));
        (mean, variance)
    };
    let near = |(mean, variance): (f64, f64), m: f64, v: f64| {
        assert!((mean - m).abs() < 0.02 * v.sqrt(), "mean {mean}, not {m}");
        assert!((variance / v - 1.0).abs() < 0.05, "variance {variance}, not {v}");
    };
    near(moments(Box::new(Stream::uniform)), 0.5, 1.0 / 12.0);
    near(moments(Box::new(|s| s.range(-2.0, 4.0))), 1.0, 3.0);
    near(moments(Box::new(|s| s.normal(10.0, 3.0))), 10.0, 9.0);
    near(moments(Box::new(|s| s.exponential(5.0))), 5.0, 25.0);
    near(moments(Box::new(|s| s.below(10) as f64)), 4.5, 8.25);
    near(moments(Box::new(|s| f64::from(u8::from(s.chance(0.3))))), 0.3, 0.21);
}

#[test]
fn nothing_to_choose_from_is_not_an_error() {
    let mut s = stream();
    assert_eq!(s.below(0), 0);
    assert_eq!(s.below(1), 0);
    assert_eq!(s.choose::<u8>(&[]), None);
    s.shuffle::<u8>(&mut []);
    assert!(!s.chance(0.0) && !s.chance(f64::NAN) && !s.chance(-1.0) && s.chance(1.0));
    assert_eq!(s.range(2.0, 2.0), 2.0);
    assert!(s.range(f64::MIN, f64::MAX).is_finite());
}

#[test]
fn rejection_draws_again_and_stays_below() {
    let mut s = stream();
    let n = (1 << 63) + 1; // rejects almost every other draw
    for _ in 0..1_000 {
        assert!(s.below(n) < n);
    }
    assert!((1_800..2_200).contains(&s.position()), "{}", s.position());
}

#[test]
fn a_stream_can_be_taken_up_anywhere() {
    let mut s = stream();
    let all: Vec<_> = (0..10).map(|_| s.next_u64()).collect();
    let mut late = s.at(5);
    assert_eq!((late.position(), late.next_u64()), (5, all[5]));
    let mut end = s.at(u64::MAX);
    end.next_u64();
    assert_eq!(end.next_u64(), all[0]);
}

#[test]
fn a_shuffle_keeps_all_and_reaches_all_orders() {
    let mut s = stream();
    let mut orders = BTreeSet::new();
    for _ in 0..500 {
        let mut items = [1, 2, 3, 4];
        s.shuffle(&mut items);
        orders.insert(items);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4]);
    }
    assert_eq!(orders.len(), 24);
}
