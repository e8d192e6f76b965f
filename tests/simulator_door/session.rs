//! What a session answers: no connection, no peer.

use std::rc::Rc;

use isochrone::clock::Interrupt;
use isochrone::codec::Value;
use isochrone::coupling::Mode;
use isochrone::coupling::rpc::Session;
use isochrone::prelude::*;
use isochrone::rpc::Request;

use crate::agents::{House, offer, request, value};
use crate::support::block_on;

const S: i64 = 1_000_000_000;

fn session(mode: Mode) -> Session {
    block_on(Session::new(&offer(mode, &Rc::default()), Interrupt::default())).expect("set up")
}

/// Answers one request.
fn try_ask(session: &mut Session, path: &str, args: &str) -> Result<Value, CallError> {
    block_on(session.answer(request(path, args)))
}

fn ask(session: &mut Session, path: &str, args: &str) -> Value {
    try_ask(session, path, args).unwrap_or_else(|error| panic!("{path} {args}: {error}"))
}

fn refused(session: &mut Session, path: &str, args: &str) -> String {
    try_ask(session, path, args).expect_err("refused").to_string()
}

#[test]
fn timers_at_t_see_the_inputs_of_t_and_events_have_their_exact_times() {
    let mut session = session(Mode::Exact);
    assert_eq!(ask(&mut session, "sim/create", r#"["Meter"]"#), value(r#"["meter_0"]"#));
    let reply = ask(&mut session, "sim/step", r#"["20s", {"meter_0": {"level": {"a": 1.5, "b": 2.0}}}]"#);
    let expected = r#"{"now": 20000000000, "next_event": 30000000000,
        "outputs": {"meter_0": {"seen": 3.5, "changed": 3.5}},
        "events": [[10000000000, "meter_0", "ticks", 0.0], [20000000000, "meter_0", "ticks", 3.5]], "more": false}"#;
    assert_eq!(reply, value(expected));
    // a second step at the same time opens new rounds, and fires no timer twice
    let reply = ask(&mut session, "sim/step", r#"[20000000000, {"meter_0": {"level": {"a": 7}}}]"#);
    let expected = r#"{"now": 20000000000, "next_event": 30000000000,
        "outputs": {"meter_0": {"seen": 3.5, "changed": 7.0}}, "events": [], "more": false}"#;
    assert_eq!(reply, value(expected));
}

#[test]
fn an_agent_that_is_not_there_is_refused_in_the_inputs_of_a_step_also_without_a_port() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    for ports in ["{}", r#"{"level": {"a": 1}}"#] {
        let error =
            refused(&mut session, "sim/step", &format!(r#"["10s", {{"meter_0": {{}}, "nobody": {ports}}}]"#));
        assert!(error.contains("nobody"), "{error}");
    }
    assert_eq!(ask(&mut session, "clock/next_event", "[]"), Value::Int(0), "nothing has happened");
    ask(&mut session, "sim/step", r#"["10s", {"meter_0": {}}]"#);
}

#[test]
fn a_step_that_stops_at_an_output_ends_at_the_first_instant_that_changes_one_or_emits_an_event() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    ask(&mut session, "sim/step", r#"[0, {"meter_0": {"level": {"a": 1}}}]"#);
    let late = r#"["1h", {"meter_0": {"level": {"a": 9}}}, null, true]"#;
    for n in 1..4 {
        let reply = ask(&mut session, "sim/step", late);
        assert_eq!(reply.get("now"), Some(&Value::Int(n * 10 * S)));
        // the inputs are those of an hour: they have not been written
        assert_eq!(
            reply.get("events"),
            Some(&value(&format!(r#"[[{}, "meter_0", "ticks", 1.0]]"#, n * 10 * S)))
        );
    }
    // only what is connected counts: `seen` stays 1, so the step goes to its end
    ask(&mut session, "sim/connect", r#"[{"meter_0": ["seen"]}]"#);
    let reply = ask(&mut session, "sim/step", late);
    let expected = r#"{"now": 3600000000000, "next_event": 3610000000000, "outputs": {"meter_0": {"seen": 9.0}}, "events": [], "more": false}"#;
    assert_eq!(reply, value(expected));
    // the next change is that of a level which was written meanwhile
    ask(&mut session, "sim/inject", r#"["3624s", "meter_0", "level", 2.5]"#);
    let reply = ask(&mut session, "sim/step", r#"["2h", {}, null, true]"#);
    assert_eq!(reply.get("now"), Some(&Value::Int(3_630 * S)));
    assert_eq!(reply.get("outputs"), Some(&value(r#"{"meter_0": {"seen": 2.5}}"#)));
}

#[test]
fn in_window_the_outputs_are_those_of_the_windows_end() {
    let mut session = session(Mode::Window(secs(60)));
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    let reply = ask(&mut session, "sim/step", r#"[0, {"meter_0": {"level": {"a": 1}}}, "35s"]"#);
    assert_eq!(reply.get("now"), Some(&Value::Int(30 * S)));
    assert_eq!(reply.get("outputs"), Some(&value(r#"{"meter_0": {"seen": 1.0, "changed": 1.0}}"#)));
    let times = reply.get("events").and_then(Value::as_list).expect("a list");
    assert_eq!(times.len(), 3, "{reply}");
    let error = refused(&mut session, "sim/step", r#"["20s"]"#);
    assert!(error.contains("a step at 20s is not possible: the agents have run on to 30s"), "{error}");
}

#[test]
fn in_ahead_outputs_are_of_the_step_and_events_belong_to_the_next() {
    let mut session = session(Mode::Ahead);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    let error = refused(&mut session, "sim/step", "[0]");
    assert!(error.contains("'limit' is missing") && error.contains("ahead"), "{error}");
    let reply = ask(&mut session, "sim/step", r#"[0, {"meter_0": {"level": {"a": 4}}}, "1h"]"#);
    let expected = r#"{"now": 10000000000, "next_event": 10000000000,
        "outputs": {"meter_0": {"seen": 0.0, "changed": 4.0}}, "events": [], "more": false}"#;
    assert_eq!(reply, value(expected));
    let reply = ask(&mut session, "sim/step", r#"["10s", {}, "1h"]"#);
    assert_eq!(reply.get("events"), Some(&value(r#"[[10000000000, "meter_0", "ticks", 4.0]]"#)));
    assert_eq!(reply.get("outputs"), Some(&value(r#"{"meter_0": {"seen": 4.0}}"#)));
}

#[test]
fn advance_lets_time_pass_up_to_a_time_or_to_just_before_it() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter", 1, {"level": 2.0}]"#);
    assert_eq!(ask(&mut session, "clock/advance", r#"["20s", false]"#), Value::Int(20 * S));
    let reply = ask(&mut session, "sim/get", r#"[{"meter_0": ["ticks", "seen"]}]"#);
    let expected = r#"{"now": 10000000000, "next_event": 20000000000, "outputs": {"meter_0": {"seen": 2.0}},
        "events": [[10000000000, "meter_0", "ticks", 2.0]], "more": false}"#;
    assert_eq!(reply, value(expected));
    assert_eq!(ask(&mut session, "clock/advance", r#"["20s"]"#), Value::Int(30 * S));
    let error = refused(&mut session, "clock/advance", r#"["19s"]"#);
    assert!(error.contains("19s") && error.contains("20s"), "{error}");
}

#[test]
fn an_injected_input_is_written_at_its_time_and_after_those_of_a_step() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    for (at, level) in [("30s", 3), ("10s", 1), ("20s", 2)] {
        ask(&mut session, "sim/inject", &format!(r#"["{at}", "meter_0", "level", {level}]"#));
    }
    let reply = ask(&mut session, "sim/step", r#"["30s", {"meter_0": {"level": {"a": 9}}}]"#);
    let expected = r#"[[10000000000, "meter_0", "ticks", 1.0], [20000000000, "meter_0", "ticks", 2.0],
        [30000000000, "meter_0", "ticks", 3.0]]"#;
    assert_eq!(reply.get("events"), Some(&value(expected)));
    assert!(refused(&mut session, "sim/inject", r#"["29s", "meter_0", "level", 1]"#).contains("29s"));
    let error = refused(&mut session, "sim/inject", r#"["1h", "meter_0", "level", "high", "operator"]"#);
    assert!(error.contains("meter_0.level: the value from operator"), "{error}");
}

#[test]
fn inputs_that_wait_for_their_time_are_bounded() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    block_on(async {
        let inject = request("sim/inject", r#"["5s", "meter_0", "level", 1]"#);
        for _ in 0..65_536 {
            session.answer(inject.clone()).await.expect("there is room");
        }
        let error = session.answer(inject.clone()).await.expect_err("there is none");
        assert_eq!(error.kind(), "Busy");
        session.answer(request("clock/advance", r#"["4s"]"#)).await.expect("advances");
        assert_eq!(session.answer(inject.clone()).await.expect_err("none still").kind(), "Busy");
    });
}

#[test]
fn what_is_refused_is_named_and_changes_nothing() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    for (path, args, said) in [
        (
            "sim/create",
            r#"["Motor"]"#,
            r#"LookupError: no model "Motor" is here; there are: Crier, House, Meter"#,
        ),
        ("sim/create", "[]", "TypeError: create() missing 1 required positional argument: 'model'"),
        ("sim/create", r#"["Meter", -1]"#, "create() argument 'n'"),
        ("sim/create", r#"["Meter", 100001]"#, "100001 agents are too many for one request"),
        ("sim/create", r#"["Meter", 1, 5]"#, "create() argument 'params' is no {name: value}"),
        ("sim/create", r#"["Meter", 1, {"levle": 5}]"#, "unexpected keyword argument 'levle'"),
        ("sim/create", r#"["Meter", 1, {"level": -5}]"#, "-5 is negative"),
        ("sim/step", r#"[0.0]"#, "step() argument 't' float 0.0 is no time"),
        ("sim/step", r#"["soon"]"#, "step() argument 't'"),
        ("sim/step", r#"[null]"#, "step() argument 't' None is no time"),
        ("sim/step", r#"[0, []]"#, "step() argument 'inputs' is no {agent: {port: {source: value}}}"),
        ("sim/step", r#"[0, {"meter_0": {"level": 5}}]"#, "step() argument 'inputs' is no"),
        ("sim/step", r#"[0, {"meter_9": {"level": {"a": 5}}}]"#, r#"no entity "meter_9" is here"#),
        (
            "sim/step",
            r#"[0, {"meter_0": {"lvl": {"a": 5}}}]"#,
            r#"has no input "lvl"; it has: level, fail, wait"#,
        ),
        ("sim/step", r#"[0, {"meter_0": {"level": {"a": null}}}]"#, "meter_0.level: the value from a"),
        ("sim/step", r#"[0, {}, null, 1]"#, "step() argument 'stop_at_output'"),
        ("sim/get", r#"[{"meter_0": ["level"]}]"#, r#"has no output "level""#),
        ("sim/get", r#"["meter_0"]"#, "get() argument 'outputs' is no {agent: [port]}"),
        ("sim/connect", r#"[{"meter_0": "seen"}]"#, "connect() argument 'outputs' is no {agent: [port]}"),
        ("clock/advance", "[-1]", "-1ns"),
        ("sim/jump", "[]", r#"LookupError: no method "sim/jump" is here"#),
    ] {
        let error = refused(&mut session, path, args);
        assert!(error.contains(said), "{path} {args}: {error}");
    }
    assert!(session.failed().is_none());
    let reply = ask(&mut session, "sim/step", "[0]");
    assert_eq!(reply.get("now"), Some(&Value::Int(0)));
    // the third of them had a number when its constructor refused
    assert_eq!(ask(&mut session, "sim/stop", "[]").get("steps"), Some(&Value::Int(1)));
}

#[test]
fn events_that_are_not_kept_cannot_be_asked_for() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    ask(&mut session, "sim/connect", r#"[{"meter_0": ["seen"]}]"#);
    let error = refused(&mut session, "sim/get", r#"[{"meter_0": ["ticks"]}]"#);
    assert!(error.contains("meter_0.ticks, whose events are not kept: connect it first"), "{error}");
}

#[test]
fn agents_of_the_scenario_and_children_are_there_by_their_names() {
    let mut offer = offer(Mode::Exact, &Rc::default());
    offer.models.get_mut("Meter").expect("a model").1 = false;
    offer.build = Rc::new(|world| world.add("villa", House).map(drop).map_err(|error| error.to_string()));
    let mut session = block_on(Session::new(&offer, Interrupt::default())).expect("set up");
    assert_eq!(ask(&mut session, "sim/create", r#"["House", 2]"#), value(r#"["house_0", "house_1"]"#));
    let error = refused(&mut session, "sim/create", r#"["Meter"]"#);
    assert!(error.contains("Meter cannot be created from outside"), "{error}");
    let reply =
        ask(&mut session, "sim/get", r#"[{"villa": [], "meter_0": ["changed"], "meter_1": ["changed"]}]"#);
    let expected = r#"{"meter_0": {"changed": 1.0}, "meter_1": {"changed": 1.0}}"#;
    assert_eq!(reply.get("outputs"), Some(&value(expected)));
}

#[test]
fn an_agent_that_escalates_fails_the_step_and_its_outputs_can_still_be_read() {
    let mut session = session(Mode::Exact);
    ask(&mut session, "sim/create", r#"["Meter", 2]"#);
    let fail = r#"["10s", {"meter_1": {"fail": {"a": true}}, "meter_0": {"level": {"a": 5}}}]"#;
    let error = refused(&mut session, "sim/step", fail);
    assert!(error.starts_with("AgentFailure") && error.contains("the meter is broken"), "{error}");
    let error = refused(&mut session, "sim/step", r#"["20s"]"#);
    assert!(error.starts_with("SimulationError: the run has failed") && error.contains("meter_1"), "{error}");
    let reply = ask(&mut session, "sim/get", r#"[{"meter_0": ["changed"]}]"#);
    assert_eq!(reply.get("outputs"), Some(&value(r#"{"meter_0": {"changed": 5.0}}"#)));
    let stopped = ask(&mut session, "sim/stop", "[]");
    assert!(
        stopped.get("failed").and_then(Value::as_str).is_some_and(|text| text.contains("broken")),
        "{stopped}"
    );
}

/// Requests that keep agents and ports busy, refused ones among them.
fn night() -> Vec<Request> {
    let mut requests =
        vec![request("sim/create", r#"["House", 3]"#), request("sim/create", r#"["Meter", 2]"#)];
    for n in 0..20 {
        let time = n * 7 * S;
        let inputs = format!(r#"{{"meter_{}": {{"level": {{"a": {n}.25, "b": 1}}}}}}"#, n % 5);
        requests.push(request("sim/step", &format!("[{time}, {inputs}, null, {}]", n % 3 == 0)));
        requests.push(request("sim/inject", &format!(r#"[{}, "meter_0", "level", {n}]"#, time + 3 * S)));
        requests.push(request("sim/step", "[0]"));
    }
    requests.push(request("clock/advance", r#"["10min", false]"#));
    requests.push(request("sim/get", r#"[{"meter_4": ["seen", "ticks"]}]"#));
    requests.push(request("sim/stop", "[]"));
    requests
}

#[test]
fn a_recorded_list_of_requests_gives_the_same_replies_and_the_same_fingerprint() {
    let play = || {
        let mut session = session(Mode::Exact);
        let requests = night().into_iter();
        let replies: Vec<_> = block_on(async {
            let mut replies = Vec::new();
            for request in requests {
                replies.push(session.answer(request).await);
            }
            replies
        });
        (replies, session.into_coupling().container().kernel().fingerprint())
    };
    let (first, second) = (play(), play());
    assert_eq!(first, second);
    assert!(first.0.iter().filter(|reply| reply.is_err()).count() > 10, "{:?}", first.0);
    let stopped = first.0.last().expect("many").as_ref().expect("stopped");
    assert_eq!(stopped.get("fingerprint"), Some(&Value::from(format!("{:016x}", first.1))));
}

#[test]
fn one_bit_of_one_input_changes_the_fingerprint() {
    let fingerprint = |level: f64| {
        let mut session = session(Mode::Exact);
        ask(&mut session, "sim/create", r#"["Meter"]"#);
        let inputs = Args::default()
            .arg(0)
            .arg(Value::map([("meter_0", Value::map([("level", Value::map([("a", level)]))]))]));
        block_on(session.answer(Request::new("sim/step", inputs))).expect("a step");
        ask(&mut session, "sim/stop", "[]").get("fingerprint").cloned()
    };
    assert_eq!(fingerprint(1.5), fingerprint(1.5));
    assert_ne!(fingerprint(1.5), fingerprint(f64::from_bits(1.5_f64.to_bits() + 1)));
}

#[test]
fn times_are_integers_spans_or_dates_relative_to_the_epoch() {
    let mut offer = offer(Mode::Exact, &Rc::default());
    offer.config.epoch = isochrone::sim::Epoch::parse("2016-05-22").expect("a date");
    let mut session = block_on(Session::new(&offer, Interrupt::default())).expect("set up");
    for (text, seconds) in
        [("0", 0), (r#""15min""#, 900), ("900000000001", 900), (r#""2016-05-22T03:00:00+02:00""#, 3600)]
    {
        let reply = ask(&mut session, "sim/step", &format!("[{text}]"));
        assert_eq!(reply.get("now").and_then(Value::as_i64).map(|now| now / S), Some(seconds), "{text}");
    }
}

#[test]
fn a_thousand_agents_can_be_created_one_by_one() {
    let mut session = session(Mode::Exact);
    for _ in 0..1_000 {
        ask(&mut session, "sim/create", r#"["Meter"]"#);
    }
    let reply = ask(&mut session, "sim/step", r#"["10s"]"#);
    let events = reply.get("events").and_then(Value::as_list).expect("a list");
    assert_eq!(events.len(), 1_000);
}

/// What is to be read after a step to this time, in all its parts; none is longer than it may be.
fn parts(session: &mut Session, step: &str, limit: usize) -> Vec<Value> {
    let mut parts = vec![ask(session, "sim/step", step)];
    while parts.last().and_then(|part| part.get("more")) == Some(&Value::Bool(true)) {
        assert!(parts.len() < 1000, "it has an end");
        parts.push(ask(session, "sim/rest", "[]"));
    }
    assert!(parts.iter().all(|part| part.to_string().len() <= limit));
    parts
}

/// All events of these readings, in order.
fn events(parts: &[Value]) -> Vec<Value> {
    let events = parts.iter().flat_map(|part| part.get("events").and_then(Value::as_list).expect("a list"));
    events.cloned().collect()
}

fn narrow(limit: usize) -> Session {
    let mut offer = offer(Mode::Exact, &Rc::default());
    offer.channel.max_frame = limit;
    block_on(Session::new(&offer, Interrupt::default())).expect("set up")
}

/// Broken once: the reply failed, and the events of the step were gone.
#[test]
fn what_does_not_fit_into_a_frame_comes_in_parts_and_nothing_is_lost() {
    let (mut wide, mut narrow) = (session(Mode::Exact), narrow(6_000));
    for session in [&mut wide, &mut narrow] {
        ask(session, "sim/create", r#"["Meter", 40]"#);
    }
    let whole = parts(&mut wide, r#"["5min"]"#, 16 << 20);
    let several = parts(&mut narrow, r#"["5min"]"#, 6_000);
    assert!(whole.len() == 1 && several.len() > 10, "{}", several.len());
    assert_eq!(events(&several), events(&whole));
    assert_eq!(events(&whole).len(), 40 * 30);
    let outputs = |parts: &[Value]| -> Vec<(Value, Value, Value)> {
        let all = parts.iter().flat_map(|part| part.get("outputs").and_then(Value::as_map).expect("a dict"));
        let ports =
            all.flat_map(|(eid, ports)| ports.as_map().expect("a dict").iter().map(move |port| (eid, port)));
        ports.map(|(eid, (port, value))| (eid.clone(), port.clone(), value.clone())).collect()
    };
    assert_eq!(outputs(&several), outputs(&whole));
    assert_eq!(outputs(&whole).len(), 40 * 2);
    assert_eq!(ask(&mut narrow, "sim/rest", "[]").get("events"), Some(&Value::List(vec![])));
    assert_eq!(wide.into_coupling().container().kernel().fingerprint(), {
        narrow.into_coupling().container().kernel().fingerprint()
    });
}

#[test]
fn what_is_not_asked_for_comes_with_the_next_step_which_is_refused_if_that_is_too_much() {
    let mut session = narrow(6_000);
    ask(&mut session, "sim/create", r#"["Meter"]"#);
    ask(&mut session, "sim/connect", r#"[{"meter_0": ["ticks", "changed"]}]"#);
    let first = ask(&mut session, "sim/step", r#"["10min"]"#);
    assert_eq!(first.get("more"), Some(&Value::Bool(true)));
    let second = ask(&mut session, "sim/step", r#"["11min"]"#);
    assert_eq!(second.get("more"), Some(&Value::Bool(false)));
    let both = events(&[first, second]);
    let times: Vec<i64> = both.iter().map(|event| event.as_list().unwrap()[0].as_i64().unwrap()).collect();
    assert_eq!(times, (1..=66).map(|n| n * 10 * S).collect::<Vec<_>>());

    let much = ask(&mut session, "sim/step", r#"["1h"]"#);
    let error = try_ask(&mut session, "sim/step", r#"["61min"]"#).unwrap_err();
    assert_eq!(error.kind(), "Busy");
    assert!(error.message().contains("take them by sim/rest"), "{error}");
    let mut parts = vec![much];
    while parts.last().unwrap().get("more") == Some(&Value::Bool(true)) {
        parts.push(ask(&mut session, "sim/rest", "[]"));
    }
    assert_eq!(events(&parts).len(), 294, "nothing has happened meanwhile");
    ask(&mut session, "sim/step", r#"["61min"]"#);
}

#[test]
fn a_value_that_no_frame_can_hold_fails_one_reply_by_its_name_and_the_others_come() {
    let mut session = narrow(6_000);
    ask(&mut session, "sim/create", r#"["Crier"]"#);
    for (cries, says) in [
        (r#"{"a": 1, "b": 10000, "c": 2}"#, "bytes are too long for one frame"),
        (r#"{"a": 1, "b": -1, "c": 2}"#, "JSON has no bytes"),
    ] {
        let args = format!(r#"["10s", {{"crier_0": {{"cry": {cries}}}}}]"#);
        let error = refused(&mut session, "sim/step", &args);
        assert!(
            error.contains("an event of crier_0.words at 10s cannot be sent: ") && error.contains(says),
            "{error}"
        );
        let rest = ask(&mut session, "sim/rest", "[]");
        let expected =
            value(r#"[[10000000000, "crier_0", "words", "x"], [10000000000, "crier_0", "words", "xx"]]"#);
        assert_eq!(rest.get("events"), Some(&expected));
        assert_eq!(rest.get("more"), Some(&Value::Bool(false)));
    }
}
