//! What the fuzzer does with its bytes as the doings of two peers; the tests do the same with those that it has kept.
//!
//! The first byte chooses the codec. Then each step is two bytes: what is done by whom (see [`Pair::step`]), and how much.
//! Whatever happens, every request ends exactly once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use isochrone::channel::{Channel, Config, Event, RequestId};
use isochrone::codec::{Codec, Types, Value};

const SERVING: usize = 4;

/// Plays all steps, then closes both ends.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, mut data)) = data.split_first() else { return };
    let codec = [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc][usize::from(*choice) % 3];
    let mut pair = Pair { peers: [Peer::new(codec), Peer::new(codec)], now: Instant::now() };
    while let Some((&[step, amount], rest)) = data.split_first_chunk() {
        data = pair.step(step, amount, rest);
        pair.settle();
    }
    for peer in &mut pair.peers {
        peer.channel.close("enough");
    }
    pair.settle();
    for peer in &mut pair.peers {
        assert!(peer.open.is_empty(), "{:?} never ended", peer.open);
        assert!(matches!(peer.channel.next(), Ok(None)));
        assert!(peer.channel.request(&Value::Null).is_err());
        assert_eq!(peer.channel.pending(), 0);
    }
}

struct Peer {
    channel: Channel,
    /// Own requests that nobody has ended.
    open: BTreeSet<RequestId>,
    /// Ids of the other's requests that are not answered.
    asked: Vec<Value>,
}

impl Peer {
    fn new(codec: Codec) -> Self {
        let mut config = Config::default();
        config.codec = codec;
        config.types = Types::rpc([""; 0]);
        config.serving = SERVING;
        config.pending = 8;
        config.max_frame = 1000;
        config.max_first_frame = 100;
        config.strays = 5;
        Peer { channel: Channel::new(config), open: BTreeSet::new(), asked: Vec::new() }
    }
}

struct Pair {
    peers: [Peer; 2],
    now: Instant,
}

impl Pair {
    /// One step; what it does not use of `rest` is left.
    fn step<'a>(&mut self, step: u8, amount: u8, rest: &'a [u8]) -> &'a [u8] {
        let (actor, other) = (usize::from(step >> 7), usize::from(step >> 7 ^ 1));
        let amount = usize::from(amount);
        let peer = &mut self.peers[actor];
        match step % 9 {
            0 => {
                let content = Value::list([Value::from("x".repeat(amount * 4)), Value::from(amount)]);
                if let Ok(request) = peer.channel.request(&content) {
                    assert!(peer.open.insert(request), "an id is never used again");
                }
            }
            1 | 2 if !peer.asked.is_empty() => {
                let id = peer.asked.swap_remove(amount % peer.asked.len());
                let content = Value::from(amount);
                let answered = match step % 9 {
                    1 => peer.channel.reply(&id, &content),
                    _ => peer.channel.fail(&id, &content),
                };
                assert!(answered.is_ok() || peer.channel.closed().is_some(), "{answered:?}");
            }
            3 => {
                if let Some(&request) = peer.open.iter().nth(amount) {
                    assert!(peer.channel.forget(request));
                    assert!(!peer.channel.forget(request));
                    peer.open.remove(&request);
                }
            }
            4 | 5 => {
                let out = peer.channel.outgoing();
                let bytes: Vec<u8> = out.drain(..out.len().min(amount * 8)).collect();
                self.peers[other].channel.receive(self.now, &bytes);
            }
            6 => {
                let (bytes, rest) = rest.split_at(amount.min(rest.len()));
                peer.channel.receive(self.now, bytes);
                return rest;
            }
            7 => {
                self.now += Duration::from_millis(amount as u64 * 100);
                let _ = peer.channel.expire(self.now);
            }
            8 if amount % 2 == 0 => drop(peer.channel.end()),
            8 => peer.channel.close("on purpose"),
            _ => {}
        }
        rest
    }

    /// Takes what has happened, on both sides.
    fn settle(&mut self) {
        for peer in &mut self.peers {
            let mut errors = 0;
            loop {
                match peer.channel.next() {
                    Ok(Some(Event::Request { id, .. })) => peer.asked.push(id),
                    Ok(Some(Event::Answer { request, .. })) => {
                        assert!(peer.open.remove(&request), "{request:?} ended twice, or never began");
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        errors += 1;
                        assert!(errors == 1 && peer.channel.closed().is_some(), "an error is told once");
                    }
                }
            }
            assert!(peer.asked.len() <= SERVING || peer.channel.closed().is_some());
            assert!(peer.open.len() >= peer.channel.pending() || peer.channel.closed().is_some());
        }
    }
}
