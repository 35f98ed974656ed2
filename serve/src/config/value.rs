//! One value as it was given, and what it may mean. Every refusal says what
//! is allowed; the caller adds which setting and where it stands.

use std::fmt;
use std::time::Duration;

/// A value before it is understood. The environment and flags give text only.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A string.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A list of texts.
    List(Vec<String>),
    /// A table, a date, or a list of something else, which no setting takes.
    Other(&'static str),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::List(texts) if texts.is_empty() => f.write_str("a list of nothing"),
            Self::List(texts) => write!(f, "{texts:?}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// What would have been allowed, as the end of a sentence.
pub type Allowed = String;

impl Given {
    /// Any text that is not empty.
    pub fn text(&self) -> Result<String, Allowed> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Ok(text.clone()),
            _ => Err("use a text that is not empty".to_owned()),
        }
    }

    /// Texts: a list, or one text with commas between them.
    pub fn list(&self) -> Result<Vec<String>, Allowed> {
        let texts: Vec<String> = match self {
            Self::List(texts) => texts.clone(),
            Self::Text(text) => text.split(',').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let texts: Vec<String> = texts.iter().map(|t| t.trim().to_owned()).collect();
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err("use a list of texts, such as [\"a\", \"b\"]".to_owned());
        }
        Ok(texts)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, Allowed> {
        match self {
            Self::Bool(b) => Ok(*b),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true),
                "false" | "no" | "off" | "0" => Ok(false),
                _ => Err("use true or false".to_owned()),
            },
            _ => Err("use true or false".to_owned()),
        }
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, least: u32, most: u32) -> Result<u32, Allowed> {
        let n = match self {
            Self::Int(n) => Some(*n),
            Self::Text(text) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        n.and_then(|n| u32::try_from(n).ok())
            .filter(|n| (least..=most).contains(n))
            .ok_or_else(|| format!("use a whole number from {least} to {most}"))
    }

    /// A size from `least` to `most` bytes.
    pub fn size(&self, least: u64, most: u64) -> Result<u64, Allowed> {
        let bytes = match self {
            Self::Int(n) => u64::try_from(*n).ok(),
            Self::Text(text) => parse_size(text),
            _ => None,
        };
        bytes.filter(|n| (least..=most).contains(n)).ok_or_else(|| {
            format!(
                "use a size from {} to {}, such as \"64MiB\", \"500kB\" or a number of bytes",
                show_size(least),
                show_size(most)
            )
        })
    }

    /// A time from `least` to `most`.
    pub fn duration(&self, least: Duration, most: Duration) -> Result<Duration, Allowed> {
        let time = match self {
            Self::Int(n) => u64::try_from(*n).ok().map(Duration::from_secs),
            Self::Float(n) => Duration::try_from_secs_f64(*n).ok(),
            Self::Text(text) => parse_duration(text),
            _ => None,
        };
        time.filter(|t| (least..=most).contains(t)).ok_or_else(|| {
            format!(
                "use a time from {} to {}, such as \"5s\", \"2m\", \"1h\" or a number of seconds",
                show_duration(least),
                show_duration(most)
            )
        })
    }
}

/// Splits `12.5 MiB` into the number and its unit.
fn split_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.replace('_', "").parse().ok()?, unit.trim()))
}

/// Bytes of `64MiB`, `500kB`, `1 GB`, `4096`.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = number * factor as f64;
    // Beyond 2^53 a float no longer holds every whole number; no size is that large.
    (bytes.fract() == 0.0 && bytes <= 9_007_199_254_740_992.0).then_some(bytes as u64)
}

/// The time of `250ms`, `5s`, `2m`, `1h`, `7d`; a bare number counts seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let seconds = match unit.to_ascii_lowercase().as_str() {
        "ms" => 0.001,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Whole milliseconds, so that 0.1 s is 100 ms and not a hair less.
    let millis = (number * seconds * 1000.0).round();
    (millis <= 9_007_199_254_740_992.0).then_some(Duration::from_millis(millis as u64))
}

fn show_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

fn show_duration(time: Duration) -> String {
    let millis = time.as_millis();
    for (length, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ] {
        if millis >= length && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}
