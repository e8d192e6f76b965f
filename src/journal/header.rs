//! What stands at the head of each segment: which run this is, and where in it the segment begins.
//!
//! Why in each: a segment can be read, checked and exported by itself, and one that belongs to another recording is
//! noticed.

use std::collections::BTreeMap;
use std::fmt;

use isochrone_sim::{Epoch, Time};

use super::pack::{self, In, Malformed, Unpack};

/// How much is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// What crosses the boundary into the run: enough to replay it.
    Inputs,
    /// Also what must come out again: messages by hash, timers, agents' lives.
    #[default]
    Events,
    /// Also the values of messages.
    Full,
}

impl Level {
    const ALL: [Level; 3] = [Level::Inputs, Level::Events, Level::Full];

    /// As the command line spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Inputs => "inputs",
            Level::Events => "events",
            Level::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        let level = Level::ALL.into_iter().find(|level| level.as_str() == text);
        level.ok_or_else(|| format!("`{text}` is no level of recording: inputs, events or full"))
    }
}

/// Which run a journal is of.
///
/// ```
/// use isochrone::journal::Header;
/// let mut header = Header::new("vpp", 7);
/// header.clock = "coupled".into();
/// header.build.insert("commit".into(), "5f3a".into());
/// assert_eq!(header.level.as_str(), "events");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// Name of the program or scenario.
    pub scenario: String,
    /// Seed of all random streams.
    pub seed: u64,
    /// Seed of shuffle mode, if that is on.
    pub shuffle: Option<u64>,
    /// The UTC date of time zero.
    pub epoch: Epoch,
    /// Who moves time: `free`, `paced`, `wall`, `coupled`.
    pub clock: String,
    /// How much is recorded.
    pub level: Level,
    /// Everything else that the run is a function of: parameters, policies, settings, by name.
    pub configuration: BTreeMap<String, String>,
    /// What the program was built of, by name: version, commit, target, hash of the executable.
    pub build: BTreeMap<String, String>,
    /// The journal that this one is a fork of, and the event at which it was forked.
    pub parent: Option<(String, u64)>,
}

impl Header {
    /// A header for a run of this scenario with this seed.
    pub fn new(scenario: impl Into<String>, seed: u64) -> Header {
        Header { scenario: scenario.into(), seed, ..Header::default() }
    }
}

/// Where in the run a segment begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Begin {
    /// 1 for the first.
    pub(super) segment: u32,
    pub(super) event: u64,
    pub(super) time: Time,
    pub(super) chain: u64,
}

pub(super) fn pack(header: &Header, begin: &Begin) -> Vec<u8> {
    let Header { scenario, seed, shuffle, epoch, clock, level, configuration, build, parent } = header;
    let mut out = Vec::new();
    pack::map(&mut out, 12);
    pack::str(&mut out, "segment");
    pack::uint(&mut out, begin.segment.into());
    pack::str(&mut out, "event");
    pack::uint(&mut out, begin.event);
    pack::str(&mut out, "time");
    pack::int(&mut out, begin.time.as_nanos());
    pack::str(&mut out, "chain");
    pack::hash(&mut out, begin.chain);
    for (key, text) in [("scenario", scenario.as_str()), ("clock", clock), ("level", level.as_str())] {
        pack::str(&mut out, key);
        pack::str(&mut out, text);
    }
    pack::str(&mut out, "epoch");
    pack::str(&mut out, &epoch.to_string());
    pack::str(&mut out, "seeds");
    pack::array(&mut out, 1 + usize::from(shuffle.is_some()));
    [Some(*seed), *shuffle].into_iter().flatten().for_each(|seed| pack::uint(&mut out, seed));
    for (key, map) in [("configuration", configuration), ("build", build)] {
        pack::str(&mut out, key);
        pack::map(&mut out, map.len());
        for (name, value) in map {
            pack::str(&mut out, name);
            pack::str(&mut out, value);
        }
    }
    pack::str(&mut out, "parent");
    match parent {
        None => pack::nil(&mut out),
        Some((journal, event)) => {
            pack::array(&mut out, 2);
            pack::str(&mut out, journal);
            pack::uint(&mut out, *event);
        }
    }
    out
}

pub(super) fn unpack(bytes: &[u8]) -> Result<(Header, Begin), Malformed> {
    let mut from = Unpack(bytes);
    let (mut header, mut begin) = (Header::default(), Begin::default());
    for _ in 0..from.map()? {
        match from.str()? {
            "segment" => {
                begin.segment = from.uint()?.try_into().map_err(|_| "the segment's number is too large")?
            }
            "event" => begin.event = from.uint()?,
            "time" => begin.time = Time::from_nanos(from.int()?),
            "chain" => begin.chain = from.uint()?,
            "scenario" => header.scenario = from.str()?.to_owned(),
            "clock" => header.clock = from.str()?.to_owned(),
            "level" => header.level = from.str()?.parse().map_err(|_| "a level that is none")?,
            "epoch" => header.epoch = Epoch::parse(from.str()?).map_err(|_| "the epoch is no date")?,
            "seeds" => {
                let count = from.array()?;
                header.seed = from.uint()?;
                header.shuffle = if count == 2 { Some(from.uint()?) } else { None };
            }
            "configuration" => header.configuration = texts(&mut from)?,
            "build" => header.build = texts(&mut from)?,
            "parent" if from.nil() => {}
            "parent" => {
                from.array()?;
                header.parent = Some((from.str()?.to_owned(), from.uint()?));
            }
            // of a later minor version
            _ => {
                from.element()?;
            }
        }
    }
    Ok((header, begin))
}

fn texts(from: &mut Unpack<'_>) -> Result<BTreeMap<String, String>, Malformed> {
    let mut map = BTreeMap::new();
    for _ in 0..from.map()? {
        map.insert(from.str()?.to_owned(), from.str()?.to_owned());
    }
    Ok(map)
}
