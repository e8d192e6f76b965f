//! Checks, while a run goes on, that its events keep the order rules.
//!
//! Why: laws 2 and 3 are promises about order, and a kernel that breaks one still gives plausible results. This observer
//! knows the rules and nothing of how the kernel keeps them, so it can watch any run: a test's, a user's, a nightly one.
//!
//! | rule | what breaks it |
//! |------|----------------|
//! | time | an event before an earlier one; a round before an earlier one of the same time |
//! | next round | a message or reply that arrives at another time than it was sent, or in another round than the next |
//! | held mail | a message that went back into the queue of a busy agent and overtook another, or did not go first |
//! | order | two messages, or two replies, of one round that reach an agent against (order key, sequence number) |
//! | senders | the same of one sender, which binds in shuffle mode too |
//! | phases | a timer or deadline that fires while a message or reply is on its way |
//! | once | a message or reply that arrives twice, or that nobody sent |
//!
//! Contract: what is kept is what is on its way and what is held, however long the run; the first hundred violations
//! are kept as text. What the outside sends, what the constructor sends of an agent that is created from outside, and
//! the last words of one that is stopped or fails may be sent between two rounds: such a message belongs to the round that
//! comes next, and arrives in it or in the one after.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::agent::AgentId;
use crate::observe::{Event, Observer, What};
use crate::order::OrderKey;
use crate::time::Time;

/// Violations that are kept as text.
const KEPT: usize = 100;

/// Sender and sequence number.
type Letter = (OrderKey, u64);

/// An [`Observer`] that verifies the order rules, of a run it sees from its beginning. A clone is a second handle to the same check: give one to
/// [`Kernel::set_observer`](crate::Kernel::set_observer) and ask the other.
///
/// ```
/// use isochrone_sim::{Config, Kernel, OrderCheck};
/// # fn main() -> Result<(), isochrone_sim::SimError> {
/// let kernel = Kernel::new(Config::new("c"))?;
/// let check = OrderCheck::new(false);
/// kernel.set_observer(Some(Box::new(check.clone())));
/// kernel.run_until(isochrone_sim::Time::MAX)?;
/// assert!(check.violations().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OrderCheck {
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
struct State {
    shuffle: bool,
    events: u64,
    found: u64,
    violations: Vec<String>,
    now: Option<(Time, u32)>,
    /// sent and not arrived: to whom, when, and whether perhaps between two rounds
    mail: BTreeMap<Letter, Sent>,
    replies: BTreeMap<Letter, Sent>,
    /// what busy agents keep, in order of arrival
    held: BTreeMap<AgentId, VecDeque<Letter>>,
    /// all of these
    kept: BTreeSet<Letter>,
    /// what has reached each agent in this round
    round: BTreeMap<AgentId, Arrived>,
    /// agents whose code may have run between two rounds of this time: they have stopped, failed or been constructed
    loose: Vec<AgentId>,
}

#[derive(Debug)]
struct Sent {
    to: AgentId,
    at: (Time, u32),
    between: bool,
}

#[derive(Debug, Default)]
struct Arrived {
    mail: Option<Letter>,
    reply: Option<Letter>,
    mail_of: BTreeMap<OrderKey, u64>,
    reply_of: BTreeMap<OrderKey, u64>,
}

impl OrderCheck {
    /// Expects the canonical order, or only what binds in shuffle mode.
    pub fn new(shuffle: bool) -> Self {
        OrderCheck {
            state: Rc::new(RefCell::new(State {
                shuffle,
                events: 0,
                found: 0,
                violations: Vec::new(),
                now: None,
                mail: BTreeMap::new(),
                replies: BTreeMap::new(),
                held: BTreeMap::new(),
                kept: BTreeSet::new(),
                round: BTreeMap::new(),
                loose: Vec::new(),
            })),
        }
    }

    /// What was wrong, one sentence each; the first hundred.
    pub fn violations(&self) -> Vec<String> {
        self.state.borrow().violations.clone()
    }

    /// How many there were.
    pub fn found(&self) -> u64 {
        self.state.borrow().found
    }

    /// Events seen.
    pub fn events(&self) -> u64 {
        self.state.borrow().events
    }

    /// Letters on their way or held: what this check keeps.
    pub fn pending(&self) -> usize {
        let state = self.state.borrow();
        state.mail.len() + state.replies.len() + state.kept.len()
    }
}

impl Observer for OrderCheck {
    fn observe(&mut self, event: &Event) {
        self.state.borrow_mut().see(event);
    }
}

impl State {
    fn wrong(&mut self, event: &Event, what: &str) {
        self.found += 1;
        if self.violations.len() < KEPT {
            self.violations.push(format!("{event}: {what}"));
        }
    }

