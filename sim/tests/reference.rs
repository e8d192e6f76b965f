//! The kernel against a naive interpreter of the order rules.
//!
//! Random programs of a few agents, with delays so short that everything collides, run twice: on the kernel, and on
//! `World`, which knows neither wheel nor waker, keeps everything that is pending in plain vectors and looks through all
//! of it every time. What each agent sees, does and logs, when, in which round and in which order must be the same.
//!
//! `World` follows "Time and order" of the design. Where the design is silent it takes the kernel's choices, which are:
//! * what an exclusive method held back goes first in the round after it ends: older mail, and the agent's tasks;
//! * the tasks of a round are polled in the order in which they were woken: by the round before, by sleeps of length
//!   zero, by replies in their order, by handlers in their order; timers that fire find nothing else woken;
//! * a handler's first piece of code, up to its first wait, runs in place; a task that a handler starts runs in the same
//!   round, after all handlers; one that a task starts, in the next;
//! * types of agents take turns in the order in which they became known, agents in order of creation;
//! * the tasks of a stopped agent end in the order of their places in the table, where the place that became free last
//!   is taken first, but not before the run queue has come to it;
//! * a task that is woken while its turn of this round is still to come has no other in the next.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{
    Actor, AgentId, Config, Event, Fault, Kernel, Observer, OrderCheck, Progress, Ref, ReplyTo, This, Time,
    What, nanos,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

// ---- programs

#[derive(Clone, Debug)]
enum Op {
    Send(usize, Kind),
    Ask(usize, Kind),
    AskWithin(u64, usize, Kind),
    Sleep(u64),
    Settled,
    Spawn(Vec<Op>),
    Create(Vec<Op>),
    Stop,
}

/// What a handler does.
#[derive(Clone, Debug)]
enum Kind {
    Now,
    Drop,
    Later(u64),
    Forward(usize, Box<Kind>),
    Hold(u64),
    HoldAndAsk(usize, Box<Kind>),
    Stop,
}

#[derive(Clone, Debug)]
enum Drive {
    Until(u64),
    Before(u64),
    Inject(u64, usize, Kind),
    Enter(usize, Kind),
}

#[derive(Clone, Debug)]
struct Program {
    start: i64,
    mailbox: u32,
    scripts: Vec<Vec<Op>>,
    drive: Vec<Drive>,
}

fn span() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..4u64, 1 => 60..70u64]
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        4 => Just(Kind::Now),
        1 => Just(Kind::Drop),
        3 => span().prop_map(Kind::Later),
        3 => span().prop_map(Kind::Hold),
        1 => Just(Kind::Stop),
    ];
    leaf.prop_recursive(3, 8, 1, |inner| {
        prop_oneof![
            (0..5usize, inner.clone()).prop_map(|(to, kind)| Kind::Forward(to, Box::new(kind))),
            (0..5usize, inner).prop_map(|(to, kind)| Kind::HoldAndAsk(to, Box::new(kind))),
        ]
    })
}

fn script() -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        6 => (0..5usize, kind()).prop_map(|(to, kind)| Op::Send(to, kind)),
        4 => (0..5usize, kind()).prop_map(|(to, kind)| Op::Ask(to, kind)),
        3 => (span(), 0..5usize, kind()).prop_map(|(span, to, kind)| Op::AskWithin(span, to, kind)),
        4 => span().prop_map(Op::Sleep),
        1 => Just(Op::Settled),
        1 => Just(Op::Stop),
    ];
    let op = leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Op::Spawn),
            1 => prop::collection::vec(inner, 0..4).prop_map(Op::Create),
        ]
    });
    prop::collection::vec(op, 0..7)
}

fn program() -> impl Strategy<Value = Program> {
    let drive = prop_oneof![
        4 => span().prop_map(Drive::Until),
        1 => span().prop_map(Drive::Before),
        3 => (span(), 0..5usize, kind()).prop_map(|(span, to, kind)| Drive::Inject(span, to, kind)),
        1 => (0..5usize, kind()).prop_map(|(to, kind)| Drive::Enter(to, kind)),
    ];
    let scripts = prop::collection::vec(script(), 1..6);
    let start = prop_oneof![Just(0), Just(-1_000_000_000)];
    let mailbox = prop_oneof![2 => Just(65_536), 1 => 1..4u32];
    (start, mailbox, scripts, prop::collection::vec(drive, 0..10))
        .prop_map(|(start, mailbox, scripts, drive)| Program { start, mailbox, scripts, drive })
}

