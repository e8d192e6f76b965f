//! A channel alone, over sockets and pipes: what is promised to honest peers, and what others cannot do.

use std::time::Duration;

use isochrone::channel::transport::{ConnectOptions, ListenOptions};
use isochrone::channel::{ChannelError, Config, Failure, Link, open_connection, start_server};
use isochrone::codec::{Codec, Value};
use isochrone::rpc::{Client, Entry, Peer, Server, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Driving = JoinHandle<Result<(), ChannelError>>;

/// One end of a pipe that is driven, and the raw other one.
fn driven(buffer: usize, config: Config) -> (DuplexStream, Link, Driving) {
    let (raw, ours) = duplex(buffer);
    let (link, driver) = Link::over(ours, "raw", config);
    (raw, link, tokio::spawn(driver))
}

fn frame(payload: &str) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes(), payload.as_bytes()].concat()
}

async fn read_frame(raw: &mut DuplexStream) -> String {
    let mut payload = vec![0; raw.read_u32().await.unwrap() as usize];
    raw.read_exact(&mut payload).await.unwrap();
    String::from_utf8(payload).unwrap()
}

async fn error(driving: Driving) -> String {
    let ended = tokio::time::timeout(Duration::from_secs(20), driving).await.expect("the connection ends");
    ended.unwrap().expect_err("with an error").to_string()
}

#[tokio::test]
async fn requests_are_answered_by_replies_and_failures_both_ways() {
    let server = start_server("127.0.0.1:0", Config::default(), |link| async move {
        let asked = link.send(&Value::from("and you?")).unwrap();
        while let Some(request) = link.recv().await {
            match request.content().as_i64() {
                Some(n) if n % 2 == 0 => request.reply(&Value::from(n / 2)).unwrap(),
                Some(_) => request.fail(&Value::from("it is odd")).unwrap(),
                None => drop(request),
            }
        }
        let _ = asked.await;
    })
    .await
    .unwrap();
    let link = open_connection(&server.endpoint().to_string(), Config::default()).await.unwrap();
    assert_eq!(link.send(&Value::from(4)).unwrap().await, Ok(Value::from(2)));
    let failed = link.send(&Value::from(5)).unwrap().await;
    assert_eq!(failed, Err(Failure::Remote(Value::from("it is odd"))));
    let dropped = link.send(&Value::Null).unwrap().await;
    assert_eq!(
        dropped,
        Err(Failure::Remote(Value::from("Error: the request was dropped without an answer\n")))
    );
    let request = link.recv().await.unwrap();
    assert_eq!(request.content(), Value::from("and you?"));
    // what JSON has no form for fails the one request
    assert!(request.reply(&Value::Bytes(vec![1])).is_err());
    assert_eq!(link.counters().answers, 1);
    assert_eq!(link.send(&Value::from(8)).unwrap().await, Ok(Value::from(4)));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_begun_and_not_completed_ends_the_connection() {
    let (mut raw, _link, driving) = driven(1024, Config::default());
    raw.write_all(&frame("[0, 1, 2]")[..6]).await.unwrap();
    let start = tokio::time::Instant::now();
    let ended = driving.await.unwrap().unwrap_err();
    assert_eq!(ended.to_string(), "the peer has sent 6 bytes of a frame and not the rest within 30s");
    assert_eq!(start.elapsed().as_secs(), 30);
}

/// Broken once: a frame that was passed over was given for ever.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_has_its_time_too_and_its_length_must_be_one() {
    let mut config = Config::default();
    config.max_frame = 1 << 20;
    let long = |len: u32, begun: &str| [&len.to_be_bytes(), begun.as_bytes()].concat();
    let begun = format!("[0, 7, \"{}", "x".repeat(100));
    // who was asked something is no stranger
    let (mut raw, link, driving) = driven(1024, config.clone());
    let _waiting = link.send(&Value::Null).unwrap();
    read_frame(&mut raw).await;
    // the head says whose it is, wherever it is cut
    for bytes in long(2 << 20, &begun).chunks(13) {
        raw.write_all(bytes).await.unwrap();
        tokio::task::yield_now().await;
    }
    let start = tokio::time::Instant::now();
    let said = read_frame(&mut raw).await;
    assert!(said.starts_with("[2,7,") && said.contains("2097152 bytes are too long"), "{said}");
    assert_eq!(start.elapsed().as_secs(), 0, "before the rest has come");
    let ended =
        tokio::time::timeout(Duration::from_secs(40), driving).await.expect("it ends").unwrap().unwrap_err();
    assert_eq!(ended.to_string(), "the peer has sent 112 bytes of a frame and not the rest within 30s");
    assert_eq!(start.elapsed().as_secs(), 30);

    // whoever waits hears why the connection was cut
    let says = "bytes, the limit is 1048576: it may send it in parts, or `max_frame` be raised here";
    for bytes in [long(17 << 20, &begun), long(2 << 20, &"x".repeat(100))] {
        let (mut raw, link, driving) = driven(1024, config.clone());
        let waiting = link.send(&Value::Null).unwrap();
        raw.write_all(&bytes).await.unwrap();
        let said = error(driving).await;
        assert!(said.starts_with("the peer announced a frame of ") && said.ends_with(says), "{said}");
        assert_eq!(waiting.await, Err(Failure::Closed(said.into())));
    }

    // an end in the middle is one
    let (mut raw, link, driving) = driven(1024, config);
    let _waiting = link.send(&Value::Null).unwrap();
    raw.write_all(&long(2 << 20, &begun)).await.unwrap();
    drop(raw);
    assert_eq!(
        error(driving).await,
        "the connection ended in the middle of a frame, after 112 bytes of 2097156"
    );
}

