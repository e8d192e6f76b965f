//! The container of blosc 1, in which aiomas's `MsgPackBlosc` packs its payloads.
//!
//! Why by hand: the C library trusts the lengths in the header (16 bytes make it ask for 2 GiB), and only the little of
//! it that `blosc.compress(data, typesize)` uses is needed: stored bytes, or blosclz behind a byte shuffle.
//!
//! ```text
//! 0        1            2      3         4       8          12      16
//! version  compressor's flags  typesize  nbytes  blocksize  cbytes  stored bytes, or starts of blocks and blocks
//!          version                       (little-endian u32)
//! block  = streams, one for every byte of an element (or one for all): u32 length, bytes
//! stream = as long as what it stands for: the bytes themselves; else blosclz
//! ```
//!
//! Contract: the header is checked against what is there and against the limits before anything is done; memory grows
//! by what is unpacked, not by what is announced. We send stored bytes, which every peer reads.
//!
//! Failure modes: other compressors and bit shuffle, which a peer must choose on purpose, are refused by name.

mod blosclz;
mod shuffle;
#[cfg(test)]
mod tests;

use super::{CodecError, CodecErrorKind, Limits};

const HEADER: usize = 16;
/// Of the container.
const VERSION: u8 = 2;
/// Of blosclz within it.
const BLOSCLZ_VERSION: u8 = 1;

const SHUFFLED: u8 = 0x01;
const STORED: u8 = 0x02;
const BIT_SHUFFLED: u8 = 0x04;
const ONE_STREAM: u8 = 0x10;

/// The size of an element that aiomas announces.
const TYPESIZE: u8 = 8;
/// Beyond so many bytes an element is not split into streams, nor if a stream would be shorter than this.
const MOST_STREAMS: usize = 16;
const SHORTEST_STREAM: usize = 128;

/// How many times its length a container may unpack to.
const MOST_RATIO: usize = 1024;

/// The bytes that are packed in a container; in `scratch` unless they are stored as they are.
pub(super) fn unpack<'a>(
    packed: &'a [u8],
    scratch: &'a mut Vec<u8>,
    limits: &Limits,
) -> Result<&'a [u8], CodecError> {
    let header = Header::read(packed, limits)?;
    if header.flags & STORED != 0 {
        let stored = &packed[HEADER..];
        if stored.len() != header.nbytes {
            return Err(wrong(packed, 4, "not as many bytes are stored as are announced"));
        }
        return Ok(stored);
    }
    header.check_packing(packed)?;
    scratch.clear();
    let mut block = Vec::new();
    let blocks = header.nbytes.div_ceil(header.blocksize.max(1));
    for index in 0..blocks {
        let start = u32_at(packed, HEADER + 4 * index) as usize;
        if start < HEADER + 4 * blocks || start > packed.len() {
            return Err(wrong(packed, HEADER + 4 * index, "a block starts outside the container"));
        }
        let left = header.nbytes - index * header.blocksize;
        header.unpack_block(packed, start, left, &mut block, scratch)?;
    }
    Ok(scratch)
}

/// What has arrived of the bytes in a container that stores them as they are; `None` if it does not.
pub(super) fn stored(begun: &[u8]) -> Option<&[u8]> {
    let [1..=VERSION, _, flags, ..] = begun else { return None };
    begun.get(HEADER..).filter(|_| flags & STORED != 0)
}

/// Appends a container around what `write` appends; if that fails, `out` is as it was.
pub(super) fn pack(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let packed = write(out).and_then(|()| {
        let cbytes = out.len() - start;
        let nbytes = cbytes - HEADER;
        // blosc counts in i32
        let Ok(cbytes) = i32::try_from(cbytes) else {
            return Err(CodecError::unsupported(format!("{nbytes} bytes are too many for blosc")));
        };
        let blocksize = (nbytes & !usize::from(TYPESIZE - 1)).clamp(1, 1 << 20);
        let header = &mut out[start..start + HEADER];
        header[..4].copy_from_slice(&[VERSION, BLOSCLZ_VERSION, SHUFFLED | STORED | ONE_STREAM, TYPESIZE]);
        header[4..8].copy_from_slice(&(nbytes as u32).to_le_bytes());
        header[8..12].copy_from_slice(&(blocksize as u32).to_le_bytes());
        header[12..].copy_from_slice(&cbytes.to_le_bytes());
        Ok(())
    });
    packed.inspect_err(|_| out.truncate(start))
}