    fn see(&mut self, event: &Event) {
        self.events += 1;
        self.advance(event);
        let at = (event.time, event.round);
        match &event.what {
            What::Send { to, sequence, .. } => {
                let sent = Sent { to: *to, at, between: self.is_between(event.agent) };
                if self.mail.insert((event.key, *sequence), sent).is_some() {
                    self.wrong(event, "this message was sent before");
                }
            }
            What::Reply { to, sequence, .. } => {
                let sent = Sent { to: *to, at, between: self.is_between(event.agent) };
                if self.replies.insert((event.key, *sequence), sent).is_some() {
                    self.wrong(event, "this reply was sent before");
                }
            }
            What::Receive { key, sequence, .. } => self.receive(event, (*key, *sequence)),
            What::Held { from, sequence } => self.hold(event, (self.key_of(*from, event), *sequence)),
            What::Refused { from, sequence } => {
                let letter = (self.key_of(*from, event), *sequence);
                if self.kept.contains(&letter) {
                    self.leave_queue(event.agent, letter);
                } else {
                    self.arrive(event, letter);
                }
            }
            What::Answer { from, sequence, .. } | What::Late { from, sequence } => {
                let letter = (*from, *sequence);
                match self.replies.remove(&letter) {
                    None => self.wrong(event, "nobody sent this reply, or it has arrived already"),
                    Some(sent) => self.in_time(event, &sent),
                }
                let arrived = self.round.entry(event.agent).or_default();
                let last = arrived.reply.replace(letter);
                let of_sender = arrived.reply_of.insert(letter.0, letter.1);
                self.in_order(event, letter, last, of_sender);
            }
            What::Timer { .. } | What::Deadline { .. }
                if !self.mail.is_empty() || !self.replies.is_empty() =>
            {
                self.wrong(event, "messages or replies of this instant are on their way");
            }
            What::Stop | What::Failure(_) | What::Fault { .. } => self.loose.push(event.agent),
            What::Created { by } if *by == AgentId::OUTSIDE => self.loose.push(event.agent),
            What::Start => self.loose.retain(|agent| *agent != event.agent),
            _ => {}
        }
    }

    fn advance(&mut self, event: &Event) {
        let at = (event.time, event.round);
        let Some(last) = self.now else {
            self.now = Some(at);
            return;
        };
        if at == last {
            return;
        }
        if at < last {
            let what = if at.0 < last.0 { "time went back" } else { "the rounds of an instant went back" };
            self.wrong(event, what);
        }
        if at.0 != last.0 {
            if !self.mail.is_empty() || !self.replies.is_empty() {
                let lost = self.mail.len() + self.replies.len();
                self.wrong(event, &format!("time went on before {lost} messages or replies had arrived"));
                self.mail.clear();
                self.replies.clear();
            }
            self.loose.clear();
        }
        self.round.clear();
        self.now = Some(at);
    }

    /// Whether what this agent sends now may be sent between two rounds.
    fn is_between(&self, agent: AgentId) -> bool {
        agent == AgentId::OUTSIDE || self.loose.contains(&agent)
    }

    /// The order key of another agent of the receiver's container.
    fn key_of(&self, agent: AgentId, event: &Event) -> OrderKey {
        if agent == AgentId::OUTSIDE {
            return OrderKey::OUTSIDE;
        }
        OrderKey::new(event.key.parts().map_or(0, |(rank, _)| rank), agent)
    }

    fn receive(&mut self, event: &Event, letter: Letter) {
        if self.kept.contains(&letter) {
            if !self.leave_queue(event.agent, letter) {
                self.wrong(event, "it overtook a message that has waited longer");
            }
            return;
        }
        if self.held.contains_key(&event.agent) {
            self.wrong(event, "older messages wait for this agent, and go first");
        }
        self.arrive_in_order(event, letter);
    }

    fn hold(&mut self, event: &Event, letter: Letter) {
        if self.kept.contains(&letter) {
            // it was tried again, and the agent is busy again: it stays in its place
            return;
        }
        self.arrive_in_order(event, letter);
        self.held.entry(event.agent).or_default().push_back(letter);
        self.kept.insert(letter);
    }

    /// Takes a letter out of what the agent keeps; whether it was the first.
    fn leave_queue(&mut self, agent: AgentId, letter: Letter) -> bool {
        self.kept.remove(&letter);
        let Some(queue) = self.held.get_mut(&agent) else { return false };
        let place = queue.iter().position(|held| *held == letter);
        if let Some(place) = place {
            queue.remove(place);
        }
        if queue.is_empty() {
            self.held.remove(&agent);
        }
        place == Some(0)
    }

