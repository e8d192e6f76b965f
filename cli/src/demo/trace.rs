//! One negotiation of the run, caught by an observer: the report's sequence chart.
//!
//! Why an observer: the kernel tells of every message with its time, so the agents need not know that they are watched.
//! Each interval is recorded and the best one is kept: some contracts, somebody who is late, few enough to be drawn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use isochrone::sim::{AgentId, Event, Observer, Time, What};

use super::report::Exchange;

/// Devices in the chart, beside the coordinator.
const MOST_DEVICES: usize = 4;
/// Messages in the chart.
const MOST_MESSAGES: usize = 20;

/// A recorder of one coordinator's messages; clones are the same one.
#[derive(Debug, Clone)]
pub struct Trace {
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
struct State {
    coordinator: AgentId,
    interval: Vec<Message>,
    /// what each device was asked last and when, for the names of the answers
    asked: BTreeMap<AgentId, (&'static str, Time)>,
    best: Vec<Message>,
    best_score: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Message {
    time: Time,
    /// The device at the other end; the coordinator itself for a deadline.
    device: AgentId,
    incoming: bool,
    label: &'static str,
}

impl Trace {
    /// Records what this coordinator sends and hears.
    pub fn of(coordinator: AgentId) -> Trace {
        let state = State {
            coordinator,
            interval: Vec::new(),
            asked: BTreeMap::new(),
            best: Vec::new(),
            best_score: 0,
        };
        Trace { state: Rc::new(RefCell::new(state)) }
    }

    /// Ends an interval.
    pub fn end_interval(&self) {
        self.state.borrow_mut().end_interval();
    }

    /// The messages of the best interval, with the time at which it began; `name` tells what an agent is called, `clock`
    /// how a time is shown.
    pub fn exchanges(
        &self,
        name: impl Fn(AgentId) -> String,
        clock: impl Fn(Time) -> String,
    ) -> Option<(Time, Vec<Exchange>)> {
        let state = self.state.borrow();
        let begin = state.best.first()?.time;
        let coordinator = name(state.coordinator);
        let exchange = |message: &Message| {
            let device = name(message.device);
            let (from, to) =
                if message.incoming { (device, coordinator.clone()) } else { (coordinator.clone(), device) };
            Exchange { time: clock(message.time), from, to, label: message.label.to_owned() }
        };
        Some((begin, drawable(state.coordinator, &state.best).iter().map(exchange).collect()))
    }
}

impl Observer for Trace {
    fn observe(&mut self, event: &Event) {
        self.state.borrow_mut().see(event);
    }
}

impl State {
    fn see(&mut self, event: &Event) {
        let (device, incoming, label) = match &event.what {
            What::Send { to, label, .. } if event.agent == self.coordinator => {
                self.asked.insert(*to, (*label, event.time));
                (*to, false, *label)
            }
            What::Send { to, label, .. } if *to == self.coordinator && event.agent != AgentId::OUTSIDE => {
                (event.agent, true, *label)
            }
            What::Reply { to, .. } if *to == self.coordinator => {
                // answers at once are those that need no thinking
                let label = match self.asked.get(&event.agent) {
                    Some(("award", time)) if *time == event.time => "confirm",
                    Some(("propose", time)) if *time == event.time => "decline",
                    _ => "bid",
                };
                (event.agent, true, label)
            }
            What::Deadline { .. } if event.agent == self.coordinator => (event.agent, true, "deadline"),
            _ => return,
        };
        self.interval.push(Message { time: event.time, device, incoming, label });
    }

    fn end_interval(&mut self) {
        self.asked.clear();
        let interval = std::mem::take(&mut self.interval);
        let count = |label| interval.iter().filter(|message| message.label == label).count() as u32;
        let awards = count("award");
        // two or three contracts tell the story; so does somebody who is late
        let score = match awards {
            0 => 0,
            2 | 3 => 10,
            _ => 4,
        } + if awards > 0 { 5 * count("deadline").min(1) } else { 0 };
        if score > self.best_score {
            (self.best, self.best_score) = (interval, score);
        }
    }
}

/// Who has a contract, then who is late, then the others, as many as can be drawn; and what they say.
fn drawable(coordinator: AgentId, messages: &[Message]) -> Vec<Message> {
    let deadline = messages.iter().find(|message| message.label == "deadline").map(|message| message.time);
    let is_late = |message: &Message| {
        message.label == "bid" && deadline.is_some_and(|deadline| message.time >= deadline)
    };
    let ranks: [&dyn Fn(&Message) -> bool; 3] =
        [&|message| message.label == "award", &is_late, &|message| message.label == "bid"];
    let mut devices = Vec::new();
    for (rank, belongs) in ranks.iter().enumerate() {
        // leave a line for somebody who is late
        let most = MOST_DEVICES - usize::from(rank == 0 && deadline.is_some());
        for message in messages.iter().filter(|message| belongs(message)) {
            if devices.len() < most && !devices.contains(&message.device) {
                devices.push(message.device);
            }
        }
    }
    let mut shown = Vec::new();
    for message in messages {
        if message.device == coordinator {
            // of several deadlines of one instant one is enough
            let known = |old: &Message| old.label == message.label && old.time == message.time;
            if !shown.iter().any(known) {
                shown.push(*message);
            }
        } else if devices.contains(&message.device) {
            let label = match message.label {
                "propose" => "call for proposals",
                "bid" if is_late(message) => "bid, too late",
                label => label,
            };
            shown.push(Message { label, ..*message });
        }
    }
    shown.truncate(MOST_MESSAGES);
    shown
}
