//! Law 4: every call ends exactly once: with a reply, an error, a timeout or a disconnect. A message to nobody is a
//! counted dead letter.

use isochrone::prelude::*;
use isochrone::sim::homeless_messages;
use support::{Log, block_on};

mod support;

/// Answers, in every way there is.
#[derive(Default)]
struct Server {
    kept: Vec<Vec<f64>>,
    handled: u32,
}

#[agent]
impl Server {
    #[expose]
    async fn after(this: This<Self>, nanos: u64) -> String {
        this.with(|me| me.handled += 1);
        this.sleep(Duration::from_nanos(nanos)).await;
        "reply".into()
    }

    #[expose]
    fn keep(&mut self, values: Vec<f64>) {
        self.handled += 1;
        self.kept.push(values);
    }

    #[expose]
    fn kept(&self) -> Vec<Vec<f64>> {
        self.kept.clone()
    }

    #[expose]
    fn refuse(&self) -> Result<(), CallError> {
        Err(CallError::new("ValueError", "not today"))
    }

    #[expose]
    fn give_up(&mut self) {
        panic!("gave up");
    }

    #[expose]
    async fn never(this: This<Self>) {
        this.with(|me| me.handled += 1);
        std::future::pending::<()>().await;
    }

    #[expose]
    async fn busy(&mut self, cx: &Ctx) {
        cx.sleep(secs(100)).await;
    }

    #[expose]
    fn leave(&mut self, cx: &Ctx) {
        cx.stop();
    }
}

/// Runs the code it is given.
struct Client;

#[agent]
impl Client {}

/// A server, and a client that runs `code` from the beginning; what it wrote down.
fn run<F>(config: Config, code: impl FnOnce(This<Client>, ServerProxy, Log) -> F) -> (Container, Log)
where
    F: Future<Output = ()> + 'static,
{
    let world = Container::new(config).unwrap();
    let server = world.add("server", Server::default()).unwrap();
    let client = world.add("client", Client).unwrap();
    let log = Log::default();
    let this = world.kernel().this(client.agent()).unwrap();
    let future = code(this.clone(), server, log.clone());
    world.enter(|| this.start("code", future));
    world.run_until(Time::ZERO + hours(1)).unwrap();
    (world, log)
}

fn config() -> Config {
    let mut config = Config::new("calls");
    config.policy = Policy::Stop;
    config
}

fn told<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{}: {}", error.kind(), error.message()),
    }
}

