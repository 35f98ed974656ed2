//! The moments that events name.

use cairn_schemas::Micros;
use cairn_schemas::time::{DAY, SECOND};

/// RFC 3339, with two liberties: a space may stand for the `T`, and a leap
/// second (`:60`) is the second after it, for Cairn's time has none. A time
/// without a zone is no moment.
pub(crate) fn parse(text: &str) -> Option<Micros> {
    let b = text.as_bytes();
    let days = date(b.get(..10)?)?;
    let seconds = clock(b.get(10..19)?)?;
    let mut rest = b.get(19..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|d| d.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        // What is finer than a microsecond is cut off, not rounded up into
        // the next second.
        micros = (0..6).fold(0, |n, i| {
            let digit = fraction.get(i).filter(|_| i < digits);
            n * 10 + digit.map_or(0, |d| i64::from(d - b'0'))
        });
        rest = &fraction[digits..];
    }
    let offset = match rest {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = number(&[*h1, *h2]).filter(|h| *h < 24)?;
            let minutes = number(&[*m1, *m2]).filter(|m| *m < 60)?;
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    Some(Micros(days * DAY + (seconds - offset) * SECOND + micros))
}

/// A JSON number of seconds, milliseconds or microseconds since 1970. Which
/// one, its size tells: seconds reach to the year 5138, and so does each of
/// the others before the next begins. A fraction is taken, an exponent is not.
pub(crate) fn parse_epoch(number: &str) -> Option<Micros> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let unit = match whole.unsigned_abs() {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1,
        _ => return None,
    };
    let mut part = 0;
    let mut scale = unit;
    for digit in fraction.bytes().take(6) {
        scale /= 10;
        part += i64::from(digit - b'0') * scale;
    }
    let micros = whole.checked_mul(unit)?;
    Some(Micros(if negative {
        micros - part
    } else {
        micros + part
    }))
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
fn date(b: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = b else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let month = number(&[*m1, *m2])?;
    let day = number(&[*d1, *d2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last: Howard
    // Hinnant's days_from_civil.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Seconds since midnight of `THH:MM:SS`.
fn clock(b: &[u8]) -> Option<i64> {
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = b else {
        return None;
    };
    let hours = number(&[*h1, *h2]).filter(|h| *h < 24)?;
    let minutes = number(&[*m1, *m2]).filter(|m| *m < 60)?;
    let seconds = number(&[*s1, *s2]).filter(|s| *s <= 60)?;
    Some(hours * 3600 + minutes * 60 + seconds)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, d| {
        d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0'))
    })
}

#[cfg(test)]
mod tests;
