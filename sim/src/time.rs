//! Instants, spans, the epoch and an external simulator's ticks.
//!
//! **Why.** A step of 0.1 s, summed ten times in floating point, is not a second, and two agents that compute
//! "the same" instant by different routes must meet at it. So an instant is an integer count of nanoseconds
//! since the run's epoch, and the only float that ever becomes a time is the tick an external simulator
//! announces ([`Tick::from_seconds`]), once, and only when it is a whole number of nanoseconds.
//!
//! **Contract.**
//!
//! | type | unit | range |
//! |---|---|---|
//! | [`Time`] | ns since the epoch, signed | 292 years either way |
//! | [`Duration`] (std's) | s and ns, unsigned | 584 billion years |
//! | [`Epoch`] | the UTC date of [`Time::ZERO`] | chrono's calendar |
//! | [`Tick`] | ns per integer step of an external simulator | 1 ns to 100 years |
//!
//! Nothing here reads a clock.
//!
//! **Failure modes.** Operators panic on overflow, as std's do; every one has a `checked_` form. Parsing never
//! panics: [`TimeError`] says what was wrong and what is accepted.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// An instant: integer nanoseconds since the run's [`Epoch`].
///
/// Negative instants are legal: an aiomas world starts at -1.
///
/// ```
/// use isochrone_sim::time::{Time, millis, secs};
/// let t = Time::ZERO + secs(1) - millis(250);
/// assert_eq!(t.as_nanos(), 750_000_000);
/// assert_eq!(t.to_string(), "750ms");
/// assert_eq!(format!("{t:#}"), "0.750000000 s");
/// assert_eq!("-1s".parse::<Time>()?.as_nanos(), -1_000_000_000);
/// # Ok::<(), isochrone_sim::time::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// The epoch itself, and the default.
    pub const ZERO: Time = Time(0);
    /// The earliest instant, 292 years before the epoch.
    pub const MIN: Time = Time(i64::MIN);
    /// The last instant, 292 years after the epoch.
    pub const MAX: Time = Time(i64::MAX);

    /// The instant `nanos` nanoseconds after the epoch (before it, if negative).
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This instant and `span`, or `None` beyond [`Time::MAX`].
    #[inline]
    pub const fn checked_add(self, span: Duration) -> Option<Time> {
        match span_nanos(span) {
            Some(nanos) => match self.0.checked_add_unsigned(nanos) {
                Some(nanos) => Some(Time(nanos)),
                None => None,
            },
            None => None,
        }
    }

    /// This instant less `span`, or `None` before [`Time::MIN`].
    #[inline]
    pub const fn checked_sub(self, span: Duration) -> Option<Time> {
        match span_nanos(span) {
            Some(nanos) => match self.0.checked_sub_unsigned(nanos) {
                Some(nanos) => Some(Time(nanos)),
                None => None,
            },
            None => None,
        }
    }

    /// This instant and `span`, or [`Time::MAX`] if that lies beyond it.
    #[inline]
    pub const fn saturating_add(self, span: Duration) -> Time {
        if span.as_secs() < 1 << 33 {
            // 272 years: as ns they still fit
            let nanos = span.as_secs() as i64 * NANOS_PER_SEC as i64 + span.subsec_nanos() as i64;
            return Time(self.0.saturating_add(nanos));
        }
        match self.checked_add(span) {
            Some(time) => time,
            None => Time::MAX,
        }
    }

    /// The span from `earlier` to this instant, or `None` if `earlier` is the later one.
    #[inline]
    pub const fn checked_since(self, earlier: Time) -> Option<Duration> {
        if self.0 < earlier.0 { None } else { Some(Duration::from_nanos(self.0.abs_diff(earlier.0))) }
    }
}

