//! A container: agents that share one kernel, and the way in for set-up code, drivers and tests.
//!
//! Contract: a container and its agents live on one thread. What the set-up sends counts as coming from outside, at the
//! time at which the clock stands.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use isochrone_sim::{
    AgentId, Config, CreateError, Ctx, Kernel, NameError, Policy, Progress, Ref, SimError, Time,
};

use super::{Agent, Answer, Vtable};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// Agents on one clock.
#[derive(Debug)]
pub struct Container {
    kernel: Kernel,
}

impl Container {
    /// A container without agents.
    ///
    /// # Errors
    /// When 65,535 kernels are alive in this process.
    pub fn new(config: Config) -> Result<Self, SimError> {
        Ok(Container { kernel: Kernel::new(config)? })
    }

    /// The kernel, for drivers.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Where the clock stands.
    pub fn now(&self) -> Time {
        self.kernel.now()
    }

    /// Adds an agent under a name. It cannot be restarted: for that it needs [`build`](Container::build).
    ///
    /// # Errors
    /// [`NameError`] when the name is taken or unusable.
    pub fn add<A: Agent>(&self, name: &str, state: A) -> Result<A::Proxy, NameError> {
        self.kernel.create(Some(name), state).map(A::Proxy::from)
    }

    /// Adds an agent without a name of its own: `House#0`, `House#1`, ..
    ///
    /// # Errors
    /// When the container is full.
    pub fn add_unnamed<A: Agent>(&self, state: A) -> Result<A::Proxy, NameError> {
        self.kernel.create(None, state).map(A::Proxy::from)
    }

    /// Adds an agent that `constructor` builds, now and at each restart.
    ///
    /// # Errors
    /// For its name, or with what the constructor said.
    pub fn build<A: Agent, E: fmt::Display>(
        &self,
        name: &str,
        constructor: impl Fn(&Ctx) -> Result<A, E> + 'static,
    ) -> Result<A::Proxy, CreateError> {
        let constructor = move |cx: &Ctx| constructor(cx).map_err(|error| error.to_string());
        self.kernel.create_with(Some(name), constructor).map(A::Proxy::from)
    }

    /// Adds an agent by its type's `#[constructor]`, with arguments by position and name.
    ///
    /// # Errors
    /// For its name, for the arguments, or with what the constructor said.
    pub fn create(&self, vtable: &Vtable, name: &str, args: Args) -> Result<AgentId, CreateError> {
        (vtable.create)(&self.kernel, name, args)
    }

    /// Sets what happens to agents of one type that fail; others follow the program's policy.
    pub fn supervise<A: Agent>(&self, policy: Policy) {
        self.kernel.set_policy::<A>(policy);
    }

    /// Looks at an agent's state; `None` when it has none: it is stopped, down, or in an exclusive method.
    pub fn with<A: Agent, R>(&self, agent: Ref<A>, f: impl FnOnce(&mut A) -> R) -> Option<R> {
        let this = self.kernel.this(agent)?;
        self.kernel.enter(|| this.try_with(f))
    }

    /// What has been provided for the run: its parameters, a simulator's set-up.
    pub fn shared<T: 'static>(&self) -> Option<Rc<T>> {
        self.kernel.enter(isochrone_sim::local::shared)
    }

    /// Runs code inside the kernel: in there proxies can be sent to and addresses be read and written.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        self.kernel.enter(f)
    }

    /// Calls a method of an agent from outside and lets the present instant happen; calls that take simulated time do not
    /// end here, they are an error.
    ///
    /// # Errors
    /// The call's own error, or a `Timeout` when this instant does not answer it.
    pub fn call(&self, agent: &str, method: &str, args: Args) -> Result<Value, CallError> {
        let mut answer = self.ask(agent, method, args)?;
        self.kernel
            .run_until(self.now())
            .map_err(|error| CallError::new("SimulationError", error.to_string()))?;
        let late =
            || Err(CallError::new("Timeout", format!("{agent} did not answer `{method}` at {}", self.now())));
        answer.take(&self.kernel).unwrap_or_else(late)
    }

    /// Connects to an agent elsewhere, as [`Connect::connect`](super::Connect::connect), for set-up code and programs
    /// without agents of their own. The container must be bound to an address before.
    ///
    /// # Errors
    /// A `ValueError` for what is no address of an agent, `Disconnected` when nobody is there, a `LookupError` when the
    /// agent is not.
    pub async fn connect<P: super::Connect>(&self, url: &str, patience: Duration) -> Result<P, CallError> {
        let proxy = self.enter(|| super::proxy::connecting(url, patience))?.await?;
        self.enter(|| super::proxy::met(proxy))
    }

    pub(crate) fn ask(&self, agent: &str, method: &str, args: Args) -> Result<Box<dyn Answer>, CallError> {
        let unknown = || {
            CallError::new("LookupError", format!("no agent {agent:?} is in {}", self.kernel.config().name))
        };
        let id = self.kernel.find(agent).ok_or_else(unknown)?;
        let vtable = self.vtable(id).ok_or_else(unknown)?;
        (vtable.ask_outside)(&self.kernel, id, method, args)
    }

    pub(crate) fn vtable(&self, agent: AgentId) -> Option<&'static Vtable> {
        self.kernel.facet(agent)?.downcast_ref()
    }

    /// Lets everything at or before `limit` happen, in simulated time, for programs that drive a container by hand. Agents
    /// that use `external` need a driver of [`clock`](crate::clock) instead.
    ///
    /// # Errors
    /// What the kernel says; [`SimError::NeedsDriver`] when an external operation has to be awaited.
    pub fn run_until(&self, limit: Time) -> Result<Option<Time>, SimError> {
        match self.kernel.run_until(limit)? {
            Progress::Quiet { next } => Ok(next),
            _ => Err(SimError::NeedsDriver(self.now())),
        }
    }
}
