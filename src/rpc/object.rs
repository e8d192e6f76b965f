//! Objects whose methods can be called: what `#[service]` makes of an impl block.
//!
//! Why a lock: several connections may call at once, on several threads. Methods with `&self` share it, methods with
//! `&mut self` have it alone; an `async` method holds it until it has ended.
//!
//! Contract: a method that does not wait is answered in place if the lock is free, which it always is for a service that
//! has only methods with `&self`. One that would call itself back, while it holds the lock, over methods that need it
//! alone waits for ever: keep such state in a mutex of its own, and take `&self`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::router::cut;
use super::{Args, CallError, Handler, Incoming, Method, Outcome, Peer};

/// A type whose methods can be called. `#[service]` implements it; there is no reason to do so by hand.
pub trait Exposed: Send + Sync + Sized + 'static {
    /// Its name, for errors.
    const NAME: &'static str;

    /// Its methods, in the order of the source.
    const METHODS: &'static [Method];

    /// Calls one of them.
    ///
    /// # Errors
    /// A TypeError for wrong arguments.
    #[doc(hidden)]
    fn call(me: &Shared<Self>, method: &str, call: &mut Incoming<'_>) -> Result<Outcome, CallError>;
}

/// An object that connections and the program share.
///
/// ```
/// use isochrone::rpc::{Service, Shared};
///
/// #[derive(Default)]
/// struct Tank { litres: f64 }
///
/// #[isochrone::service]
/// impl Tank {
///     #[expose]
///     fn fill(&mut self, litres: f64) -> f64 {
///         self.litres += litres;
///         self.litres
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let tank = Shared::new(Tank::default());
/// let service = Service::of(tank.clone());
/// tank.write().await.litres = 2.0;
/// # }
/// ```
pub struct Shared<T>(Arc<RwLock<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", std::any::type_name::<T>())
    }
}

impl<T> Shared<T> {
    /// Shares an object.
    pub fn new(object: T) -> Self {
        Shared(Arc::new(RwLock::new(object)))
    }

    /// Waits until nobody changes it, and reads.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().await
    }

    /// Waits until nobody uses it, and has it alone.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().await
    }

    #[doc(hidden)]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read().ok()
    }

    #[doc(hidden)]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.0.try_write().ok()
    }

    #[doc(hidden)]
    pub async fn read_owned(self) -> OwnedRwLockReadGuard<T> {
        self.0.read_owned().await
    }

    #[doc(hidden)]
    pub async fn write_owned(self) -> OwnedRwLockWriteGuard<T> {
        self.0.write_owned().await
    }
}

/// A shared object as a handler.
pub(super) struct Object<T>(Shared<T>);

impl<T> Object<T> {
    pub(super) fn new(object: Shared<T>) -> Self {
        Object(object)
    }
}

impl<T: Exposed> Handler for Object<T> {
    fn call(&self, path: &str, args: Args, peer: &Peer) -> Outcome {
        self.answer(path, &mut Incoming::read(args, peer, None))
    }

    fn answer(&self, path: &str, call: &mut Incoming<'_>) -> Outcome {
        let (name, Some(_)) = cut(path) else {
            return T::call(&self.0, path, call).unwrap_or_else(|error| Outcome::Done(Err(error)));
        };
        match T::METHODS.iter().any(|method| method.signature.name == name) {
            true => Outcome::NotFound(name.len() + 1),
            false => Outcome::NotFound(0),
        }
    }

    fn paths(&self) -> Vec<String> {
        T::METHODS.iter().map(|method| method.signature.name.to_owned()).collect()
    }
}
