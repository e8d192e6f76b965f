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

use super::service::{self, Later, Table};
use super::{CallError, Outcome, Peer, Request, Service, context};
use crate::channel::{Core, Replies, Serve};
use crate::codec::Value;

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
    id: Option<Value>,
    path: String,
    later: Later,
}

impl Future for Running {
    type Output = (Value, String, Result<Value, CallError>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = &mut *self;
        poll(&mut me.later, cx)
            .map(|result| (me.id.take().unwrap_or_default(), std::mem::take(&mut me.path), result))
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

impl Dispatcher {
    pub(super) fn new(core: &Arc<Core>, service: Service) -> Self {
        let (peer, version) = (Peer::uncounted(core), service.version());
        Dispatcher { peer, table: service.table(), service, version, running: FuturesUnordered::new() }
    }

    /// The result of a call, or what will be it.
    fn call(&mut self, content: Value, path: &mut String) -> Outcome {
        if self.version != self.service.version() {
            self.version = self.service.version();
            self.table = self.service.table();
        }
        let request = match Request::from_content(content) {
            Ok(request) => request,
            Err(error) => return Outcome::Done(Err(error)),
        };
        *path = request.path;
        if path.ends_with('/') {
            return Outcome::NotFound(path.len());
        }
        service::call(&self.table, path, request.args, &self.peer)
    }

    fn answer(&self, replies: &mut Replies, id: &Value, path: &str, result: Result<Value, CallError>) {
        let failed = match result {
            Ok(value) => match replies.reply(id, &value) {
                Ok(()) => return,
                Err(error) => CallError::type_error(format!("the result of {path}() {error}")),
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

impl Serve for Dispatcher {
    fn serve(&mut self, cx: &mut Context<'_>, requests: &mut Vec<(Value, Value)>, replies: &mut Replies) {
        if !requests.is_empty() || !self.running.is_empty() {
            let peer = Peer::uncounted(self.peer.link().core());
            context::within(&peer, || self.serve_within(cx, requests, replies));
        }
    }

    fn refusal(&self) -> Value {
        CallError::stopped("the connection is about to end").to_aiomas()
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

impl Dispatcher {
    fn serve_within(
        &mut self,
        cx: &mut Context<'_>,
        requests: &mut Vec<(Value, Value)>,
        replies: &mut Replies,
    ) {
        for (id, content) in requests.drain(..) {
            let mut path = String::new();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.call(content, &mut path)))
                .unwrap_or_else(|panic| Outcome::Done(Err(panicked(&*panic))));
            match outcome {
                Outcome::Done(result) => self.answer(replies, &id, &path, result),
                Outcome::NotFound(at) => self.answer(replies, &id, &path, Err(not_found(&path, at))),
                Outcome::Later(mut later) => match poll(&mut later, cx) {
                    Poll::Ready(result) => self.answer(replies, &id, &path, result),
                    Poll::Pending => self.running.push(Running { id: Some(id), path, later }),
                },
            }
        }
        while let Poll::Ready(Some((id, path, result))) = self.running.poll_next_unpin(cx) {
            self.answer(replies, &id, &path, result);
        }
    }
}
