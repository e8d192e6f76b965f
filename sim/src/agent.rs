//! Who an agent is: its number, its name path, its place in the order of delivery, its life.
//!
//! Why: identity must not depend on anything that changes between runs or machines. It is a hash of the name path
//! (`grid/house_3/Battery#0`): container, creator, name. An agent without a name of its own is `Type#n`, the n-th
//! unnamed agent of that type under its creator.
//!
//! | status    | takes mail | its tasks run | state is there |
//! |-----------|------------|---------------|----------------|
//! | `Running` | at once    | yes           | yes |
//! | `Locked`  | queues     | only the exclusive one | inside the exclusive task |
//! | `Down`    | queues     | has none      | no, a restart is due |
//! | `Tripped` | fails to handle one | yes  | yes |
//! | `Stopped` | refuses    | has none      | no |
//!
//! Contract: numbers count from 0 in order of creation and are never reused; a restart keeps number, identity,
//! sequence numbers and queued mail.

use std::collections::BTreeMap;
use std::fmt;

use crate::fingerprint::Fingerprint;

/// The number of an agent in its container: its ordinal of creation, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(u32);

impl AgentId {
    /// Nobody of this container: the simulator, the set-up code, a caller from outside.
    pub const OUTSIDE: AgentId = AgentId(u32::MAX);

    /// The agent with this ordinal of creation.
    pub const fn new(ordinal: u32) -> Self {
        AgentId(ordinal)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The ordinal of creation in the container.
    pub const fn ordinal(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == AgentId::OUTSIDE { f.write_str("outside") } else { write!(f, "agent {}", self.0) }
    }
}

/// Where an agent is in its life; the table is at the head of this file's source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Status {
    /// It takes mail and runs tasks.
    Running,
    /// An exclusive method holds the state; mail queues.
    Locked,
    /// It failed and waits for its restart; mail queues.
    Down,
    /// An injected fault will meet the next message it is handed.
    Tripped,
    /// It failed for good, or was stopped or removed; calls end with an error, messages are dead letters.
    Stopped,
}

/// What every message to or from an agent touches: half a cache line.
pub(crate) struct Meta {
    pub(crate) fingerprint: Fingerprint,
    /// of the next message this agent sends
    pub(crate) sequence: u64,
    /// where its state lies in its class
    pub(crate) index: u32,
    /// messages that wait for it
    pub(crate) queued: u32,
    pub(crate) class: u16,
    pub(crate) status: Status,
}

/// Where an agent comes from: looked at seldom.
pub(crate) struct Origin {
    pub(crate) identity: u64,
    pub(crate) creator: AgentId,
    /// n of `Type#n`; `NAMED` when it has a name of its own
    number: u32,
}

const NAMED: u32 = u32::MAX;

/// All agents of a container, the stopped ones too.
#[derive(Default)]
pub(crate) struct Agents {
    pub(crate) meta: Vec<Meta>,
    pub(crate) origins: Vec<Origin>,
    names: BTreeMap<AgentId, Box<str>>,
    by_name: BTreeMap<AgentId, BTreeMap<Box<str>, AgentId>>,
    unnamed: BTreeMap<(AgentId, u16), Vec<AgentId>>,
}

impl Agents {
    /// Adds an agent; an error if its creator has one of that name already, or if the name cannot be part of a path.
    pub(crate) fn add(
        &mut self,
        container: &str,
        class: u16,
        types: &[&'static str],
        index: u32,
        creator: AgentId,
        name: Option<&str>,
    ) -> Result<AgentId, NameError> {
        let id = AgentId::new(
            u32::try_from(self.meta.len()).ok().filter(|n| *n < 1 << 28).ok_or(NameError::TooMany)?,
        );
        let number = match name {
            Some(name) => {
                if name.is_empty() || name.contains(['/', '#']) || name.chars().any(char::is_control) {
                    return Err(NameError::Unusable(name.into()));
                }
                let siblings = self.by_name.entry(creator).or_default();
                if siblings.contains_key(name) {
                    return Err(NameError::Taken(name.into()));
                }
                siblings.insert(name.into(), id);
                self.names.insert(id, name.into());
                NAMED
            }
            None => {
                let siblings = self.unnamed.entry((creator, class)).or_default();
                siblings.push(id);
                siblings.len() as u32 - 1
            }
        };
        // the identity of an unnamed agent is chained from its creator's: no string is built for a million agents
        let parent = self.identity(creator).unwrap_or_else(|| crate::random::identity_of(container));
        let own = match name {
            Some(name) => crate::random::identity_of(name),
            None => crate::fingerprint::fold(
                crate::random::identity_of(types[usize::from(class)]),
                0x9E37_79B9_7F4A_7C15 ^ u64::from(number),
            ),
        };
        let identity = crate::fingerprint::fold(parent ^ 0xA076_1D64_78BD_642F, own ^ 0xE703_7ED1_A0B4_28DB);
        let fingerprint = Fingerprint::new(identity);
        self.meta.push(Meta { fingerprint, sequence: 0, index, queued: 0, class, status: Status::Running });
        self.origins.push(Origin { identity, creator, number });
        Ok(id)
    }

    pub(crate) fn identity(&self, id: AgentId) -> Option<u64> {
        self.origins.get(id.index()).map(|origin| origin.identity)
    }

    /// Who created it; [`AgentId::OUTSIDE`] for the set-up, and for an agent that is not here.
    pub(crate) fn creator(&self, id: AgentId) -> AgentId {
        self.origins.get(id.index()).map_or(AgentId::OUTSIDE, |origin| origin.creator)
    }

    /// The path below the container: `house_3/Battery#0`.
    pub(crate) fn path(&self, id: AgentId, types: &[&'static str]) -> String {
        let Some(origin) = self.origins.get(id.index()) else { return "outside".into() };
        let own = match self.names.get(&id) {
            Some(name) => name.to_string(),
            None => format!("{}#{}", types[usize::from(self.meta[id.index()].class)], origin.number),
        };
        if origin.creator == AgentId::OUTSIDE {
            own
        } else {
            format!("{}/{own}", self.path(origin.creator, types))
        }
    }

    /// The agent at a path below the container.
    pub(crate) fn find(&self, path: &str, types: &[&'static str]) -> Option<AgentId> {
        let named = |creator, name| self.by_name.get(&creator)?.get(name).copied();
        // most are what the set-up has named, and no name holds what parts a path
        if let Some(found) = named(AgentId::OUTSIDE, path) {
            return Some(found);
        }
        path.split('/').try_fold(AgentId::OUTSIDE, |creator, name| {
            if let Some((kind, number)) = name.split_once('#') {
                let number: usize = number.parse().ok()?;
                let class = types.iter().position(|t| *t == kind)?;
                return self.unnamed.get(&(creator, class as u16))?.get(number).copied();
            }
            named(creator, name)
        })
    }
}

/// Why an agent cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Its creator has created one of that name before; names are not reused.
    #[error("an agent named {0:?} exists already here; names are never reused")]
    Taken(String),
    /// A path could not hold it.
    #[error(
        "{0:?} cannot be the name of an agent: it must not be empty or hold '/', '#' or control characters"
    )]
    Unusable(String),
    /// 2^28 agents are there.
    #[error("a container holds at most 268,435,456 agents")]
    TooMany,
}
