//! Moments: read, written, taken apart and counted, all in UTC.

mod before;
mod patterns;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use chrono::{DateTime, Datelike, Months, Timelike, Utc};
use datafusion::error::Result;

use before::{before_iso_seconds, before_unix_seconds};
use patterns::{Patterns, iso, parsed};

use super::native::{
    Call, Function, Group, Kind, gives_double, gives_long, gives_moment, gives_text, moment,
};
use crate::error::QueryError;

const SECOND: i64 = 1_000_000;

fn utc(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

/// A constant that cannot be read is the author's slip; a value is not.
fn unless_constant<T>(call: &Call<'_>, read: Option<T>, what: &str) -> Result<Option<T>> {
    match read {
        None if call.constant => {
            let text = format!("a constant of the query cannot be read as {what}");
            Err(QueryError::invalid(text).into())
        }
        read => Ok(read),
    }
}

fn date_format(call: &Call<'_>) -> Result<ArrayRef> {
    let times = call.times(0)?;
    let texts = match times {
        Some(_) => None,
        None => Some(call.texts(0)?),
    };
    let wanted = call.texts(1)?;
    let mut patterns = Patterns::default();
    let mut made = StringBuilder::new();
    let mut text = String::new();
    for row in 0..call.rows {
        let time = match (&times, &texts) {
            (Some(times), _) => times.at(row),
            (_, Some(texts)) => texts.at(row).and_then(iso),
            _ => None,
        };
        let items = match wanted.at(row) {
            Some(wanted_one) => patterns.items(wanted_one, wanted.one())?,
            None => None,
        };
        let (Some(time), Some(items)) = (time.and_then(utc), items) else {
            made.append_null();
            continue;
        };
        text.clear();
        match write!(text, "{}", time.format_with_items(items.iter())) {
            Ok(()) => made.append_value(&text),
            Err(_) => made.append_null(),
        }
    }
    Ok(Arc::new(made.finish()))
}

fn date_parse(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, wanted) = (call.texts(0)?, call.texts(1)?);
    let mut patterns = Patterns::default();
    let mut made = moments();
    for row in 0..call.rows {
        let (Some(text), Some(pattern)) = (texts.at(row), wanted.at(row)) else {
            made.append_null();
            continue;
        };
        let read = patterns
            .items(pattern, wanted.one())?
            .and_then(|items| parsed(text, &items));
        made.append_option(unless_constant(call, read, "a date of that pattern")?);
    }
    Ok(Arc::new(made.finish()))
}

fn moments() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_data_type(moment())
}

fn from_iso8601_timestamp(call: &Call<'_>) -> Result<ArrayRef> {
    if call.times(0)?.is_some() {
        return call.array(0);
    }
    let texts = call.texts(0)?;
    let mut made = moments();
    for row in 0..call.rows {
        made.append_option(match texts.at(row) {
            Some(text) => unless_constant(call, iso(text), "an ISO 8601 time")?,
            None => None,
        });
    }
    Ok(Arc::new(made.finish()))
}

fn to_iso8601(call: &Call<'_>) -> Result<ArrayRef> {
    with_times(
        call,
        StringBuilder::new(),
        |made, time| {
            let form = match time.timestamp_subsec_micros() {
                0 => "%Y-%m-%dT%H:%M:%SZ",
                _ => "%Y-%m-%dT%H:%M:%S%.6fZ",
            };
            made.append_option(Some(time.format(form).to_string()));
        },
        StringBuilder::append_null,
        |mut made| Arc::new(made.finish()),
    )
}

/// Goes through the moments of the first argument.
fn with_times<B>(
    call: &Call<'_>,
    mut made: B,
    some: impl Fn(&mut B, DateTime<Utc>),
    none: impl Fn(&mut B),
    finish: impl FnOnce(B) -> ArrayRef,
) -> Result<ArrayRef> {
    let times = call.times(0)?;
    let texts = match times {
        Some(_) => None,
        None => Some(call.texts(0)?),
    };
    for row in 0..call.rows {
        let time = match (&times, &texts) {
            (Some(times), _) => times.at(row),
            (_, Some(texts)) => texts.at(row).and_then(iso),
            _ => None,
        };
        match time.and_then(utc) {
            Some(time) => some(&mut made, time),
            None => none(&mut made),
        }
    }
    Ok(finish(made))
}

fn field(call: &Call<'_>, of: fn(&DateTime<Utc>) -> i64) -> Result<ArrayRef> {
    with_times(
        call,
        Int64Builder::new(),
        |made, time| made.append_value(of(&time)),
        Int64Builder::append_null,
        |mut made| Arc::new(made.finish()),
    )
}

