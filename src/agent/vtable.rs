//! An agent's type, without the type.
//!
//! Why: co-simulators, remote callers and the command line handle agents they know only by name. One table of functions
//! per type, made by the compiler, is all they need; no agent carries anything for it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use isochrone_sim::{AgentId, Asked, CreateError, Ctx, Kernel, This, Ticket};

use super::call::{Running, from_fault};
use super::inputs::{BadInput, Written};
use super::{Agent, Model, Proxy, local};
use crate::codec::Value;
use crate::rpc::{Args, CallError};

/// Writes to an input port, inside the kernel.
pub(crate) type Write = Box<dyn FnOnce()>;

/// What can be done with agents of one type.
pub struct Vtable {
    /// What the type looks like.
    pub model: &'static Model,
    /// Calls a method, from inside the kernel.
    pub(crate) ask: fn(AgentId, &str, Args) -> Running,
    /// Calls a method as the outside does, from inside the kernel; the driver has a place for the answer.
    pub(crate) enter: fn(AgentId, &str, Args, u32) -> Result<(), CallError>,
    /// Takes that answer, inside the kernel.
    pub(crate) answer: fn(AgentId, Ticket) -> Result<Value, CallError>,
    /// Sends a one-way message, from inside the kernel.
    pub(crate) post: fn(AgentId, &str, Args) -> Result<(), CallError>,
    /// Calls a method, from outside the kernel.
    pub(crate) ask_outside: fn(&Kernel, AgentId, &str, Args) -> Asking,
    /// Creates an agent by its constructor.
    pub(crate) create: fn(&Kernel, &str, Args) -> Result<AgentId, CreateError>,
    /// The same by an agent, without a name of its own; the constructor's error stays itself.
    #[cfg_attr(not(feature = "manager"), allow(dead_code, reason = "only managers do"))]
    pub(crate) spawn: fn(&Ctx, Args) -> Result<Proxy, CallError>,
    /// Checks what is to be written to an input port; what comes back writes it.
    pub(crate) write: fn(&Kernel, AgentId, usize, Written) -> Result<Write, BadInput>,
    /// Runs the method of the step.
    pub(crate) step: fn(&Kernel, AgentId),
    /// Reads an output port; `None` when the agent has no state now.
    pub(crate) read: fn(&Kernel, AgentId, usize) -> Option<Result<Value, CallError>>,
    /// What watches the state outputs of agents of this type.
    pub(crate) watch: fn() -> Watching,
}

impl fmt::Debug for Vtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vtable({})", self.model.name)
    }
}

impl Vtable {
    /// The table of a type.
    pub const fn of<A: Agent>() -> &'static Vtable {
        const { &Table::<A>::VTABLE }
    }
}

/// An answer that is awaited from outside the kernel.
pub(crate) trait Answer: fmt::Debug {
    fn take(&mut self, kernel: &Kernel) -> Option<Result<Value, CallError>>;
}

impl<A: Agent> Answer for Asked<A> {
    fn take(&mut self, kernel: &Kernel) -> Option<Result<Value, CallError>> {
        let answer = kernel.answer(self)?;
        Some(match answer {
            Ok(reply) => kernel.enter(|| A::encode(reply)),
            Err(fault) => Err(from_fault(&fault)),
        })
    }
}

/// Outputs of agents of one type that are looked at again and again: their handles are kept, so that a look costs little more
/// than the outputs themselves.
pub(crate) trait Watch: fmt::Debug {
    /// Watches some outputs of an agent from now on, and returns its place here; `None` for an agent of another type.
    fn add(&mut self, kernel: &Kernel, agent: AgentId, ports: &[usize]) -> Option<u32>;

    /// Whether an output of the first of these agents, which are in order and each there once, is not what it was at the last
    /// look, and how many they are: those that `seats` places here by their numbers, in this class. Inside the kernel. An
    /// agent without state (it is stopped) has no news.
    fn have_changed(&mut self, agents: &[AgentId], seats: &[Seat], class: u32) -> (bool, usize);
}

/// Where an agent is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    /// which of the watching it is, for their owner
    pub(crate) class: u32,
    /// its place there
    pub(crate) place: u32,
}

/// Outputs that are watched, whatever the type of their agents.
pub(crate) type Watching = Box<dyn Watch>;

struct Watched<A: Agent> {
    agents: Vec<This<A>>,
    /// for each agent and output, if it is watched, the hash of what was last seen
    seen: Vec<Option<u64>>,
    /// the number of the first agent, if the numbers of all others follow it
    row: Option<u32>,
}

impl<A: Agent> fmt::Debug for Watched<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({:?} of {:?})", self.seen, self.agents)
    }
}

impl<A: Agent> Watched<A> {
    /// Whether these begin with all that are watched here: mostly agents were created together, and all have run.
    fn are_all(&self, agents: &[AgentId]) -> bool {
        let Some((first, last)) = self.row.zip(self.agents.len().checked_sub(1)) else { return false };
        let is = |at: usize| agents.get(at).is_some_and(|agent| agent.ordinal() == first + at as u32);
        // in order, and each once: between the two there is room for the others only
        is(0) && is(last)
    }
}

impl<A: Agent> Watch for Watched<A> {
    fn add(&mut self, kernel: &Kernel, agent: AgentId, ports: &[usize]) -> Option<u32> {
        let (number, here) = (agent.ordinal(), self.agents.len() as u32);
        self.agents.push(kernel.this(kernel.reference::<A>(agent)?)?);
        self.row = if here == 0 { Some(number) } else { self.row.filter(|first| first + here == number) };
        self.seen.extend((0..A::MODEL.outputs.len()).map(|port| ports.contains(&port).then_some(0)));
        u32::try_from(self.agents.len() - 1).ok()
    }