/// What happened, agent by agent, and how it stood after each command of the driver.
#[derive(Debug, PartialEq, Default)]
struct Story {
    agents: BTreeMap<usize, Vec<String>>,
    stands: Vec<(i64, Option<i64>)>,
    /// messages, dead letters, late replies, instants
    counts: (u64, u64, u64, u64),
}

impl Story {
    fn add(&mut self, agent: usize, line: String) {
        self.agents.entry(agent).or_default().push(line);
    }
}

fn name(sender: Option<usize>, sequence: u64) -> String {
    sender.map_or("outside".into(), |agent| format!("{agent}:{sequence}"))
}

fn value(result: &Result<u64, String>) -> u64 {
    result.as_ref().map_or(100, |value| value + 1)
}

// ---- on the kernel

type Shared = Rc<RefCell<Story>>;

#[derive(Clone)]
struct Book {
    story: Shared,
    targets: Rc<RefCell<Vec<Target>>>,
}

#[derive(Clone, Copy)]
enum Target {
    Even(Ref<Agent<0>>),
    Odd(Ref<Agent<1>>),
}

struct Agent<const C: u8> {
    book: Book,
    script: Vec<Op>,
}

impl Book {
    fn log(&self, agent: AgentId, text: String) {
        self.story.borrow_mut().add(agent.ordinal() as usize, text);
    }

    fn target(&self, to: usize) -> Target {
        let targets = self.targets.borrow();
        targets[to % targets.len()]
    }

    fn send(&self, to: usize, kind: Kind) {
        match self.target(to) {
            Target::Even(to) => to.call(kind).send(),
            Target::Odd(to) => to.call(kind).send(),
        }
    }

    async fn ask(&self, to: usize, kind: Kind) -> Result<u64, String> {
        let result = match self.target(to) {
            Target::Even(to) => to.call(kind).await,
            Target::Odd(to) => to.call(kind).await,
        };
        result.map_err(|fault: Box<Fault>| fault.kind().to_string())
    }
}

impl<const C: u8> Actor for Agent<C> {
    type Msg = Kind;
    type Reply = u64;
    const TYPE: &'static str = if C == 0 { "Even" } else { "Odd" };

    fn started(this: &This<Self>) {
        let (book, script) = this.with(|me| (me.book.clone(), me.script.clone()));
        this.start("script", run(this.clone(), book, script));
    }

    fn receive(this: &This<Self>, message: Kind, reply: ReplyTo<Self>) {
        let id = this.id().ordinal();
        let book = this.with(|me| me.book.clone());
        let me = this.clone();
        match message {
            Kind::Now => reply.send(u64::from(id)),
            Kind::Drop => drop(reply),
            Kind::Later(span) => this.answer_later("later", reply, async move {
                me.sleep(nanos(span)).await;
                book.log(me.id(), "later".into());
                u64::from(id)
            }),
            Kind::Forward(to, kind) => this.answer_later("forward", reply, async move {
                let result = book.ask(to, *kind).await;
                book.log(me.id(), format!("forward {result:?}"));
                value(&result)
            }),
            Kind::Hold(span) => this.exclusively("hold", reply, move |state, me| async move {
                me.sleep(nanos(span)).await;
                book.log(me.id(), "held".into());
                (state, u64::from(id))
            }),
            Kind::HoldAndAsk(to, kind) => this.exclusively("hold", reply, move |state, me| async move {
                let result = book.ask(to, *kind).await;
                book.log(me.id(), format!("held {result:?}"));
                (state, value(&result))
            }),
            Kind::Stop => {
                reply.send(u64::from(id));
                this.stop();
            }
        }
    }

    fn label(_: &Kind) -> &'static str {
        "kind"
    }

    fn message_hash(message: &Kind) -> u64 {
        match message {
            Kind::Later(span) | Kind::Hold(span) => span + 7,
            Kind::Now => 1,
            _ => 2,
        }
    }

    fn reply_hash(reply: &u64) -> u64 {
        *reply
    }
}