/// The nanoseconds of `span` if an instant could possibly be moved by that much.
#[inline]
const fn span_nanos(span: Duration) -> Option<u64> {
    match span.as_secs().checked_mul(NANOS_PER_SEC) {
        Some(nanos) => nanos.checked_add(span.subsec_nanos() as u64),
        None => None,
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// # Panics
    ///
    /// If the sum lies beyond [`Time::MAX`]; see [`Time::checked_add`] and [`Time::saturating_add`].
    #[inline]
    #[track_caller]
    fn add(self, span: Duration) -> Time {
        self.checked_add(span).expect("overflow when adding a duration to a time")
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    /// # Panics
    ///
    /// If the difference lies before [`Time::MIN`]; see [`Time::checked_sub`].
    #[inline]
    #[track_caller]
    fn sub(self, span: Duration) -> Time {
        self.checked_sub(span).expect("overflow when subtracting a duration from a time")
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    /// # Panics
    ///
    /// If `earlier` is the later of the two; see [`Time::checked_since`]. (Std's `Instant` answers zero there,
    /// because real clocks run backwards now and then. Ours does not, so it would hide a mistake.)
    #[inline]
    #[track_caller]
    fn sub(self, earlier: Time) -> Duration {
        self.checked_since(earlier).expect("overflow when subtracting a later time from an earlier one")
    }
}

impl AddAssign<Duration> for Time {
    /// # Panics
    ///
    /// As `+` does.
    #[inline]
    #[track_caller]
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl SubAssign<Duration> for Time {
    /// # Panics
    ///
    /// As `-` does.
    #[inline]
    #[track_caller]
    fn sub_assign(&mut self, span: Duration) {
        *self = *self - span;
    }
}

/// `1h02m03.5s`, `-1s`, `0s`; with `{:#}` seconds to the last nanosecond, `100.000000000 s`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let text = if f.alternate() {
            format!("{sign}{}.{:09} s", nanos / NANOS_PER_SEC, nanos % NANOS_PER_SEC)
        } else {
            format!("{sign}{}", display_span(Duration::from_nanos(nanos)))
        };
        f.pad(&text)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({self})")
    }
}

/// A span as [`parse_span`] reads it, with an optional `-` in front.
impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Time, TimeError> {
        let trimmed = text.trim();
        let time = match trimmed.strip_prefix('-') {
            Some(rest) => Time::ZERO.checked_sub(parse_span(rest)?),
            None => Time::ZERO.checked_add(parse_span(trimmed)?),
        };
        time.ok_or_else(|| TimeError::TooLong { input: text.to_owned() })
    }
}

/// `n` nanoseconds.
#[inline]
pub const fn nanos(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// `n` microseconds.
#[inline]
pub const fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// `n` milliseconds.
#[inline]
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
#[inline]
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` minutes, or [`Duration::MAX`] if that is longer.
#[inline]
pub const fn minutes(n: u64) -> Duration {
    whole_seconds(n, 60)
}

/// `n` hours, or [`Duration::MAX`] if that is longer.
#[inline]
pub const fn hours(n: u64) -> Duration {
    whole_seconds(n, 3_600)
}

/// `n` days of 24 hours, or [`Duration::MAX`] if that is longer.
#[inline]
pub const fn days(n: u64) -> Duration {
    whole_seconds(n, 86_400)
}

const fn whole_seconds(n: u64, unit: u64) -> Duration {
    match n.checked_mul(unit) {
        Some(secs) => Duration::from_secs(secs),
        None => Duration::MAX,
    }
}

/// The units of a span, largest first: the spellings and the length in nanoseconds.
const UNITS: [(&[&str], u128); 8] = [
    (&["w"], 604_800_000_000_000),
    (&["d"], 86_400_000_000_000),
    (&["h"], 3_600_000_000_000),
    (&["m", "min"], 60_000_000_000),
    (&["s"], 1_000_000_000),
    (&["ms"], 1_000_000),
    // the micro sign and the Greek letter are two characters that look the same
    (&["us", "\u{b5}s", "\u{3bc}s"], 1_000),
    (&["ns"], 1),
];

/// No longer fraction of any unit is a whole number of nanoseconds: a week is 2^16 * 5^11 * 189 ns, and a
/// fraction without trailing zeros lacks either all factors 2 or all factors 5.
const MAX_FRACTION_DIGITS: usize = 16;

/// Reads a span: `1d`, `15min`, `1h02m03.5s`, `500ms`, `10us`, `3ns`, `2w`, `1h 30min`.
///
/// Units are `w d h m` (or `min`) `s ms us` (or `µs`) `ns`, from the largest to the smallest, each at most
/// once. Only the last part may have a fraction, and the fraction must be a whole number of nanoseconds.
///
/// # Errors
///
/// [`TimeError`] for anything else; in particular a bare number has no unit, and we do not guess one.
///
/// ```
/// use isochrone_sim::time::{millis, parse_span};
/// assert_eq!(parse_span("1m 0.5s")?, millis(60_500));
/// assert_eq!(
///     parse_span("90").unwrap_err().to_string(),
///     "`90` has no unit: write for example `90s`, `90ms` or `90min`",
/// );
/// # Ok::<(), isochrone_sim::time::TimeError>(())
/// ```
pub fn parse_span(text: &str) -> Result<Duration, TimeError> {
    let malformed = || TimeError::Malformed { input: text.to_owned() };
    let too_long = || TimeError::TooLong { input: text.to_owned() };

    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(TimeError::Empty);
    }
    let mut total: u128 = 0;
    let mut next_unit = 0; // the largest unit that may still follow
    let mut fraction_seen = false;
    while !rest.is_empty() {
        let whole = take(&mut rest, |c| c.is_ascii_digit());
        if whole.is_empty() {
            return Err(malformed());
        }
        if fraction_seen {
            return Err(TimeError::FractionNotLast { input: text.to_owned() });
        }
        let mut fraction = "";
        if let Some(after_point) = rest.strip_prefix('.') {
            rest = after_point;
            fraction = take(&mut rest, |c| c.is_ascii_digit());
            if fraction.is_empty() {
                return Err(malformed());
            }
            fraction_seen = true;
        }
        let number_end = rest.trim_start();
        rest = number_end;
        let name = take(&mut rest, char::is_alphabetic);
        if name.is_empty() {
            if !number_end.is_empty() && !number_end.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(malformed());
            }
            let point = if fraction_seen { "." } else { "" };
            return Err(TimeError::NoUnit { number: format!("{whole}{point}{fraction}") });
        }
        let Some(unit) = UNITS.iter().position(|(names, _)| names.contains(&name)) else {
            return Err(TimeError::UnknownUnit { unit: name.to_owned() });
        };
        if unit < next_unit {
            return Err(TimeError::UnitOrder { input: text.to_owned() });
        }
        next_unit = unit + 1;
        let nanos = UNITS[unit].1;
        let part = whole.parse::<u128>().ok().and_then(|n| n.checked_mul(nanos)).ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;

        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            let not_whole = || TimeError::NotWholeNanoseconds { input: text.to_owned() };
            if fraction.len() > MAX_FRACTION_DIGITS {
                return Err(not_whole());
            }
            let scale = 10u128.pow(fraction.len() as u32);
            let part = fraction.parse::<u128>().map_err(|_| malformed())? * nanos;
            if !part.is_multiple_of(scale) {
                return Err(not_whole());
            }
            total = total.checked_add(part / scale).ok_or_else(too_long)?;
        }
        rest = rest.trim_start();
    }
    let secs = u64::try_from(total / u128::from(NANOS_PER_SEC)).map_err(|_| too_long())?;
    Ok(Duration::new(secs, (total % u128::from(NANOS_PER_SEC)) as u32))
}

