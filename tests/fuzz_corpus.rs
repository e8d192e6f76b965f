//! What the fuzz targets have kept, and what hostile peers send, on every compiler: see `fuzz/`.

use std::path::Path;

#[path = "../fuzz/checks/channel.rs"]
mod channel;
#[path = "../fuzz/checks/codecs.rs"]
mod codecs;
#[path = "../fuzz/checks/framer.rs"]
mod framer;

/// Runs every file of a target's corpus, and every file once more with single bits flipped and its end cut off.
fn replay(target: &str, run: fn(&[u8]), least: usize) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&corpus)
        .unwrap_or_else(|e| panic!("{}: {e}", corpus.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= least, "{} files in {}", files.len(), corpus.display());
    for file in files {
        println!("{}", file.display());
        let bytes = std::fs::read(&file).unwrap();
        run(&bytes);
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 100) {
            run(&bytes[..at]);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            run(&flipped);
        }
    }
}

#[test]
fn the_corpus_of_the_framer_is_cut_into_the_same_frames_however_it_arrives() {
    replay("framer", framer::run, 30);
}

#[test]
fn the_corpus_of_json_is_read_alike_in_every_way() {
    replay("json", codecs::json, 30);
}

#[test]
fn the_corpus_of_msgpack_is_read_alike_in_every_way() {
    replay("msgpack", codecs::msgpack, 20);
}

#[test]
fn the_corpus_of_blosc_is_read_alike_in_every_way() {
    replay("blosc", codecs::blosc, 20);
}

#[test]
fn in_the_corpus_of_the_channel_every_request_ends_exactly_once() {
    replay("channel", channel::run, 10);
}
