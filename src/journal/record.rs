//! What a journal tells: one enum, one line of a table for each kind of record.
//!
//! Why a table: the bytes, the names of fields in exports and the order of fields in comparisons all follow from it, and
//! cannot disagree.
//!
//! Contract: a record's number and the order of its fields are the format; golden files hold them. Records 16 to 47 are
//! *inputs*, which a replay hands in; those from 48 on are *outputs*, which a replay must bring forth again; those below
//! 16 are about the journal itself.

use std::fmt;

use isochrone_sim::Time;

use super::name::{Kept, Name, Names, Numbers};
use super::pack::{self, In, Malformed, Out};
use super::packed::{Packed, json_text};

/// What the outside is called.
pub(crate) const OUTSIDE: &str = "outside";

/// The command that a fork begins with.
pub(crate) const RESEED: &str = "reseed";

/// A record with its place in the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, counted from 0. Volatile records have the number of the next that is not.
    pub event: u64,
    /// The run's time.
    pub time: Time,
    /// The round at that time.
    pub round: u32,
    /// What happened.
    pub record: Record,
}

/// What a field of a record can be.
pub(super) trait Field: Sized {
    fn pack(&self, out: &mut impl Out, numbers: &mut Numbers);
    fn unpack(from: &mut impl In, names: &Names) -> Result<Self, Malformed>;
    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result;

    fn name(&self) -> Option<&Name> {
        None
    }
}

/// What can be written down.
pub(super) trait Tell {
    /// The kind's number in the file.
    fn kind(&self) -> u8;

    /// Appends an array of two stamps and the fields.
    fn pack(&self, stamp: (i64, u32), out: &mut impl Out, numbers: &mut Numbers);
}

/// What a field is in a record that borrows it.
pub(crate) trait Lend {
    type Lent<'a>: Copy;

