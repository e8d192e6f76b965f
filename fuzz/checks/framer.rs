//! What the fuzzer does with its bytes as a stream of frames; the tests do the same with those that it has kept.
//!
//! The first byte says how the stream is cut: however that is, the same comes out.

use std::time::Instant;

use isochrone::channel::{Channel, Config, Event};

/// Whole, and in pieces.
pub(crate) fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = events(std::iter::once(stream));
    assert_eq!(whole, events(stream.chunks(usize::from(*cut).max(1))));
    assert_eq!(whole, events(stream.chunks(1)));
}

/// What happens while these pieces arrive, and how it ends.
fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let now = Instant::now();
    let mut config = Config::default();
    config.max_first_frame = 64;
    config.max_frame = 4096;
    config.serving = usize::MAX;
    let mut channel = Channel::new(config);
    let mut events = Vec::new();
    for piece in pieces {
        channel.receive(now, piece);
        loop {
            match channel.next() {
                Ok(Some(event)) => {
                    if let Event::Request { id, .. } = &event {
                        channel.reply(id, id).expect("what was read can be written");
                    }
                    events.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(error) => events.push(error.to_string()),
            }
        }
    }
    if let Err(error) = channel.end() {
        events.push(error.to_string());
    }
    events.push(format!("{} answers, closed: {:?}", channel.counters().answers, channel.closed()));
    events
}