fn run<const C: u8>(this: This<Agent<C>>, book: Book, script: Vec<Op>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        for op in script {
            match op {
                Op::Send(to, kind) => book.send(to, kind),
                Op::Ask(to, kind) => {
                    let result = book.ask(to, kind).await;
                    book.log(this.id(), format!("asked {result:?}"));
                }
                Op::AskWithin(span, to, kind) => {
                    let result = this.timeout(nanos(span), book.ask(to, kind)).await;
                    let result = result.unwrap_or_else(|_| Err("elapsed".into()));
                    book.log(this.id(), format!("asked {result:?}"));
                }
                Op::Sleep(span) => {
                    this.sleep(nanos(span)).await;
                    book.log(this.id(), "slept".into());
                }
                Op::Settled => {
                    this.settled().await;
                    book.log(this.id(), "settled".into());
                }
                Op::Spawn(script) => {
                    this.start("script", run(this.clone(), book.clone(), script));
                }
                Op::Create(script) => {
                    this.create(None, Agent::<C> { book: book.clone(), script }).expect("unnamed");
                }
                Op::Stop => this.stop(),
            }
        }
        book.log(this.id(), "end".into());
    })
}

struct Both(Shared, OrderCheck);

impl Observer for Both {
    fn observe(&mut self, event: &Event) {
        self.1.observe(event);
        let of = |agent: AgentId| (agent != AgentId::OUTSIDE).then_some(agent.ordinal() as usize);
        let Some(agent) = of(event.agent) else { return };
        let text = match &event.what {
            What::Created { .. } => "created".into(),
            What::Start => "start".into(),
            What::Stop => "stop".into(),
            What::Send { to, sequence, .. } => format!("send {sequence} to {}", to.ordinal()),
            What::Receive { from, sequence, .. } => format!("receive {}", name(of(*from), *sequence)),
            What::Held { from, sequence } => format!("hold {}", name(of(*from), *sequence)),
            What::Refused { from, sequence } => format!("refuse {}", name(of(*from), *sequence)),
            What::Reply { to, sequence, .. } => format!("reply {sequence} to {}", to.ordinal()),
            What::Answer { from, sequence, .. } => {
                format!("answer {}", name(from.parts().map(|(_, n)| n as usize), *sequence))
            }
            What::Late { from, sequence } => {
                format!("late {}", name(from.parts().map(|(_, n)| n as usize), *sequence))
            }
            What::Timer { .. } => "timer".into(),
            What::Deadline { .. } => "deadline".into(),
            other => format!("{other:?}"),
        };
        self.0.borrow_mut().add(agent, format!("{}.{} {text}", event.time.as_nanos(), event.round));
    }
}

fn on_the_kernel(program: &Program, shuffle: Option<u64>) -> (Story, u64, OrderCheck) {
    let mut config = Config::new("c");
    config.start = Time::from_nanos(program.start);
    config.mailbox = program.mailbox;
    config.shuffle = shuffle;
    let kernel = Kernel::new(config).expect("few kernels");
    let story = Shared::default();
    let check = OrderCheck::new(shuffle.is_some());
    kernel.set_observer(Some(Box::new(Both(story.clone(), check.clone()))));
    let book = Book { story: story.clone(), targets: Rc::default() };
    for (index, script) in program.scripts.iter().enumerate() {
        let (book, script) = (book.clone(), script.clone());
        let target = if index % 2 == 0 {
            Target::Even(kernel.create(None, Agent::<0> { book: book.clone(), script }).expect("unnamed"))
        } else {
            Target::Odd(kernel.create(None, Agent::<1> { book: book.clone(), script }).expect("unnamed"))
        };
        book.targets.borrow_mut().push(target);
    }
    let stand = |next: Option<Time>| {
        assert_eq!(next, kernel.next_event());
        let stand = (kernel.now().as_nanos(), next.map(Time::as_nanos));
        story.borrow_mut().stands.push(stand);
    };
    let run = |progress| match progress {
        Ok(Progress::Quiet { next }) => stand(next),
        other => panic!("{other:?}"),
    };
    let later = |span: u64| kernel.now().saturating_add(Duration::from_nanos(span));
    for drive in &program.drive {
        match drive.clone() {
            Drive::Until(span) => run(kernel.run_until(later(span))),
            Drive::Before(span) => run(kernel.run_before(later(span))),
            Drive::Inject(span, to, kind) => {
                let injected = match book.target(to) {
                    Target::Even(to) => kernel.inject(later(span), to, kind),
                    Target::Odd(to) => kernel.inject(later(span), to, kind),
                };
                injected.expect("not past");
            }
            Drive::Enter(to, kind) => kernel.enter(|| book.send(to, kind)),
        }
    }
    run(kernel.run_until(Time::MAX));
    let counts = kernel.counts();
    story.borrow_mut().counts = (counts.messages, counts.dead_letters, counts.late_replies, counts.instants);
    let fingerprint = kernel.fingerprint();
    kernel.set_observer(None);
    (story.take(), fingerprint, check)
}

// ---- in the naive world

