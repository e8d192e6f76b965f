//! The kernel that runs on this thread, for layers above: addresses, names and types without a handle.
//!
//! All of it answers `None`, or does nothing, where no kernel runs.

use std::any::{Any, TypeId};
use std::rc::Rc;

use crate::agent::AgentId;
use crate::call::Fault;
use crate::context::Ctx;
use crate::core::Core;
use crate::current;
use crate::faults::Injected;
use crate::mailbox::{Actor, Ref};
use crate::request::{self, Ticket};
use crate::time::Time;
use crate::waiter::DOOR;

/// The number of the kernel.
#[inline]
pub fn kernel() -> Option<u16> {
    current::try_with(|core| core.id())
}

/// The name of its container; empty where no kernel runs.
pub fn container() -> String {
    current::try_with(|core| core.config.name.clone()).unwrap_or_default()
}

/// The path of an agent below the container.
pub fn path(agent: AgentId) -> String {
    current::try_with(|core| core.path(agent)).unwrap_or_default()
}

/// The agent at a path below the container.
pub fn find(path: &str) -> Option<AgentId> {
    current::try_with(|core| core.find(path)).flatten()
}

/// The address of an agent by its number, if it is of that type.
pub fn reference<A: Actor>(agent: AgentId) -> Option<Ref<A>> {
    current::try_with(|core| core.reference(agent)).flatten()
}

/// Asks an agent as the outside does, for a driver, which [is told](answered) when there is an answer. It keeps the call at a
/// place of its own, below 2^30 - 1.
///
/// # Errors
/// The call cannot be made.
pub fn ask<A: Actor>(to: Ref<A>, message: A::Msg, place: u32) -> Result<(), Box<Fault>> {
    let asked = current::try_with(|core| request::post(core, to, message, Some(DOOR | place)));
    asked.unwrap_or_else(|| Err(Box::new(Fault::NoKernel))).map(drop)
}

/// The place of the next call of a driver that has been answered; each is told of once, in the order of the replies.
pub fn answered() -> Option<(u32, Ticket)> {
    let (place, call) = current::try_with(|core| core.answered.borrow_mut().pop_front()).flatten()?;
    Some((place, Ticket(call)))
}

/// Takes the answer to a call of a driver that has been answered.
///
/// # Errors
/// What the call ended with, if not with a reply.
pub fn answer<A: Actor>(to: Ref<A>, ticket: Ticket) -> Result<A::Reply, Box<Fault>> {
    let answer = current::try_with(|core| request::collect(core, to, ticket)).flatten();
    answer.unwrap_or_else(|| Err(Box::new(Fault::NoKernel)))
}

/// What the agent's type tells the layers above, see [`Actor::facet`].
pub fn facet(agent: AgentId) -> Option<&'static dyn Any> {
    current::try_with(|core| core.class_of(agent).and_then(|(class, _)| class.facet())).flatten()
}

/// What has been provided to the kernel, see [`Kernel::provide`](crate::Kernel::provide).
pub fn shared<T: 'static>() -> Option<Rc<T>> {
    let value = current::try_with(|core| core.shared.borrow().get(&TypeId::of::<T>()).cloned()).flatten()?;
    value.downcast().ok()
}

/// The present time; zero where no kernel runs.
pub fn now() -> Time {
    current::try_with(Core::now).unwrap_or_default()
}

/// The present time with its round.
pub fn instant() -> (Time, u32) {
    current::try_with(|core| (core.now(), core.round())).unwrap_or_default()
}

/// Does something to an agent that did nothing wrong, see [`Kernel::inject_fault`](crate::Kernel::inject_fault).
pub fn inject_fault(agent: AgentId, fault: Injected) -> bool {
    current::current().is_some_and(|core| core.inject_fault(agent, fault))
}

/// From now on random numbers and a shuffled order are another seed's, see [`Kernel::reseed`](crate::Kernel::reseed).
pub fn reseed(seed: u64) {
    current::try_with(|core| core.reseed(seed));
}

/// The sum of all agents' running hashes at this point.
pub fn fingerprint() -> u64 {
    current::try_with(|core| core.fingerprint()).unwrap_or_default()
}

/// Whether the kernel runs on the wall clock; false where no kernel runs.
pub fn realtime() -> bool {
    current::try_with(|core| core.config.realtime).unwrap_or_default()
}

/// The handle of the agent whose code is running; `None` in code that is no agent's.
pub fn ctx() -> Option<Ctx> {
    current::try_with(|core| core.running()).filter(|agent| *agent != AgentId::OUTSIDE).map(Ctx::new)
}

/// Counts a message to nobody.
pub fn dead_letter(text: impl FnOnce() -> String) {
    if current::try_with(|core| core.count_dead_letter(text)).is_none() {
        crate::core::count_homeless();
    }
}