    fn arrive_in_order(&mut self, event: &Event, letter: Letter) {
        self.arrive(event, letter);
        let arrived = self.round.entry(event.agent).or_default();
        let last = arrived.mail.replace(letter);
        let of_sender = arrived.mail_of.insert(letter.0, letter.1);
        self.in_order(event, letter, last, of_sender);
    }

    fn arrive(&mut self, event: &Event, letter: Letter) {
        match self.mail.remove(&letter) {
            None => self.wrong(event, "nobody sent this message, or it has arrived already"),
            Some(sent) => self.in_time(event, &sent),
        }
    }

    fn in_time(&mut self, event: &Event, sent: &Sent) {
        if sent.to != event.agent {
            self.wrong(event, &format!("it was sent to {:?}", sent.to));
        }
        let (time, round) = sent.at;
        let next = event.round.checked_sub(1) == Some(round);
        if time != event.time || !(next || sent.between && event.round == round) {
            self.wrong(
                event,
                &format!(
                    "it was sent at {time} in round {round}, and arrives in the next round or not at all"
                ),
            );
        }
    }

    fn in_order(&mut self, event: &Event, letter: Letter, last: Option<Letter>, of_sender: Option<u64>) {
        if of_sender.is_some_and(|before| before >= letter.1) {
            self.wrong(event, "the sender's own order was not kept");
        } else if letter.0 == OrderKey::OUTSIDE && last.is_some_and(|last| last.0 != OrderKey::OUTSIDE) {
            self.wrong(event, "the outside comes first");
        } else if !self.shuffle && last.is_some_and(|last| last >= letter) {
            self.wrong(event, "the order of keys and sequence numbers was not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(agent: u32) -> OrderKey {
        if agent == u32::MAX { OrderKey::OUTSIDE } else { OrderKey::new(0, AgentId::new(agent)) }
    }

    fn event(nanos: i64, round: u32, agent: u32, what: What) -> Event {
        Event {
            time: Time::from_nanos(nanos),
            round,
            agent: AgentId::new(agent),
            key: key(agent),
            what,
            value: None,
        }
    }

    const OUT: u32 = u32::MAX;

    fn send(to: u32, sequence: u64) -> What {
        What::Send { to: AgentId::new(to), sequence, label: "m", hash: 0 }
    }

    fn receive(from: u32, sequence: u64) -> What {
        What::Receive { from: AgentId::new(from), key: key(from), sequence, label: "m", hash: 0, call: 0 }
    }

    fn held(from: u32, sequence: u64) -> What {
        What::Held { from: AgentId::new(from), sequence }
    }

    fn reply(to: u32, sequence: u64) -> What {
        What::Reply { to: AgentId::new(to), sequence, hash: 0, call: 0 }
    }

    fn answer(from: u32, sequence: u64) -> What {
        What::Answer { from: key(from), sequence, hash: 0 }
    }

    fn check(shuffle: bool, events: impl IntoIterator<Item = (i64, u32, u32, What)>) -> Vec<String> {
        let mut check = OrderCheck::new(shuffle);
        for (nanos, round, agent, what) in events {
            check.observe(&event(nanos, round, agent, what));
        }
        check.violations()
    }

    fn finds(shuffle: bool, text: &str, events: impl IntoIterator<Item = (i64, u32, u32, What)>) {
        let found = check(shuffle, events);
        assert!(found.len() == 1 && found[0].contains(text), "{found:#?}");
    }

    #[test]
    fn a_run_in_order_has_no_violations() {
        let run = || {
            [
                (0, 0, OUT, send(1, 0)),
                (0, 0, 1, receive(OUT, 0)),
                (0, 0, 1, send(0, 0)),
                (0, 0, 2, send(0, 0)),
                (0, 0, 2, send(0, 1)),
                (0, 1, 0, receive(1, 0)),
                (0, 1, 0, receive(2, 0)),
                (0, 1, 0, reply(2, 0)),
                (0, 1, 0, held(2, 1)),
                (0, 2, 2, answer(0, 0)),
                (5, 0, 1, What::Timer { label: "t" }),
                (5, 0, 0, receive(2, 1)),
                (5, 1, 1, What::Deadline { label: "t" }),
            ]
        };
        assert_eq!(check(false, run()), Vec::<String>::new());
        assert_eq!(check(true, run()), Vec::<String>::new());
    }

    #[test]
    fn time_and_rounds_that_go_back_are_found() {
        finds(false, "time went back", [(5, 0, 0, What::Start), (4, 0, 0, What::Start)]);
        finds(false, "rounds of an instant", [(5, 3, 0, What::Start), (5, 2, 0, What::Start)]);
    }

    #[test]
    fn a_message_in_the_wrong_round_is_found() {
        let next = "arrives in the next round";
        finds(false, next, [(0, 4, 1, send(0, 0)), (0, 4, 0, receive(1, 0))]);
        finds(false, next, [(0, 4, 1, send(0, 0)), (0, 6, 0, receive(1, 0))]);
        finds(false, next, [(0, 4, 1, reply(0, 0)), (0, 6, 0, answer(1, 0))]);
        finds(false, next, [(0, 4, OUT, send(0, 0)), (0, 6, 0, receive(OUT, 0))]);
        finds(false, "time went on", [(0, 4, 1, send(0, 0)), (1, 0, 0, What::Start)]);
        finds(false, "it was sent to agent 0", [(0, 4, 1, send(0, 0)), (0, 5, 2, receive(1, 0))]);
    }

    #[test]
    fn messages_out_of_order_are_found() {
        let sent = |a: (u32, u64), b: (u32, u64)| {
            let sends = [(0, 0, a.0, send(9, a.1)), (0, 0, b.0, send(9, b.1))];
            sends.into_iter().chain([(0, 1, 9, receive(a.0, a.1)), (0, 1, 9, receive(b.0, b.1))])
        };
        finds(false, "order of keys", sent((2, 0), (1, 0)));
        assert_eq!(check(true, sent((2, 0), (1, 0))), Vec::<String>::new());
        finds(true, "sender's own order", sent((2, 1), (2, 0)));
        finds(false, "sender's own order", sent((2, 1), (2, 0)));
        finds(true, "outside comes first", sent((2, 0), (OUT, 0)));
        let replies = |shuffle| {
            check(
                shuffle,
                [
                    (0, 0, 2, reply(0, 0)),
                    (0, 0, 1, reply(0, 0)),
                    (0, 1, 0, answer(2, 0)),
                    (0, 1, 0, answer(1, 0)),
                ],
            )
        };
        assert_eq!((replies(false).len(), replies(true).len()), (1, 0));
    }

    #[test]
    fn held_messages_that_are_overtaken_are_found() {
        let start = || {
            let sends =
                [(0, 0, 1, send(0, 0)), (0, 0, 1, send(0, 1)), (0, 1, 0, held(1, 0)), (0, 1, 0, held(1, 1))];
            sends.into_iter()
        };
        finds(true, "waited longer", start().chain([(5, 0, 0, receive(1, 1))]));
        let overtaken = [(5, 0, 1, send(0, 2)), (5, 1, 0, receive(1, 2))];
        finds(true, "go first", start().chain(overtaken));
        // held once more when it is tried, it stays in its place
        let again = [
            (5, 0, 0, held(1, 0)),
            (5, 0, 0, held(1, 1)),
            (6, 0, 0, receive(1, 0)),
            (6, 0, 0, receive(1, 1)),
        ];
        assert_eq!(check(true, start().chain(again)), Vec::<String>::new());
    }

    #[test]
    fn a_timer_that_fires_while_mail_is_on_its_way_is_found() {
        let on = "on their way";
        finds(
            false,
            on,
            [(0, 0, 1, send(0, 0)), (0, 1, 2, What::Timer { label: "t" }), (0, 1, 0, receive(1, 0))],
        );
        finds(
            false,
            on,
            [(0, 0, 1, reply(0, 0)), (0, 1, 2, What::Deadline { label: "t" }), (0, 1, 0, answer(1, 0))],
        );
    }

    #[test]
    fn what_arrives_twice_or_from_nobody_is_found() {
        let twice = "nobody sent this message";
        finds(false, twice, [(0, 0, 1, send(0, 0)), (0, 1, 0, receive(1, 0)), (0, 2, 0, receive(1, 0))]);
        finds(false, twice, [(0, 1, 0, receive(1, 7))]);
        finds(false, twice, [(0, 1, 0, held(1, 7))]);
        let reply_twice = [(0, 0, 1, reply(0, 0)), (0, 1, 0, answer(1, 0)), (0, 2, 0, answer(1, 0))];
        finds(false, "nobody sent this reply", reply_twice);
        finds(false, "sent before", [(0, 0, 1, send(0, 3)), (0, 0, 1, send(0, 3)), (0, 1, 0, receive(1, 3))]);
    }

    #[test]
    fn nothing_is_kept_of_what_has_arrived() {
        let mut check = OrderCheck::new(false);
        for n in 0..10_000 {
            check.observe(&event(n, 0, 1, send(0, n as u64)));
            check.observe(&event(n, 1, 0, receive(1, n as u64)));
            check.observe(&event(n, 1, 0, reply(1, n as u64)));
            check.observe(&event(n, 2, 1, What::Late { from: key(0), sequence: n as u64 }));
        }
        assert_eq!((check.pending(), check.events(), check.found()), (0, 40_000, 0));
        assert!(check.state.borrow().round.len() <= 1);
    }
}