type TaskId = usize;
type CallId = usize;

#[derive(Clone, Debug)]
struct Letter {
    to: usize,
    /// order key: none for outside, which sorts first
    from: Option<usize>,
    sequence: u64,
    kind: Kind,
    call: Option<CallId>,
}

#[derive(Clone, Debug)]
struct Reply {
    /// callers are agents here
    to: usize,
    from: usize,
    sequence: u64,
    call: CallId,
    result: Result<u64, String>,
}

#[derive(Clone, Debug)]
enum Call {
    Open(TaskId),
    Answered(Result<u64, String>),
    Closed,
}

#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    Log(&'static str),
    LogResult(&'static str),
    Unlock,
    Reply,
    End,
}

#[derive(Clone, Debug, PartialEq)]
enum Wait {
    Nothing,
    /// whether it has fired
    Sleep(bool),
    Settled(bool),
    /// with a deadline, whether that has fired
    Call(CallId, Option<bool>),
}

#[derive(Clone, Debug)]
struct Task {
    agent: usize,
    steps: VecDeque<Step>,
    wait: Wait,
    serves: Option<CallId>,
    caller: Option<usize>,
    result: Result<u64, String>,
    alive: bool,
    place: usize,
}

#[derive(Clone, Debug, Default)]
struct Someone {
    class: usize,
    script: Vec<Op>,
    sequence: u64,
    stopped: bool,
    queued: u32,
    held: Option<Vec<Letter>>,
    lock: Option<TaskId>,
    parked: Vec<TaskId>,
}

#[derive(Default)]
struct World {
    story: Story,
    now: i64,
    round: u32,
    mailbox: u32,
    initial: usize,
    agents: Vec<Someone>,
    tasks: Vec<Task>,
    calls: Vec<Call>,
    places: usize,
    free: Vec<usize>,
    mail: Vec<Letter>,
    replies: Vec<Reply>,
    starts: Vec<usize>,
    resumed: Vec<usize>,
    soon: Vec<TaskId>,
    woken: Vec<TaskId>,
    /// of this round, still to come
    turns: VecDeque<TaskId>,
    timers: Vec<(i64, TaskId)>,
    deadlines: Vec<(i64, TaskId)>,
    settling: Vec<TaskId>,
    stopping: Vec<usize>,
    inputs: Vec<(i64, usize, Kind)>,
    outside: u64,
}

impl World {
    fn tell(&mut self, agent: usize, text: String) {
        let line = format!("{}.{} {text}", self.now, self.round);
        self.story.add(agent, line);
    }

    fn create(&mut self, class: usize, script: Vec<Op>) {
        let agent = self.agents.len();
        self.agents.push(Someone { class, script, ..Someone::default() });
        self.starts.push(agent);
        self.tell(agent, "created".into());
    }

    // -- sending

    fn post(
        &mut self,
        from: Option<usize>,
        to: usize,
        kind: Kind,
        call: bool,
        task: TaskId,
    ) -> Result<Option<CallId>, String> {
        let to = to % self.initial;
        if self.agents[to].queued >= self.mailbox {
            self.story.counts.1 += 1;
            return Err("Busy".into());
        }
        self.agents[to].queued += 1;
        let sequence = match from {
            None => {
                self.outside += 1;
                self.outside
            }
            Some(from) => {
                let sequence = self.agents[from].sequence;
                self.agents[from].sequence += 1;
                self.tell(from, format!("send {sequence} to {to}"));
                sequence
            }
        };
        let call = call.then(|| {
            self.calls.push(Call::Open(task));
            self.calls.len() - 1
        });
        self.mail.push(Letter { to, from, sequence, kind, call });
        Ok(call)
    }

    fn reply(&mut self, from: usize, to: Option<usize>, call: Option<CallId>, result: Result<u64, String>) {
        let (Some(call), Some(to)) = (call, to) else { return };
        let sequence = self.agents[from].sequence;
        self.agents[from].sequence += 1;
        self.tell(from, format!("reply {sequence} to {to}"));
        self.replies.push(Reply { to, from, sequence, call, result });
    }

    // -- tasks

