//! Names that come again and again: agents, methods, ports, peers.
//!
//! Why: a path of forty bytes in each record would be most of the journal. A segment spells each name once, in a NAME
//! frame, and then numbers it. A [`Name`] remembers its number in the segment that is being written, so that a record
//! costs no look-up.
//!
//! Contract: the numbers are in the order of first use, so equal runs give equal bytes. A segment numbers at most
//! 131,072 names of together 8 MiB, each at most 4 KiB; further ones are spelt out where they stand.

use std::borrow::Borrow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering as Memory};

use super::pack::{self, In, Malformed, Out, Unpack};

const MOST_NAMES: usize = 131_072;
const MOST_TEXT: usize = 8 << 20;
const LONGEST: usize = 4 << 10;

/// A text that is spelt once in a segment. Clones share it; equality and order are the text's.
///
/// ```
/// use isochrone::journal::Name;
/// let name = Name::new("grid/house_7");
/// assert_eq!(name.as_str(), "grid/house_7");
/// assert_eq!(name, Name::new("grid/house_7"));
/// ```
#[derive(Clone)]
pub struct Name(Rc<Inner>);

/// A number's bytes, at most five, from the lowest, and in the highest how many they are.
type Written = u64;

struct Inner {
    /// the table that numbered it last, and the number there as it is written
    known: Cell<(u64, Written)>,
    text: Box<str>,
}

impl Name {
    /// A name of this text. Keep it and clone it where the same name is recorded often.
    pub fn new(text: impl Into<Box<str>>) -> Name {
        Name(Rc::new(Inner { known: Cell::new((0, 0)), text: text.into() }))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

/// A name with its number beside it: where many are kept in a row, the processor finds it there, and need not go to the
/// text's place.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(super) name: Name,
    /// as [`Inner`] has it
    known: Cell<(u64, Written)>,
}

impl From<Name> for Kept {
    fn from(name: Name) -> Kept {
        Kept { name, known: Cell::new((0, 0)) }
    }
}

impl From<&Kept> for Name {
    fn from(kept: &Kept) -> Name {
        kept.name.clone()
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::new(text)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.0.text.cmp(&other.0.text)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The names of the segment that is being written.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// unlike that of every other table of this process
    token: u64,
    by_text: BTreeMap<Name, u32>,
    text: usize,
    /// numbered, but not in the file yet
    pub(super) fresh: Vec<Name>,
}

impl Numbers {
    pub(super) fn new() -> Numbers {
        static TOKENS: AtomicU64 = AtomicU64::new(1);
        let token = TOKENS.fetch_add(1, Memory::Relaxed);
        Numbers { token, by_text: BTreeMap::new(), text: 0, fresh: Vec::new() }
    }

    /// The number of a name, if it has one or may have one.
    #[cold]
    fn find(&mut self, name: &Name) -> Option<Written> {
        let number = match self.by_text.get(name.as_str()) {
            Some(number) => *number,
            None => {
                self.add(name)?;
                self.fresh.push(name.clone());
                self.by_text.len() as u32 - 1
            }
        };
        let ([a, b, c, d, e, ..], count) = pack::form(number.into());
        let written = u64::from_le_bytes([a, b, c, d, e, 0, 0, count as u8]);
        name.0.known.set((self.token, written));
        Some(written)
    }

    /// Numbers a name that is in the file already.
    pub(super) fn add(&mut self, name: &Name) -> Option<()> {
        let len = name.as_str().len();
        if len > LONGEST || self.by_text.len() >= MOST_NAMES || self.text + len > MOST_TEXT {
            return None;
        }
        self.text += len;
        let number = self.by_text.len() as u32;
        self.by_text.insert(name.clone(), number);
        Some(())
    }

    #[inline(always)]
    pub(super) fn pack(&mut self, name: &Name, out: &mut impl Out) {
        let (token, written) = name.0.known.get();
        let written = if token == self.token { Some(written) } else { self.find(name) };
        self.put(written, name, out);
    }

    /// The same, of one that is kept at hand.
    #[inline(always)]
    pub(super) fn pack_kept(&mut self, kept: &Kept, out: &mut impl Out) {
        let (token, written) = kept.known.get();
        let written = if token == self.token { Some(written) } else { self.find_kept(kept) };
        self.put(written, &kept.name, out);
    }

    #[cold]
    fn find_kept(&mut self, kept: &Kept) -> Option<Written> {
        let written = self.find(&kept.name)?;
        kept.known.set((self.token, written));
        Some(written)
    }

    #[inline(always)]
    fn put(&self, written: Option<Written>, name: &Name, out: &mut impl Out) {
        match written {
            Some(written) => out.put(written.to_le_bytes(), (written >> 56) as usize),
            None => out.extend(&spelt(name)),
        }
    }
}

#[cold]
fn spelt(name: &Name) -> Vec<u8> {
    let mut out = Vec::new();
    pack::str(&mut out, name.as_str());
    out
}

/// The names of the segment that is being read.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    text: usize,
}

impl Names {
    pub(super) fn add(&mut self, text: &str) -> Result<(), Malformed> {
        if text.len() > LONGEST || self.names.len() >= MOST_NAMES || self.text + text.len() > MOST_TEXT {
            return Err("there are more names in this segment than the format allows");
        }
        self.text += text.len();
        self.names.push(Name::new(text));
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    #[inline(always)]
    pub(super) fn unpack(&self, from: &mut impl In) -> Result<Name, Malformed> {
        if let Some(number) = from.short() {
            let known = usize::try_from(number).ok().and_then(|number| self.names.get(number));
            return known.cloned().ok_or("a name has a number that was not given to any");
        }
        from.other(spelt_out)
    }
}

#[cold]
fn spelt_out(from: &mut Unpack<'_>) -> Result<Name, Malformed> {
    from.str().map(Name::new)
}
