//! Values as text, as PostgreSQL's output functions write them with `DateStyle`
//! ISO, `IntervalStyle` postgres, `bytea_output` hex and time zone UTC.

use std::fmt::{Display, Write as _};

use bytes::{BufMut as _, BytesMut};

const DAY: i64 = 86_400_000_000;

pub(super) fn number(value: impl Display, out: &mut BytesMut) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{value}");
}

/// A text. PostgreSQL has none with a zero byte in it, and its clients read to
/// the first: what stands behind it must not get lost without a trace.
pub(super) fn text(value: &str, out: &mut BytesMut) {
    if memchr::memchr(0, value.as_bytes()).is_none() {
        out.put_slice(value.as_bytes());
        return;
    }
    out.put_slice(value.replace('\0', "\u{fffd}").as_bytes());
}

pub(super) fn bytes(value: &[u8], out: &mut BytesMut) {
    out.put_slice(b"\\x");
    out.put_slice(hex::encode(value).as_bytes());
}

pub(super) fn float4(value: f32, out: &mut BytesMut) {
    let plain = value.abs() < 1e6 && (value == 0.0 || value.abs() >= 1e-4);
    float(
        f64::from(value),
        plain,
        |out| match plain {
            true => write!(out, "{value}"),
            false => write!(out, "{value:e}"),
        },
        out,
    );
}

pub(super) fn float8(value: f64, out: &mut BytesMut) {
    let plain = value.abs() < 1e15 && (value == 0.0 || value.abs() >= 1e-4);
    float(
        value,
        plain,
        |out| match plain {
            true => write!(out, "{value}"),
            false => write!(out, "{value:e}"),
        },
        out,
    );
}

/// The shortest digits that give the number back; very large and very small
/// ones as `1e+20`, `1.5e-07`.
fn float(
    value: f64,
    plain: bool,
    digits: impl Fn(&mut String) -> std::fmt::Result,
    out: &mut BytesMut,
) {
    if value.is_nan() {
        out.put_slice(b"NaN");
        return;
    }
    if value.is_infinite() {
        out.put_slice(if value > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        });
        return;
    }
    let mut text = String::new();
    let _ = digits(&mut text);
    match text.split_once('e').filter(|_| !plain) {
        Some((mantissa, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(rest) => ('-', rest),
                None => ('+', exponent),
            };
            let _ = write!(out, "{mantissa}e{sign}{exponent:0>2}");
        }
        None => out.put_slice(text.as_bytes()),
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the calendar that
/// goes on for ever both ways (Hinnant's civil_from_days). The calendar's
/// library ends before our instants do.
fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Both are below 32.
    (year, month as u32, day as u32)
}

fn day(days: i64, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let shown = if before_christ { 1 - year } else { year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    before_christ
}

pub(super) fn date(days: i64, out: &mut BytesMut) {
    if day(days, out) {
        out.put_slice(b" BC");
    }
}

/// The time of a day, or any length of time: hours may be more than 24.
pub(super) fn time(micros: i64, out: &mut BytesMut) {
    let seconds = micros / 1_000_000;
    let part = micros % 1_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{h:02}:{m:02}:{s:02}");
    if part != 0 {
        let digits = format!("{part:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

pub(super) fn timestamp(micros: i64, zone: &str, out: &mut BytesMut) {
    let before_christ = day(micros.div_euclid(DAY), out);
    out.put_u8(b' ');
    time(micros.rem_euclid(DAY), out);
    out.put_slice(zone.as_bytes());
    if before_christ {
        out.put_slice(b" BC");
    }
}

pub(super) fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
    let start = out.len();
    // Once a part was negative, a positive one after it says so.
    let mut negative = false;
    for (count, name) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count == 0 {
            continue;
        }
        if out.len() > start {
            out.put_u8(b' ');
        }
        let plus = if negative && count > 0 { "+" } else { "" };
        let ending = if count == 1 { "" } else { "s" };
        let _ = write!(out, "{plus}{count} {name}{ending}");
        negative = count < 0;
    }
    if micros != 0 || out.len() == start {
        if out.len() > start {
            out.put_u8(b' ');
        }
        if micros < 0 {
            out.put_u8(b'-');
        } else if negative {
            out.put_u8(b'+');
        }
        time(micros.checked_abs().unwrap_or(i64::MAX), out);
    }
}

/// An element of an array, quoted where it could be taken for something else.
pub(super) fn element(item: &[u8], out: &mut BytesMut) {
    let special = |b: &u8| {
        matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || b.is_ascii_whitespace() || *b == 0x0b
    };
    let plain =
        !item.is_empty() && !item.iter().any(special) && !item.eq_ignore_ascii_case(b"null");
    if plain {
        out.put_slice(item);
        return;
    }
    out.put_u8(b'"');
    for byte in item {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}
