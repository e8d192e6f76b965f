//! The driver over in-process pipes with tiny buffers.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::channel::{ChannelError, Config, Connection, Event, Failure};
use crate::codec::Value;

fn pair(buffer: usize) -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (a, b) = duplex(buffer);
    (Connection::new(a, Config::default()), Connection::new(b, Config::default()))
}

fn frame(payload: &str) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes(), payload.as_bytes()].concat()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("a deadlock")
}

/// Sends `requests` of a kilobyte each before it reads anything, echoes what it is asked, and returns the number of
/// answers once `expected` requests were served and all own ones are answered.
async fn chatter(connection: &mut Connection<DuplexStream>, requests: usize, expected: usize) -> usize {
    let content = Value::from("x".repeat(1000));
    for _ in 0..requests {
        connection.channel().request(&content).unwrap();
    }
    let (mut served, mut answered) = (0, 0);
    while served < expected || answered < requests {
        match connection.event().await.unwrap().expect("the peer left") {
            Event::Request { id, content } => {
                connection.channel().reply(&id, &content).unwrap();
                served += 1;
            }
            Event::Answer { result, .. } => {
                assert_eq!(result.unwrap(), content);
                answered += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    connection.flush().await.unwrap();
    answered
}

/// Both sides have far more to say than the pipes hold, and say all of it before they listen:
///
/// ```text
///   a: 200 kB ---> [64 bytes] ---> b, which is writing too
///   b: 200 kB ---> [64 bytes] ---> a, which is writing too
/// ```
#[tokio::test]
async fn two_full_socket_buffers_do_not_deadlock() {
    for buffer in [1, 64, 4096] {
        let (mut a, mut b) = pair(buffer);
        let n = if buffer == 1 { 5 } else { 200 };
        let answered = soon(async { tokio::join!(chatter(&mut a, n, n), chatter(&mut b, n, n)) }).await;
        assert_eq!(answered, (n, n));
    }
}

#[tokio::test]
async fn flushing_reads_too_or_two_flushes_would_deadlock() {
    let (mut a, mut b) = pair(64);
    let content = Value::from("x".repeat(10_000));
    a.channel().request(&content).unwrap();
    b.channel().request(&content).unwrap();
    let exchange = async |connection: &mut Connection<DuplexStream>| {
        connection.flush().await.unwrap();
        assert!(matches!(connection.event().await.unwrap(), Some(Event::Request { .. })));
    };
    soon(async { tokio::join!(exchange(&mut a), exchange(&mut b)) }).await;
}

#[tokio::test]
async fn frames_split_at_every_byte_arrive_whole() {
    let stream = [frame("[0, 0, [\"a\"]]"), frame("[0, 1, [\"bä\"]]"), frame("[0, 2, null]")].concat();
    for cut in 0..=stream.len() {
        let (mut raw, ours) = duplex(1024);
        let mut connection = Connection::new(ours, Config::default());
        let write = async {
            raw.write_all(&stream[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            raw.write_all(&stream[cut..]).await.unwrap();
            drop(raw);
        };
        let read = async {
            let mut ids = Vec::new();
            while let Some(event) = connection.event().await.unwrap() {
                let Event::Request { id, .. } = event else { panic!() };
                ids.push(id.as_i64().unwrap());
            }
            ids
        };
        let ((), ids) = soon(async { tokio::join!(write, read) }).await;
        assert_eq!(ids, [0, 1, 2], "cut at {cut}");
    }
}

#[tokio::test]
async fn replies_to_many_frames_in_one_read_go_out_in_one_write() {
    let (mut raw, ours) = duplex(1 << 16);
    let mut connection = Connection::new(ours, Config::default());
    let all: Vec<u8> = (0..100).flat_map(|id| frame(&format!("[0, {id}, null]"))).collect();
    raw.write_all(&all).await.unwrap();
    for n in 0..100 {
        let Some(Event::Request { id, .. }) = connection.event().await.unwrap() else { panic!() };
        assert_eq!(id, Value::Int(n));
        connection.channel().reply(&id, &Value::Null).unwrap();
        assert_eq!(connection.channel().counters().messages_out, n as u64 + 1);
    }
    // Nothing was written while there was still something to handle.
    let replies: Vec<u8> = (0..100).flat_map(|id| frame(&format!("[1,{id},null]"))).collect();
    assert_eq!(connection.unwritten(), replies.len());
    connection.flush().await.unwrap();
    let mut got = vec![0; replies.len() + 1];
    assert_eq!(raw.read(&mut got).await.unwrap(), replies.len());
    assert_eq!(got[..replies.len()], replies);
}

#[tokio::test]
async fn the_end_in_the_middle_of_a_frame_is_an_error_that_says_so() {
    let (mut raw, ours) = duplex(1024);
    let mut connection = Connection::new(ours, Config::default());
    let open = connection.channel().request(&Value::Null).unwrap();
    raw.write_all(&frame("[0, 0, null]")[..9]).await.unwrap();
    drop(raw);
    let error = soon(connection.event()).await.unwrap_err();
    assert_eq!(error.to_string(), "the connection ended in the middle of a frame, after 9 bytes of 16");
    let Some(Event::Answer { request, result: Err(Failure::Closed(_)) }) = connection.event().await.unwrap()
    else {
        panic!()
    };
    assert_eq!(request, open);
    assert_eq!(connection.event().await.unwrap(), None);
}

#[tokio::test]
async fn a_lost_connection_fails_all_pending_and_then_ends() {
    let (mut a, b) = pair(1024);
    let ids: Vec<_> = (0..3).map(|_| a.channel().request(&Value::Null).unwrap()).collect();
    drop(b);
    for id in ids {
        match soon(a.event()).await.unwrap() {
            Some(Event::Answer { request, result: Err(Failure::Closed(reason)) }) => {
                assert_eq!((request, &*reason), (id, "the peer closed the connection"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(a.event().await.unwrap(), None);
    assert_eq!(a.event().await.unwrap(), None);
}

/// mosaik sends `stop` and closes at once: our write fails, its `stop` must still arrive.
#[tokio::test]
async fn what_the_peer_said_last_arrives_though_writing_fails() {
    let (mut raw, ours) = duplex(1024);
    let mut connection = Connection::new(ours, Config::default());
    raw.write_all(&frame("[0, 9, [\"stop\", [], {}]]")).await.unwrap();
    drop(raw);
    connection.channel().reply(&Value::Int(8), &Value::Null).unwrap();
    assert!(matches!(soon(connection.event()).await, Ok(Some(Event::Request { .. }))));
    assert_eq!(soon(connection.event()).await.unwrap(), None);
}

#[tokio::test]
async fn an_event_dropped_between_polls_loses_nothing() {
    let (mut a, mut b) = pair(7);
    let client = async {
        for n in 0..50 {
            a.channel().request(&Value::Int(n)).unwrap();
            let answer = loop {
                // Dropped after one poll, over and over.
                let event = tokio::select! { biased; event = a.event() => event, () = std::future::ready(()) => {
                    tokio::task::yield_now().await;
                    continue;
                } };
                break event.unwrap().unwrap();
            };
            assert!(matches!(answer, Event::Answer { result: Ok(Value::Int(m)), .. } if m == n));
        }
        a.shutdown().await.unwrap();
    };
    let server = async {
        while let Some(event) = b.event().await.unwrap() {
            let Event::Request { id, content } = event else { panic!() };
            b.channel().reply(&id, &content).unwrap();
        }
    };
    soon(async { tokio::join!(client, server) }).await;
}

#[tokio::test]
async fn requests_of_the_peer_arrive_while_an_own_request_is_open() {
    let (mut raw, ours) = duplex(1024);
    let mut connection = Connection::new(ours, Config::default());
    let own = connection.channel().request(&Value::from("slow")).unwrap();
    raw.write_all(&[frame("[0, 0, 1]"), frame("[0, 1, 2]"), frame("[1, 0, 3]")].concat()).await.unwrap();
    assert!(matches!(connection.event().await.unwrap(), Some(Event::Request { .. })));
    assert!(matches!(connection.event().await.unwrap(), Some(Event::Request { .. })));
    let answer = connection.event().await.unwrap();
    assert_eq!(answer, Some(Event::Answer { request: own, result: Ok(Value::Int(3)) }));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off_at_the_limit() {
    let (_raw, ours) = duplex(16);
    let mut connection = Connection::new(ours, Config { max_unread: 1000, ..Config::default() });
    connection.channel().request(&Value::from("x".repeat(2000))).unwrap();
    let error = soon(connection.event()).await.unwrap_err();
    assert!(matches!(error, ChannelError::SlowConsumer { limit: 1000, .. }), "{error}");
}

#[tokio::test]
async fn shutdown_writes_out_everything_and_ends_what_is_in_flight() {
    let (mut raw, ours) = duplex(8);
    let mut connection = Connection::new(ours, Config::default());
    connection.channel().request(&Value::from("last words")).unwrap();
    let mut got = Vec::new();
    let (closed, read) = soon(async { tokio::join!(connection.shutdown(), raw.read_to_end(&mut got)) }).await;
    closed.unwrap();
    read.unwrap();
    assert_eq!(got, frame("[0,0,\"last words\"]"));
    assert!(matches!(
        connection.event().await.unwrap(),
        Some(Event::Answer { result: Err(Failure::Closed(_)), .. })
    ));
    assert_eq!(connection.event().await.unwrap(), None);
}
