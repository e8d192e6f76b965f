//! A time as a master says it.
//!
//! Why three forms: aiomas's masters count seconds, in ints or floats, and expect their number back in errors; and to them the
//! same time twice is an error. Masters of ours write spans as text (`"15min"`), which is exact, and may say a time again.

use std::fmt;

use isochrone_sim::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::rpc::CallError;

/// A time as a master says it.
///
/// ```
/// use isochrone::manager::Moment;
/// use isochrone::prelude::*;
/// assert_eq!(Moment::Seconds(0.1 + 0.2).time()?, Time::ZERO + millis(300));
/// assert_eq!(Moment::from(Time::ZERO + minutes(15)).to_string(), "15min");
/// # Ok::<(), CallError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// Exactly, as text: ours.
    Exact(Time),
    /// Whole seconds, as aiomas says it.
    Whole(i64),
    /// Seconds, as aiomas says it; the nearest nanosecond is meant.
    Seconds(f64),
}

impl Moment {
    /// The time.
    ///
    /// # Errors
    /// A `ValueError` for what no clock of ours can show: 292 years are the limit.
    pub fn time(self) -> Result<Time, CallError> {
        const NANOS: i64 = 1_000_000_000;
        let time = match self {
            Moment::Exact(time) => Some(time),
            Moment::Whole(seconds) => seconds.checked_mul(NANOS).map(Time::from_nanos),
            // at a protocol's edge: inside the kernel no float holds a time
            Moment::Seconds(seconds) => {
                let nanos = (seconds * NANOS as f64).round();
                (nanos.abs() < i64::MAX as f64).then(|| Time::from_nanos(nanos as i64))
            }
        };
        time.ok_or_else(|| CallError::new("ValueError", format!("{self} is no time: it is too far away")))
    }

    /// Whether it is said as aiomas does.
    pub(super) fn is_aiomas(self) -> bool {
        !matches!(self, Moment::Exact(_))
    }

    /// A time in seconds as aiomas says it, whole ones if it can be.
    pub fn in_seconds(time: Time) -> Moment {
        let nanos = time.as_nanos();
        match nanos % 1_000_000_000 {
            0 => Moment::Whole(nanos / 1_000_000_000),
            _ => Moment::Seconds(nanos as f64 / 1e9),
        }
    }
}

impl From<Time> for Moment {
    fn from(time: Time) -> Moment {
        Moment::Exact(time)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Exact(time) => time.fmt(f),
            Moment::Whole(seconds) => seconds.fmt(f),
            Moment::Seconds(seconds) => fmt::Debug::fmt(seconds, f),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Moment::Exact(time) => serializer.collect_str(time),
            Moment::Whole(seconds) => serializer.serialize_i64(*seconds),
            Moment::Seconds(seconds) => serializer.serialize_f64(*seconds),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds, or a span as text, as \"15min\"")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        Ok(Moment::Whole(seconds))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        i64::try_from(seconds)
            .map(Moment::Whole)
            .map_err(|_| E::custom(format_args!("{seconds} s are too long")))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Moment, E> {
        Ok(Moment::Seconds(seconds))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        text.parse().map(Moment::Exact).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Value, from_value, to_value};

    #[test]
    fn seconds_are_rounded_to_the_nearest_nanosecond_and_what_is_too_far_is_refused() {
        let nanos = |moment: Moment| moment.time().map(Time::as_nanos);
        assert_eq!(nanos(Moment::Seconds(0.1 + 0.2)), Ok(300_000_000));
        assert_eq!(nanos(Moment::Seconds(-1.0)), Ok(-1_000_000_000));
        assert_eq!(nanos(Moment::Seconds(1e-9 * 0.6)), Ok(1));
        assert_eq!(nanos(Moment::Whole(-1)), Ok(-1_000_000_000));
        for far in [
            Moment::Seconds(f64::NAN),
            Moment::Seconds(f64::INFINITY),
            Moment::Seconds(1e10),
            Moment::Whole(i64::MIN),
        ] {
            assert_eq!(far.time().unwrap_err().kind(), "ValueError");
        }
    }

    #[test]
    fn a_moment_is_the_same_behind_the_wire() {
        for moment in [
            Moment::Whole(-1),
            Moment::Seconds(2.5),
            Moment::Exact(Time::from_nanos(-1_500_000_001)),
            Moment::Exact(Time::from_nanos(i64::MAX)),
            Moment::Exact(Time::from_nanos(90_000_000_000_000)),
        ] {
            assert_eq!(from_value::<Moment>(to_value(&moment).unwrap()), Ok(moment));
        }
        assert_eq!(
            from_value::<Moment>(Value::from("15min")),
            Ok(Moment::Exact(Time::from_nanos(900_000_000_000)))
        );
        assert!(from_value::<Moment>(Value::from("soon")).is_err());
        assert_eq!(Moment::in_seconds(Time::from_nanos(-1_000_000_000)).to_string(), "-1");
        assert_eq!(Moment::Seconds(5.0).to_string(), "5.0");
    }
}
