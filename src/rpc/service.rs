//! What a peer may call: functions, objects, dictionaries of services, put together at any time.
//!
//! Why a table: aiomas walks attributes, so whatever hangs on an exposed object can be called, a container's internals
//! included. Here only what was put in can be reached.
//!
//! Contract: a service is a handle; its clones are the same service. What is put in or taken out counts for the next
//! request, on every connection. No user code runs under the lock of the table.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::object::{Exposed, Object, Shared};
use super::{Args, CallError, Incoming, Own, Peer, Router};
use crate::codec::Value;

/// How a handler answers.
#[non_exhaustive]
pub enum Outcome {
    /// At once.
    Done(Result<Value, CallError>),
    /// When the future has ended. It is polled in place first and runs beside other calls only if it is not ready then.
    Later(Later),
    /// Not at all: nothing has the name that starts at this byte of the path.
    NotFound(usize),
    /// It is written already.
    #[doc(hidden)]
    Written,
}

/// The rest of a call.
pub type Later = Pin<Box<dyn Future<Output = Result<Value, CallError>> + Send>>;

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Outcome::Later(_) => f.write_str("Later"),
            Outcome::Written => f.write_str("Written"),
            Outcome::NotFound(at) => f.debug_tuple("NotFound").field(at).finish(),
        }
    }
}

/// Answers calls by path: for what is looked up at run time. Most services are made with
/// [`#[service]`](crate::service) or [`Entry::function`].
pub trait Handler: Send + Sync + 'static {
    /// Answers a call of `path`, which is what follows the place where the handler was put; empty for the place itself.
    fn call(&self, path: &str, args: Args, peer: &Peer) -> Outcome;

    /// The same, for handlers that know the types of their arguments.
    #[doc(hidden)]
    fn answer(&self, path: &str, call: &mut Incoming<'_>) -> Outcome {
        match call.args() {
            Ok(args) => self.call(path, args, call.peer()),
            Err(error) => Outcome::Done(Err(error)),
        }
    }

    /// Whether something is at `path`, so that a reference to it can be sent.
    fn contains(&self, path: &str) -> bool {
        path.is_empty()
    }

    /// The paths that can be called, for those who ask.
    fn paths(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Something that can be put into a [`Service`].
pub struct Entry(Arc<dyn Handler>);

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.0.paths()).finish()
    }
}

impl Entry {
    /// A function that answers at once.
    pub fn function(f: impl Fn(&Peer, Args) -> Result<Value, CallError> + Send + Sync + 'static) -> Entry {
        Entry(Arc::new(Function(move |peer: &Peer, args| Outcome::Done(f(peer, args)))))
    }

    /// A function that takes time.
    pub fn future<F>(f: impl Fn(&Peer, Args) -> F + Send + Sync + 'static) -> Entry
    where
        F: Future<Output = Result<Value, CallError>> + Send + 'static,
    {
        Entry(Arc::new(Function(move |peer: &Peer, args| Outcome::Later(Box::pin(f(peer, args))))))
    }

    /// Anything that finds by itself what is called.
    pub fn handler(handler: impl Handler) -> Entry {
        Entry(Arc::new(handler))
    }
}

/// What `#[service]` was put on.
impl<T: Exposed> From<T> for Entry {
    fn from(object: T) -> Entry {
        Shared::new(object).into()
    }
}

/// The same, shared with the program.
impl<T: Exposed> From<Shared<T>> for Entry {
    fn from(object: Shared<T>) -> Entry {
        Entry(Arc::new(Object::new(object)))
    }
}

/// A service within a service.
impl From<Service> for Entry {
    fn from(service: Service) -> Entry {
        Entry(Arc::new(service))
    }
}

struct Function<F>(F);

impl<F: Fn(&Peer, Args) -> Outcome + Send + Sync + 'static> Handler for Function<F> {
    fn call(&self, path: &str, args: Args, peer: &Peer) -> Outcome {
        match path {
            "" => (self.0)(peer, args),
            _ => Outcome::NotFound(0),
        }
    }

    fn paths(&self) -> Vec<String> {
        vec![String::new()]
    }
}

pub(super) type Table = Router<Arc<dyn Handler>>;

