//! Both directions of a connection at once, with buffers that are too small for either.

use std::time::Duration;

use isochrone::channel::{Config, Link};
use isochrone::codec::Value;
use isochrone::rpc::{Args, Entry, Peer, Service};
use tokio::io::duplex;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("a deadlock")
}

/// Both sides have far more to say than the pipes hold, and say all of it before they listen:
///
/// ```text
///   a: 300 kB of requests ───> [ 64 bytes, full ] ───> b does not read: it is writing
///   a does not read: it is writing <─── [ 64 bytes, full ] <─── b: 300 kB of requests
/// ```
///
/// A side that first writes all and then reads waits for the other one for ever. A driver that waits, waits to read *and*
/// to write, so whoever has room goes on:
///
/// ```text
///   a reads what b has written ──> b's pipe has room ──> b writes on, and reads what a has written ──> a's pipe has room
/// ```
#[tokio::test]
async fn two_full_socket_buffers_do_not_deadlock() {
    for buffer in [1, 64, 4096] {
        let calls = if buffer == 1 { 10 } else { 300 };
        let echo =
            || Service::new().with("echo", Entry::function(|_, args: Args| Ok(args.positional[0].clone())));
        let (a, b) = duplex(buffer);
        let (a, driver) = Peer::over(a, "b", Config::default(), echo());
        tokio::spawn(driver);
        let (b, driver) = Peer::over(b, "a", Config::default(), echo());
        tokio::spawn(driver);
        let text = "x".repeat(1000);
        let all = |peer: Peer| {
            let calls =
                (0..calls).map(|_| peer.call("echo").arg(&text).returning::<String>()).collect::<Vec<_>>();
            futures::future::join_all(calls)
        };
        let (from_a, from_b) = soon(async { tokio::join!(all(a), all(b)) }).await;
        for answer in from_a.into_iter().chain(from_b) {
            assert_eq!(answer.as_ref(), Ok(&text));
        }
    }
}

#[tokio::test]
async fn the_same_holds_for_a_channel_without_rpc() {
    let (a, b) = duplex(64);
    let (a, driver) = Link::over(a, "b", Config::default());
    tokio::spawn(driver);
    let (b, driver) = Link::over(b, "a", Config::default());
    tokio::spawn(driver);
    let content = Value::from("x".repeat(1000));
    let side = async |link: &Link| {
        let answers: Vec<_> = (0..200).map(|_| link.send(&content).unwrap()).collect();
        let serve = async {
            for _ in 0..200 {
                let request = link.recv().await.expect("the other side is there");
                let content = request.content();
                request.reply(&content).unwrap();
            }
        };
        let (answers, ()) = tokio::join!(futures::future::join_all(answers), serve);
        assert!(answers.into_iter().all(|answer| answer.as_ref() == Ok(&content)));
    };
    soon(async { tokio::join!(side(&a), side(&b)) }).await;
}
