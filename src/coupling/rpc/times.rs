//! Times as other programs write them, and as we do.
//!
//! Why two forms in: a program counts, so it sends an integer of nanoseconds; a person writes `15min`, or a date. No float is
//! taken for a time, since 0.1 + 0.2 is not 0.3; out go integers only.

use chrono::{DateTime, Utc};
use isochrone_sim::{Epoch, Time};

use crate::codec::Value;

/// What is accepted, for messages.
const FORMS: &str = "write an integer of nanoseconds, a span since the epoch such as \"15min\" or \"1h02m03.5s\", or a date such \
                     as \"2016-05-22T06:15:00Z\"";

/// Reads a time: nanoseconds since the epoch, a span since it, or an RFC 3339 date.
pub(crate) fn read(value: &Value, epoch: Epoch) -> Result<Time, String> {
    match value {
        Value::Int(nanos) => Ok(Time::from_nanos(*nanos)),
        Value::UInt(_) | Value::BigInt(_) => {
            Err(format!("{value} ns lie beyond the 292 years that a time may be away from the epoch"))
        }
        Value::Str(text) => read_text(text, epoch),
        Value::Date(date) => from_date(date.to_utc(), epoch),
        other => Err(format!("{} is no time: {FORMS}", other.describe())),
    }
}

fn read_text(text: &str, epoch: Epoch) -> Result<Time, String> {
    let error = match text.parse::<Time>() {
        Ok(time) => return Ok(time),
        Err(error) => error,
    };
    match Epoch::parse(text) {
        Ok(date) => from_date(date.utc(Time::ZERO).unwrap_or_default(), epoch),
        // a date is what has dashes between its digits
        Err(no_date) if text.trim().get(4..5) == Some("-") => Err(no_date.to_string()),
        Err(_) => Err(format!("{error}; {FORMS}")),
    }
}

fn from_date(date: DateTime<Utc>, epoch: Epoch) -> Result<Time, String> {
    let far = || format!("{date} lies more than 292 years away from the epoch, which is {epoch}");
    epoch.time(date).ok_or_else(far)
}

/// Writes a time.
pub(crate) fn write(time: Time) -> Value {
    Value::Int(time.as_nanos())
}

/// Writes the time of the next event; there may be none.
pub(crate) fn write_next(next: Option<Time>) -> Value {
    next.filter(|next| *next < Time::MAX).map_or(Value::Null, write)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn read(value: impl Into<Value>) -> Result<i64, String> {
        let epoch = Epoch::parse("2016-05-22T00:00:00Z").unwrap();
        super::read(&value.into(), epoch).map(Time::as_nanos)
    }

    #[test]
    fn a_time_is_an_integer_a_span_or_a_date() {
        assert_eq!(read(900 * SECOND), Ok(900 * SECOND));
        assert_eq!(read(-1), Ok(-1));
        assert_eq!(read("15min"), Ok(900 * SECOND));
        assert_eq!(read("1h02m03.5s"), Ok(3_723_500_000_000));
        assert_eq!(read("-1s"), Ok(-SECOND));
        assert_eq!(read("2016-05-22T00:15:00Z"), Ok(900 * SECOND));
        assert_eq!(read("2016-05-22T02:15:00.5+02:00"), Ok(900_500_000_000));
        assert_eq!(read("2016-05-21"), Ok(-86_400 * SECOND));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_to_write() {
        for (value, said) in [
            (Value::from(900.0), "float 900.0 is no time: write an integer of nanoseconds"),
            (Value::from(true), "bool true is no time"),
            (Value::Null, "None is no time"),
            (Value::from("900"), "`900` has no unit: write for example `900s`"),
            (Value::from("soon"), "15min"),
            (Value::from(""), "15min"),
            (Value::from("2016-05-22T00:15:00"), "is not a date"),
            (Value::from(u64::MAX), "beyond the 292 years"),
            (Value::from("9999-01-01"), "more than 292 years away"),
        ] {
            let error = read(value.clone()).expect_err("it is no time");
            assert!(error.contains(said), "{value}: {error}");
        }
    }
}