/// Splits the longest prefix that satisfies `accept` off `rest`.
fn take<'a>(rest: &mut &'a str, accept: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    *rest = tail;
    head
}

/// Shows a span the way people write it: `1d`, `15min`, `1h02m03.5s`, `500ms`, `0s`.
///
/// Exact, and [`parse_span`] reads it back to the same span.
///
/// ```
/// use isochrone_sim::time::{display_span, hours, millis};
/// assert_eq!(display_span(hours(1) + millis(123_500)).to_string(), "1h02m03.5s");
/// ```
pub const fn display_span(span: Duration) -> DisplaySpan {
    DisplaySpan(span)
}

/// What [`display_span`] returns.
#[derive(Clone, Copy, Debug)]
pub struct DisplaySpan(Duration);

impl fmt::Display for DisplaySpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, nanos) = (self.0.as_secs(), u64::from(self.0.subsec_nanos()));
        let (days, hours, minutes, secs) = (all / 86_400, all / 3_600 % 24, all / 60 % 60, all % 60);
        let mut text = String::new();
        let out = &mut text;
        if all == 0 && nanos != 0 {
            match nanos {
                1_000_000.. => decimal(out, nanos / 1_000_000, nanos % 1_000_000, 6, "ms")?,
                1_000.. => decimal(out, nanos / 1_000, nanos % 1_000, 3, "us")?,
                _ => decimal(out, nanos, 0, 0, "ns")?,
            }
        } else if all < 60 {
            decimal(out, secs, nanos, 9, "s")?;
        } else {
            compound(out, [days, hours, minutes, secs], nanos)?;
        }
        f.pad(&text)
    }
}

/// Writes `whole.fraction` and the unit, the fraction without its trailing zeros.
fn decimal(out: &mut String, whole: u64, fraction: u64, digits: usize, unit: &str) -> fmt::Result {
    use fmt::Write;
    write!(out, "{whole}")?;
    if fraction != 0 {
        let padded = format!("{fraction:0digits$}");
        write!(out, ".{}", padded.trim_end_matches('0'))?;
    }
    out.push_str(unit);
    Ok(())
}

