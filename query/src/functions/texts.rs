//! Texts: what a regular expression finds in them, and the parts of a URL.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Builder, StringBuilder};
use datafusion::error::Result;
use regex::{Regex, RegexBuilder};
use url::Url;

use super::native::{Call, Function, Group, Kind, gives_bool, gives_long, gives_text};
use crate::error::QueryError;

/// The largest program that a regular expression may become, in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// The regular expression last read.
#[derive(Default)]
struct Patterns(Option<(String, Option<Regex>)>);

impl Patterns {
    fn of(&mut self, text: &str, constant: bool) -> Result<Option<&Regex>> {
        if self.0.as_ref().is_none_or(|(known, _)| known != text) {
            let read = RegexBuilder::new(text)
                .size_limit(REGEX_SIZE)
                .dfa_size_limit(REGEX_SIZE)
                .build();
            if read.is_err() && constant {
                return Err(QueryError::invalid(
                    "a regular expression of the query cannot be read, or is too large",
                )
                .with_hint("look-around and back-references are not supported")
                .into());
            }
            self.0 = Some((text.to_owned(), read.ok()));
        }
        Ok(self.0.as_ref().and_then(|(_, regex)| regex.as_ref()))
    }
}

fn regexp_extract(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, wanted) = (call.texts(0)?, call.texts(1)?);
    let groups = match call.len() {
        3 => Some(call.longs(2)?),
        _ => None,
    };
    let mut patterns = Patterns::default();
    let mut made = StringBuilder::new();
    for row in 0..call.rows {
        let group = match &groups {
            Some(groups) => groups.at(row).and_then(|g| usize::try_from(g).ok()),
            None => Some(0),
        };
        let found = match (texts.at(row), wanted.at(row), group) {
            (Some(text), Some(pattern), Some(group)) => patterns
                .of(pattern, wanted.one())?
                .and_then(|regex| regex.captures(text)?.get(group)),
            _ => None,
        };
        made.append_option(found.map(|m| m.as_str()));
    }
    Ok(Arc::new(made.finish()))
}

fn of_urls(call: &Call<'_>, part: impl Fn(&Url) -> Option<String>) -> Result<ArrayRef> {
    let urls = call.texts(0)?;
    let mut made = StringBuilder::new();
    for row in 0..call.rows {
        let url = urls.at(row).and_then(|text| Url::parse(text).ok());
        made.append_option(url.as_ref().and_then(&part));
    }
    Ok(Arc::new(made.finish()))
}

fn host(call: &Call<'_>) -> Result<ArrayRef> {
    of_urls(call, |url| url.host_str().map(str::to_owned))
}

fn path(call: &Call<'_>) -> Result<ArrayRef> {
    of_urls(call, |url| Some(url.path().to_owned()))
}

fn protocol(call: &Call<'_>) -> Result<ArrayRef> {
    of_urls(call, |url| Some(url.scheme().to_owned()))
}

fn query(call: &Call<'_>) -> Result<ArrayRef> {
    of_urls(call, |url| url.query().map(str::to_owned))
}

fn port(call: &Call<'_>) -> Result<ArrayRef> {
    let urls = call.texts(0)?;
    let mut made = Int64Builder::new();
    for row in 0..call.rows {
        let url = urls.at(row).and_then(|text| Url::parse(text).ok());
        made.append_option(url.and_then(|u| u.port()).map(i64::from));
    }
    Ok(Arc::new(made.finish()))
}

fn parameter(call: &Call<'_>) -> Result<ArrayRef> {
    let (urls, names) = (call.texts(0)?, call.texts(1)?);
    let mut made = StringBuilder::new();
    for row in 0..call.rows {
        let url = urls.at(row).and_then(|text| Url::parse(text).ok());
        let value = match (&url, names.at(row)) {
            (Some(url), Some(name)) => url.query_pairs().find(|(n, _)| n == name),
            _ => None,
        };
        made.append_option(value.map(|(_, value)| value));
    }
    Ok(Arc::new(made.finish()))
}