    fn task(
        &mut self,
        agent: usize,
        steps: Vec<Step>,
        serves: Option<CallId>,
        caller: Option<usize>,
    ) -> TaskId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places += 1;
            self.places - 1
        });
        let result = Ok(agent as u64);
        let steps = steps.into();
        self.tasks.push(Task {
            agent,
            steps,
            wait: Wait::Nothing,
            serves,
            caller,
            result,
            alive: true,
            place,
        });
        self.tasks.len() - 1
    }

    fn script(&mut self, agent: usize, script: Vec<Op>) {
        let mut steps = Vec::new();
        for op in script {
            let log = match op {
                Op::Sleep(_) => Some(Step::Log("slept")),
                Op::Settled => Some(Step::Log("settled")),
                Op::Ask(..) | Op::AskWithin(..) => Some(Step::LogResult("asked")),
                _ => None,
            };
            steps.push(Step::Op(op));
            steps.extend(log);
        }
        steps.extend([Step::Log("end"), Step::End]);
        let task = self.task(agent, steps, None, None);
        self.wake(task);
    }

    fn wake(&mut self, task: TaskId) {
        if self.tasks[task].alive && !self.is_queued(task) {
            self.woken.push(task);
        }
    }

    fn is_queued(&self, task: TaskId) -> bool {
        self.woken.contains(&task) || self.turns.contains(&task)
    }

    fn end(&mut self, task: TaskId) {
        let Task { agent, wait, serves, caller, place, .. } = self.tasks[task].clone();
        self.tasks[task].alive = false;
        if let Wait::Call(call, _) = wait {
            self.calls[call] = Call::Closed;
        }
        self.timers.retain(|(_, other)| *other != task);
        self.deadlines.retain(|(_, other)| *other != task);
        self.settling.retain(|other| *other != task);
        self.soon.retain(|other| *other != task);
        self.tasks[task].serves = None;
        self.reply(agent, caller, serves, Err("Abandoned".into()));
        if !self.is_queued(task) {
            self.free.push(place);
        }
    }

    /// Runs a task until it waits.
    fn go_on(&mut self, task: TaskId) {
        let agent = self.tasks[task].agent;
        let now = self.now;
        match self.tasks[task].wait.clone() {
            Wait::Nothing => {}
            Wait::Sleep(fired) | Wait::Settled(fired) => {
                if !fired {
                    return;
                }
            }
            Wait::Call(call, deadline) => {
                let result = match (self.calls[call].clone(), deadline) {
                    (Call::Answered(result), _) => result,
                    (_, Some(true)) => Err("elapsed".into()),
                    _ => return,
                };
                self.calls[call] = Call::Closed;
                self.deadlines.retain(|(_, other)| *other != task);
                self.tasks[task].result = result;
            }
        }
        self.tasks[task].wait = Wait::Nothing;
        while let Some(step) = self.tasks[task].steps.pop_front() {
            match step {
                Step::Log(text) => self.story.add(agent, text.into()),
                Step::LogResult(text) => {
                    let line = format!("{text} {:?}", self.tasks[task].result);
                    self.tasks[task].result = Ok(value(&self.tasks[task].result));
                    self.story.add(agent, line);
                }
                Step::Unlock => {
                    self.agents[agent].lock = None;
                    for parked in std::mem::take(&mut self.agents[agent].parked) {
                        self.wake(parked);
                    }
                    if self.agents[agent].held.is_some() {
                        self.resumed.push(agent);
                    }
                }
                Step::Reply => {
                    let Task { serves, caller, result, .. } = self.tasks[task].clone();
                    self.tasks[task].serves = None;
                    self.reply(agent, caller, serves, result);
                }
                Step::End => return self.end(task),
                Step::Op(Op::Send(to, kind)) => {
                    let _ = self.post(Some(agent), to, kind, false, task);
                }
                Step::Op(op @ (Op::Ask(..) | Op::AskWithin(..))) => {
                    let (span, to, kind) = match op {
                        Op::AskWithin(span, to, kind) => (Some(span), to, kind),
                        Op::Ask(to, kind) => (None, to, kind),
                        _ => unreachable!(),
                    };
                    match self.post(Some(agent), to, kind, true, task) {
                        Err(fault) => self.tasks[task].result = Err(fault),
                        Ok(call) => {
                            self.tasks[task].wait = Wait::Call(call.expect("a call"), span.map(|_| false));
                            if let Some(span) = span {
                                self.deadlines.push((now + span as i64, task));
                            }
                            return;
                        }
                    }
                }
                Step::Op(Op::Sleep(span)) => {
                    self.tasks[task].wait = Wait::Sleep(false);
                    if span == 0 {
                        self.soon.push(task);
                    } else {
                        self.timers.push((now + span as i64, task));
                    }
                    return;
                }
                Step::Op(Op::Settled) => {
                    self.tasks[task].wait = Wait::Settled(false);
                    self.settling.push(task);
                    return;
                }
                Step::Op(Op::Spawn(script)) => self.script(agent, script),
                Step::Op(Op::Create(script)) => self.create(self.agents[agent].class, script),
                Step::Op(Op::Stop) => self.stopping.push(agent),
            }
        }
    }

    fn code_has_returned(&mut self) {
        for agent in std::mem::take(&mut self.stopping) {
            if self.agents[agent].stopped {
                continue;
            }
            self.tell(agent, "stop".into());
            self.agents[agent].stopped = true;
            self.agents[agent].lock = None;
            self.agents[agent].parked.clear();
            let alive = |task: &TaskId| self.tasks[*task].alive && self.tasks[*task].agent == agent;
            let mut tasks: Vec<TaskId> = (0..self.tasks.len()).filter(alive).collect();
            tasks.sort_by_key(|task| self.tasks[*task].place);
            for task in tasks {
                self.end(task);
            }
            if self.agents[agent].held.is_some() {
                self.resumed.push(agent);
            }
        }
    }

    // -- handlers

    fn hand_over(&mut self, letter: Letter) {
        let to = letter.to;
        let letter_name = name(letter.from, letter.sequence);
        if self.agents[to].stopped {
            self.agents[to].queued -= 1;
            return self.refuse(letter, "Stopped");
        }
        if let Some(holder) = self.agents[to].lock {
            self.tell(to, format!("hold {letter_name}"));
            // would the holder wait, directly or not, for the task that calls?
            let caller = letter.call.and_then(|call| match self.calls[call] {
                Call::Open(task) => Some(task),
                _ => None,
            });
            let mut waiting = vec![holder];
            let mut at = 0;
            while at < waiting.len() {
                if Some(waiting[at]) == caller {
                    self.agents[to].held.get_or_insert_default();
                    self.agents[to].queued -= 1;
                    return self.refuse(letter, "WaitCycle");
                }
                let next: Vec<TaskId> =
                    self.waits_for(waiting[at]).filter(|task| !waiting.contains(task)).collect();
                waiting.extend(next);
                at += 1;
            }
            self.agents[to].held.get_or_insert_default().push(letter);
            return;
        }
        self.agents[to].queued -= 1;
        self.tell(to, format!("receive {letter_name}"));
        self.story.counts.0 += 1;
        let (call, caller) = (letter.call, letter.from);
        let own = Ok(to as u64);
        let later = |wait: Op, then: Step| vec![Step::Op(wait), then];
        match letter.kind {
            Kind::Now => self.reply(to, caller, call, own),
            Kind::Drop => self.reply(to, caller, call, Err("Abandoned".into())),
            Kind::Stop => {
                self.reply(to, caller, call, own);
                self.stopping.push(to);
            }
            Kind::Later(span) => {
                let mut steps = later(Op::Sleep(span), Step::Log("later"));
                steps.extend([Step::Reply, Step::End]);
                let task = self.task(to, steps, call, caller);
                self.go_on(task);
            }
            Kind::Forward(k, kind) => {
                let mut steps = later(Op::Ask(k, *kind), Step::LogResult("forward"));
                steps.extend([Step::Reply, Step::End]);
                let task = self.task(to, steps, call, caller);
                self.go_on(task);
            }
            Kind::Hold(span) => {
                let mut steps = later(Op::Sleep(span), Step::Log("held"));
                steps.extend([Step::Unlock, Step::Reply, Step::End]);
                let task = self.task(to, steps, call, caller);
                self.agents[to].lock = Some(task);
                self.go_on(task);
            }
            Kind::HoldAndAsk(k, kind) => {
                let mut steps = later(Op::Ask(k, *kind), Step::LogResult("held"));
                steps.extend([Step::Unlock, Step::Reply, Step::End]);
                let task = self.task(to, steps, call, caller);
                self.agents[to].lock = Some(task);
                self.go_on(task);
            }
        }
        self.code_has_returned();
    }

    fn refuse(&mut self, letter: Letter, fault: &str) {
        self.tell(letter.to, format!("refuse {}", name(letter.from, letter.sequence)));
        if letter.call.is_none() {
            self.story.counts.1 += 1;
        } else {
            self.reply(letter.to, letter.from, letter.call, Err(fault.into()));
        }
    }

    fn waits_for(&self, task: TaskId) -> impl Iterator<Item = TaskId> {
        let call = if let Wait::Call(call, _) = self.tasks[task].wait { Some(call) } else { None };
        let answers = |task: &Task| task.alive && call.is_some() && task.serves == call;
        let serving = self.tasks.iter().position(answers);
        let waits = |agent: &&Someone| {
            agent.held.iter().flatten().any(|letter| call.is_some() && letter.call == call)
        };
        let queued = self.agents.iter().find(waits).and_then(|agent| agent.lock);
        let parked = self.agents[self.tasks[task].agent].lock.filter(|holder| *holder != task);
        serving.into_iter().chain(queued).chain(parked)
    }

    // -- rounds, phases, instants

    fn round(&mut self) -> bool {
        let mut replies = std::mem::take(&mut self.replies);
        let mut mail = std::mem::take(&mut self.mail);
        let (starts, resumed) = (std::mem::take(&mut self.starts), std::mem::take(&mut self.resumed));
        let soon = std::mem::take(&mut self.soon);
        if [replies.len(), mail.len(), starts.len(), resumed.len(), soon.len(), self.woken.len()] == [0; 6] {
            return false;
        }
        for task in soon {
            if self.tasks[task].alive {
                self.tasks[task].wait = Wait::Sleep(true);
                self.wake(task);
            }
        }
        replies.sort_by_key(|reply| (reply.to, reply.from, reply.sequence));
        for reply in replies {
            let letter = name(Some(reply.from), reply.sequence);
            match self.calls[reply.call] {
                Call::Open(task) => {
                    self.calls[reply.call] = Call::Answered(reply.result);
                    self.tell(reply.to, format!("answer {letter}"));
                    self.wake(task);
                }
                _ => {
                    self.story.counts.2 += 1;
                    self.tell(reply.to, format!("late {letter}"));
                }
            }
        }
        mail.sort_by_key(|letter| (letter.to, letter.from, letter.sequence));
        for class in 0..2 {
            for agent in
                starts.iter().copied().filter(|agent| self.agents[*agent].class == class).collect::<Vec<_>>()
            {
                if !self.agents[agent].stopped {
                    self.tell(agent, "start".into());
                    self.script(agent, self.agents[agent].script.clone());
                }
            }
            for agent in
                resumed.iter().copied().filter(|agent| self.agents[*agent].class == class).collect::<Vec<_>>()
            {
                for letter in self.agents[agent].held.take().into_iter().flatten() {
                    self.hand_over(letter);
                }
            }
            for letter in mail
                .iter()
                .filter(|letter| self.agents[letter.to].class == class)
                .cloned()
                .collect::<Vec<_>>()
            {
                self.hand_over(letter);
            }
        }
        self.turns = VecDeque::from(std::mem::take(&mut self.woken));
        while let Some(task) = self.turns.pop_front() {
            let agent = self.tasks[task].agent;
            if !self.tasks[task].alive {
                self.free.push(self.tasks[task].place);
                continue;
            }
            if self.agents[agent].lock.is_some_and(|holder| holder != task) {
                self.agents[agent].parked.push(task);
                continue;
            }
            self.go_on(task);
            self.code_has_returned();
        }
        if self.round == 0 {
            self.story.counts.3 += 1;
        }
        self.round += 1;
        true
    }

    fn admit(&mut self) -> bool {
        let due: Vec<_> = self.inputs.iter().filter(|input| input.0 <= self.now).cloned().collect();
        self.inputs.retain(|input| input.0 > self.now);
        let some = !due.is_empty();
        for (_, to, kind) in due {
            let _ = self.post(None, to, kind, false, 0);
        }
        some
    }

    /// Everything of the present instant.
    fn instant(&mut self) {
        self.admit();
        loop {
            if self.round() {
                continue;
            }
            let now = self.now;
            let due: Vec<TaskId> =
                self.timers.iter().filter(|timer| timer.0 == now).map(|timer| timer.1).collect();
            if !due.is_empty() {
                self.timers.retain(|timer| timer.0 != now);
                for task in due {
                    self.tell(self.tasks[task].agent, "timer".into());
                    self.tasks[task].wait = Wait::Sleep(true);
                    self.wake(task);
                }
                continue;
            }
            if !self.settling.is_empty() {
                for task in std::mem::take(&mut self.settling) {
                    self.tasks[task].wait = Wait::Settled(true);
                    self.wake(task);
                }
                continue;
            }
            let due: Vec<TaskId> =
                self.deadlines.iter().filter(|timer| timer.0 == now).map(|timer| timer.1).collect();
            if due.is_empty() {
                return;
            }
            self.deadlines.retain(|timer| timer.0 != now);
            for task in due {
                self.tell(self.tasks[task].agent, "deadline".into());
                if let Wait::Call(_, deadline) = &mut self.tasks[task].wait {
                    *deadline = Some(true);
                }
                self.wake(task);
            }
        }
    }

    fn ahead(&self) -> Option<i64> {
        let timers = self.timers.iter().chain(&self.deadlines).map(|timer| timer.0);
        timers.chain(self.inputs.iter().map(|input| input.0)).min()
    }

    fn run(&mut self, limit: i64, inclusive: bool) {
        let end = if inclusive { limit } else { limit - 1 };
        if self.now <= end {
            self.instant();
            while let Some(next) = self.ahead().filter(|next| *next <= end) {
                (self.now, self.round) = (next, 0);
                self.instant();
            }
        }
        if inclusive && limit != i64::MAX && limit > self.now {
            (self.now, self.round) = (limit, 0);
        }
        let busy = !self.mail.is_empty() || !self.starts.is_empty();
        let next = if busy { Some(self.now) } else { self.ahead() };
        self.story.stands.push((self.now, next));
    }
}

