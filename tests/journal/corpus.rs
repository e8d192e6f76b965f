//! What the fuzzer has kept is read without a panic, on every compiler.

use std::fs;
use std::path::Path;

use crate::sample::small;

#[path = "../../fuzz/checks/journal.rs"]
mod check;

#[test]
fn the_fuzzers_corpus_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/journal");
    let mut count = 0;
    for file in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
        let path = file.unwrap().path();
        println!("{}", path.display());
        check::run(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= 40, "{count} files");
}

/// A journal as the fuzzer's input: its frames without their sums.
fn unframed(journal: &[u8]) -> Vec<u8> {
    let map = u32::from_le_bytes(journal[12..16].try_into().unwrap()) as usize;
    let (mut rest, mut out) = (&journal[16 + map + 4..], vec![1]);
    while !rest.is_empty() {
        let (len, head) = match rest[0] {
            255 => (usize::from(u16::from_le_bytes([rest[8], rest[9]])), 12),
            len => (usize::from(len), 8),
        };
        out.extend([rest[1], rest[2], len as u8, (len >> 8) as u8]);
        out.extend(&rest[head..head + len]);
        rest = &rest[head + len..];
    }
    out
}

#[test]
fn the_check_reads_what_we_write() {
    let whole = [&[0], &small()[..]].concat();
    check::run(&whole);
    let frames = unframed(&small());
    check::run(&frames);
    if std::env::var_os("BLESS").is_some() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/journal");
        fs::create_dir_all(&corpus).unwrap();
        fs::write(corpus.join("whole"), whole).unwrap();
        fs::write(corpus.join("frames"), frames).unwrap();
    }
}

#[test]
fn flipped_bits_under_fitting_sums_are_read_without_a_panic() {
    let frames = unframed(&small());
    for bit in (8..8 * frames.len()).step_by(11) {
        let mut flipped = frames.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check::run(&flipped);
    }
}
