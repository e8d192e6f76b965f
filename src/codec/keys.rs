//! Of equal keys in one dict the last value wins, at the place of the first, as in Python.
//!
//! Contract: n log n for whatever a peer sends. Few keys are compared in pairs. Many are hashed cheaply and the hashes
//! sorted: if all differ, so do the keys. Only if two hashes agree are the keys themselves sorted.

use std::cmp::Ordering;

use super::Value;

/// Makes every key occur once.
pub(super) fn merge_equal(entries: &mut Vec<(Value, Value)>) {
    if !may_hold_equal(entries) {
        return;
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by(|&a, &b| compare(&entries[a].0, &entries[b].0));
    let mut keep = vec![true; entries.len()];
    // The sort is stable: equal keys follow each other in order of appearance.
    for pair in 1..order.len() {
        let (earlier, later) = (order[pair - 1], order[pair]);
        if compare(&entries[earlier].0, &entries[later].0).is_eq() {
            // The first of the run stands for all of it from here on.
            keep[later] = false;
            order[pair] = earlier;
            entries[earlier].1 = std::mem::take(&mut entries[later].1);
        }
    }
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next().unwrap_or(true));
}

fn may_hold_equal(entries: &[(Value, Value)]) -> bool {
    if entries.len() <= 8 {
        return (1..entries.len())
            .any(|i| entries[..i].iter().any(|(key, _)| compare(key, &entries[i].0).is_eq()));
    }
    let mut hashes: Vec<u64> = entries.iter().map(|(key, _)| hash(key)).collect();
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}

/// A total order in which values are equal if they are the same.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
        (Value::BigInt(a), Value::BigInt(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => one_nan(*a).cmp(&one_nan(*b)),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Map(a), Value::Map(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare(&a.0, &b.0).then_with(|| compare(&a.1, &b.1)));
            unequal.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Date(a), Value::Date(b)) => {
            a.cmp(b).then_with(|| a.offset().local_minus_utc().cmp(&b.offset().local_minus_utc()))
        }
        (Value::Proxy(a), Value::Proxy(b)) => a.cmp(b),
        (Value::Object(a), Value::Object(b)) => a.name.cmp(&b.name).then_with(|| compare(&a.data, &b.data)),
        (Value::Ext(a, x), Value::Ext(b, y)) => (a, x).cmp(&(b, y)),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn one_nan(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::UInt(_) => 3,
        Value::BigInt(_) => 4,
        Value::Float(_) => 5,
        Value::Str(_) => 6,
        Value::Bytes(_) => 7,
        Value::List(_) => 8,
        Value::Map(_) => 9,
        Value::Date(_) => 10,
        Value::Proxy(_) => 11,
        Value::Object(_) => 12,
        Value::Ext(..) => 13,
    }
}

/// Equal for equal keys. What a key is seldom hashes to its kind alone, and is sorted then.
fn hash(key: &Value) -> u64 {
    match key {
        Value::Str(text) => hash_bytes(text.as_bytes()),
        Value::Bytes(bytes) => hash_bytes(bytes),
        Value::Int(n) => mix(2, *n as u64),
        Value::UInt(n) => mix(3, *n),
        Value::Float(x) => mix(5, one_nan(*x)),
        Value::Bool(b) => mix(1, u64::from(*b)),
        other => mix(0, u64::from(rank(other))),
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(8);
    let hash = chunks.by_ref().fold(bytes.len() as u64, |hash, chunk| {
        mix(hash, u64::from_le_bytes(chunk.try_into().expect("eight bytes")))
    });
    let tail = chunks.remainder().iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    mix(hash, tail)
}
