//! JSON texts: parts of them by JSONPath, and as maps and lists.
//!
//! A text is never read further than the question needs, and a part that is
//! not asked for is never built. What is not JSON has no parts.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, MapBuilder, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::plan_err;
use datafusion::error::Result;
use jiter::{Jiter, Peek};

use super::native::{Call, Function, Group, Kind, gives_bool, gives_long, gives_text, gives_texts};
use crate::error::QueryError;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object.
    Key(String),
    /// An item of a list, from 0.
    Index(usize),
    /// Every item of a list, or every member's value.
    Every,
}

/// The steps of a JSONPath such as `$.a.b[0]["c.d"][*]`; `None` if it is none
/// of ours.
pub(super) fn path(text: &str) -> Option<Vec<Step>> {
    let text = text.trim();
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    let mut steps = vec![];
    // `a.b` means `$.a.b`.
    let mut bare = !rest.starts_with(['.', '[']) && !rest.is_empty();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = bracketed(inside)?;
            steps.push(step);
            rest = after;
        } else {
            let name = if bare { rest } else { rest.strip_prefix('.')? };
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (key, after) = name.split_at(end);
            steps.push(match key {
                "" => return None,
                "*" => Step::Every,
                key => Step::Key(key.trim_matches('"').to_owned()),
            });
            rest = after;
        }
        bare = false;
    }
    Some(steps)
}

/// What stands between brackets, and what comes after them.
fn bracketed(inside: &str) -> Option<(Step, &str)> {
    if let Some(after) = inside.strip_prefix("*]") {
        return Some((Step::Every, after));
    }
    for quote in ['"', '\''] {
        if let Some(quoted) = inside.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote)?;
            return Some((Step::Key(key.to_owned()), after.strip_prefix(']')?));
        }
    }
    let (number, after) = inside.split_once(']')?;
    Some((Step::Index(number.trim().parse().ok()?), after))
}

/// Goes to the value at `steps`, which has no [`Step::Every`].
fn goto(j: &mut Jiter<'_>, steps: &[Step]) -> Option<Peek> {
    let mut peek = j.peek().ok()?;
    for step in steps {
        peek = match step {
            Step::Key(wanted) if peek == Peek::Object => {
                let mut found = j.known_object().ok()?.map(|key| key == wanted);
                while !found? {
                    j.next_skip().ok()?;
                    found = j.next_key().ok()?.map(|key| key == wanted);
                }
                j.peek().ok()?
            }
            Step::Index(wanted) if peek == Peek::Array => {
                let mut item = j.known_array().ok()?;
                for _ in 0..*wanted {
                    j.known_skip(item?).ok()?;
                    item = j.array_step().ok()?;
                }
                item?
            }
            _ => return None,
        };
    }
    Some(peek)
}

/// The text of the value at `steps`, as it stands.
pub(super) fn part<'j>(json: &'j str, steps: &[Step]) -> Option<Cow<'j, str>> {
    if let Some(at) = steps.iter().position(|s| *s == Step::Every) {
        return every(json, &steps[..at], &steps[at + 1..]).map(Cow::Owned);
    }
    let mut j = Jiter::new(json.as_bytes());
    let peek = goto(&mut j, steps)?;
    let start = j.current_index();
    j.known_skip(peek).ok()?;
    json.get(start..j.current_index()).map(Cow::Borrowed)
}

/// The values at `after` of everything in the list or object at `before`, as
/// a list.
fn every(json: &str, before: &[Step], after: &[Step]) -> Option<String> {
    let list = part(json, before)?;
    let mut made = String::from("[");
    let mut add = |value: &str| {
        if let Some(found) = part(value, after) {
            if made.len() > 1 {
                made.push(',');
            }
            made.push_str(&found);
        }
    };
    each_item(&list, &mut add).or_else(|| each_member(&list, &mut |_, value| add(value)))?;
    made.push(']');
    Some(made)
}

/// Every item of a list, as it stands; `None` if it is no list to the end.
fn each_item(json: &str, f: &mut impl FnMut(&str)) -> Option<()> {
    let mut j = Jiter::new(json.as_bytes());
    let mut item = j.next_array().ok()?;
    while let Some(peek) = item {
        let start = j.current_index();
        j.known_skip(peek).ok()?;
        f(json.get(start..j.current_index())?);
        item = j.array_step().ok()?;
    }
    Some(())
}

/// Every member of an object; `None` if it is no object to the end.
fn each_member(json: &str, f: &mut impl FnMut(&str, &str)) -> Option<()> {
    let mut j = Jiter::new(json.as_bytes());
    let mut key = j.next_object().ok()?.map(str::to_owned);
    while let Some(name) = key {
        let peek = j.peek().ok()?;
        let start = j.current_index();
        j.known_skip(peek).ok()?;
        f(&name, json.get(start..j.current_index())?);
        key = j.next_key().ok()?.map(str::to_owned);
    }
    Some(())
}

