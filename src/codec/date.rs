//! Dates: chrono's, as the ISO 8601 text that aiomas's arrow writes and reads.
//!
//! Why an own reader and writer: the offset is kept as it was written, also one with seconds (arrow gives such to
//! dates before time zones were law), and a fraction is written as Python does: none or six digits, so nanoseconds are
//! cut to microseconds on the wire.
//!
//! How a date becomes one: a `DateTime` of chrono that is serialized anywhere in an argument or a result is recognised,
//! and read back from one. [`serialize`] and [`deserialize`] say the same explicitly, for `#[serde(with = ..)]`.
//!
//! Failure modes: Python's calendar has the years 1 to 9999; others cannot be sent. A leap second is sent as the last
//! microsecond before it ends.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveTime, Offset, TimeZone, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serializer, de};

use super::Value;
use super::marks;

/// Writes a date as a date, whatever the format; for `#[serde(with = "isochrone::codec::date")]`.
///
/// # Errors
/// The serializer's.
pub fn serialize<Tz: TimeZone, S: Serializer>(date: &DateTime<Tz>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(marks::DATE, &to_text(&date.with_timezone(&date.offset().fix())))
}

/// Reads what [`serialize`] wrote, into a date with its offset or into one of UTC.
///
/// # Errors
/// There is no date.
pub fn deserialize<'de, T: From<DateTime<FixedOffset>>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Date(date) => Some(date),
        Value::Str(text) => from_text(&text),
        _ => None,
    }
    .map(T::from)
    .ok_or_else(|| de::Error::custom("expected a date"))
}

/// Whether what is written as text is a date of chrono, which has no other way to say so.
pub(super) fn is_chrono<T: ?Sized>() -> bool {
    let name = std::any::type_name::<T>();
    name.contains("chrono::") && name.contains("FormatIso8601")
}

/// The text with all nanoseconds; what goes through serde.
pub(super) fn to_text(date: &DateTime<FixedOffset>) -> String {
    match date.nanosecond() % 1_000_000_000 {
        0 if date.nanosecond() == 0 => write(date, ""),
        nanos => write(date, &format!(".{nanos:09}")),
    }
}

/// The text that Python would write; `None` outside its calendar.
pub(super) fn to_wire(date: &DateTime<FixedOffset>) -> Option<String> {
    if !(1..=9999).contains(&date.year()) {
        return None;
    }
    let date = match date.nanosecond() {
        // a leap second
        1_000_000_000.. => date.with_nanosecond(999_999_000)?,
        _ => *date,
    };
    match date.nanosecond() / 1000 {
        0 => Some(write(&date, "")),
        micros => Some(write(&date, &format!(".{micros:06}"))),
    }
}

fn write(date: &DateTime<FixedOffset>, fraction: &str) -> String {
    let local = date.naive_local();
    let leap = u32::from(local.nanosecond() >= 1_000_000_000);
    let mut text = match local.year() {
        year @ 0..=9999 => format!("{year:04}"),
        year => format!("{year:+05}"),
    };
    let offset = date.offset().local_minus_utc();
    let (sign, ahead) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{sign}{:02}:{:02}",
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second() + leap,
        ahead / 3600,
        ahead / 60 % 60,
    );
    if ahead % 60 != 0 {
        let _ = write!(text, ":{:02}", ahead % 60);
    }
    text
}