struct Header {
    flags: u8,
    typesize: usize,
    nbytes: usize,
    blocksize: usize,
}

impl Header {
    /// Reads the header and checks what holds for every container.
    fn read(packed: &[u8], limits: &Limits) -> Result<Self, CodecError> {
        let Some(&[version, _, flags, typesize]) = packed.first_chunk() else {
            return Err(wrong(packed, packed.len(), "the header is cut off"));
        };
        if packed.len() < HEADER {
            return Err(wrong(packed, packed.len(), "the header is cut off"));
        }
        if !(1..=VERSION).contains(&version) {
            return Err(wrong(packed, 0, "not a container of version 1 or 2"));
        }
        if typesize == 0 {
            return Err(wrong(packed, 3, "an element has no bytes"));
        }
        if u32_at(packed, 12) as usize != packed.len() {
            return Err(wrong(packed, 12, "the announced length is not that of the payload"));
        }
        let nbytes = u32_at(packed, 4) as usize;
        let limit = limits.unpacked.min(packed.len().saturating_mul(MOST_RATIO));
        if nbytes > limit {
            return Err(CodecErrorKind::Unpacked { len: nbytes, limit }.into());
        }
        Ok(Header { flags, typesize: typesize.into(), nbytes, blocksize: u32_at(packed, 8) as usize })
    }

    /// Checks what is needed to unpack.
    fn check_packing(&self, packed: &[u8]) -> Result<(), CodecError> {
        match self.flags >> 5 {
            0 => {}
            1 => return Err(wrong(packed, 2, "compressed with lz4, only blosclz can be read")),
            2 => return Err(wrong(packed, 2, "compressed with snappy, only blosclz can be read")),
            3 => return Err(wrong(packed, 2, "compressed with zlib, only blosclz can be read")),
            4 => return Err(wrong(packed, 2, "compressed with zstd, only blosclz can be read")),
            _ => return Err(wrong(packed, 2, "compressed in an unknown way, only blosclz can be read")),
        }
        if self.flags & BIT_SHUFFLED != 0 {
            return Err(wrong(packed, 2, "shuffled by bits, only by bytes can be read"));
        }
        if self.nbytes > 0 && !(1..=self.nbytes).contains(&self.blocksize) {
            return Err(wrong(packed, 8, "the size of a block is not between 1 and that of the whole"));
        }
        let blocks = self.nbytes.div_ceil(self.blocksize.max(1));
        if blocks > (packed.len() - HEADER) / 4 {
            return Err(wrong(packed, packed.len(), "the starts of the blocks are cut off"));
        }
        Ok(())
    }

    /// Unpacks the block at `start`, of which at most `left` bytes are wanted, and appends it to `out`.
    fn unpack_block(
        &self,
        packed: &[u8],
        start: usize,
        left: usize,
        block: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let size = self.blocksize.min(left);
        let streams = self.streams(size);
        block.clear();
        let mut at = start;
        for _ in 0..streams {
            let Some(len) = packed.get(at..at + 4).map(|_| u32_at(packed, at) as usize) else {
                return Err(wrong(packed, at, "a block is cut off"));
            };
            at += 4;
            let Some(stream) = packed[at..].get(..len) else {
                return Err(wrong(packed, at, "a block is cut off"));
            };
            let wanted = size / streams;
            if len == wanted {
                block.extend_from_slice(stream);
            } else if blosclz::unpack(stream, wanted, block).is_none() {
                return Err(wrong(packed, at, "not as blosclz packs so many bytes"));
            }
            at += len;
        }
        match self.flags & SHUFFLED {
            0 => out.extend_from_slice(block),
            _ => shuffle::undo(self.typesize, block, out),
        }
        Ok(())
    }

    /// How many streams a block of this size has.
    fn streams(&self, size: usize) -> usize {
        let whole = size == self.blocksize;
        let long = self.blocksize / self.typesize >= SHORTEST_STREAM;
        let split = self.flags & ONE_STREAM == 0 && self.typesize <= MOST_STREAMS;
        if whole && long && split { self.typesize } else { 1 }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cold]
fn wrong(packed: &[u8], offset: usize, problem: &'static str) -> CodecError {
    CodecError::syntax("blosc", packed, offset, problem)
}
