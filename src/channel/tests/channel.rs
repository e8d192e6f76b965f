//! The state machine without any stream.

use std::time::{Duration, Instant};

use crate::channel::{Channel, ChannelError, Config, Event, Failure, Message};
use crate::codec::Value;

fn channel() -> Channel {
    Channel::new(Config::default())
}

fn frame(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [&(payload.len() as u32).to_be_bytes(), payload].concat()
}

fn events(channel: &mut Channel) -> Vec<Event> {
    std::iter::from_fn(|| channel.next().unwrap()).collect()
}

fn sent(channel: &mut Channel) -> Vec<u8> {
    std::mem::take(channel.outgoing())
}

fn request(id: impl Into<Value>, content: impl Into<Value>) -> Event {
    Event::Request { id: id.into(), content: content.into() }
}

/// Frames that mosaik 3.6.0 sent (wire/mosaik.md, 9.1), headers included.
const FROM_MOSAIK: [(&str, &str); 4] = [
    ("0000004b", r#"[0, 0, ["init", ["Agents-0"], {"time_resolution": 60.0, "weather": "sun"}]]"#),
    ("0000003d", r#"[0, 1, ["create", [1, "Agent"], {"name": "Gr\u00f6\u00dfe"}]]"#),
    ("00000042", r#"[0, 4, ["step", [0, {"a0": {"level": {"Src.src_0": 10}}}, 6], {}]]"#),
    ("00000018", r#"[0, 9, ["stop", [], {}]]"#),
];

fn mosaik_stream() -> Vec<u8> {
    let bytes = FROM_MOSAIK.iter().flat_map(|(header, payload)| {
        let len = u32::from_str_radix(header, 16).unwrap();
        assert_eq!(len as usize, payload.len(), "{payload}");
        frame(payload)
    });
    bytes.collect()
}

fn mosaik_contents() -> Vec<String> {
    vec![
        r#"["init",["Agents-0"],{"time_resolution":60.0,"weather":"sun"}]"#.into(),
        r#"["create",[1,"Agent"],{"name":"Größe"}]"#.into(),
        r#"["step",[0,{"a0":{"level":{"Src.src_0":10}}},6],{}]"#.into(),
        r#"["stop",[],{}]"#.into(),
    ]
}

fn contents(events: Vec<Event>) -> Vec<String> {
    let content = |event| match event {
        Event::Request { content, .. } => content.to_string(),
        other => panic!("{other:?}"),
    };
    events.into_iter().map(content).collect()
}

#[test]
fn mosaiks_frames_are_read_however_they_are_cut() {
    let stream = mosaik_stream();
    let mut whole = channel();
    whole.receive(Instant::now(), &stream);
    assert_eq!(contents(events(&mut whole)), mosaik_contents());
    for cut in 0..=stream.len() {
        let mut channel = channel();
        channel.receive(Instant::now(), &stream[..cut]);
        let mut all = events(&mut channel);
        channel.receive(Instant::now(), &stream[cut..]);
        all.extend(events(&mut channel));
        assert_eq!(contents(all), mosaik_contents(), "cut at {cut}");
        channel.end().unwrap();
    }
    let mut bytewise = channel();
    let mut all = Vec::new();
    for byte in stream {
        bytewise.receive(Instant::now(), &[byte]);
        all.extend(events(&mut bytewise));
    }
    assert_eq!(contents(all), mosaik_contents());
}

#[test]
fn requests_and_replies_look_as_mosaik_expects_them() {
    let mut channel = channel();
    channel.receive(Instant::now(), &frame("[0, 3, [\"setup_done\", [], {}]]"));
    assert_eq!(events(&mut channel).len(), 1);
    channel.reply(&Value::Int(3), &Value::Null).unwrap();
    assert_eq!(sent(&mut channel), b"\0\0\0\x0a[1,3,null]");
    channel.fail(&Value::Int(8), &Value::list(["ValueError", "boom"])).unwrap();
    assert_eq!(sent(&mut channel), frame(r#"[2,8,["ValueError","boom"]]"#));
    let id = channel.request(&Value::list([Value::from("get_progress")])).unwrap();
    assert_eq!((id.number(), sent(&mut channel)), (0, frame(r#"[0,0,["get_progress"]]"#)));
    // the second place, for the first is taken
    assert_eq!(channel.request(&Value::Null).unwrap().number(), 256);
}

#[test]
fn both_directions_have_their_own_ids() {
    let (mut a, mut b) = (channel(), channel());
    let from_a = a.request(&Value::from("from a")).unwrap();
    let from_b = b.request(&Value::from("from b")).unwrap();
    a.receive(Instant::now(), &sent(&mut b));
    b.receive(Instant::now(), &sent(&mut a));
    assert_eq!(events(&mut a), [request(0, "from b")]);
    assert_eq!(events(&mut b), [request(0, "from a")]);
    a.reply(&Value::Int(0), &Value::from("by a")).unwrap();
    b.fail(&Value::Int(0), &Value::from("by b")).unwrap();
    a.receive(Instant::now(), &sent(&mut b));
    b.receive(Instant::now(), &sent(&mut a));
    assert_eq!(
        events(&mut a),
        [Event::Answer { request: from_a, result: Err(Failure::Remote(Value::from("by b"))) }]
    );
    assert_eq!(events(&mut b), [Event::Answer { request: from_b, result: Ok(Value::from("by a")) }]);
    assert_eq!((a.pending(), b.pending(), a.serving(), b.serving()), (0, 0, 0, 0));
}

#[test]
fn answers_may_come_in_any_order() {
    let mut channel = channel();
    let ids: Vec<_> = (0..4).map(|n| channel.request(&Value::Int(n)).unwrap()).collect();
    for n in [2, 0, 3, 1] {
        channel.receive(Instant::now(), &frame(format!("[1, {}, {n}]", n * 256)));
        let [Event::Answer { request, result: Ok(Value::Int(m)) }] = events(&mut channel)[..] else {
            panic!()
        };
        assert_eq!((request, m), (ids[n], n as i64));
    }
    assert_eq!(channel.pending(), 0);
}

#[test]
fn the_id_of_a_request_is_echoed_whatever_it_is() {
    for id in ["\"a\"", "null", "-1.5", "[1]", "18446744073709551616"] {
        let mut channel = channel();
        channel.receive(Instant::now(), &frame(format!("[0, {id}, 7]")));
        let [Event::Request { id: got, .. }] = &events(&mut channel)[..] else { panic!() };
        channel.reply(got, &Value::Null).unwrap();
        assert_eq!(sent(&mut channel), frame(format!("[1,{id},null]")));
    }
}

#[test]
fn an_answer_to_nothing_is_counted_and_ignored() {
    let mut channel = channel();
    let given_up = channel.request(&Value::Null).unwrap();
    let waiting = channel.request(&Value::Null).unwrap();
    assert!(channel.forget(given_up));
    assert!(!channel.forget(given_up));
    for id in ["0", "7", "\"256\"", "null", "256"] {
        channel.receive(Instant::now(), &frame(format!("[1, {id}, true]")));
    }
    let events = events(&mut channel);
    assert_eq!(events[4], Event::Answer { request: waiting, result: Ok(Value::Bool(true)) });
    assert!(events[..4].iter().all(|event| matches!(event, Event::Stray { .. })));
    assert_eq!((channel.counters().late, channel.counters().stray), (1, 3));
}

#[test]
fn what_cannot_be_encoded_fails_that_one_call_and_leaves_the_buffer_untouched() {
    let mut channel = channel();
    channel.receive(Instant::now(), &frame("[0, 0, 1]"));
    events(&mut channel);
    channel.request(&Value::from("first")).unwrap();
    let before = channel.outgoing().clone();
    let bytes = Value::list([Value::Bytes(vec![1])]);
    let error = channel.request(&bytes).unwrap_err();
    assert!(
        !error.is_fatal() && error.to_string().starts_with("cannot be sent: JSON has no bytes"),
        "{error}"
    );
    assert!(!channel.reply(&Value::Int(0), &bytes).unwrap_err().is_fatal());
    assert_eq!((&before, channel.serving(), channel.pending()), (&channel.outgoing().clone(), 1, 1));
    channel.fail(&Value::Int(0), &Value::from("no bytes")).unwrap();
    assert_eq!(channel.serving(), 0);
    assert_eq!(channel.request(&Value::Null).unwrap().number(), 256);
}

#[test]
fn what_is_too_long_for_a_frame_is_not_sent() {
    let mut channel = Channel::new(Config { max_frame: 100, ..Config::default() });
    let error = channel.request(&Value::from("x".repeat(100))).unwrap_err();
    assert!(matches!(error, ChannelError::UnsendableLength { len: 108, limit: 100 }), "{error}");
    let says = "cannot be sent: 108 bytes are too long for one frame, the limit is 100: send it in parts";
    assert_eq!(error.to_string(), says);
    assert!(channel.outgoing().is_empty());
}

#[test]
fn a_peer_that_ends_at_a_long_first_frame_is_told_from_one_that_simply_ends() {
    let ended = |first: usize, answered: bool| {
        let mut channel = channel();
        channel.request(&Value::from("x".repeat(first))).unwrap();
        if answered {
            channel.receive(Instant::now(), &frame("[1, 0, 0]"));
        }
        let open = channel.request(&Value::Null).unwrap();
        events(&mut channel);
        channel.end().unwrap();
        match events(&mut channel).pop() {
            Some(Event::Answer { request, result: Err(Failure::Closed(reason)) }) if request == open => {
                reason
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(&*ended(60_000, false), "the peer closed the connection");
    assert_eq!(&*ended(70_000, true), "the peer closed the connection");
    let bold = ended(70_000, false);
    assert!(bold.contains("70012 bytes at once") && bold.contains("65536 before a first"), "{bold}");
}

#[test]
fn a_frame_that_is_no_message_is_fatal_and_says_what_arrived() {
    for (payload, says) in [
        ("{\"a\": 1}", r#"dict {"a":1} instead"#),
        ("[0, 1]", "list [0,1] instead"),
        ("[9, 0, 1]", "list [9,0,1] instead"),
        ("[\"0\", 0, 1]", "instead of [type, id, content]"),
        ("[true, 0, 1]", "instead of [type, id, content]"),
        ("[1.0, 0, 1]", "instead of [type, id, content]"),
        ("GET / HTTP/1.1", "invalid JSON at byte 0: expected a value (near `GET / HTTP/1.1`)"),
        ("[0, 1, 2] x", "something follows the value"),
        ("\u{feff}[0, 1, 2]", "byte order mark"),
    ] {
        let mut channel = channel();
        let open = channel.request(&Value::Null).unwrap();
        channel.receive(Instant::now(), &frame(payload));
        let error = channel.next().unwrap_err();
        assert!(error.is_fatal() && error.to_string().contains(says), "{error}");
        let reason = error.to_string().into();
        assert_eq!(
            events(&mut channel),
            [Event::Answer { request: open, result: Err(Failure::Closed(reason)) }]
        );
    }
}

#[test]
fn a_long_frame_of_nonsense_is_shortened_in_the_error() {
    let mut channel = channel();
    channel.receive(Instant::now(), &frame(format!("[{}1]", "1, ".repeat(10_000))));
    assert!(channel.next().unwrap_err().to_string().len() < 200);
}

#[test]
fn lengths_beyond_the_limit_are_refused_by_their_header_alone() {
    let mut fresh = channel();
    fresh.receive(Instant::now(), &[0xff; 4]);
    let error = fresh.next().unwrap_err();
    assert!(
        matches!(error, ChannelError::FrameTooLong { len: 0xffff_ffff, limit: 65536, first: true }),
        "{error}"
    );

    for (bytes, says) in [
        (&b"\x15\x03\x03\x00"[..], ": it speaks TLS"),
        (b"HTTP/1.1", ": these bytes are the text \"HTTP\""),
        (&[0xff; 4], " until its first valid message: it may say something short first"),
    ] {
        let mut fresh = channel();
        fresh.receive(Instant::now(), bytes);
        let error = fresh.next().unwrap_err().to_string();
        assert!(error.ends_with(says), "{error}");
    }

    let mut known = channel();
    known.receive(Instant::now(), &frame("[0, 0, 0]"));
    assert_eq!(events(&mut known).len(), 1);
    known.receive(Instant::now(), &(16u32 << 20).to_be_bytes());
    assert!(known.next().unwrap().is_none());

    let mut asked_by_us = channel();
    asked_by_us.request(&Value::Null).unwrap();
    asked_by_us.receive(Instant::now(), &(100_000u32).to_be_bytes());
    assert!(asked_by_us.next().unwrap().is_none());

    let mut empty = channel();
    empty.receive(Instant::now(), &[0; 4]);
    assert!(matches!(empty.next().unwrap_err(), ChannelError::EmptyFrame));
}

#[test]
fn who_says_nothing_is_cut_unless_it_has_been_asked_something() {
    let time = Duration::from_secs(30);
    let start = Instant::now();
    let begun = |before: fn(&mut Channel)| {
        let mut channel = channel();
        channel.expect_first(start, time);
        before(&mut channel);
        while let Ok(Some(_)) = channel.next() {}
        channel
    };
    let mut silent = begun(|_| ());
    assert_eq!(silent.deadline(), Some(start + time));
    assert!(silent.expire(start + time - Duration::from_millis(1)).is_ok());
    let error = silent.expire(start + time).unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert_eq!(error.to_string(), "the peer has sent no frame within 30s of coming");
    // half a frame is none, and does not give it more time
    let mut slow = begun(|channel| channel.receive(Instant::now(), &[0, 0]));
    assert!(matches!(slow.expire(start + time), Err(ChannelError::Silent { .. })));
    for before in
        [(|channel| channel.receive(Instant::now(), &frame("[0, 0, 0]"))) as fn(&mut Channel), |channel| {
            drop(channel.request(&Value::Null))
        }]
    {
        let mut known = begun(before);
        assert_eq!(known.deadline(), None);
        assert!(known.expire(start + time * 10).is_ok());
    }
}

#[test]
fn close_fails_all_pending_exactly_once_and_in_order() {
    let mut channel = channel();
    let ids: Vec<_> = (0..5).map(|_| channel.request(&Value::Null).unwrap()).collect();
    channel.receive(Instant::now(), &frame("[1, 512, 22]"));
    assert_eq!(events(&mut channel).len(), 1);
    channel.forget(ids[3]);
    channel.close("the night is over");
    channel.close("a second reason");
    let ended: Vec<_> = events(&mut channel);
    let closed =
        |request| Event::Answer { request, result: Err(Failure::Closed("the night is over".into())) };
    assert_eq!(ended, [closed(ids[0]), closed(ids[1]), closed(ids[4])]);
    channel.receive(Instant::now(), &frame("[1, 0, 0]"));
    assert!(channel.next().unwrap().is_none());
    assert_eq!(
        channel.request(&Value::Null).unwrap_err().to_string(),
        "the connection is closed: the night is over"
    );
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_an_error_that_says_so() {
    let mut channel = channel();
    let whole = frame("[0, 0, 0]");
    channel.receive(Instant::now(), &whole[..7]);
    assert!(channel.next().unwrap().is_none());
    let error = channel.end().unwrap_err();
    assert_eq!(error.to_string(), "the connection ended in the middle of a frame, after 7 bytes of 13");
    let mut channel = Channel::new(Config::default());
    channel.receive(Instant::now(), &whole[..2]);
    assert!(channel.end().unwrap_err().to_string().ends_with("after 2 bytes"));
}

#[test]
fn with_too_many_requests_unanswered_no_further_one_is_taken() {
    let mut channel = Channel::new(Config { serving: 2, ..Config::default() });
    for id in 0..3 {
        channel.receive(Instant::now(), &frame(format!("[0, {id}, 0]")));
    }
    assert_eq!(events(&mut channel), [request(0, 0), request(1, 0)]);
    assert!(channel.saturated());
    channel.reply(&Value::Int(1), &Value::Null).unwrap();
    assert_eq!(events(&mut channel), [request(2, 0)]);
}

#[test]
fn messages_go_to_values_and_back() {
    for text in ["[0,0,1]", "[1,\"a\",null]", "[2,2,[\"E\",\"m\"]]"] {
        let value = crate::codec::json::decode(text.as_bytes(), &Default::default()).unwrap();
        assert_eq!(Message::from_value(value).unwrap().into_value().to_string(), text);
    }
}
