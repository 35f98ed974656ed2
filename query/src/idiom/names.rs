//! Names as CloudTrail Lake and the log service have them: without regard to
//! case, with dots in them, and a store's id for a table.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::datatypes::{DataType, Field};

use crate::views::VIEWS;

/// How long a UUID is.
const ID: usize = 36;
/// The table that the id of an event data store stands for.
pub(super) const STORE: &str = "cloudtrail";

/// The spelling that the views have of a name.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    static NAMES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
        let mut names = HashMap::new();
        for view in VIEWS {
            for field in view.schema().fields() {
                learn(&mut names, field);
            }
        }
        names
    });
    NAMES.get(&name.to_ascii_lowercase()).map(String::as_str)
}

fn learn(names: &mut HashMap<String, String>, field: &Field) {
    names.insert(field.name().to_ascii_lowercase(), field.name().clone());
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().for_each(|f| learn(names, f)),
        DataType::List(item) => learn_items(names, item),
        _ => {}
    }
}

/// An item of a list has no name of its own, but its fields have.
fn learn_items(names: &mut HashMap<String, String>, item: &Field) {
    if let DataType::Struct(fields) = item.data_type() {
        fields.iter().for_each(|f| learn(names, f));
    }
}

/// Whether the text is a UUID.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// The statement with the name of a table wherever it asks FROM or JOINs the
/// bare id of an event data store, which no tokenizer takes for a name. What
/// follows stays in its place, for errors tell of places.
pub(super) fn without_ids(sql: &str) -> Cow<'_, str> {
    let mut made: Option<String> = None;
    let mut at = 0;
    // The last word outside of quotes and comments.
    let mut word = 0..0;
    while at < sql.len() {
        let rest = &sql[at..];
        let asks = || {
            let word = sql[word.clone()].to_ascii_lowercase();
            word == "from" || word == "join"
        };
        if rest.get(..ID).is_some_and(is_id) && asks() {
            let made = made.get_or_insert_with(|| sql.to_owned());
            made.replace_range(at..at + ID, &format!("{STORE:<ID$}"));
            word = at..at;
            at += ID;
            continue;
        }
        let step = skipped(rest).unwrap_or_else(|| {
            let letters = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let first = rest.chars().next().map_or(1, char::len_utf8);
            if letters > 0 {
                word = at..at + letters;
            } else if !rest.starts_with(char::is_whitespace) {
                word = at..at;
            }
            letters.max(first)
        });
        at += step;
    }
    made.map_or(Cow::Borrowed(sql), Cow::Owned)
}

/// How long the quoted text, name or comment is that `rest` begins with.
pub(crate) fn skipped(rest: &str) -> Option<usize> {
    let to = |end: &str, from: usize| {
        let found = rest.get(from..).and_then(|r| r.find(end));
        found.map_or(rest.len(), |i| from + i + end.len())
    };
    if rest.starts_with('\'') {
        Some(to("'", 1))
    } else if rest.starts_with('"') {
        Some(to("\"", 1))
    } else if rest.starts_with("--") {
        Some(to("\n", 2))
    } else if rest.starts_with("/*") {
        Some(to("*/", 2))
    } else {
        None
    }
}