// Broken once: deadlines were kept in the wheel of the timers, so that they fired in the same phase. Seen: at 10 s both the
// reply that was due and the one a nanosecond late ended as "no answer within 10s".
#[test]
fn a_reply_at_the_deadline_beats_its_timeout_and_a_nanosecond_later_it_does_not() {
    let (world, log) = run(config(), |this, server, log| async move {
        for nanos in [9_999_999_999, 10_000_000_000, 10_000_000_001] {
            let begin = this.now();
            let result = server.after(nanos).timeout(secs(10)).await;
            log.note(Time::ZERO + this.now().checked_since(begin).unwrap(), told(result));
        }
    });
    let expected = [
        (Time::from_nanos(9_999_999_999), r#""reply""#),
        (Time::from_nanos(10_000_000_000), r#""reply""#),
        (Time::from_nanos(10_000_000_000), "Timeout: no answer within 10s"),
    ];
    assert_eq!(log.entries(), expected.map(|(at, what)| (at, what.to_string())));
    assert_eq!(world.kernel().counts().late_replies, 1, "the last one came, and nobody waited");
    assert_eq!(world.kernel().open_calls(), []);
}

#[test]
fn the_same_holds_when_the_untyped_proxy_asks() {
    let (_, log) = run(config(), |this, server, log| async move {
        let server: Proxy = server.into();
        for nanos in [10_000_000_000_u64, 10_000_000_001] {
            let result = server.call("after").arg(nanos).timeout(secs(10)).returning_text().await;
            log.note(this.now(), told(result));
        }
    });
    assert_eq!(log.words(), [r#""reply""#, "Timeout: no answer within 10s"]);
    assert_eq!(log.times(), [Time::ZERO + secs(10), Time::ZERO + secs(20)]);
}

#[test]
fn a_call_ends_with_the_error_that_the_method_returned() {
    let (_, log) = run(config(), |this, server, log| async move {
        log.note(this.now(), told(server.refuse().await));
    });
    assert_eq!(log.words(), ["ValueError: not today"]);
}

#[test]
fn a_call_to_an_agent_that_fails_ends_with_an_error_for_all_who_wait() {
    let (world, log) = run(config(), |this, server, log| async move {
        let (waits, dies) = futures::join!(server.never(), async {
            this.sleep(secs(1)).await;
            server.give_up().await
        });
        log.note(this.now(), told(waits));
        log.note(this.now(), told(dies));
        log.note(this.now(), told(server.refuse().await));
    });
    let expected = [
        "Abandoned: agent server gave up `never` before it could answer: it was stopped",
        "Abandoned: agent server gave up `give_up` before it could answer: it failed",
        "Stopped: agent server is stopped",
    ];
    assert_eq!(log.words(), expected);
    assert_eq!(world.kernel().open_calls(), []);
}

#[test]
fn a_call_to_an_agent_that_leaves_ends_with_an_error() {
    let (_, log) = run(config(), |this, server, log| async move {
        let (waits, leaves) = futures::join!(server.never(), server.leave());
        log.note(this.now(), told(waits));
        log.note(this.now(), told(leaves));
        log.note(this.now(), told(server.refuse().await));
    });
    let expected = [
        "Abandoned: agent server gave up `never` before it could answer: it was stopped",
        "()",
        "Stopped: agent server is stopped",
    ];
    assert_eq!(log.words(), expected);
}

#[test]
fn a_caller_that_loses_interest_is_not_answered_and_the_late_reply_is_counted() {
    let (world, log) = run(config(), |this, server, log| async move {
        {
            let asked = std::pin::pin!(server.after(5_000_000_000));
            let _ = this.timeout(secs(1), asked).await;
        }
        log.note(this.now(), "lost interest");
        this.sleep(secs(10)).await;
    });
    assert_eq!(log.times(), [Time::ZERO + secs(1)]);
    assert_eq!(world.kernel().counts().late_replies, 1);
    assert_eq!(world.kernel().open_calls(), []);
}

#[test]
fn a_full_mailbox_refuses_the_call_and_counts_the_message() {
    let mut config = config();
    config.mailbox = 3;
    let (world, log) = run(config, |this, server, log| async move {
        server.busy().send();
        this.sleep(secs(1)).await;
        for number in 0..3 {
            server.keep(vec![f64::from(number)]).send();
        }
        log.note(this.now(), told(server.keep(vec![3.0]).await));
        server.keep(vec![4.0]).send();
        this.sleep(secs(200)).await;
        log.note(this.now(), told(server.kept().await));
    });
    assert_eq!(log.words(), ["Busy: agent server is busy: 3 messages wait for it", "[[0.0], [1.0], [2.0]]"]);
    assert!(world.kernel().dead_letters().iter().any(|letter| letter == "1s: `keep` to server: busy"));
}

#[test]
fn a_receiver_never_sees_the_senders_later_mutation() {
    struct Mutator {
        server: ServerProxy,
        values: Vec<f64>,
    }

    #[agent]
    impl Mutator {
        #[start]
        async fn begin(this: This<Self>) -> Result<(), CallError> {
            this.with(|me| me.server.keep(me.values.clone()).send());
            this.with(|me| me.values[0] = 99.0);
            let sent = this.with(|me| std::mem::take(&mut me.values));
            // the vector itself moves: there is nothing left here that could be changed
            let call = this.with(|me| me.server.keep(sent));
            this.with(|me| me.values.push(-1.0));
            call.await?;
            this.with(|me| me.values.push(-2.0));
            Ok(())
        }
    }

    let world = Container::new(config()).unwrap();
    let server = world.add("server", Server::default()).unwrap();
    let mutator = world.add("mutator", Mutator { server: server.clone(), values: vec![1.0, 2.0] }).unwrap();
    world.run_until(Time::ZERO + secs(1)).unwrap();
    assert_eq!(world.with(server.agent(), |me| me.kept.clone()), Some(vec![vec![1.0, 2.0], vec![99.0, 2.0]]));
    // nor the other way round: what comes back is a copy of its own
    world.with(server.agent(), |me| me.kept.clear());
    assert_eq!(world.with(mutator.agent(), |me| me.values.clone()), Some(vec![-1.0, -2.0]));
}

// ---- dead letters, by name

#[test]
fn a_message_to_a_stopped_agent_is_a_counted_dead_letter_and_a_call_to_it_an_error() {
    let (world, log) = run(config(), |this, server, log| async move {
        server.leave().send();
        this.sleep(secs(1)).await;
        server.keep(vec![1.0]).send();
        server.untyped().call("keep").arg(vec![2.0]).send();
        log.note(this.now(), told(server.keep(vec![3.0]).await));
    });
    assert_eq!(log.words(), ["Stopped: agent server is stopped"]);
    assert_eq!(world.kernel().counts().dead_letters, 2);
    assert_eq!(world.kernel().dead_letters(), ["1s: `keep` to server: agent server is stopped"; 2]);
}

#[test]
fn a_message_to_an_unknown_agent_is_a_counted_dead_letter_and_a_call_to_it_an_error() {
    let elsewhere = Container::new(Config::new("elsewhere")).unwrap();
    let stranger = elsewhere.add("stranger", Server::default()).unwrap();
    let (world, log) = run(config(), move |this, server, log| async move {
        stranger.keep(vec![1.0]).send();
        log.note(this.now(), told(stranger.kept().await));
        stranger.untyped().call("keep").arg(vec![1.0]).send();
        log.note(this.now(), told(stranger.untyped().call("kept").await));
        // an address of nobody cannot even be read
        log.note(this.now(), told("local://calls/nobody".parse::<Proxy>()));
        server.untyped().call("dance").send();
        log.note(this.now(), told(server.untyped().call("dance").await));
    });
    let expected = [
        "LookupError: no agent 0 of another container is here",
        "LookupError: no agent 0 of another container is here",
        r#"LookupError: no agent "nobody" is in container "calls""#,
        r#"LookupError: Server has no method "dance""#,
    ];
    assert_eq!(log.words(), expected);
    let expected = [
        "0s: `keep` to agent 0 of another container",
        "0s: `kept` to agent 0 of another container",
        "0s: `keep` to agent 0 of another container",
        "0s: `dance` to server: LookupError: Server has no method \"dance\"",
    ];
    assert_eq!(world.kernel().dead_letters(), expected);
    assert_eq!(world.kernel().counts().dead_letters, 4);
    let error = world.call("nobody", "keep", Args::default()).unwrap_err();
    assert_eq!(told(Err::<(), _>(error)), r#"LookupError: no agent "nobody" is in calls"#);
}

#[test]
fn a_message_sent_outside_of_any_container_is_counted_and_does_not_panic() {
    let before = homeless_messages();
    let world = Container::new(config()).unwrap();
    let server = world.add("server", Server::default()).unwrap();
    server.keep(vec![1.0]).send();
    assert!(homeless_messages() > before);
    let error = block_on(server.kept()).unwrap_err();
    assert_eq!(error.kind(), "NoKernel");
}

/// The result of an untyped call, as text.
trait Text {
    fn returning_text(self) -> impl Future<Output = Result<String, CallError>>;
}

impl<F: Future<Output = Result<isochrone::codec::Value, CallError>>> Text for F {
    async fn returning_text(self) -> Result<String, CallError> {
        self.await.map(|value| value.as_str().unwrap_or_default().to_string())
    }
}