    fn own(lent: Self::Lent<'_>) -> Self;
    fn pack_lent(lent: Self::Lent<'_>, out: &mut impl Out, numbers: &mut Numbers);
}

impl Lend for Name {
    type Lent<'a> = &'a Kept;

    fn own(lent: &Kept) -> Name {
        lent.name.clone()
    }

    #[inline(always)]
    fn pack_lent(lent: &Kept, out: &mut impl Out, numbers: &mut Numbers) {
        numbers.pack_kept(lent, out);
    }
}

macro_rules! lent {
    ($($type:ty as $lent:ty;)*) => {$(
        impl Lend for $type {
            type Lent<'a> = $lent;

            fn own(lent: Self::Lent<'_>) -> $type {
                lent.to_owned()
            }

            #[inline(always)]
            fn pack_lent(lent: Self::Lent<'_>, out: &mut impl Out, numbers: &mut Numbers) {
                lent.pack(out, numbers);
            }
        }
    )*};
}

lent! {
    u64 as u64;
    u32 as u32;
    bool as bool;
    Hash as Hash;
    Time as Time;
    String as &'a String;
    Packed as &'a Packed;
    Result<Packed, String> as &'a Result<Packed, String>;
    Option<Name> as &'a Option<Name>;
    Option<Time> as &'a Option<Time>;
    Option<Packed> as &'a Option<Packed>;
}

/// The head of an array of so many, and the stamps.
#[inline(always)]
fn stamped(len: usize, (delta, round): (i64, u32), out: &mut impl Out) {
    pack::array(out, len);
    pack::int(out, delta);
    pack::uint(out, round.into());
}

/// Whether records of this kind are neither inputs nor outputs.
#[inline]
pub(super) fn is_about_the_journal(kind: u8) -> bool {
    kind < 16
}

/// Whether records of this kind may differ between two recordings of one run.
#[inline]
pub(super) fn is_volatile(kind: u8) -> bool {
    kind == 2
}

macro_rules! records {
    ($($(#[$doc:meta])* $kind:literal $label:literal $Variant:ident { $($field:ident: $type:ty),* })*) => {
        /// What happened. Each variant's sentence names its fields; an agent is named by its path.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "the fields are named by the variants' sentences")]
        pub enum Record {
            $($(#[$doc])* $Variant { $($field: $type),* },)*
        }

        /// A record that borrows its fields.
        ///
        /// Why: what only passes by on its way into the file needs no names of its own, which are counted, and nothing is
        /// dropped.
        #[derive(Clone, Copy)]
        pub(crate) enum Told<'a> {
            $(#[allow(dead_code, reason = "one for each kind")] $Variant { $($field: <$type as Lend>::Lent<'a>),* },)*
        }

        impl Told<'_> {
            /// A record of its own.
            pub(crate) fn record(self) -> Record {
                match self { $(Told::$Variant { $($field),* } => Record::$Variant { $($field: Lend::own($field)),* },)* }
            }
        }

        impl Tell for Told<'_> {
            #[inline(always)]
            fn kind(&self) -> u8 {
                match self { $(Told::$Variant { .. } => $kind,)* }
            }

            #[inline(always)]
            fn pack(&self, stamp: (i64, u32), out: &mut impl Out, numbers: &mut Numbers) {
                match self {
                    $(Told::$Variant { $($field),* } => {
                        stamped(2 $(+ { stringify!($field); 1 })*, stamp, out);
                        $(<$type as Lend>::pack_lent(*$field, out, numbers);)*
                    })*
                }
            }
        }

        impl Tell for &Record {
            fn kind(&self) -> u8 {
                Record::kind(self)
            }

            #[inline]
            fn pack(&self, stamp: (i64, u32), out: &mut impl Out, numbers: &mut Numbers) {
                match self {
                    $(Record::$Variant { $($field),* } => {
                        stamped(2 $(+ { stringify!($field); 1 })*, stamp, out);
                        $(Field::pack($field, out, numbers);)*
                    })*
                }
            }
        }

        /// The name of a kind in exports.
        pub(super) fn label(kind: u8) -> &'static str {
            match kind { $($kind => $label,)* _ => "unknown" }
        }

        impl Record {
            /// The kind's number in the file.
            pub fn kind(&self) -> u8 {
                match self { $(Record::$Variant { .. } => $kind,)* }
            }

            /// The kind's name in exports.
            pub fn label(&self) -> &'static str {
                label(self.kind())
            }

            /// Reads the fields; `None` for a kind that this version does not know.
            #[inline(always)]
            pub(super) fn unpack(kind: u8, len: usize, from: &mut impl In, names: &Names)
            -> Result<Option<Record>, Malformed> {
                match kind {
                    $($kind => {
                        if len != 2 $(+ { stringify!($field); 1 })* {
                            return Err("it has another number of fields than records of its kind");
                        }
                        $(let $field = Field::unpack(from, names)?;)*
                        // asked before the record is made, so that it is made where it is to be
                        if !from.is_done() {
                            return Err("something follows its last field");
                        }
                        Ok(Some(Record::$Variant { $($field),* }))
                    })*
                    _ => Ok(None),
                }
            }

            /// Calls back with each field that is a name, and the field's name.
            pub(super) fn names(&self, see: &mut dyn FnMut(&'static str, &Name)) {
                match self {
                    $(Record::$Variant { $($field),* } => {
                        $(if let Some(name) = $field.name() { see(stringify!($field), name) })*
                    })*
                }
            }

            /// Calls back with the name and the JSON of each field, in their order.
            pub fn fields(&self, see: &mut dyn FnMut(&'static str, &dyn fmt::Display)) {
                match self {
                    $(Record::$Variant { $($field),* } => { $(see(stringify!($field), &Json($field));)* })*
                }
            }
        }
    };
}

records! {
    /// Volatile: the `date` at which the recording began or was continued (RFC 3339), on which `host`, by which process.
    2 "origin" Origin { date: String, host: String, pid: u32 }
    /// So many `events` lie before this one, the kernel's `fingerprint` is this, and the `chain` of all frames is that.
    3 "checkpoint" Checkpoint { events: u64, fingerprint: Hash, chain: Hash }
    /// A remark; if it `breaks_replay`, the run cannot be replayed from here on, because of `agent`.
    4 "note" Note { agent: Option<Name>, breaks_replay: bool, text: String }
    /// The recording ended: as [`Checkpoint`](Record::Checkpoint), and `because` of what.
    5 "end" End { events: u64, fingerprint: Hash, chain: Hash, because: String }

    /// A turn of a live run began: the clock reads `until`, and the inputs that follow belong to it.
    16 "turn" Turn { until: Time }
    /// A step of a coupled run to `to`, which may run ahead to `limit`.
    17 "step" Step { to: Time, limit: Option<Time> }
    /// Time was let go on to `to`.
    18 "advance" Advance { to: Time }
    /// The clock was far behind and jumped to `to`.
    19 "jump" Jump { to: Time }
    /// Input `number`: `from`, a peer, called `method` of `agent`.
    20 "call" Call { number: u64, from: Name, agent: Name, method: Name, args: Packed }
    /// Request `number` of a coupling, from the peer `from`.
    21 "request" Request { number: u64, from: Name, content: Packed }
    /// Connection `connection` to `peer` was opened.
    22 "opened" Opened { connection: u64, peer: Name }
    /// It was closed, `because` of what.
    23 "closed" Closed { connection: u64, peer: Name, because: String }
    /// The operation `name`, number `call` of those of `agent`, gave a value or failed.
    24 "result" Result { agent: Name, call: u64, name: Name, outcome: Result<Packed, String> }
    /// `agent` was handed a reading of `source`, which no seed determines: the wall clock, the system's random numbers.
    25 "reading" Reading { agent: Name, source: Name, value: Packed }
    /// `from` gave the administrative command `name`.
    26 "command" Command { from: Name, name: Name, args: Packed }
    /// The fault `name` was injected into `agent`.
    27 "fault" Fault { agent: Name, name: Name, args: Packed }

    /// Input or request `number` was answered.
    48 "replied" Replied { number: u64, to: Name, outcome: Result<Packed, String> }
    /// A frame of this `hash` left for the peer `to`; its `content` at level full.
    49 "frame" Frame { to: Name, hash: Hash, content: Option<Packed> }
    /// `agent` was created by another agent or from outside.
    64 "created" Created { agent: Name, by: Name }
    /// Its first code runs, or its first code after a restart.
    65 "started" Started { agent: Name }
    /// It was stopped on purpose.
    66 "stopped" Stopped { agent: Name }
    /// It failed in `task`, with this `message`; `outcome` says what the supervisor did.
    67 "failed" Failed { agent: Name, task: Name, message: String, outcome: String }
    /// It sent message `sequence` of its own, called `label`; `values` at level full.
    68 "sent" Sent { agent: Name, to: Name, sequence: u64, label: Name, hash: Hash, values: Option<Packed> }
    /// It was handed message `sequence` of `from`, as call number `call` of those that are open (0: it wants no answer).
    69 "received" Received { agent: Name, from: Name, sequence: u64, label: Name, call: u64 }
    /// Message `sequence` of `from` waits until it is free again.
    70 "held" Held { agent: Name, from: Name, sequence: u64 }
    /// Message `sequence` of `from` was refused.
    71 "refused" Refused { agent: Name, from: Name, sequence: u64 }
    /// It sent `to` the answer to open call `call`, which is message `sequence` of its own; `value` at level full.
    72 "answered" Answered { agent: Name, to: Name, sequence: u64, hash: Hash, call: u64, value: Option<Packed> }
    /// It got an answer, which is message `sequence` of `from`.
    73 "answer" Answer { agent: Name, from: Name, sequence: u64 }
    /// An answer, message `sequence` of `from`, came, and it had lost interest.
    74 "late" Late { agent: Name, from: Name, sequence: u64 }
    /// One of its timers fired, in the task `label`.
    75 "timer" Timer { agent: Name, label: Name }
    /// One of its deadlines fired, in the task `label`.
    76 "deadline" Deadline { agent: Name, label: Name }
    /// The result of its operation `name` resumed it.
    77 "resumed" Resumed { agent: Name, name: Name, hash: Hash }
    /// The property `name` held or did not, at `agent` (empty: of the run).
    78 "property" Property { agent: Name, name: Name, holds: bool, text: String }
    /// It drew random number `number` of those for this `purpose`; at level full.
    79 "drew" Drew { agent: Name, purpose: Hash, number: u64 }
}

impl Record {
    /// Whether a replay hands it in.
    pub fn is_input(&self) -> bool {
        (16..48).contains(&self.kind())
    }

    /// Whether a replay must bring it forth again.
    pub fn is_output(&self) -> bool {
        self.kind() >= 48
    }

    /// Whether it is neither an input nor an output.
    pub(super) fn is_about_the_journal(&self) -> bool {
        is_about_the_journal(self.kind())
    }

    /// Whether it may differ between two recordings of one run.
    pub fn is_volatile(&self) -> bool {
        is_volatile(self.kind())
    }
}

/// What a payload adds up to: always nine bytes in the file, sixteen hex digits in texts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Hash(pub u64);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Json<'a, T>(&'a T);

impl<T: Field> fmt::Display for Json<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.json(f)
    }
}

impl Field for Name {
    #[inline(always)]
    fn pack(&self, out: &mut impl Out, numbers: &mut Numbers) {
        numbers.pack(self, out);
    }

    #[inline(always)]
    fn unpack(from: &mut impl In, names: &Names) -> Result<Name, Malformed> {
        names.unpack(from)
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        json_text(out, self.as_str())
    }

    fn name(&self) -> Option<&Name> {
        Some(self)
    }
}

impl Field for u64 {
    #[inline(always)]
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        pack::uint(out, *self);
    }

    #[inline(always)]
    fn unpack(from: &mut impl In, _: &Names) -> Result<u64, Malformed> {
        from.uint()
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Field for u32 {
    #[inline(always)]
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        pack::uint(out, (*self).into());
    }

    fn unpack(from: &mut impl In, _: &Names) -> Result<u32, Malformed> {
        from.uint()?.try_into().map_err(|_| "a number is too large")
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Field for Hash {
    #[inline(always)]
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        pack::hash(out, self.0);
    }

    #[inline(always)]
    fn unpack(from: &mut impl In, _: &Names) -> Result<Hash, Malformed> {
        from.hash().map(Hash)
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

impl Field for bool {
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        pack::bool(out, *self);
    }

    fn unpack(from: &mut impl In, _: &Names) -> Result<bool, Malformed> {
        from.other(|from| from.bool())
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Field for Time {
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        pack::int(out, self.as_nanos());
    }

    fn unpack(from: &mut impl In, _: &Names) -> Result<Time, Malformed> {
        from.int().map(Time::from_nanos)
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", self.as_nanos())
    }
}

impl Field for String {
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        pack::str(out, self);
    }

    fn unpack(from: &mut impl In, _: &Names) -> Result<String, Malformed> {
        from.other(|from| from.str().map(str::to_owned))
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        json_text(out, self)
    }
}

impl Field for Packed {
    fn pack(&self, out: &mut impl Out, _: &mut Numbers) {
        out.extend(self.as_bytes());
    }

    fn unpack(from: &mut impl In, _: &Names) -> Result<Packed, Malformed> {
        from.other(Packed::unpack)
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

/// Nil, or an array of the one.
impl<T: Field> Field for Option<T> {
    #[inline(always)]
    fn pack(&self, out: &mut impl Out, numbers: &mut Numbers) {
        match self {
            None => pack::nil(out),
            Some(value) => {
                pack::array(out, 1);
                value.pack(out, numbers);
            }
        }
    }

    #[inline(always)]
    fn unpack(from: &mut impl In, names: &Names) -> Result<Option<T>, Malformed> {
        if from.nil() {
            return Ok(None);
        }
        match from.array()? {
            1 => T::unpack(from, names).map(Some),
            _ => Err("nil or an array of one is expected"),
        }
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            None => out.write_str("null"),
            Some(value) => value.json(out),
        }
    }

    fn name(&self) -> Option<&Name> {
        self.as_ref().and_then(Field::name)
    }
}

/// A value, or an error's text in an array after nil.
impl Field for Result<Packed, String> {
    fn pack(&self, out: &mut impl Out, numbers: &mut Numbers) {
        match self {
            Ok(value) => {
                pack::array(out, 1);
                value.pack(out, numbers);
            }
            Err(text) => {
                pack::array(out, 2);
                pack::nil(out);
                pack::str(out, text);
            }
        }
    }

    fn unpack(from: &mut impl In, names: &Names) -> Result<Self, Malformed> {
        from.other(|from| match from.array()? {
            1 => Packed::unpack(from).map(Ok),
            2 if from.nil() => String::unpack(from, names).map(Err),
            _ => Err("a value or an error is expected"),
        })
    }

    fn json(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Ok(value) => write!(out, "{{\"ok\":{value}}}"),
            Err(text) => {
                out.write_str("{\"error\":")?;
                json_text(out, text)?;
                out.write_char('}')
            }
        }
    }
}
