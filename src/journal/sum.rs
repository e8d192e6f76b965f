//! CRC-32C, mostly of some twenty bytes.
//!
//! Why beside the crate `crc32c`: it is made for kilobytes. It aligns, and tells three ways of reading apart, before it
//! asks the processor, and for a payload of twenty bytes that takes longer than the sum. So short ones are summed here, by
//! the same instruction; where there is none, and for long ones, it is the crate that sums.

/// The longest bytes that are summed here.
#[cfg(target_arch = "x86_64")]
pub(super) const SHORT: usize = 256;

/// The sum of these bytes, in a place that has the proof: a call would take as long as the sum.
#[cfg(target_arch = "x86_64")]
macro_rules! sum_here {
    ($bytes:expr) => {{
        use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};
        let bytes: &[u8] = $bytes;
        if bytes.len() > $crate::journal::sum::SHORT {
            crc32c::crc32c(bytes)
        } else {
            let (words, mut rest) = bytes.as_chunks();
            let mut sum = u64::from(u32::MAX);
            for word in words {
                sum = _mm_crc32_u64(sum, u64::from_le_bytes(*word));
            }
            let mut sum = sum as u32;
            if let Some((part, after)) = rest.split_first_chunk() {
                sum = _mm_crc32_u32(sum, u32::from_le_bytes(*part));
                rest = after;
            }
            if let Some((part, after)) = rest.split_first_chunk() {
                sum = _mm_crc32_u16(sum, u16::from_le_bytes(*part));
                rest = after;
            }
            if let Some(part) = rest.first() {
                sum = _mm_crc32_u8(sum, *part);
            }
            !sum
        }
    }};
}
#[cfg(target_arch = "x86_64")]
pub(super) use sum_here;

/// The sum of these bytes.
#[inline]
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = fearless_simd::Level::new().as_sse4_2() {
        return here(sse, bytes);
    }
    crc32c::crc32c(bytes)
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    fn here(sse: Sse4_2, bytes: &[u8]) -> u32 {
        // that it was passed is all: it is the proof that the instruction is there
        let _ = sse;
        sum_here!(bytes)
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_adds_up_to_what_the_crate_says() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let bytes: Vec<u8> = (0..400_u32).map(|n| ((n * n) >> 3) as u8).collect();
        for from in 0..8 {
            for to in from..bytes.len() {
                let bytes = &bytes[from..to];
                assert_eq!(crc32c(bytes), crc32c::crc32c(bytes), "{from}..{to}");
            }
        }
    }
}