    fn have_changed(&mut self, agents: &[AgentId], seats: &[Seat], class: u32) -> (bool, usize) {
        let outputs = A::MODEL.outputs.len();
        let (mut difference, mut looked_at) = (0, 0);
        if self.are_all(agents) {
            for (agent, seen) in self.agents.iter().zip(self.seen.chunks_exact_mut(outputs.max(1))) {
                difference |= agent.try_with(|me| difference_to(me, seen)).unwrap_or(0);
            }
            return (difference != 0, self.agents.len());
        }
        for agent in agents {
            let Some(seat) = seats.get(agent.ordinal() as usize).filter(|seat| seat.class == class) else {
                break;
            };
            looked_at += 1;
            let place = seat.place as usize;
            let seen = self.seen.get_mut(place * outputs..(place + 1) * outputs);
            let (Some(agent), Some(seen)) = (self.agents.get(place), seen) else { continue };
            difference |= agent.try_with(|me| difference_to(me, seen)).unwrap_or(0);
        }
        (difference != 0, looked_at)
    }
}

/// Zero if all outputs are what was seen; from now on they are. A number, since it is cheaper to collect than a truth.
#[inline(always)]
fn difference_to<A: Agent>(me: &mut A, seen: &mut [Option<u64>]) -> u64 {
    let mut difference = 0;
    // so many that the compiler knows how many: it writes them out, output by output
    for port in 0..A::MODEL.outputs.len() {
        if let Some(Some(seen)) = seen.get_mut(port) {
            let hash = me.output_hash(port);
            difference |= std::mem::replace(seen, hash) ^ hash;
        }
    }
    difference
}

/// An answer to come, or why there will be none.
pub(crate) type Asking = Result<Box<dyn Answer>, CallError>;

struct Table<A>(A);

impl<A: Agent> Table<A> {
    const VTABLE: Vtable = Vtable {
        model: A::MODEL,
        ask: Self::ask,
        enter: Self::enter,
        answer: Self::answer,
        post: Self::post,
        ask_outside: Self::ask_outside,
        create: Self::create,
        spawn: Self::spawn,
        write: Self::write,
        step: Self::step,
        read: Self::read,
        watch: Self::watch,
    };

    fn ask(agent: AgentId, method: &str, args: Args) -> Running {
        let call = A::decode(method, args)
            .and_then(|message| Ok(local::reference::<A>(agent).ok_or_else(gone)?.call(message)));
        Box::pin(async move {
            match call?.await {
                Ok(reply) => A::encode(reply),
                Err(fault) => Err(from_fault(&fault)),
            }
        })
    }

    fn enter(agent: AgentId, method: &str, args: Args, place: u32) -> Result<(), CallError> {
        let message = A::decode(method, args)?;
        let agent = local::reference::<A>(agent).ok_or_else(gone)?;
        local::ask(agent, message, place).map_err(|fault| from_fault(&fault))
    }

    fn answer(agent: AgentId, ticket: Ticket) -> Result<Value, CallError> {
        let agent = local::reference::<A>(agent).ok_or_else(gone)?;
        match local::answer(agent, ticket) {
            Ok(reply) => A::encode(reply),
            Err(fault) => Err(from_fault(&fault)),
        }
    }

    fn post(agent: AgentId, method: &str, args: Args) -> Result<(), CallError> {
        let message = A::decode(method, args)?;
        local::reference::<A>(agent).ok_or_else(gone)?.call(message).send();
        Ok(())
    }

    fn ask_outside(kernel: &Kernel, agent: AgentId, method: &str, args: Args) -> Asking {
        let message = kernel.enter(|| A::decode(method, args))?;
        let agent = kernel.reference::<A>(agent).ok_or_else(gone)?;
        Ok(Box::new(kernel.ask(agent, message)))
    }

    fn create(kernel: &Kernel, name: &str, args: Args) -> Result<AgentId, CreateError> {
        let constructor = move |cx: &Ctx| A::construct(cx, args.clone()).map_err(|error| error.to_string());
        kernel.create_with::<A>(Some(name), constructor).map(|agent| agent.id())
    }

    fn spawn(cx: &Ctx, args: Args) -> Result<Proxy, CallError> {
        let refused = Rc::new(RefCell::new(None));
        let told = refused.clone();
        let constructor = move |cx: &Ctx| {
            A::construct(cx, args.clone()).map_err(|error| {
                let text = error.to_string();
                *told.borrow_mut() = Some(error);
                text
            })
        };
        cx.create_with::<A>(None, constructor).map(Proxy::from).map_err(|error| {
            refused.take().unwrap_or_else(|| CallError::new("RuntimeError", error.to_string()))
        })
    }

    fn write(kernel: &Kernel, agent: AgentId, port: usize, values: Written) -> Result<Write, BadInput> {
        let message = kernel.enter(|| A::input(port, values))?;
        let agent = kernel.reference::<A>(agent);
        Ok(Box::new(move || {
            if let Some(agent) = agent {
                agent.call(message).send();
            }
        }))
    }

    fn step(kernel: &Kernel, agent: AgentId) {
        if let (Some(message), Some(agent)) = (A::step(), kernel.reference::<A>(agent)) {
            kernel.enter(|| agent.call(message).send());
        }
    }

    fn read(kernel: &Kernel, agent: AgentId, port: usize) -> Option<Result<Value, CallError>> {
        kernel.look(agent, |me: &mut A| me.output(port))
    }

    fn watch() -> Watching {
        Box::new(Watched::<A> { agents: Vec::new(), seen: Vec::new(), row: None })
    }
}

fn gone() -> CallError {
    CallError::new("LookupError", "the agent is of another type, or not here")
}