macro_rules! fields {
    ($($name:ident $of:expr;)*) => {
        $(fn $name(call: &Call<'_>) -> Result<ArrayRef> {
            field(call, $of)
        })*
    };
}

fields! {
    year |t| i64::from(t.year());
    quarter |t| i64::from(t.month0() / 3 + 1);
    month |t| i64::from(t.month());
    week |t| i64::from(t.iso_week().week());
    day |t| i64::from(t.day());
    day_of_week |t| i64::from(t.weekday().number_from_monday());
    day_of_year |t| i64::from(t.ordinal());
    hour |t| i64::from(t.hour());
    minute |t| i64::from(t.minute());
    second |t| i64::from(t.second());
    unix_seconds |t| t.timestamp();
}

fn to_unixtime(call: &Call<'_>) -> Result<ArrayRef> {
    with_times(
        call,
        Float64Builder::new(),
        // Exact for whole seconds of any year, and to the microsecond for ours.
        |made, time| made.append_value(time.timestamp_micros() as f64 / SECOND as f64),
        Float64Builder::append_null,
        |mut made| Arc::new(made.finish()),
    )
}

fn from_unixtime(call: &Call<'_>) -> Result<ArrayRef> {
    let seconds = call.doubles(0)?;
    let mut made = moments();
    for row in 0..call.rows {
        let micros = seconds.at(row).map(|s| (s * SECOND as f64).round());
        // Of what is out of range there is no moment.
        let inside = micros.filter(|m| m.abs() < 8.0e18).map(|m| m as i64);
        made.append_option(inside);
    }
    Ok(Arc::new(made.finish()))
}

/// A unit of date_add and date_diff.
#[derive(Clone, Copy)]
enum Unit {
    Micros(i64),
    Months(i64),
}

fn unit(call: &Call<'_>, name: Option<&str>) -> Result<Option<Unit>> {
    let Some(name) = name else {
        return Ok(None);
    };
    let name = name.to_ascii_lowercase();
    Ok(Some(match name.strip_suffix('s').unwrap_or(&name) {
        "millisecond" => Unit::Micros(1000),
        "second" => Unit::Micros(SECOND),
        "minute" => Unit::Micros(60 * SECOND),
        "hour" => Unit::Micros(3600 * SECOND),
        "day" => Unit::Micros(86_400 * SECOND),
        "week" => Unit::Micros(7 * 86_400 * SECOND),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        _ if call.len() == 3 => {
            return Err(QueryError::invalid(
                "a unit of time is one of millisecond, second, minute, hour, day, week, month, quarter and year",
            )
            .into());
        }
        _ => return Ok(None),
    }))
}

fn moved(time: i64, by: i64, unit: Unit) -> Option<i64> {
    match unit {
        Unit::Micros(each) => time.checked_add(by.checked_mul(each)?),
        Unit::Months(each) => {
            let months = by.checked_mul(each)?;
            let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            let time = utc(time)?;
            let moved = match months < 0 {
                true => time.checked_sub_months(count)?,
                false => time.checked_add_months(count)?,
            };
            Some(moved.timestamp_micros())
        }
    }
}

fn date_add(call: &Call<'_>) -> Result<ArrayRef> {
    let (units, counts) = (call.texts(0)?, call.longs(1)?);
    let times = call.times(2)?;
    let mut made = moments();
    for row in 0..call.rows {
        let time = times.as_ref().and_then(|t| t.at(row));
        let moved = match (unit(call, units.at(row))?, counts.at(row), time) {
            (Some(unit), Some(by), Some(time)) => moved(time, by, unit),
            _ => None,
        };
        made.append_option(moved);
    }
    Ok(Arc::new(made.finish()))
}

/// Whole months from one moment to another.
fn months(from: i64, to: i64) -> Option<i64> {
    let (a, b) = (utc(from)?, utc(to)?);
    let whole = |t: &DateTime<Utc>| i64::from(t.year()) * 12 + i64::from(t.month0());
    let mut months = whole(&b) - whole(&a);
    // One too many if the last one is not full.
    let reached = moved(from, months, Unit::Months(1))?;
    if months > 0 && reached > to {
        months -= 1;
    } else if months < 0 && reached < to {
        months += 1;
    }
    Some(months)
}

fn date_diff(call: &Call<'_>) -> Result<ArrayRef> {
    let units = call.texts(0)?;
    let (from, to) = (call.times(1)?, call.times(2)?);
    let mut made = Int64Builder::new();
    for row in 0..call.rows {
        let from = from.as_ref().and_then(|t| t.at(row));
        let to = to.as_ref().and_then(|t| t.at(row));
        let between = match (unit(call, units.at(row))?, from, to) {
            (Some(Unit::Micros(each)), Some(from), Some(to)) => {
                to.checked_sub(from).map(|d| d / each)
            }
            (Some(Unit::Months(each)), Some(from), Some(to)) => months(from, to).map(|m| m / each),
            _ => None,
        };
        made.append_option(between);
    }
    Ok(Arc::new(made.finish()))
}