/// Broken once: what followed a frame that was passed over in one read was dropped with it.
#[tokio::test]
async fn however_a_stream_is_cut_the_same_calls_fail_and_the_others_are_answered() {
    for codec in [Codec::Json, Codec::MsgPack, Codec::MsgPackBlosc] {
        let mut config = Config::default();
        (config.codec, config.max_frame, config.limits.nodes) = (codec, 300, 12);
        let mut stream = Vec::new();
        for (id, len, items) in
            [(0, 1, 1), (1, 900, 1), (2, 900, 1), (3, 2, 2), (4, 3, 20), (5, 4, 1), (6, 900, 1)]
        {
            let content = Value::List(vec!["x".repeat(len).into(), Value::List(vec![1.into(); items])]);
            let message = Value::List(vec![0.into(), id.into(), content]);
            let start = stream.len();
            stream.extend([0; 4]);
            codec.encode(&message, &config.types, &mut stream).unwrap();
            let len = (stream.len() - start - 4) as u32;
            stream[start..start + 4].copy_from_slice(&len.to_be_bytes());
        }
        let mut before = None;
        for piece in (1..40).chain([64, 67, 68, 69, 100, 800, 1000, 4000]) {
            let (mut raw, link, driving) = driven(1 << 16, config.clone());
            let answering = tokio::spawn(async move {
                while let Some(request) = link.recv().await {
                    let text = request.content().as_list().unwrap()[0].clone();
                    request.reply(&text).unwrap();
                }
                link.counters()
            });
            for piece in stream.chunks(piece) {
                raw.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            raw.shutdown().await.unwrap();
            let mut said = Vec::new();
            raw.read_to_end(&mut said).await.unwrap();
            driving.await.unwrap().unwrap();
            let counters = answering.await.unwrap();
            assert_eq!((counters.requests, counters.refused, counters.answers), (7, 4, 7));
            // which come as they come
            let mut frames: Vec<Value> = Vec::new();
            let mut rest = &said[..];
            while let Some((len, after)) = rest.split_first_chunk() {
                let (payload, after) = after.split_at(u32::from_be_bytes(*len) as usize);
                frames.push(codec.decode(payload, &Default::default(), &config.types).unwrap());
                rest = after;
            }
            frames.sort_by_key(|frame| frame.as_list().unwrap()[1].as_i64());
            let kinds: Vec<_> =
                frames.iter().map(|frame| frame.as_list().unwrap()[0].as_i64().unwrap()).collect();
            assert_eq!(kinds, [1, 2, 2, 1, 2, 1, 2], "{codec}, in pieces of {piece}");
            assert_eq!(*before.get_or_insert(frames.clone()), frames, "{codec}, in pieces of {piece}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_cut() {
    let (mut raw, link, driving) = driven(64, Config::default());
    let waiting = link.send(&Value::from("x".repeat(1000))).unwrap();
    let start = tokio::time::Instant::now();
    // one byte read now and then is progress
    tokio::time::sleep(Duration::from_secs(8)).await;
    raw.read_exact(&mut [0; 64]).await.unwrap();
    let ended = driving.await.unwrap().unwrap_err();
    assert_eq!(ended.to_string(), "the peer has read nothing for 10s");
    assert_eq!(start.elapsed().as_secs(), 18);
    assert!(matches!(waiting.await, Err(Failure::Closed(_))));
}

#[tokio::test]
async fn a_peer_that_reads_too_slowly_is_cut_at_the_limit() {
    let mut config = Config::default();
    config.max_unread = 1 << 20;
    let (_raw, link, driving) = driven(64, config);
    let text = Value::from("x".repeat(100_000));
    let waiting: Vec<_> = (0..12).map(|_| link.send(&text).unwrap()).collect();
    let said = error(driving).await;
    assert!(
        said.starts_with("the peer leaves 12") && said.ends_with("bytes unread, the limit is 1048576"),
        "{said}"
    );
    for answer in waiting {
        assert!(matches!(answer.await, Err(Failure::Closed(_))));
    }
}

#[tokio::test]
async fn with_so_many_requests_unanswered_reading_stops_and_nothing_is_lost() {
    let mut config = Config::default();
    config.serving = 3;
    let (mut raw, link, _driving) = driven(256, config);
    let all: Vec<u8> = (0..100).flat_map(|n| frame(&format!("[0, {n}, {n}]"))).collect();
    let writer = tokio::spawn(async move {
        raw.write_all(&all).await.unwrap();
        raw
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    // three were taken, and the rest is left in the pipe
    assert_eq!(link.counters().requests, 3);
    assert!(!writer.is_finished());
    for n in 0..100 {
        let request = link.recv().await.unwrap();
        assert_eq!(request.content(), Value::from(n));
        request.reply(&Value::Null).unwrap();
    }
    let mut raw = writer.await.unwrap();
    for n in 0..100 {
        assert_eq!(read_frame(&mut raw).await, format!("[1,{n},null]"));
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_that_came_in_one_read_are_all_answered() {
    let mut config = Config::default();
    config.serving = 2;
    let (mut raw, ours) = duplex(1 << 16);
    let service = Service::new().with("n", Entry::function(|_, args| Ok(args.positional[0].clone())));
    let (_peer, driver) = Peer::over(ours, "raw", config, service);
    let all: Vec<u8> = (0..100).flat_map(|n| frame(&format!(r#"[0,{n},["n",[{n}],{{}}]]"#))).collect();
    raw.write_all(&all).await.unwrap();
    tokio::spawn(driver);
    for n in 0..100 {
        assert_eq!(read_frame(&mut raw).await, format!("[1,{n},{n}]"));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_nothing_are_tolerated_a_hundred_a_minute() {
    let (mut raw, link, driving) = driven(1 << 16, Config::default());
    for minute in 0..2 {
        for n in 0..100 {
            raw.write_all(&frame(&format!("[1, {n}, null]"))).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(link.counters().stray, 100 * (minute + 1));
    }
    for n in 0..101 {
        raw.write_all(&frame(&format!("[1, {n}, null]"))).await.unwrap();
    }
    let ended = driving.await.unwrap().unwrap_err();
    assert_eq!(ended.to_string(), "the peer sent more than 100 answers to nothing within a minute");
}

#[tokio::test]
async fn a_request_that_was_given_up_keeps_its_place_until_its_answer_comes() {
    let (mut raw, link, _driving) = driven(1024, Config::default());
    drop(link.send(&Value::from("old")).unwrap());
    let fresh = link.send(&Value::from("new")).unwrap();
    assert_eq!(read_frame(&mut raw).await, r#"[0,0,"old"]"#);
    assert_eq!(read_frame(&mut raw).await, r#"[0,256,"new"]"#);
    raw.write_all(&frame(r#"[1, 0, "for the old"]"#)).await.unwrap();
    raw.write_all(&frame(r#"[1, 256, "for the new"]"#)).await.unwrap();
    assert_eq!(fresh.await, Ok(Value::from("for the new")));
    assert_eq!((link.counters().late, link.counters().stray), (1, 0));
}

#[tokio::test]
async fn callers_that_give_up_do_not_cost_without_bound() {
    let mut config = Config::default();
    config.pending = 10;
    let (_raw, link, _driving) = driven(1024, config);
    for _ in 0..10 {
        drop(link.send(&Value::Null).unwrap());
    }
    let error = link.send(&Value::Null).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot be sent: 10 requests are in flight, 10 of them given up by their callers"
    );
}

#[tokio::test]
async fn a_peer_that_closes_its_side_still_gets_every_answer() {
    let (mut raw, link, driving) = driven(1 << 16, Config::default());
    let server = tokio::spawn(async move {
        while let Some(request) = link.recv().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
            request.reply(&Value::Null).unwrap();
        }
    });
    for n in 0..20 {
        raw.write_all(&frame(&format!("[0, {n}, null]"))).await.unwrap();
    }
    raw.shutdown().await.unwrap();
    for n in 0..20 {
        assert_eq!(read_frame(&mut raw).await, format!("[1,{n},null]"));
    }
    assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
    driving.await.unwrap().unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn what_was_sent_before_the_last_handle_is_dropped_arrives_and_is_answered() {
    let (mut raw, link, driving) = driven(16, Config::default());
    link.close_when_unused();
    drop(link.send(&Value::from("x".repeat(500))).unwrap());
    drop(link);
    assert_eq!(read_frame(&mut raw).await.len(), 508);
    assert!(!driving.is_finished());
    raw.write_all(&frame("[1, 0, null]")).await.unwrap();
    assert_eq!(raw.read(&mut [0]).await.unwrap(), 0);
    drop(raw);
    driving.await.unwrap().unwrap();
}

/// Bytes of this process in memory.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
}

/// Each of them is a valid client first, so that it may announce what it likes, then begins a frame of 16 MiB.
#[tokio::test]
async fn a_thousand_connections_that_announce_16_mib_and_stay_silent_cost_less_than_64_mb() {
    const CONNECTIONS: usize = 1000;
    let mut options = ListenOptions::default();
    options.max_per_address = CONNECTIONS + 1;
    let mut server = Server::bind_with("127.0.0.1:0", options).await.unwrap();
    server.config.codec = Codec::MsgPack;
    let address = server.endpoint().to_string().replace("tcp://", "");
    tokio::spawn(server.serve(Service::new().with("ping", Entry::function(|_, _| Ok(Value::Null)))));

    let before = resident();
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"\0\0\0\x0b\x93\x00\x07\x93\xa4ping\x90\x80").await.unwrap();
        let mut reply = [0; 8];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"\0\0\0\x04\x93\x01\x07\xc0");
        stream.write_all(&(16u32 << 20).to_be_bytes()).await.unwrap();
        stream.write_all(b"\x93").await.unwrap();
        silent.push(stream);
    }
    let mut config = Config::default();
    config.codec = Codec::MsgPack;
    let options = ConnectOptions::default();
    let good = Client::connect_with(&address, &options, config, Service::new()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), good.call("ping")).await;
    assert_eq!(answer.expect("it is not disturbed"), Ok(Value::Null));
    if let (Some(before), Some(after)) = (before, resident()) {
        let cost = after.saturating_sub(before);
        println!("{CONNECTIONS} silent connections cost {} kB, both ends", cost >> 10);
        assert!(cost < 64 << 20, "{cost} bytes");
    }
}
