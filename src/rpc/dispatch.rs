//! The requests of one connection, on their way to their handlers and back.
//!
//! Contract: every request is answered once: with the handler's result, with its failure, also if it panics, with a
//! ProtocolError if it is no call, with a TypeError if the result cannot be sent. A handler is polled in place first; only
//! one that is not ready then costs a task of its own, in the connection's driver.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, StreamExt};

use super::incoming::unsendable;
use super::service::{self, Later, Table};
use super::{CallError, Incoming, Outcome, Peer, Request, Service, context};
use crate::channel::{Core, Id, Replies, Requests, Serve};
use crate::codec::{Raw, Value};

pub(super) struct Dispatcher {
    peer: Peer,
    service: Service,
    /// The service's table as it was in this version.
    table: Arc<Table>,
    version: u64,
    running: FuturesUnordered<Running>,
}

/// A handler that was not ready at once.
struct Running {
    id: Option<Id>,
    later: Later,
}

impl Future for Running {
    type Output = (Option<Id>, Result<Value, CallError>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        poll(&mut me.later, cx).map(|result| (me.id.take(), result))
    }
}

impl Dispatcher {
    pub(super) fn new(core: &Arc<Core>, service: Service) -> Self {
        let (peer, version) = (Peer::of(core), service.version());
        Dispatcher { peer, table: service.table(), service, version, running: FuturesUnordered::new() }
    }

    /// Answers one request, or starts to.
    #[inline]
    fn request(&mut self, cx: &mut Context<'_>, id: Id, content: Raw<'_>, replies: &mut Replies) {
        let (table, peer) = (&self.table, &self.peer);
        let outcome =
            catch_unwind(AssertUnwindSafe(|| match Incoming::split(&content, peer, (&id, replies)) {
                Some((path, mut call)) => match answer(table, &path, &mut call) {
                    Outcome::NotFound(at) => Outcome::Done(Err(not_found(&path, at))),
                    outcome => outcome,
                },
                None => Outcome::Done(Err(no_call(&content))),
            }));
        let result = match outcome {
            Ok(Outcome::Written) => return,
            Ok(Outcome::Done(result)) => result,
            Ok(Outcome::NotFound(at)) => Err(not_found("", at)),
            Ok(Outcome::Later(mut later)) => match poll(&mut later, cx) {
                Poll::Ready(result) => result,
                Poll::Pending => return self.running.push(Running { id: Some(id), later }),
            },
            Err(panic) => Err(panicked(&*panic)),
        };
        self.answer(replies, &id, result);
    }

    fn answer(&self, replies: &mut Replies, id: &Id, result: Result<Value, CallError>) {
        let failed = match result {
            Ok(value) => match replies.reply(id, &value) {
                Ok(()) => return,
                Err(error) => unsendable(&error),
            },
            Err(error) => error,
        };
        let told = if self.service.tells_traces() { failed } else { failed.with_trace([""; 0]) };
        if replies.fail(id, &told.to_aiomas()).is_err() {
            // An error text as long as a frame.
            let short = CallError::new("Error", "the failure cannot be sent").to_aiomas();
            let _ = replies.fail(id, &short);
        }
    }
}

/// What is at `path`, called.
#[inline]
fn answer(table: &Table, path: &str, call: &mut Incoming<'_>) -> Outcome {
    match path.ends_with('/') {
        true => Outcome::NotFound(path.len()),
        false => service::answer(table, path, call),
    }
}

impl Serve for Dispatcher {
    fn serve(&mut self, cx: &mut Context<'_>, requests: &mut Requests, replies: &mut Replies) {
        if requests.is_empty() && self.running.is_empty() {
            return;
        }
        if self.version != self.service.version() {
            self.version = self.service.version();
            self.table = self.service.table();
        }
        let peer = self.peer.uncounted();
        context::within(&peer, || {
            let config = peer.link().core().config();
            requests.drain(config, |id, content| self.request(cx, id, content, replies));
            while let Poll::Ready(Some((id, result))) = self.running.poll_next_unpin(cx) {
                if let Some(id) = id {
                    self.answer(replies, &id, result);
                }
            }
        });
    }

    fn refusal(&self) -> Value {
        CallError::stopped("the connection is about to end").to_aiomas()
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

/// Why it is none.
#[cold]
fn no_call(content: &Raw<'_>) -> CallError {
    match Request::from_content(content.value()) {
        Err(error) => error,
        Ok(_) => CallError::protocol_error("a request is [path, [args], {kwargs}]"),
    }
}

/// Polls a handler; a panic is its failure.
fn poll(later: &mut Later, cx: &mut Context<'_>) -> Poll<Result<Value, CallError>> {
    catch_unwind(AssertUnwindSafe(|| later.as_mut().poll(cx)))
        .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
}

/// As aiomas says it.
#[cold]
fn not_found(path: &str, at: usize) -> CallError {
    let (parent, rest) = path.split_at_checked(at).unwrap_or((path, ""));
    let name = rest.split('/').next().unwrap_or(rest);
    CallError::lookup_error(format!("Name \"{name}\" not found in \"{}\"", parent.trim_end_matches('/')))
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> CallError {
    let message = panic.downcast_ref::<&str>().map(|text| text.to_string());
    CallError::panicked(message.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default())
}
