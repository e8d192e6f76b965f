//! A kernel under watch, and agents whose messages bring their own handler.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    missing_docs,
    reason = "every test uses a part of it"
)]

use std::cell::RefCell;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{
    Actor, AgentId, Call, Config, Ctx, Event, Form, Kernel, Observer, OrderCheck, Policy, Progress, Ref,
    ReplyTo, SimError, This, Time, What,
};

/// Operations that no journal holds.
pub trait External {
    fn external<T, M, F>(&self, name: &str, latency: Duration, make: M) -> isochrone_sim::External<T>
    where
        T: serde::Serialize + 'static,
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static;
}

impl External for Ctx {
    fn external<T, M, F>(&self, name: &str, latency: Duration, make: M) -> isochrone_sim::External<T>
    where
        T: serde::Serialize + 'static,
        M: FnOnce() -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        self.external_as(name, latency, Form::none(), make)
    }
}

pub type Later<T> = Pin<Box<dyn Future<Output = T>>>;
pub type Log = Rc<RefCell<Vec<(i64, String)>>>;

/// A kernel that is watched by an [`OrderCheck`]; it complains when it is dropped.
pub struct Sim {
    pub kernel: Kernel,
    pub check: OrderCheck,
    pub events: Rc<RefCell<Vec<Event>>>,
    pub log: Log,
}

impl Deref for Sim {
    type Target = Kernel;
    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

struct Watch(OrderCheck, Rc<RefCell<Vec<Event>>>);

impl Observer for Watch {
    fn observe(&mut self, event: &Event) {
        self.0.observe(event);
        self.1.borrow_mut().push(event.clone());
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.check.violations(), Vec::<String>::new());
        }
    }
}

pub fn config() -> Config {
    let mut config = Config::new("c");
    config.policy = Policy::Stop;
    config
}

pub fn sim() -> Sim {
    sim_with(config())
}

pub fn sim_with(config: Config) -> Sim {
    let shuffle = config.shuffle.is_some();
    let sim = Sim {
        kernel: Kernel::new(config).expect("a kernel"),
        check: OrderCheck::new(shuffle),
        events: Rc::default(),
        log: Rc::default(),
    };
    sim.set_observer(Some(Box::new(Watch(sim.check.clone(), sim.events.clone()))));
    sim
}

impl Sim {
    pub fn node(&self, name: &str) -> Ref<Node> {
        self.create(Some(name), Node::new(&self.log)).expect("a free name")
    }

    pub fn peer(&self, name: &str) -> Ref<Node<1>> {
        self.create(Some(name), Node::new(&self.log)).expect("a free name")
    }

    /// An agent that can be restarted.
    pub fn phoenix(&self, name: &str) -> Ref<Node> {
        let log = self.log.clone();
        self.create_with(Some(name), move |_| Ok(Node::new(&log))).expect("a free name")
    }