/// What a peer may call.
///
/// ```
/// use isochrone::rpc::{Entry, Service};
///
/// let sub = Service::new().with("whoami", Entry::function(|_, _| Ok("sub".into())));
/// let root = Service::new().with("sub", sub.clone());
/// assert_eq!(root.paths(), ["sub/whoami"]);
/// // at run time, by any of its handles
/// sub.insert("ping", Entry::function(|_, _| Ok("pong".into())));
/// assert_eq!(root.paths(), ["sub/ping", "sub/whoami"]);
/// ```
#[derive(Clone, Default)]
pub struct Service(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Counts the changes of the table.
    version: AtomicU64,
    table: Mutex<Arc<Table>>,
    traces: AtomicBool,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.paths()).finish()
    }
}

/// Whether both are handles of the same service.
impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Service {
    /// A service with nothing in it.
    pub fn new() -> Self {
        Service::default()
    }

    /// A service whose root is this object.
    pub fn of(root: impl Into<Entry>) -> Self {
        Service::new().with("", root)
    }

    /// The same service with this at `path`, in place of what was there. The empty path is the root.
    #[must_use]
    pub fn with(self, path: &str, entry: impl Into<Entry>) -> Self {
        self.insert(path, entry);
        self
    }

    /// Puts something at `path`. True if it took the place of something else.
    pub fn insert(&self, path: &str, entry: impl Into<Entry>) -> bool {
        let Entry(handler) = entry.into();
        // What was there is dropped outside of the lock, for it may be user's.
        let before = self.change(|table| table.insert(path, handler));
        before.is_some()
    }

    /// Takes out what is at `path` and below. False if there was nothing.
    pub fn remove(&self, path: &str) -> bool {
        let before = self.table();
        let removed = self.change(|table| table.remove(path));
        drop(before);
        removed
    }

    /// Lets failures tell callers where they come from, file names included. Off, for they are none of a stranger's
    /// business. A container's [services](crate::container::Binding::services) say so for its agents too, to peers that connect
    /// from then on.
    pub fn tell_traces(&self, tell: bool) {
        self.0.traces.store(tell, Ordering::Relaxed);
    }

    pub(crate) fn tells_traces(&self) -> bool {
        self.0.traces.load(Ordering::Relaxed)
    }

    /// A reference to what is at `path`, to be sent to a peer that has this service as its root.
    ///
    /// # Errors
    /// A LookupError if nothing is there.
    pub fn own(&self, path: &str) -> Result<Own, CallError> {
        match Handler::contains(self, path) {
            true => Ok(Own::new(self.clone(), path)),
            false => Err(CallError::lookup_error(format!("{path:?} is not exposed"))),
        }
    }

    /// All paths that can be called, in order of their names.
    pub fn paths(&self) -> Vec<String> {
        let table = self.table();
        let below = |(place, handler): (String, &Arc<dyn Handler>)| {
            let join = move |path: String| match (place.is_empty(), path.is_empty()) {
                (true, _) => path,
                (_, true) => place.clone(),
                _ => format!("{place}/{path}"),
            };
            handler.paths().into_iter().map(join)
        };
        table.iter().into_iter().flat_map(below).collect()
    }

    /// The present table, and the number of its version.
    pub(super) fn table(&self) -> Arc<Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut table = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(Arc::make_mut(&mut table));
        self.0.version.fetch_add(1, Ordering::Release);
        result
    }
}

/// Calls what is at `path` of a table.
pub(super) fn answer(table: &Table, path: &str, call: &mut Incoming<'_>) -> Outcome {
    match table.find(path) {
        Ok((handler, rest)) => match handler.answer(rest, call) {
            Outcome::NotFound(at) => Outcome::NotFound(path.len() - rest.len() + at),
            outcome => outcome,
        },
        Err(Some(at)) => Outcome::NotFound(at),
        Err(None) => Outcome::Done(Err(CallError::lookup_error(format!("\"{path}\" is not exposed")))),
    }
}

impl Handler for Service {
    fn call(&self, path: &str, args: Args, peer: &Peer) -> Outcome {
        answer(&self.table(), path, &mut Incoming::read(args, peer, None))
    }

    fn answer(&self, path: &str, call: &mut Incoming<'_>) -> Outcome {
        answer(&self.table(), path, call)
    }

    fn contains(&self, path: &str) -> bool {
        let table = self.table();
        table.contains(path) || table.find(path).is_ok_and(|(handler, rest)| handler.contains(rest))
    }

    fn paths(&self) -> Vec<String> {
        Service::paths(self)
    }
}
