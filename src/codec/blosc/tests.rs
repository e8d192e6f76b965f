use super::{HEADER, blosclz, pack, unpack};
use crate::codec::{Limits, json};

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, String> {
    unpack(packed, &mut Vec::new(), &Limits::default()).map(<[u8]>::to_vec).map_err(|e| e.to_string())
}

fn header(flags: u8, typesize: u8, nbytes: u32, blocksize: u32, cbytes: u32) -> Vec<u8> {
    let sizes = [nbytes, blocksize, cbytes].map(u32::to_le_bytes);
    [&[2, 1, flags, typesize], sizes.concat().as_slice()].concat()
}

/// The data that the vectors were made of.
fn data(kind: &str, size: usize) -> Vec<u8> {
    let text = b"the quick brown fox jumps over the lazy dog; ";
    let mut state = 12345u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    };
    let mut bytes = Vec::new();
    for n in 0u64.. {
        match kind {
            "zeros" => bytes.push(0),
            "ramp" => bytes.extend(n.to_le_bytes()),
            "text" => bytes.extend(text),
            "noise" => bytes.push((random() >> 56) as u8),
            "runs" => {
                let x = random();
                bytes.resize(bytes.len() + 1 + (x >> 40 & 63) as usize, (x >> 56 & 3) as u8);
            }
            other => panic!("no data of kind {other}"),
        }
        if bytes.len() >= size {
            break;
        }
    }
    bytes.truncate(size);
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Containers made by python-blosc 1.11.4 (c-blosc 1.21.7) with other sizes of elements, other levels, without shuffle.
#[test]
fn what_blosc_has_packed_is_unpacked() {
    let vectors = include_bytes!("../../../tests/golden/blosc.json");
    let vectors = json::decode(vectors, &Limits::default()).unwrap();
    let mut kinds = [0; 3];
    for vector in vectors.as_list().unwrap() {
        let text = |key: &str| vector.get(key).unwrap().as_str().unwrap();
        let size = vector.get("size").unwrap().as_u64().unwrap() as usize;
        let packed = hex(text("packed"));
        assert!(unpacked(&packed).unwrap() == data(text("kind"), size), "{} of {size} bytes", text("kind"));
        kinds[match packed[2] {
            flags if flags & 2 != 0 => 0,
            flags if flags & 16 != 0 => 1,
            _ => 2,
        }] += 1;
        // cut off, or with other bytes: refused or not, but never more than announced, and no panic
        let tried = if size > 6000 { 40 } else { 300 };
        for at in 0..packed.len().min(tried) {
            assert!(unpacked(&packed[..at]).is_err());
            for change in [1, 0x80, 0xff] {
                let mut packed = packed.clone();
                packed[at] ^= change;
                if let Ok(bytes) = unpacked(&packed) {
                    assert!(bytes.len() <= 1024 * packed.len());
                }
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 1), "stored, in one stream, in streams: {kinds:?}");
}

#[test]
fn we_pack_as_blosc_does_what_it_cannot_compress() {
    // as python-blosc packs the message `[0, 0, "ohai"]` and others of these lengths
    for (len, blocksize) in [(8, 8), (39, 32), (6, 1), (19, 16), (14, 8), (4, 1), (150, 144)] {
        let bytes = data("noise", len as usize);
        let mut out = b"before".to_vec();
        pack(&mut out, |out| {
            out.extend_from_slice(&bytes);
            Ok(())
        })
        .unwrap();
        assert_eq!(out[6..], [header(0x13, 8, len, blocksize, len + 16), bytes.clone()].concat());
        assert_eq!(unpacked(&out[6..]).unwrap(), bytes);
    }
    let mut out = b"before".to_vec();
    let failed = pack(&mut out, |out| {
        out.push(1);
        Err(crate::codec::CodecError::unsupported("no"))
    });
    assert!(failed.is_err());
    assert_eq!(out, b"before");
}

#[test]
fn a_header_that_lies_is_refused_before_anything_is_done() {
    let eight = [1, 2, 3, 4, 5, 6, 7, 8];
    for (packed, problem) in [
        (vec![], "the header is cut off"),
        (header(2, 8, 0, 0, 15)[..15].to_vec(), "the header is cut off"),
        ([vec![3], header(2, 8, 0, 0, 16)[1..].to_vec()].concat(), "not a container of version 1 or 2"),
        ([vec![0], header(2, 8, 0, 0, 16)[1..].to_vec()].concat(), "not a container of version 1 or 2"),
        (header(2, 0, 0, 0, 16), "an element has no bytes"),
        (header(2, 8, 8, 8, 24), "the announced length is not that of the payload"),
        ([header(2, 8, 9, 8, 24), eight.to_vec()].concat(), "not as many bytes are stored as are announced"),
        ([header(2, 8, 7, 8, 24), eight.to_vec()].concat(), "not as many bytes are stored as are announced"),
        ([header(1, 8, 8, 0, 24), eight.to_vec()].concat(), "the size of a block is not between 1"),
        ([header(1, 8, 8, 9, 24), eight.to_vec()].concat(), "the size of a block is not between 1"),
        ([header(1, 8, 8, 1, 24), eight.to_vec()].concat(), "the starts of the blocks are cut off"),
        ([header(1, 8, 8, 8, 24), eight.to_vec()].concat(), "a block starts outside the container"),
        ([header(1, 8, 8, 8, 24), vec![20, 0, 0, 0, 9, 0, 0, 0]].concat(), "a block is cut off"),
        ([header(1, 8, 8, 8, 24), vec![22, 0, 0, 0, 9, 0, 0, 0]].concat(), "a block is cut off"),
        ([header(1, 8, 8, 8, 24), vec![20, 0, 0, 0, 0, 0, 0, 0]].concat(), "not as blosclz packs"),
        (header(0x21, 8, 8, 8, 16), "compressed with lz4"),
        (header(0x81, 8, 8, 8, 16), "compressed with zstd"),
        (header(0x04, 8, 8, 8, 16), "shuffled by bits"),
    ] {
        let error = unpacked(&packed).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_container_unpacks_to_no_more_than_the_limits() {
    // 16 bytes that make the C library ask for 2 GiB
    let error = unpacked(&header(1, 8, 0x7fff_ffff, 0x400, 16)).unwrap_err();
    assert_eq!(error, "a payload that would unpack to 2147483647 bytes, the limit is 16384");
    // a run of zeros, 8 MiB of them in 33 kB
    let run = |len: usize| {
        let matches = (len - 1 - 9) / 255;
        let mut stream = vec![0, 0, 0xe0];
        stream.extend(vec![255; matches]);
        stream.extend([(len - 1 - 9 - matches * 255) as u8, 0]);
        let cbytes = HEADER as u32 + 8 + stream.len() as u32;
        [
            header(0x10, 1, len as u32, len as u32, cbytes),
            20u32.to_le_bytes().to_vec(),
            (stream.len() as u32).to_le_bytes().to_vec(),
            stream,
        ]
        .concat()
    };
    assert!(unpacked(&run(8 << 20)).unwrap().iter().all(|&byte| byte == 0));
    assert!(unpacked(&run(16 << 20)).is_ok());
    let error = unpacked(&run((16 << 20) + 1)).unwrap_err();
    assert_eq!(error, "a payload that would unpack to 16777217 bytes, the limit is 16777216");
}

fn stream(bytes: &[u8], wanted: usize) -> Option<Vec<u8>> {
    let mut out = b"another stream".to_vec();
    blosclz::unpack(bytes, wanted, &mut out).map(|()| out.split_off(14))
}

#[test]
fn a_stream_is_literals_and_matches() {
    assert_eq!(stream(&[2, 1, 2, 3], 3).unwrap(), [1, 2, 3]);
    // the first control has five bits
    assert_eq!(stream(&[0xe2, 1, 2, 3], 3).unwrap(), [1, 2, 3]);
    // three bytes from three before, and the same overlapping
    assert_eq!(stream(&[2, 1, 2, 3, 0x20, 2], 6).unwrap(), [1, 2, 3, 1, 2, 3]);
    assert_eq!(stream(&[1, 1, 2, 0x60, 1, 0, 9], 8).unwrap(), [1, 2, 1, 2, 1, 2, 1, 9]);
    assert_eq!(stream(&[0, 5, 0xe0, 0, 0], 10).unwrap(), [5; 10]);
    assert_eq!(stream(&[0, 5, 0xe0, 255, 1, 0], 266).unwrap(), [5; 266]);
    for bad in [
        [].as_slice(),
        &[1, 1],
        &[2, 1, 2, 3, 0x20],
        &[2, 1, 2, 3, 0x20, 3],
        &[2, 1, 2, 3, 0xe0],
        &[2, 1, 2, 3, 0xe0, 255],
        &[2, 1, 2, 3, 0x3f, 255, 0],
        &[2, 1, 2, 3, 2, 1, 2],
    ] {
        assert_eq!(stream(bad, 6), None, "{bad:?}");
    }
    assert_eq!(stream(&[2, 1, 2, 3, 0x20, 2], 5), None);
    assert_eq!(stream(&[2, 1, 2, 3, 0x20, 2], 7), None);
}

#[test]
fn a_match_reaches_back_far() {
    let mut packed = Vec::new();
    let noise = data("noise", 9024);
    for literals in noise.chunks(32) {
        packed.push(31);
        packed.extend(literals);
    }
    for (distance, code) in [
        (8191usize, vec![0x20 | 31, 254]),
        (8192, vec![0x20 | 31, 255, 0, 0]),
        (8193, vec![0x20 | 31, 255, 0, 1]),
        (9000, vec![0x20 | 31, 255, 3, 0x28]),
        (256, vec![0x20, 255]),
        (257, vec![0x21, 0]),
    ] {
        let from = noise.len() - distance;
        let expected = [&noise[..], &noise[from..from + 3]].concat();
        assert!(stream(&[&packed[..], &code[..]].concat(), 9027).unwrap() == expected, "{distance}");
    }
    assert_eq!(stream(&[&packed[..], &[0x3f, 255, 3, 0x41]].concat(), 9027), None);
}