fn iso_seconds(call: &Call<'_>) -> Result<ArrayRef> {
    with_times(
        call,
        StringBuilder::new(),
        |made, time| made.append_value(time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        StringBuilder::append_null,
        |mut made| Arc::new(made.finish()),
    )
}

const fn of_time(
    name: &'static str,
    usage: &'static str,
    says: &'static str,
    takes: &'static [Kind],
    gives: fn(&[DataType]) -> Result<DataType>,
    makes: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Function {
    Function::new(Group::Time, name, usage, says, takes, gives, makes)
}

const fn part(
    name: &'static str,
    usage: &'static str,
    says: &'static str,
    makes: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Function {
    of_time(name, usage, says, &[Kind::TimeOrText], gives_long, makes)
}

/// The functions of this group.
pub(super) static ALL: &[Function] = &[
    of_time(
        "date_format",
        "date_format(time, pattern)",
        "A moment as text, by MySQL's pattern: `%Y-%m-%d %H:%i:%s`. (`to_char` takes the engine's own patterns.)",
        &[Kind::TimeOrText, Kind::Text],
        gives_text,
        date_format,
    ),
    of_time(
        "date_parse",
        "date_parse(text, pattern)",
        "The moment that a text tells by MySQL's pattern; null where it does not.",
        &[Kind::Text, Kind::Text],
        gives_moment,
        date_parse,
    ),
    of_time(
        "from_iso8601_timestamp",
        "from_iso8601_timestamp(text)",
        "The moment that an ISO 8601 text tells, with or without time and zone; null where it does not.",
        &[Kind::TimeOrText],
        gives_moment,
        from_iso8601_timestamp,
    ),
    of_time(
        "to_iso8601",
        "to_iso8601(time)",
        "A moment as ISO 8601 text.",
        &[Kind::TimeOrText],
        gives_text,
        to_iso8601,
    ),
    of_time(
        "to_unixtime",
        "to_unixtime(time)",
        "Seconds since 1970, with fractions.",
        &[Kind::TimeOrText],
        gives_double,
        to_unixtime,
    ),
    of_time(
        "from_unixtime",
        "from_unixtime(seconds)",
        "The moment so many seconds after 1970 began.",
        &[Kind::Double],
        gives_moment,
        from_unixtime,
    ),
    of_time(
        "date_add",
        "date_add(unit, n, time)",
        "A moment n units later, or earlier where n is negative; the unit is one of millisecond, second, minute, hour, day, week, month, quarter, year.",
        &[Kind::Text, Kind::Long, Kind::Time],
        gives_moment,
        date_add,
    ),
    of_time(
        "date_diff",
        "date_diff(unit, from, to)",
        "How many whole units lie between two moments.",
        &[Kind::Text, Kind::Time, Kind::Time],
        gives_long,
        date_diff,
    ),
    part("year", "year(time)", "The year.", year),
    part("quarter", "quarter(time)", "The quarter, 1 to 4.", quarter),
    part("month", "month(time)", "The month, 1 to 12.", month),
    Function {
        aliases: &["week_of_year"],
        ..part("week", "week(time)", "The ISO week.", week)
    },
    Function {
        aliases: &["day_of_month"],
        ..part("day", "day(time)", "The day of the month.", day)
    },
    Function {
        aliases: &["dow"],
        ..part(
            "day_of_week",
            "day_of_week(time)",
            "The day of the week: 1 is Monday, 7 Sunday.",
            day_of_week,
        )
    },
    Function {
        aliases: &["doy"],
        ..part(
            "day_of_year",
            "day_of_year(time)",
            "The day of the year.",
            day_of_year,
        )
    },
    part("hour", "hour(time)", "The hour, 0 to 23.", hour),
    part("minute", "minute(time)", "The minute.", minute),
    part("second", "second(time)", "The second.", second),
    Function {
        before: Some(before_unix_seconds),
        ..part(
            "unix_seconds",
            "unix_seconds(time)",
            "Whole seconds since 1970; a comparison with a constant chooses files.",
            unix_seconds,
        )
    },
    Function {
        before: Some(before_iso_seconds),
        ..of_time(
            "iso_seconds",
            "iso_seconds(time)",
            "A moment as `2026-01-02T03:04:05Z`; a comparison with such a constant chooses files.",
            &[Kind::TimeOrText],
            gives_text,
            iso_seconds,
        )
    },
];
