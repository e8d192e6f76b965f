//! Which kernel runs on this thread, and how a wake from anywhere else reaches its kernel.
//!
//! Why: an agent's code names no kernel (`cx.now()`, `proxy.bid(3.0).await`), and a waker is only an integer, so both
//! find the kernel through a thread-local. Entering nests: a kernel may be run from inside another kernel's agent.
//!
//! Contract: [`with`] sees the innermost kernel that is running on this thread. A wake that arrives on another thread, or
//! on this one while its kernel is not running, goes into that kernel's [`Injector`] and is judged at its next turn.
//! Numbers of kernels are reused last, so that a stale wake meets nobody rather than a stranger.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::core::Core;
use crate::waker::TaskKey;

/// Wakes that came from outside the kernel, and whom to tell that there are some.
#[derive(Debug, Default)]
pub(crate) struct Injector {
    woken: Mutex<Vec<TaskKey>>,
    /// whether there are some: a kernel that nobody wakes from outside takes no lock
    some: AtomicBool,
    driver: Mutex<Option<Waker>>,
    /// whether a driver is to be woken
    watched: AtomicBool,
}

impl Injector {
    fn push(&self, key: TaskKey) {
        lock(&self.woken).push(key);
        self.some.store(true, Ordering::SeqCst);
        // not under the lock: the driver may ask to be woken again
        let driver = {
            let mut driver = lock(&self.driver);
            self.watched.store(false, Ordering::SeqCst);
            driver.take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    pub(crate) fn take(&self) -> Vec<TaskKey> {
        if !self.has_some() {
            return Vec::new();
        }
        self.some.store(false, Ordering::SeqCst);
        std::mem::take(&mut *lock(&self.woken))
    }

    pub(crate) fn has_some(&self) -> bool {
        self.some.load(Ordering::SeqCst)
    }

    /// Asks for `driver` to be woken at the next wake from outside.
    pub(crate) fn watch(&self, driver: &Waker) {
        let mut known = lock(&self.driver);
        *known = Some(driver.clone());
        self.watched.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::SeqCst)
    }
}

/// A lock whose holder panicked is still good here: every critical section is a single push, take or store.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Registry {
    kernels: Vec<Option<Arc<Injector>>>,
    free: VecDeque<u16>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { kernels: Vec::new(), free: VecDeque::new() });

/// Takes a number for a new kernel, or `None` when 65,535 are alive.
pub(crate) fn register() -> Option<(u16, Arc<Injector>)> {
    let mut registry = lock(&REGISTRY);
    let injector = Arc::new(Injector::default());
    if registry.kernels.len() < usize::from(u16::MAX) {
        registry.kernels.push(Some(injector.clone()));
        return Some((registry.kernels.len() as u16, injector));
    }
    let id = registry.free.pop_front()?;
    registry.kernels[usize::from(id) - 1] = Some(injector.clone());
    Some((id, injector))
}

pub(crate) fn unregister(id: u16) {
    let mut registry = lock(&REGISTRY);
    registry.kernels[usize::from(id) - 1] = None;
    registry.free.push_back(id);
}

thread_local! {
    // without a destructor of its own, so that a look at it is one load: whoever enters also leaves
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Core>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// The kernel is current on this thread until this is dropped.
pub(crate) struct Entered(Option<Rc<Core>>);

impl Entered {
    pub(crate) fn new(core: &Rc<Core>) -> Self {
        let outer = CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(core.clone()))));
        Entered(ManuallyDrop::into_inner(outer))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let outer = self.0.take();
        let own = CURRENT.with(|current| current.replace(ManuallyDrop::new(outer)));
        drop(ManuallyDrop::into_inner(own));
    }
}

/// Runs `f` with the kernel that runs on this thread, or returns `None` outside of any.
#[inline(always)]
pub(crate) fn try_with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    CURRENT.with(|current| current.borrow().as_deref().map(f))
}

/// The kernel that runs on this thread, to run agents' code with: meanwhile the thread-local is not borrowed.
pub(crate) fn current() -> Option<Rc<Core>> {
    CURRENT.with(|current| (**current.borrow()).clone())
}

/// As [`try_with`].
///
/// # Panics
/// Outside of a running kernel: then agent code is running where no clock exists.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&Core) -> R) -> R {
    CURRENT.with(|current| {
        f(current.borrow().as_deref().expect("this needs a clock: it works only in code that a kernel runs"))
    })
}

/// What a waker of ours calls.
pub(crate) fn wake(key: TaskKey) {
    let ours = try_with(|core| {
        core.id() == key.kernel() && {
            core.wake_from_code(key);
            true
        }
    });
    if ours != Some(true) {
        let injector =
            lock(&REGISTRY).kernels.get(usize::from(key.kernel()).wrapping_sub(1)).cloned().flatten();
        if let Some(injector) = injector {
            injector.push(key);
        }
    }
}