fn in_the_world(program: &Program) -> Story {
    let mut world = World {
        now: program.start,
        mailbox: program.mailbox,
        initial: program.scripts.len(),
        ..World::default()
    };
    for (index, script) in program.scripts.iter().enumerate() {
        world.create(index % 2, script.clone());
    }
    for drive in &program.drive {
        match drive.clone() {
            Drive::Until(span) => world.run(world.now + span as i64, true),
            Drive::Before(span) => world.run(world.now + span as i64, false),
            Drive::Inject(span, to, kind) => world.inputs.push((world.now + span as i64, to, kind)),
            Drive::Enter(to, kind) => {
                let _ = world.post(None, to, kind, false, 0);
            }
        }
    }
    world.run(i64::MAX, true);
    world.story
}

fn compare(kernel: &Story, world: &Story, program: &Program) -> Result<(), TestCaseError> {
    for (agent, expected) in &world.agents {
        let actual = kernel.agents.get(agent).map_or(&[][..], |lines| lines);
        let at = (0..expected.len().max(actual.len())).find(|at| expected.get(*at) != actual.get(*at));
        if let Some(at) = at {
            let from = at.saturating_sub(6);
            let near = |lines: &[String]| lines[from.min(lines.len())..(at + 3).min(lines.len())].to_vec();
            return Err(TestCaseError::fail(format!(
                "agent {agent}, line {at}:\nworld  {:#?}\nkernel {:#?}\n{program:#?}",
                near(expected),
                near(actual)
            )));
        }
    }
    prop_assert_eq!(&kernel.stands, &world.stands);
    prop_assert_eq!(kernel.counts, world.counts);
    prop_assert_eq!(kernel.agents.len(), world.agents.len());
    Ok(())
}

