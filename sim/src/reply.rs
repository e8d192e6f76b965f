//! Replies on their way back.
//!
//! Why apart from messages: a reply goes to a task and not to a handler, and its caller's type is unknown here. The value
//! stays in the callee's class; what travels is a note of it, and all notes of a round are put into one order.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::agent::{AgentId, Status};
use crate::call::{CallRef, CallState, Fault};
use crate::core::Core;
use crate::fingerprint::{Tag, content};
use crate::observe::What;
use crate::order::Ordered;
use crate::pending::REPLIES;
use crate::supervise::panic_text;
use crate::waiter::{DOOR, NO_TASK};

/// A reply on its way to its caller.
pub(crate) struct ReplyNote {
    pub(crate) to: AgentId,
    pub(crate) from: AgentId,
    sequence: u64,
    class: u16,
    call: CallRef,
    value: u32,
    /// of the value, then of value and sequence number
    hash: u64,
}

impl ReplyNote {
    #[inline]
    pub(crate) fn new(to: AgentId, class: u16, call: CallRef, value: u32, hash: u64) -> Self {
        ReplyNote { to, from: AgentId::OUTSIDE, sequence: 0, class, call, value, hash }
    }
}

impl Ordered for ReplyNote {
    fn order(&self) -> (AgentId, u32, u64) {
        (self.to, self.from.ordinal().wrapping_add(1), self.sequence)
    }
}

impl Core {
    /// Puts a reply on its way.
    #[inline(always)]
    pub(crate) fn reply(&self, from: AgentId, mut note: ReplyNote) {
        {
            let mut agents = self.agents.borrow_mut();
            let me = &mut agents.meta[from.index()];
            note.sequence = me.sequence;
            note.from = from;
            me.sequence += 1;
            let peer = self.key(note.to).raw();
            note.hash = content(note.hash, note.sequence);
            me.fingerprint.mix_at(self.instant.get(), Tag::Reply, peer, note.hash);
        }
        if self.is_observed() {
            let what = What::Reply {
                to: note.to,
                sequence: note.sequence,
                hash: note.hash,
                call: note.call.number(),
            };
            self.tell_with(from, what, || self.class(note.class)?.show(note.value));
        }
        self.replies.push(note);
        self.pending.raise(REPLIES);
    }

    /// Why a call ends whose handler was dropped.
    #[cold]
    pub(crate) fn abandoned(&self, callee: AgentId, call: CallRef) -> Box<Fault> {
        let method = self.calls.borrow_mut().get(call).map_or("?", |head| head.label);
        let why = match self.agents.borrow().meta.get(callee.index()).map(|meta| meta.status) {
            Some(Status::Stopped) => "it was stopped",
            Some(Status::Down) => "it failed and restarts",
            // a handler that panics drops its answer before, a task after its failure is noted
            _ if std::thread::panicking() || self.has_failed(callee) => "it failed",
            _ => "its handler ended without an answer",
        };
        Box::new(Fault::Abandoned { agent: self.path(callee), method: method.into(), why: why.into() })
    }

    #[inline]
    pub(crate) fn deliver_reply(&self, note: &ReplyNote) {
        let waiter = match self.calls.borrow_mut().get(note.call) {
            Some(head) => {
                head.state = CallState::Answered(note.value);
                head.waiter
            }
            None => {
                self.late.set(self.late.get() + 1);
                self.observe(note.to, || What::Late { from: self.key(note.from), sequence: note.sequence });
                if let Some(class) = self.class(note.class)
                    && let Err(panic) = catch_unwind(AssertUnwindSafe(|| class.discard(note.value)))
                {
                    // a destructor: of the one who made the value
                    self.fail(note.from, "drop", panic_text(&*panic));
                }
                return;
            }
        };
        if note.to != AgentId::OUTSIDE {
            let peer = self.key(note.from).raw();
            let mut agents = self.agents.borrow_mut();
            agents.meta[note.to.index()].fingerprint.mix_at(self.instant.get(), Tag::Answer, peer, note.hash);
        }
        self.observe(note.to, || What::Answer {
            from: self.key(note.from),
            sequence: note.sequence,
            hash: note.hash,
        });
        if waiter >= DOOR && waiter != NO_TASK {
            self.answered.borrow_mut().push_back((waiter & !DOOR, note.call));
        } else {
            self.wake_waiter(waiter);
        }
    }
}