/// Writes days to seconds, from the first part that is not zero to the last; a lone minute is `min`.
fn compound(out: &mut String, parts: [u64; 4], nanos: u64) -> fmt::Result {
    use fmt::Write;
    let used = |i: usize| parts[i] != 0 || (i == 3 && nanos != 0);
    let first = (0..4).find(|&i| used(i)).unwrap_or(3);
    let last = (0..4).rfind(|&i| used(i)).unwrap_or(3);
    for (i, part) in parts.into_iter().enumerate().take(last + 1).skip(first) {
        if i != first && part < 10 {
            out.push('0');
        }
        match i {
            0 => write!(out, "{part}d")?,
            1 => write!(out, "{part}h")?,
            2 if first == last => write!(out, "{part}min")?,
            2 => write!(out, "{part}m")?,
            _ => decimal(out, part, nanos, 9, "s")?,
        }
    }
    Ok(())
}

/// The UTC date of [`Time::ZERO`]; by default 1970-01-01.
///
/// ```
/// use isochrone_sim::time::{Epoch, Time, hours};
/// let epoch = Epoch::parse("2016-05-22")?;
/// let t = Time::ZERO + hours(26);
/// assert_eq!(epoch.utc(t).unwrap().to_rfc3339(), "2016-05-23T02:00:00+00:00");
/// assert_eq!(epoch.time(epoch.utc(t).unwrap()), Some(t));
/// # Ok::<(), isochrone_sim::time::TimeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(DateTime<Utc>);

impl Epoch {
    /// The epoch at `utc`.
    pub const fn new(utc: DateTime<Utc>) -> Epoch {
        Epoch(utc)
    }

    /// Reads `2016-05-22` (midnight UTC), `2016-05-22T00:00:00Z`, or any RFC 3339 date and time with an offset.
    ///
    /// # Errors
    ///
    /// [`TimeError::Date`] for anything else; a time of day without `Z` or an offset is refused, because it
    /// would mean another instant on another machine.
    pub fn parse(text: &str) -> Result<Epoch, TimeError> {
        let trimmed = text.trim();
        if let Ok(at) = DateTime::parse_from_rfc3339(trimmed) {
            return Ok(Epoch(at.with_timezone(&Utc)));
        }
        match NaiveDate::parse_from_str(trimmed, "%Y-%m-%d") {
            Ok(date) => Ok(Epoch(date.and_time(NaiveTime::MIN).and_utc())),
            Err(_) => Err(TimeError::Date { input: text.to_owned() }),
        }
    }

    /// The UTC date and time of `time`, or `None` outside chrono's calendar.
    pub fn utc(&self, time: Time) -> Option<DateTime<Utc>> {
        let nanos = utc_nanos(self.0) + i128::from(time.0);
        let secs = i64::try_from(nanos.div_euclid(NANOS_PER_SEC.into())).ok()?;
        DateTime::from_timestamp(secs, nanos.rem_euclid(NANOS_PER_SEC.into()) as u32)
    }

    /// The instant at which it is `utc`, or `None` if that is more than 292 years off.
    ///
    /// A leap second is the first second of the next minute, as in Unix time.
    pub fn time(&self, utc: DateTime<Utc>) -> Option<Time> {
        i64::try_from(utc_nanos(utc) - utc_nanos(self.0)).ok().map(Time)
    }
}

/// Nanoseconds since 1970; chrono's own conversion ends in the year 2262.
fn utc_nanos(utc: DateTime<Utc>) -> i128 {
    i128::from(utc.timestamp()) * i128::from(NANOS_PER_SEC) + i128::from(utc.timestamp_subsec_nanos())
}

impl Default for Epoch {
    fn default() -> Epoch {
        Epoch(DateTime::UNIX_EPOCH)
    }
}

impl FromStr for Epoch {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Epoch, TimeError> {
        Epoch::parse(text)
    }
}

/// RFC 3339 in UTC, `2016-05-22T00:00:00Z`.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// The length of an external simulator's integer step.
///
/// ```
/// use isochrone_sim::time::{Tick, Time, secs};
/// let tick = Tick::from_seconds(0.1)?;
/// assert_eq!(tick.time_of(10), Some(Time::ZERO + secs(1)));
/// assert_eq!(tick.ceil(Time::from_nanos(1)), 1);
/// assert_eq!(tick.floor(Time::from_nanos(-1)), -1);
/// # Ok::<(), isochrone_sim::time::TimeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(i64); // ns, at least 1

