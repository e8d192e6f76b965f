//! What `time.rs` promises.

use std::time::Duration;

use isochrone_sim::time::*;
use proptest::prelude::*;

fn shown(span: Duration) -> String {
    display_span(span).to_string()
}

#[test]
fn spans_are_read_as_people_write_them() {
    for (text, span) in [
        ("1d", days(1)),
        ("15min", minutes(15)),
        ("15m", minutes(15)),
        ("1h02m03.5s", millis(3_723_500)),
        ("  1h 30 min ", minutes(90)),
        ("500ms", millis(500)),
        ("10us", micros(10)),
        ("10\u{b5}s", micros(10)),
        ("10\u{3bc}s", micros(10)),
        ("3ns", nanos(3)),
        ("2w", days(14)),
        ("0s", Duration::ZERO),
        ("0.5d", hours(12)),
        ("1.000000000s", secs(1)),
        ("0.0000000000000000000000s", Duration::ZERO),
        ("1s 1ns", nanos(1_000_000_001)),
        ("18446744073709551615.999999999s", Duration::MAX),
    ] {
        assert_eq!(parse_span(text), Ok(span), "{text}");
    }
}

#[test]
fn a_span_that_is_refused_says_what_is_accepted() {
    for (text, message) in [
        ("", "an empty time span"),
        ("90", "`90` has no unit: write for example `90s`, `90ms` or `90min`"),
        ("1.5", "`1.5` has no unit"),
        ("1h 30", "`30` has no unit"),
        ("1 2s", "`1` has no unit"),
        ("5 parsecs", "`parsecs` is not a unit of time: use w, d, h"),
        ("0.5ns", "not a whole number of nanoseconds"),
        ("0.00000000000000001w", "not a whole number of nanoseconds"),
        ("1.5h 3s", "only the last unit may have a fraction"),
        ("1s 1h", "units go from the largest to the smallest"),
        ("1m 1min", "units go from the largest to the smallest"),
        ("s", "not a time span"),
        ("1.s", "not a time span"),
        (".5s", "not a time span"),
        ("-1s", "not a time span"),
        ("1e3s", "`e` is not a unit"),
        ("1,5s", "not a time span"),
        ("18446744073709551616s", "too long"),
        ("999999999999999999999999999999999999999999s", "too long"),
    ] {
        let error = parse_span(text).expect_err(text).to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn spans_are_shown_as_people_write_them() {
    for (span, text) in [
        (Duration::ZERO, "0s"),
        (days(1), "1d"),
        (hours(25), "1d01h"),
        (days(1) + secs(5), "1d00h00m05s"),
        (hours(3), "3h"),
        (minutes(15), "15min"),
        (minutes(90), "1h30m"),
        (secs(61), "1m01s"),
        (millis(3_723_500), "1h02m03.5s"),
        (minutes(1) + nanos(1), "1m00.000000001s"),
        (millis(1_500), "1.5s"),
        (millis(500), "500ms"),
        (micros(1_500), "1.5ms"),
        (micros(10), "10us"),
        (nanos(1_001), "1.001us"),
        (nanos(3), "3ns"),
        (Duration::MAX, "213503982334601d07h00m15.999999999s"),
    ] {
        assert_eq!(shown(span), text);
    }
}

#[test]
fn times_have_a_sign_and_a_fixed_form() {
    assert_eq!("-1s".parse(), Ok(Time::from_nanos(-1_000_000_000)));
    assert_eq!(Time::from_nanos(-1_000_000_000).to_string(), "-1s");
    assert_eq!(format!("{:#}", Time::from_nanos(100_000_000_000)), "100.000000000 s");
    assert_eq!(format!("{:#}", Time::from_nanos(-1)), "-0.000000001 s");
    assert_eq!(format!("{:>6}", Time::ZERO), "    0s");
    assert_eq!(format!("{:?}", Time::ZERO), "Time(0s)");
    assert!(matches!("300w 20000w".parse::<Time>(), Err(TimeError::UnitOrder { .. })));
    assert!(matches!("20000w".parse::<Time>(), Err(TimeError::TooLong { .. })));
}

#[test]
fn arithmetic_is_checked() {
    assert_eq!(Time::MAX.checked_add(nanos(1)), None);
    assert_eq!(Time::MIN.checked_sub(nanos(1)), None);
    assert_eq!(Time::MIN.checked_add(nanos(u64::MAX)), Some(Time::MAX));
    assert_eq!(Time::MAX.checked_sub(nanos(u64::MAX)), Some(Time::MIN));
    assert_eq!(Time::ZERO.checked_add(Duration::MAX), None);
    assert_eq!(Time::ZERO.saturating_add(Duration::MAX), Time::MAX);
    assert_eq!(Time::MAX.checked_since(Time::MIN), Some(nanos(u64::MAX)));
    assert_eq!(Time::MIN.checked_since(Time::MAX), None);
    assert_eq!(days(u64::MAX), Duration::MAX);
    assert_eq!(Time::default(), Time::ZERO);
    let mut t = Time::ZERO;
    t += secs(2);
    t -= secs(3);
    assert_eq!(t, Time::from_nanos(-1_000_000_000));
}

#[test]
#[should_panic(expected = "overflow when adding")]
fn adding_beyond_the_end_panics() {
    let _ = Time::MAX + nanos(1);
}

#[test]
#[should_panic(expected = "overflow when subtracting")]
fn a_later_time_is_not_before_an_earlier_one() {
    let _ = Time::ZERO - Time::from_nanos(1);
}

#[test]
fn epochs_are_dates_with_a_zone() {
    let at = |text| Epoch::parse(text).map(|epoch| epoch.to_string());
    assert_eq!(at("2016-05-22").as_deref(), Ok("2016-05-22T00:00:00Z"));
    assert_eq!(at("2016-05-22T00:00:00Z").as_deref(), Ok("2016-05-22T00:00:00Z"));
    assert_eq!(at("2016-05-22T01:30:00+02:00").as_deref(), Ok("2016-05-21T23:30:00Z"));
    assert_eq!(Epoch::default().to_string(), "1970-01-01T00:00:00Z");
    for text in ["", "2016-05-22T00:00:00", "2016-13-01", "yesterday"] {
        assert!(matches!(at(text), Err(TimeError::Date { .. })), "{text}");
    }
    let epoch = Epoch::parse("2016-05-22").unwrap();
    assert_eq!(epoch.time(chrono::DateTime::<chrono::Utc>::MAX_UTC), None);
    assert_eq!(Epoch::new(chrono::DateTime::<chrono::Utc>::MAX_UTC).utc(Time::MAX), None);
}

#[test]
fn a_tick_is_a_whole_number_of_nanoseconds() {
    for (seconds, span) in [
        (1.0, secs(1)),
        (900.0, secs(900)),
        (0.1, millis(100)),
        (1e-9, nanos(1)),
        (0.123456789, nanos(123_456_789)),
        (3_155_760_000.0, days(36_525)),
    ] {
        assert_eq!(Tick::from_seconds(seconds).unwrap().length(), span, "{seconds}");
    }
    for seconds in
        [0.0, -1.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0 / 3.0, 1e-10, 1.5e-9, 3.2e9]
    {
        assert!(matches!(Tick::from_seconds(seconds), Err(TimeError::Tick { .. })), "{seconds}");
    }
    assert_eq!(Tick::from_seconds(1e-9).unwrap().ceil(Time::MAX), i64::MAX);
    assert_eq!(Tick::from_seconds(2.0).unwrap().time_of(i64::MAX), None);
}

proptest! {
    #[test]
    fn a_span_survives_being_shown(secs in prop_oneof![0..200_000u64, any::<u64>()], nanos in prop_oneof![
        Just(0u32), 0..1_000_000_000u32, (0..1_000u32).prop_map(|n| n * 1_000_000)
    ]) {
        let span = Duration::new(secs, nanos);
        prop_assert_eq!(parse_span(&shown(span)), Ok(span));
    }

    #[test]
    fn a_time_survives_being_shown(nanos in any::<i64>()) {
        let time = Time::from_nanos(nanos);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn parsing_never_panics(text in "[-0-9.a-z µ]{0,40}|\\PC{0,20}") {
        let _ = parse_span(&text);
        let _ = text.parse::<Time>();
        let _ = Epoch::parse(&text);
    }

    #[test]
    fn ticks_round_as_wide_integers_do(
        tick in prop_oneof![1..2_000_000_000u64, Just(1), Just(3_155_760_000)],
        nanos in prop_oneof![any::<i64>(), -10..10i64, Just(i64::MIN), Just(i64::MAX)],
        ticks in any::<i64>(),
    ) {
        let tick = Tick::from_seconds(tick as f64 / 1e9).unwrap();
        let (length, time) = (tick.length().as_nanos() as i128, Time::from_nanos(nanos));
        let floor = i128::from(nanos).div_euclid(length);
        let ceil = -(-i128::from(nanos)).div_euclid(length);
        prop_assert_eq!(i128::from(tick.floor(time)), floor);
        prop_assert_eq!(i128::from(tick.ceil(time)), ceil);
        let product = i64::try_from(i128::from(ticks) * length).ok();
        prop_assert_eq!(tick.time_of(ticks), product.map(Time::from_nanos));
    }

    #[test]
    fn an_epoch_maps_both_ways(days in -100_000..100_000i64, nanos in any::<i64>()) {
        let epoch = Epoch::new(chrono::DateTime::from_timestamp(days * 86_400, 0).unwrap());
        let time = Time::from_nanos(nanos);
        prop_assert_eq!(epoch.time(epoch.utc(time).unwrap()), Some(time));
        prop_assert_eq!(Epoch::parse(&epoch.to_string()), Ok(epoch));
    }
}