/// 500, or `PROPTEST_CASES`.
fn cases() -> u32 {
    #[allow(clippy::disallowed_methods, reason = "how many cases, not which")]
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500)
}

/// The comparison is worth what the programs reach.
#[test]
fn the_programs_reach_every_rule() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut all = String::new();
    for _ in 0..300 {
        let program = program().new_tree(&mut runner).expect("a program").current();
        for line in in_the_world(&program).agents.values().flatten() {
            all += line;
            all.push('\n');
        }
    }
    for word in [
        "hold",
        "held",
        "refuse",
        "late",
        "timer",
        "deadline",
        "settled",
        "slept",
        "outside",
        "stop",
        "created",
        "elapsed",
        "Busy",
        "Abandoned",
        "Stopped",
        "WaitCycle",
        "forward",
    ] {
        assert!(all.matches(word).count() > 20, "{word}: {}", all.matches(word).count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_does_what_a_naive_interpreter_of_the_rules_does(program in program()) {
        let (story, fingerprint, check) = on_the_kernel(&program, None);
        compare(&story, &in_the_world(&program), &program)?;
        prop_assert_eq!(check.violations(), Vec::<String>::new());
        let (again, same, _) = on_the_kernel(&program, None);
        prop_assert_eq!((again, same), (story, fingerprint));
    }

    /// Shuffle mode keeps rounds, phases and every sender's order, and one seed gives one run.
    #[test]
    fn shuffled_runs_keep_the_order_rules(program in program(), seed: u64) {
        let (story, fingerprint, check) = on_the_kernel(&program, Some(seed));
        prop_assert_eq!(check.violations(), Vec::<String>::new());
        let (again, same, _) = on_the_kernel(&program, Some(seed));
        prop_assert_eq!((again, same), (story, fingerprint));
    }
}