impl Tick {
    /// 100 Julian years: a longer step is a mistake in the unit.
    const MAX_NANOS: i64 = 3_155_760_000 * NANOS_PER_SEC as i64;

    /// A tick of `seconds`, as mosaik's `time_resolution` gives it.
    ///
    /// The nearest whole number of nanoseconds is taken if `seconds` means it up to float rounding, that is,
    /// to one part in 10^12.
    ///
    /// # Errors
    ///
    /// [`TimeError::Tick`] if `seconds` is not positive, not finite, longer than 100 years, or not a whole
    /// number of nanoseconds (a third of a second would drift away from the simulator's own clock).
    pub fn from_seconds(seconds: f64) -> Result<Tick, TimeError> {
        let refused = |why| Err(TimeError::Tick { seconds, why });
        if !seconds.is_finite() {
            return refused("it is not finite");
        }
        if seconds <= 0.0 {
            return refused("it is not positive");
        }
        let exact = seconds * 1e9;
        if exact > Tick::MAX_NANOS as f64 {
            return refused("it is longer than 100 years");
        }
        let rounded = exact.round();
        if rounded < 1.0 || (exact - rounded).abs() > exact * 1e-12 {
            return refused("it is not a whole number of nanoseconds");
        }
        Ok(Tick(rounded as i64))
    }

    /// The length of the tick.
    pub const fn length(self) -> Duration {
        Duration::from_nanos(self.0 as u64)
    }

    /// The instant of tick number `ticks`, or `None` outside the range of [`Time`].
    #[inline]
    pub const fn time_of(self, ticks: i64) -> Option<Time> {
        match ticks.checked_mul(self.0) {
            Some(nanos) => Some(Time(nanos)),
            None => None,
        }
    }

    /// The number of the last tick at or before `time`.
    #[inline]
    pub const fn floor(self, time: Time) -> i64 {
        time.0.div_euclid(self.0)
    }

    /// The number of the first tick at or after `time`.
    #[inline]
    pub const fn ceil(self, time: Time) -> i64 {
        // never overflows: at a tick of 1 ns there is no remainder
        self.floor(time) + (time.0.rem_euclid(self.0) != 0) as i64
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display_span(self.length()).fmt(f)
    }
}

/// Why a span, an instant, a date or a tick was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// There was no text.
    #[error("an empty time span: write for example `15min`, `1h30m` or `500ms`")]
    Empty,
    /// A number without its unit.
    #[error("`{number}` has no unit: write for example `{number}s`, `{number}ms` or `{number}min`")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// A unit that is not one.
    #[error("`{unit}` is not a unit of time: use w, d, h, m or min, s, ms, us, ns")]
    UnknownUnit {
        /// What stood in the unit's place.
        unit: String,
    },
    /// Units that repeat or grow.
    #[error("`{input}`: units go from the largest to the smallest, each at most once, as in `1h02m03.5s`")]
    UnitOrder {
        /// The whole text.
        input: String,
    },
    /// A fraction before the last unit.
    #[error("`{input}`: only the last unit may have a fraction, as in `1h02m03.5s`")]
    FractionNotLast {
        /// The whole text.
        input: String,
    },
    /// A fraction finer than the clock.
    #[error("`{input}` is not a whole number of nanoseconds, the finest time there is")]
    NotWholeNanoseconds {
        /// The whole text.
        input: String,
    },
    /// Beyond what the type can hold.
    #[error("`{input}` is too long: a time lies within 292 years of the epoch, a span within 2^64 seconds")]
    TooLong {
        /// The whole text.
        input: String,
    },
    /// Something that is no sequence of numbers and units.
    #[error(
        "`{input}` is not a time span: write numbers with units, for example `15min`, `1h02m03.5s` or `500ms`"
    )]
    Malformed {
        /// The whole text.
        input: String,
    },
    /// A date that cannot be read, or that names no instant.
    #[error("`{input}` is not a date: write `2016-05-22`, `2016-05-22T00:00:00Z` or RFC 3339 with an offset")]
    Date {
        /// The whole text.
        input: String,
    },
    /// A step length an integer clock cannot follow.
    #[error("a tick of {seconds} s is refused: {why}; use a whole number of nanoseconds, at most 100 years")]
    Tick {
        /// The length offered, in seconds.
        seconds: f64,
        /// What is wrong with it.
        why: &'static str,
    },
}