/// A value as text: a string without its quotes, null as none, anything else
/// as it stands.
pub(super) fn as_text(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => {
            let mut j = Jiter::new(value.as_bytes());
            j.next_str().ok().map(|s| Cow::Owned(s.to_owned()))
        }
        b'n' => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// The same, of what is neither list nor object.
fn as_scalar(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'{' | b'[' => None,
        _ => as_text(value),
    }
}

/// Whether the text is one JSON value and nothing else.
fn is_json(text: &str) -> bool {
    let mut j = Jiter::new(text.as_bytes());
    j.next_skip().is_ok() && j.finish().is_ok()
}

/// For each row what `f` makes of the part of its JSON at its path.
fn parts(call: &Call<'_>, f: impl Fn(&str) -> Option<Cow<'_, str>>) -> Result<ArrayRef> {
    let (json, paths) = (call.texts(0)?, call.texts(1)?);
    let mut made = StringBuilder::new();
    let mut read: Option<(String, Vec<Step>)> = None;
    for row in 0..call.rows {
        let (Some(json), Some(asked)) = (json.at(row), paths.at(row)) else {
            made.append_null();
            continue;
        };
        if read.as_ref().is_none_or(|(text, _)| text != asked) {
            read = Some((asked.to_owned(), steps_of(asked, paths.one())?));
        }
        let found = read.as_ref().and_then(|(_, steps)| part(json, steps));
        made.append_option(found.as_deref().and_then(&f));
    }
    Ok(Arc::new(made.finish()))
}

/// A path of the statement's that is none of ours is its author's slip.
fn steps_of(text: &str, constant: bool) -> Result<Vec<Step>> {
    match path(text) {
        Some(steps) => Ok(steps),
        None if constant => Err(QueryError::invalid(
            "a JSON path of the query is not one that is understood",
        )
        .with_hint("write $.a.b, $.list[0], $.list[*] or $[\"a.b\"]")
        .into()),
        // Matches nothing.
        None => Ok(vec![Step::Key(String::new()), Step::Index(usize::MAX)]),
    }
}

fn json_extract(call: &Call<'_>) -> Result<ArrayRef> {
    parts(call, |found| Some(Cow::Borrowed(found)))
}

fn json_extract_scalar(call: &Call<'_>) -> Result<ArrayRef> {
    parts(call, as_scalar)
}

fn json_parse(call: &Call<'_>) -> Result<ArrayRef> {
    let json = call.texts(0)?;
    let mut made = StringBuilder::new();
    for row in 0..call.rows {
        made.append_option(json.at(row).filter(|text| is_json(text)));
    }
    Ok(Arc::new(made.finish()))
}

fn json_array_length(call: &Call<'_>) -> Result<ArrayRef> {
    let json = call.texts(0)?;
    let mut made = Int64Builder::new();
    for row in 0..call.rows {
        let mut items = 0;
        let list = json.at(row).and_then(|j| each_item(j, &mut |_| items += 1));
        made.append_option(list.map(|()| items));
    }
    Ok(Arc::new(made.finish()))
}

fn json_array_get(call: &Call<'_>) -> Result<ArrayRef> {
    let (json, places) = (call.texts(0)?, call.longs(1)?);
    let mut made = StringBuilder::new();
    for row in 0..call.rows {
        let place = places.at(row).and_then(|n| usize::try_from(n).ok());
        let item = match (json.at(row), place) {
            (Some(json), Some(place)) => part(json, &[Step::Index(place)]),
            _ => None,
        };
        made.append_option(item);
    }
    Ok(Arc::new(made.finish()))
}

fn json_array_contains(call: &Call<'_>) -> Result<ArrayRef> {
    let (json, wanted) = (call.texts(0)?, call.texts(1)?);
    let mut made = BooleanBuilder::new();
    for row in 0..call.rows {
        let found = match (json.at(row), wanted.at(row)) {
            (Some(json), Some(wanted)) => {
                let mut found = false;
                let list = each_item(json, &mut |item| {
                    found |= as_scalar(item).is_some_and(|item| item == wanted);
                });
                list.map(|()| found)
            }
            _ => None,
        };
        made.append_option(found);
    }
    Ok(Arc::new(made.finish()))
}

/// The type of JSON objects as maps.
pub(crate) fn map_type() -> DataType {
    let entry = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    DataType::Map(
        Arc::new(Field::new("entries", DataType::Struct(entry), false)),
        false,
    )
}

fn gives_map(given: &[DataType]) -> Result<DataType> {
    match given.first() {
        Some(map @ DataType::Map(..)) => Ok(map.clone()),
        Some(DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 | DataType::Null) => {
            Ok(map_type())
        }
        other => plan_err!("{other:?} cannot be read as a map"),
    }
}