/// Reads `2016-01-01T00:00:00.123456+01:00`: `T` or a space, seconds and fraction as they are there, the offset `Z`,
/// `+01`, `+0100`, `+01:00` or `+01:00:30`, and UTC without one, as arrow reads it.
pub(super) fn from_text(text: &str) -> Option<DateTime<FixedOffset>> {
    let mut cursor = Cursor(text.as_bytes());
    let date = cursor.date()?;
    let time = match cursor.next() {
        Some(b'T' | b't' | b' ') => cursor.time()?,
        None => NaiveTime::MIN,
        Some(_) => return None,
    };
    let offset = cursor.offset()?;
    cursor.0.is_empty().then_some(())?;
    FixedOffset::east_opt(offset)?.from_local_datetime(&date.and_time(time)).single()
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    /// So many digits, or at least so many.
    fn digits(&mut self, most: usize) -> Option<(u32, usize)> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some((digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0')), count))
    }

    fn two(&mut self) -> Option<u32> {
        self.digits(2).filter(|(_, count)| *count == 2).map(|(n, _)| n)
    }

    fn date(&mut self) -> Option<NaiveDate> {
        let (sign, most) = match self.0.first()? {
            b'+' => (1, 6),
            b'-' => (-1, 6),
            _ => (0, 4),
        };
        if sign != 0 {
            self.next();
        }
        let (year, count) = self.digits(most)?;
        if count < 4 || !self.skip(b'-') {
            return None;
        }
        let month = self.two()?;
        if !self.skip(b'-') {
            return None;
        }
        let year = i32::try_from(year).ok()? * if sign < 0 { -1 } else { 1 };
        NaiveDate::from_ymd_opt(year, month, self.two()?)
    }

    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.two()?;
        let minute = if self.skip(b':') { self.two()? } else { 0 };
        let second = if self.skip(b':') { self.two()? } else { 0 };
        let mut nanos = 0;
        if self.skip(b'.') || self.skip(b',') {
            let (fraction, count) = self.digits(9)?;
            nanos = fraction * 10u32.pow(9 - u32::try_from(count).ok().filter(|&count| count > 0)?);
            while self.0.first().is_some_and(u8::is_ascii_digit) {
                self.next();
            }
        }
        match second {
            60 => NaiveTime::from_hms_nano_opt(hour, minute, 59, 1_000_000_000 + nanos),
            _ => NaiveTime::from_hms_nano_opt(hour, minute, second, nanos),
        }
    }

    /// Seconds ahead of UTC.
    fn offset(&mut self) -> Option<i32> {
        let sign = match self.next() {
            None | Some(b'Z' | b'z') => return Some(0),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        let mut seconds = self.two()? * 3600;
        for unit in [60, 1] {
            if self.skip(b':') || self.0.first().is_some_and(u8::is_ascii_digit) {
                seconds += self.two().filter(|&n| n < 60)? * unit;
            }
        }
        Some(sign * i32::try_from(seconds).ok()?)
    }
}

impl From<DateTime<FixedOffset>> for Value {
    fn from(date: DateTime<FixedOffset>) -> Value {
        Value::Date(date)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(date: DateTime<Utc>) -> Value {
        Value::Date(date.fixed_offset())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::codec::{from_value, to_value};

    fn date(text: &str) -> DateTime<FixedOffset> {
        from_text(text).unwrap_or_else(|| panic!("{text} is no date"))
    }

    #[test]
    fn a_date_is_written_as_arrow_writes_it_and_keeps_its_offset() {
        for text in [
            "2016-01-01T00:00:00+01:00",
            "2016-01-01T00:00:00.123456+00:00",
            "0001-01-01T00:00:00+00:00",
            "9999-12-31T23:59:59.999999-11:30",
            "1850-06-01T12:00:00+00:53:28",
            "2016-02-29T23:59:59-00:00:01",
        ] {
            assert_eq!(to_wire(&date(text)).as_deref(), Some(text));
            assert_eq!(to_text(&date(text)).replace("000+", "+").replace("000-", "-"), text);
        }
        assert_eq!(
            to_wire(&date("2016-01-01T00:00:00.123456789Z")).unwrap(),
            "2016-01-01T00:00:00.123456+00:00"
        );
        assert_eq!(to_wire(&date("2016-01-01T00:00:00.000000789Z")).unwrap(), "2016-01-01T00:00:00+00:00");
        assert_eq!(to_wire(&date("2016-12-31T23:59:60.5Z")).unwrap(), "2016-12-31T23:59:59.999999+00:00");
        assert_eq!(to_wire(&date("+10000-01-01T00:00:00Z")), None);
        assert_eq!(to_wire(&date("0000-01-01T00:00:00Z")), None);
    }

    #[test]
    fn other_spellings_of_a_date_are_read() {
        for text in [
            "2016-01-02",
            "2016-01-02 00:00",
            "2016-01-02T00:00:00,000Z",
            "2016-01-02T01:00+01",
            "2016-01-02T01:00+0100",
        ] {
            assert_eq!(date(text).timestamp(), 1_451_692_800, "{text}");
        }
        for text in [
            "",
            "2016",
            "2016-1-2",
            "2016-13-01",
            "2016-02-30",
            "2016-01-01T",
            "2016-01-01T24:00",
            "2016-01-01T00:00:00.",
            "2016-01-01T00:00:00+1",
            "2016-01-01T00:00:00+24:00",
            "2016-01-01T00:00:00+01:60",
            "2016-01-01T00:00:00Zx",
            "16-01-01",
            "2016-01-01T00:00:60.5.5Z",
            "++2016-01-01",
            "２016-01-01",
            "2016-01-01x",
        ] {
            assert!(from_text(text).is_none(), "{text}");
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Offer {
        plain: DateTime<Utc>,
        zoned: Option<DateTime<FixedOffset>>,
        #[serde(with = "super")]
        explicit: DateTime<Utc>,
        #[serde(with = "super")]
        explicit_zoned: DateTime<FixedOffset>,
    }

    #[test]
    fn dates_of_chrono_are_dates_within_any_type() {
        let zoned = date("2016-07-01T00:00:00.123456789+02:00");
        let offer = Offer {
            plain: zoned.to_utc(),
            zoned: Some(zoned),
            explicit: zoned.to_utc(),
            explicit_zoned: zoned,
        };
        let value = to_value(&offer).unwrap();
        for (key, expected) in [
            ("plain", zoned.to_utc().fixed_offset()),
            ("zoned", zoned),
            ("explicit", zoned.to_utc().fixed_offset()),
            ("explicit_zoned", zoned),
        ] {
            assert!(value.get(key).unwrap().same(&Value::Date(expected)), "{key} is {value}");
        }
        assert_eq!(from_value::<Offer>(value).unwrap(), offer);
    }

    #[test]
    fn a_leap_second_goes_through_serde() {
        let leap = Value::Date(date("2016-12-31T23:59:60.25Z"));
        assert!(to_value(&leap).unwrap().same(&leap));
    }
}