    /// Runs agent code now, as a task of that agent.
    pub fn go<const N: u8, F: Future<Output = ()> + 'static>(
        &self,
        at: Ref<Node<N>>,
        code: impl FnOnce(This<Node<N>>) -> F + 'static,
    ) {
        self.enter(|| {
            at.call(msg("go", move |this: &This<Node<N>>, _| {
                this.start("task", code(this.clone()));
            }))
            .send()
        });
    }

    pub fn to(&self, nanos: i64) {
        match self.run_until(Time::from_nanos(nanos)) {
            Ok(Progress::Quiet { .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Runs until nothing is left.
    pub fn end(&self) {
        match self.run_until(Time::MAX) {
            Ok(Progress::Quiet { next: None }) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Runs all external operations that have been asked for; they are ready at once.
    pub fn finish_all(&self) {
        for started in self.take_external() {
            let (id, outcome) = ready(started.run());
            self.finish_external(id, outcome);
        }
    }

    pub fn fails(&self) -> SimError {
        self.run_until(Time::MAX).expect_err("an error")
    }

    pub fn logged(&self) -> Vec<(i64, String)> {
        self.log.borrow().clone()
    }

    #[track_caller]
    pub fn expect(&self, log: &[(i64, &str)]) {
        let logged = self.logged();
        let logged: Vec<_> = logged.iter().map(|(time, text)| (*time, text.as_str())).collect();
        assert_eq!(logged, log);
    }

    /// Time and round of everything that an agent was handed.
    pub fn received(&self, agent: AgentId) -> Vec<(i64, u32, &'static str)> {
        let events = self.events.borrow();
        let of = events.iter().filter(|event| event.agent == agent);
        of.filter_map(|event| match event.what {
            What::Receive { label, .. } => Some((event.time.as_nanos(), event.round, label)),
            _ => None,
        })
        .collect()
    }

    /// The sequence numbers of what an agent was handed, with its senders.
    pub fn letters(&self, agent: AgentId) -> Vec<(AgentId, u64)> {
        let events = self.events.borrow();
        let of = events.iter().filter(|event| event.agent == agent);
        of.filter_map(|event| match event.what {
            What::Receive { from, sequence, .. } => Some((from, sequence)),
            _ => None,
        })
        .collect()
    }
}

/// Two types of agents, to have two inboxes.
pub struct Node<const N: u8 = 0> {
    pub log: Log,
    pub value: u64,
}

impl<const N: u8> Node<N> {
    pub fn new(log: &Log) -> Self {
        Node { log: log.clone(), value: 0 }
    }
}

type Body<const N: u8> = Box<dyn FnOnce(&This<Node<N>>, ReplyTo<Node<N>>)>;

pub struct Msg<const N: u8 = 0> {
    label: &'static str,
    hash: u64,
    body: Body<N>,
}

impl<const N: u8> Actor for Node<N> {
    type Msg = Msg<N>;
    type Reply = u64;
    const TYPE: &'static str = if N == 0 { "Node" } else { "Peer" };

    fn receive(this: &This<Self>, message: Msg<N>, reply: ReplyTo<Self>) {
        (message.body)(this, reply);
    }

    fn label(message: &Msg<N>) -> &'static str {
        message.label
    }

    fn message_hash(message: &Msg<N>) -> u64 {
        message.hash
    }

    fn reply_hash(reply: &u64) -> u64 {
        *reply
    }
}

/// A message with its handler.
pub fn msg<const N: u8>(
    label: &'static str,
    body: impl FnOnce(&This<Node<N>>, ReplyTo<Node<N>>) + 'static,
) -> Msg<N> {
    Msg { label, hash: 0, body: Box::new(body) }
}

/// The same with a payload.
pub fn payload<const N: u8>(
    hash: u64,
    body: impl FnOnce(&This<Node<N>>, ReplyTo<Node<N>>) + 'static,
) -> Msg<N> {
    Msg { label: "payload", hash, body: Box::new(body) }
}

/// Logs the text and answers with 1.
pub fn note<const N: u8>(text: impl Into<String>) -> Msg<N> {
    let text = text.into();
    msg("note", move |this, reply| {
        write(this, text);
        reply.send(1);
    })
}

/// Answers after a while, beside other tasks.
pub fn later<const N: u8>(nanos: u64, value: u64) -> Msg<N> {
    msg("later", move |this: &This<Node<N>>, reply| {
        let me = this.clone();
        this.answer_later("later", reply, async move {
            me.sleep(std::time::Duration::from_nanos(nanos)).await;
            value
        });
    })
}

/// Answers after a while, and has the state for itself.
pub fn hold<const N: u8>(nanos: u64, value: u64) -> Msg<N> {
    holding(move |this: This<Node<N>>| async move {
        this.sleep(std::time::Duration::from_nanos(nanos)).await;
        value
    })
}

/// Any code that has the state for itself.
pub fn holding<const N: u8, F: Future<Output = u64> + 'static>(
    code: impl FnOnce(This<Node<N>>) -> F + 'static,
) -> Msg<N> {
    msg("hold", move |this: &This<Node<N>>, reply| {
        this.exclusively("hold", reply, move |state, this| {
            let code = code(this);
            async move {
                let value = code.await;
                (state, value)
            }
        });
    })
}

/// Any code beside other tasks.
pub fn doing<const N: u8, F: Future<Output = u64> + 'static>(
    code: impl FnOnce(This<Node<N>>) -> F + 'static,
) -> Msg<N> {
    msg("doing", move |this: &This<Node<N>>, reply| this.answer_later("doing", reply, code(this.clone())))
}

/// Never answers.
pub fn panicking<const N: u8>(text: &'static str) -> Msg<N> {
    msg("panicking", move |_, _| panic!("{text}"))
}

pub fn write<const N: u8>(this: &This<Node<N>>, text: impl Into<String>) {
    let now = now(this);
    if let Some(log) = this.try_with(|me| me.log.clone()) {
        log.borrow_mut().push((now, text.into()));
    }
}

pub fn now(cx: &Ctx) -> i64 {
    cx.now().as_nanos()
}

/// A sentence about how a call ended.
pub async fn outcome<A: Actor<Reply = u64>>(call: Call<A>) -> String {
    match call.await {
        Ok(value) => value.to_string(),
        Err(fault) => fault.to_string(),
    }
}

/// The output of a future that is ready when it is first polled.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it is not ready"),
    }
}