fn json_map(call: &Call<'_>) -> Result<ArrayRef> {
    let given = call.array(0)?;
    if matches!(given.data_type(), DataType::Map(..)) {
        return Ok(given);
    }
    let json = arrow::compute::cast(&given, &DataType::Utf8View)?;
    let names = arrow::array::MapFieldNames {
        entry: "entries".into(),
        key: "key".into(),
        value: "value".into(),
    };
    let mut made = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    let texts = arrow::array::AsArray::as_string_view(&json);
    for row in 0..call.rows {
        let mut entries: Vec<(String, Option<String>)> = vec![];
        let object = texts.is_valid(row).then(|| texts.value(row));
        let whole = object.and_then(|json| {
            each_member(json, &mut |key, value| {
                entries.push((key.to_owned(), as_text(value).map(Cow::into_owned)));
            })
        });
        if whole.is_some() {
            for (key, value) in entries {
                made.keys().append_value(key);
                made.values().append_option(value);
            }
        }
        made.append(whole.is_some())?;
    }
    Ok(Arc::new(made.finish()))
}

fn json_entry(call: &Call<'_>) -> Result<ArrayRef> {
    let (json, keys) = (call.texts(0)?, call.texts(1)?);
    let mut made = StringBuilder::new();
    let mut step = [Step::Key(String::new())];
    for row in 0..call.rows {
        let found = match (json.at(row), keys.at(row)) {
            (Some(json), Some(key)) => {
                if !matches!(&step[0], Step::Key(k) if k == key) {
                    step[0] = Step::Key(key.to_owned());
                }
                part(json, &step)
            }
            _ => None,
        };
        made.append_option(found.as_deref().and_then(as_text));
    }
    Ok(Arc::new(made.finish()))
}

fn gives_list(given: &[DataType]) -> Result<DataType> {
    match given.first() {
        Some(list @ DataType::List(_)) => Ok(list.clone()),
        Some(DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 | DataType::Null) => {
            gives_texts(given)
        }
        other => plan_err!("{other:?} cannot be read as a list"),
    }
}

fn json_list(call: &Call<'_>) -> Result<ArrayRef> {
    let given = call.array(0)?;
    if matches!(given.data_type(), DataType::List(_)) {
        return Ok(given);
    }
    let json = arrow::compute::cast(&given, &DataType::Utf8View)?;
    let texts = arrow::array::AsArray::as_string_view(&json);
    let mut made = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        let mut items: Vec<Option<String>> = vec![];
        let list = texts.is_valid(row).then(|| texts.value(row));
        let whole = list.and_then(|json| {
            each_item(json, &mut |item| {
                items.push(as_text(item).map(Cow::into_owned));
            })
        });
        for item in items.iter().filter(|_| whole.is_some()) {
            made.values().append_option(item.as_deref());
        }
        made.append(whole.is_some());
    }
    Ok(Arc::new(made.finish()))
}

const fn of_text(
    name: &'static str,
    usage: &'static str,
    says: &'static str,
    takes: &'static [Kind],
    gives: fn(&[DataType]) -> Result<DataType>,
    makes: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Function {
    Function::new(Group::Json, name, usage, says, takes, gives, makes)
}

/// The functions of this group.
pub(super) static ALL: &[Function] = &[
    of_text(
        "json_extract",
        "json_extract(json, path)",
        "The part of a JSON text at a JSONPath such as `$.a.b[0]`, `$[\"a.b\"]` or `$.list[*].id`, as JSON text. Lists count from 0.",
        &[Kind::Text, Kind::Text],
        gives_text,
        json_extract,
    ),
    of_text(
        "json_extract_scalar",
        "json_extract_scalar(json, path)",
        "The string, number or boolean at a JSONPath, as text; null where there is an object, a list or null.",
        &[Kind::Text, Kind::Text],
        gives_text,
        json_extract_scalar,
    ),
    Function {
        aliases: &["json_format"],
        ..of_text(
            "json_parse",
            "json_parse(text)",
            "The text itself where it is JSON, else null.",
            &[Kind::Text],
            gives_text,
            json_parse,
        )
    },
    of_text(
        "json_array_length",
        "json_array_length(json)",
        "How many items a JSON list has.",
        &[Kind::Text],
        gives_long,
        json_array_length,
    ),
    of_text(
        "json_array_get",
        "json_array_get(json, n)",
        "The item of a JSON list at place n, from 0, as JSON text.",
        &[Kind::Text, Kind::Long],
        gives_text,
        json_array_get,
    ),
    of_text(
        "json_array_contains",
        "json_array_contains(json, text)",
        "Whether a JSON list holds that string, number or boolean.",
        &[Kind::Text, Kind::Text],
        gives_bool,
        json_array_contains,
    ),
    of_text(
        "json_map",
        "json_map(json)",
        "A JSON object as a map of texts; what `CAST(… AS map(varchar, varchar))` does.",
        &[Kind::Any],
        gives_map,
        json_map,
    ),
    of_text(
        "json_entry",
        "json_entry(json, key)",
        "The value of one key of a JSON object as text: `element_at(json_map(json), key)`.",
        &[Kind::Text, Kind::Text],
        gives_text,
        json_entry,
    ),
    of_text(
        "json_list",
        "json_list(json)",
        "A JSON list as a list of texts; what `CAST(… AS array(varchar))` does.",
        &[Kind::Any],
        gives_list,
        json_list,
    ),
];
