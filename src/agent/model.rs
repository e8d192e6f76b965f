//! What a type of agents looks like from outside: constructor, methods, ports.
//!
//! Why: the command line, the co-simulators and remote callers learn from this one description what can be created,
//! called, written and read. `#[agent]` makes it; nothing in it depends on an agent's state.

use crate::rpc::{Method, Signature};

/// A type of agents, as the outside sees it.
#[derive(Debug)]
pub struct Model {
    /// Name of the type.
    pub name: &'static str,
    /// Pattern of the entity ids a co-simulator sees: `bat_{n}`, with n counting from 0.
    pub eid: &'static str,
    /// The type's doc comment.
    pub doc: &'static str,
    /// The constructor, if there is one: only then can the outside create such agents, and supervision restart them.
    pub constructor: Option<&'static Signature>,
    /// What can be called.
    pub methods: &'static [Method],
    /// What can be written, in order of declaration.
    pub inputs: &'static [Input],
    /// What can be read, in order of declaration.
    pub outputs: &'static [Output],
    /// Whether it has a method that runs once per step, after the inputs.
    pub step: bool,
}

/// A port that takes values from a simulator.
#[derive(Debug)]
pub struct Input {
    /// Name of the port.
    pub name: &'static str,
    /// Whether a value makes a simulator step the agents.
    pub trigger: bool,
    /// Its doc comment.
    pub doc: &'static str,
}

/// A port that gives values to a simulator.
#[derive(Debug)]
pub struct Output {
    /// Name of the port.
    pub name: &'static str,
    /// When it has a value.
    pub kind: OutputKind,
    /// Its doc comment.
    pub doc: &'static str,
}

/// When an output has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputKind {
    /// Always: the present state.
    State,
    /// When it differs from the last value that was read.
    OnChange,
    /// When something happened: the list of events since the last read.
    Event,
    /// As `Event`, each with the time at which the simulator is to see it.
    ///
    /// A stamp beyond the simulator's horizon (mosaik: `max_advance`, and above all the end of the run) can hang mosaik
    /// 3.6 for ever. Prefer plain events, for which a later one is a step of its own.
    Stamped,
}

impl Model {
    /// The entity id of the n-th agent.
    pub fn entity(&self, n: usize) -> String {
        self.eid.replace("{n}", &n.to_string())
    }

    /// The position of an input.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|port| port.name == name)
    }

    /// The position of an output.
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|port| port.name == name)
    }
}
