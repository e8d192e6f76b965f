//! CRC-32C, mostly of some twenty bytes.
//!
//! Why beside the crate `crc32c`: it is made for kilobytes. It aligns, and tells three ways of reading apart, before it
//! asks the processor, and for a payload of twenty bytes that takes longer than the sum. So short ones are summed here, by
//! the same instruction; where there is none, and for long ones, it is the crate that sums.

/// The longest bytes that are summed here.
#[cfg(target_arch = "x86_64")]
pub(super) const SHORT: usize = 256;

/// The sum of these bytes, in a place that has the proof: a call would take as long as the sum.
///
/// Why no branch on how many bytes are over after the last whole word: it would be guessed wrong at every other frame. The
/// last eight bytes are a word again, of which what is summed already is shifted out, and zeros before everything else do
/// not change a sum that begins with nothing.
#[cfg(target_arch = "x86_64")]
macro_rules! sum_here {
    ($bytes:expr) => {{
        use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
        let bytes: &[u8] = $bytes;
        match bytes.last_chunk() {
            _ if bytes.len() > $crate::journal::sum::SHORT => crc32c::crc32c(bytes),
            None => !bytes.iter().fold(u32::MAX, |sum, byte| _mm_crc32_u8(sum, *byte)),
            Some(last) => {
                let (words, _) = bytes[..bytes.len() - 1].as_chunks();
                let mut sum = u64::from(u32::MAX);
                for word in words {
                    sum = _mm_crc32_u64(sum, u64::from_le_bytes(*word));
                }
                let summed = 64 - 8 * (bytes.len() - 8 * words.len());
                let rest = (u64::from_le_bytes(*last) >> summed ^ sum) << summed;
                // of the sum so far, what lies beyond the rest
                let beyond = sum >> 8 >> (56 - summed);
                !((_mm_crc32_u64(0, rest) ^ beyond) as u32)
            }
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
