//! Moments in texts: ISO 8601, and by MySQL's patterns.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::error::Result;

use crate::error::QueryError;

/// The longest pattern of date_format: what it makes is a few times as long.
const LONGEST: usize = 256;

/// A moment as ISO 8601 writes it, with or without a time, fractions and a
/// zone; without one it is UTC.
pub(super) fn iso(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f%#z",
        "%Y-%m-%dT%H:%M%#z",
        "%Y%m%dT%H%M%S%#z",
    ] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.timestamp_micros());
        }
    }
    let forms = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
        "%Y%m%dT%H%M%SZ",
    ];
    for form in forms {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}

/// MySQL's pattern in the words of chrono; `None` for what neither knows.
fn pattern(mysql: &str) -> Option<String> {
    if mysql.len() > LONGEST {
        return None;
    }
    let mut made = String::new();
    let mut chars = mysql.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            made.push(c);
            continue;
        }
        made.push_str(match chars.next()? {
            'a' => "%a",
            'b' => "%b",
            'c' => "%-m",
            'd' => "%d",
            'e' => "%-d",
            'f' => "%6f",
            'H' => "%H",
            'h' | 'I' => "%I",
            'i' => "%M",
            'j' => "%j",
            'k' => "%-H",
            'l' => "%-I",
            'M' => "%B",
            'm' => "%m",
            'p' => "%p",
            'r' => "%I:%M:%S %p",
            'S' | 's' => "%S",
            'T' => "%H:%M:%S",
            'v' => "%V",
            'W' => "%A",
            'x' => "%G",
            'Y' => "%Y",
            'y' => "%y",
            '%' => "%%",
            _ => return None,
        });
    }
    Some(made)
}

/// The pattern last read, since mostly it is the same for all rows.
#[derive(Default)]
pub(super) struct Patterns(Option<(String, String)>);

impl Patterns {
    pub(super) fn items(&mut self, mysql: &str, constant: bool) -> Result<Option<Vec<Item<'_>>>> {
        if self.0.as_ref().is_none_or(|(text, _)| text != mysql) {
            let Some(read) = pattern(mysql) else {
                if !constant {
                    return Ok(None);
                }
                return Err(QueryError::invalid(
                    "a date pattern of the query has a letter that is not known, or is too long",
                )
                .with_hint("patterns are MySQL's: %Y-%m-%d %H:%i:%s; to_char takes others")
                .into());
            };
            self.0 = Some((mysql.to_owned(), read));
        }
        Ok(self
            .0
            .as_ref()
            .map(|(_, chrono)| StrftimeItems::new(chrono).collect()))
    }
}

/// What the text says; days and times that it does not say are the first.
pub(super) fn parsed(text: &str, items: &[Item<'_>]) -> Option<i64> {
    let mut read = Parsed::new();
    parse(&mut read, text, items.iter()).ok()?;
    let day = read.to_naive_date().ok().or_else(|| {
        let year = read.year().or_else(|| {
            let short = read.year_mod_100()?;
            Some(if short < 70 {
                2000 + short
            } else {
                1900 + short
            })
        });
        NaiveDate::from_ymd_opt(
            year.unwrap_or(1970),
            read.month().unwrap_or(1),
            read.day().unwrap_or(1),
        )
    })?;
    let time = read.to_naive_time().ok().or_else(|| {
        let hour = match (read.hour_div_12(), read.hour_mod_12()) {
            (half, Some(hour)) => half.unwrap_or(0) * 12 + hour,
            _ => 0,
        };
        NaiveTime::from_hms_opt(hour, read.minute().unwrap_or(0), read.second().unwrap_or(0))
    })?;
    Some(day.and_time(time).and_utc().timestamp_micros())
}