const fn of_url(
    name: &'static str,
    usage: &'static str,
    says: &'static str,
    makes: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Function {
    Function::new(
        Group::Text,
        name,
        usage,
        says,
        &[Kind::Text],
        gives_text,
        makes,
    )
}

/// The longest term that is looked for, in bytes: what it takes grows with it.
const TERM: usize = 256;

/// What parts words from each other in the log service.
fn parts(c: char) -> bool {
    c.is_whitespace() || ", '\";=()[]{}?@&<>/:\\".contains(c)
}

/// Whether a word is like a pattern, in which `*` stands for anything and `?`
/// for one letter.
fn is_like(word: &str, pattern: &str) -> bool {
    let same = |a: char, b: char| a == b || a.to_lowercase().eq(b.to_lowercase());
    let (mut left, mut wanted) = (word.chars(), pattern.chars());
    // Where the last star began to stand for something.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut next = left.clone();
        match (wanted.next(), next.next()) {
            (Some('*'), _) => {
                star = Some((left.clone(), wanted.clone()));
                continue;
            }
            (Some(w), Some(l)) if w == '?' || same(w, l) => {
                left = next;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((mut from, after)) = star.take() else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        (left, wanted) = (from.clone(), after.clone());
        star = Some((from, after));
    }
}

fn search_has(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, terms) = (call.texts(0)?, call.texts(1)?);
    let mut made = BooleanBuilder::new();
    for row in 0..call.rows {
        let (text, term) = (texts.at(row), terms.at(row).unwrap_or_default());
        if term.len() > TERM && terms.one() {
            let error = format!("a term that is searched for is longer than {TERM} bytes");
            return Err(QueryError::invalid(error).into());
        }
        let wanted: Vec<&str> = term
            .split(|c| c != '?' && parts(c))
            .filter(|w| !w.is_empty())
            .collect();
        let words = text.unwrap_or_default().split(parts);
        let words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
        let found = !wanted.is_empty()
            && term.len() <= TERM
            && words
                .windows(wanted.len())
                .any(|some| some.iter().zip(&wanted).all(|(word, w)| is_like(word, w)));
        made.append_value(found);
    }
    Ok(Arc::new(made.finish()))
}

/// The functions of this group.
pub(super) static ALL: &[Function] = &[
    Function {
        least: 2,
        takes: &[Kind::Text, Kind::Text, Kind::Long],
        ..of_url(
            "regexp_extract",
            "regexp_extract(text, pattern[, group])",
            "The first match of a regular expression, or one group of it; null where there is none.",
            regexp_extract,
        )
    },
    of_url(
        "url_extract_host",
        "url_extract_host(url)",
        "The host of a URL; null for what is no URL, as with the other parts.",
        host,
    ),
    of_url(
        "url_extract_path",
        "url_extract_path(url)",
        "The path of a URL.",
        path,
    ),
    of_url(
        "url_extract_protocol",
        "url_extract_protocol(url)",
        "The scheme of a URL.",
        protocol,
    ),
    of_url(
        "url_extract_query",
        "url_extract_query(url)",
        "The query of a URL.",
        query,
    ),
    Function {
        gives: gives_long,
        ..of_url(
            "url_extract_port",
            "url_extract_port(url)",
            "The port of a URL, where it names one that is not the scheme's own.",
            port,
        )
    },
    Function {
        least: 2,
        takes: &[Kind::Text, Kind::Text],
        ..of_url(
            "url_extract_parameter",
            "url_extract_parameter(url, name)",
            "The value of a parameter in the query of a URL.",
            parameter,
        )
    },
    Function {
        least: 2,
        takes: &[Kind::Text, Kind::Text],
        gives: gives_bool,
        ..of_url(
            "search_has",
            "search_has(text, term)",
            "Whether the text holds the word, or the words one after the other, without regard to case; `*` stands for anything within a word and `?` for one letter. Never null.",
            search_has,
        )
    },
];
