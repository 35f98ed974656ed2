//! The engine's words about a statement, made ours: without the names that it
//! has for its own parts, and with what to do.
//!
//! What is named here stands in the statement, or is a column or a function
//! that whoever asks may use: nothing else is taken over from the engine.

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;

use super::written::{Role, Written};
use super::{QueryError, closest, first_line};

/// What the engine puts before its words, each time that it wraps them.
const PREFIXES: &[&str] = &[
    "DataFusion error: ",
    "Error during planning: ",
    "Execution error: ",
    "Internal error: ",
    "External error: ",
    "Schema error: ",
    "Arrow error: ",
    "This feature is not implemented: ",
];
/// How many names a hint has.
const NAMES: usize = 5;
/// How much of a text of the statement is said again.
const TEXT: usize = 60;

/// The engine's words without the kinds that it has for errors.
pub(super) fn stripped(text: &str) -> String {
    let strip = |text: String, prefix: &&str| text.replace(prefix, "");
    PREFIXES.iter().fold(text.to_owned(), strip)
}

/// What stands between the first `before` and the next `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// Names that do not fit the tables of a statement. `place` is the engine's own,
/// if it has one.
pub(super) fn of_schema(
    error: &SchemaError,
    written: &Written,
    place: Option<(u64, u64)>,
) -> QueryError {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => missing(field, valid_fields, written, place),
        SchemaError::AmbiguousReference { field } if field.relation.is_none() => {
            let name = &field.name;
            QueryError::invalid(format!(
                "the column {name:?} is ambiguous: more than one table has it"
            ))
            .with_hint(format!(
                "put the name or the alias of its table before it, as in t.{name}"
            ))
            .at_token(written, written.find(&[name], Role::Column))
        }
        other => QueryError::invalid(first_line(&other.to_string())),
    }
}

fn missing(
    field: &Column,
    valid: &[Column],
    written: &Written,
    place: Option<(u64, u64)>,
) -> QueryError {
    let name = field.name.as_str();
    // A qualifier that the engine came by on its own would only puzzle.
    let said = |table: &str| written.is_empty() || written.says(table);
    let table = field.relation.as_ref().map(|r| r.table());
    let table = table.filter(|table| said(table));
    let at = match place {
        Some((line, column)) => written.token_at(line, column),
        None => table
            .and_then(|table| written.find(&[table, name], Role::Column))
            .or_else(|| written.find(&[name], Role::Column)),
    };
    let full = match (&field.relation, table) {
        (Some(relation), Some(_)) => format!("{relation}.{name}"),
        _ => name.to_owned(),
    };
    let error = QueryError::invalid(format!("there is no column {full:?}")).at_token(written, at);
    let of = |column: &Column, table: &str| {
        let relation = column.relation.as_ref();
        relation.is_some_and(|r| r.table() == table)
    };
    if let Some(table) = table
        && !valid.iter().any(|column| of(column, table))
    {
        return error.with_hint(no_alias(table, valid, written));
    }
    let near = closest(
        name,
        valid
            .iter()
            .filter(|column| table.is_none_or(|table| of(column, table)))
            .map(Column::name)
            .filter(|near| *near != name),
    );
    let quotes = at
        .and_then(|at| written.compared(at))
        .map(|word| format!("'{}'", word.replace('\'', "''")));
    error.with_hint(match (near, quotes) {
        (Some(near), None) => format!("did you mean {near:?}?"),
        (Some(near), Some(text)) => {
            format!("did you mean {near:?}? A text stands in single quotes: {text}")
        }
        (None, Some(text)) => {
            format!("a text stands in single quotes: {text}; DESCRIBE history lists the columns")
        }
        (None, None) => "DESCRIBE history lists the columns".to_owned(),
    })
}

/// What can stand before a column, in place of `table`: of that, only what the
/// statement itself says.
fn no_alias(table: &str, valid: &[Column], written: &Written) -> String {
    let mut tables: Vec<&str> = vec![];
    for column in valid {
        if let Some(relation) = &column.relation
            && written.says(relation.table())
            && !tables.contains(&relation.table())
        {
            tables.push(relation.table());
        }
    }
    let quoted = |tables: &[&str]| {
        let names: Vec<String> = tables.iter().map(|t| format!("{t:?}")).collect();
        names.join(", ")
    };
    match tables.as_slice() {
        [] => format!("no table or alias is called {table:?} here"),
        [one] => format!("no table or alias is called {table:?} here: there is {one:?}"),
        many => {
            let shown = quoted(&many[..many.len().min(NAMES)]);
            format!("no table or alias is called {table:?} here: there are {shown}")
        }
    }
}

/// What the planner says against a statement.
pub(super) fn of_plan(text: &str, written: &Written) -> QueryError {
    let text = stripped(text);
    if let Some(name) = between(&text, "Invalid function '", "'") {
        return no_function(name, written);
    }
    if let Some(error) = ungrouped(&text, written) {
        return error;
    }
    // What follows is the engine's parsed tree, in its own notation.
    if text.starts_with("Substring without for/from is not valid") {
        let at = ["substr", "substring"].map(|name| written.call(name));
        return QueryError::invalid("substring is not told which part to take")
            .with_hint("write substr(text, 1, 3), or substring(text FROM 1 FOR 3)")
            .at_token(written, at.into_iter().flatten().min());
    }
    let name = called(&text);
    let at = name.and_then(|name| written.call(name));
    // The author may have called it by an alias.
    let shown = at.and_then(|at| written.called_at(at));
    let shown = shown.as_deref().or(name);
    let error = match shown.and_then(|name| arguments(name, &text)) {
        Some(message) => QueryError::invalid(message),
        None => {
            // The words after it say what is wrong.
            let failed = text.split_once(" user-defined coercion failed with: ");
            let text = failed.map_or(text.as_str(), |(_, why)| why);
            QueryError::invalid(first_line(text))
        }
    };
    let error = error.at_token(written, at);
    match candidates(&text) {
        Some(ways) => error.with_hint(match (name, shown) {
            (Some(name), Some(shown)) => ways.replace(&format!("{name}("), &format!("{shown}(")),
            _ => ways,
        }),
        None => error,
    }
}

fn no_function(name: &str, written: &Written) -> QueryError {
    let at = written.find(&[name], Role::Function);
    let error = QueryError::invalid(format!("there is no function {name:?}")).at_token(written, at);
    // The engine offers one however far it is, and of several any.
    match written.meant(name) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error.with_hint("docs/functions.md lists the functions"),
    }
}

/// A column beside an aggregate.
fn ungrouped(text: &str, written: &Written) -> Option<QueryError> {
    let (clause, rest) = text.split_once(": While expanding wildcard, column \"")?;
    let clause = between(clause, "Column in ", " must be")?;
    let (column, _) = rest.split_once("\" must appear")?;
    // The engine gives each column its table, whether or not the author did.
    let parts: Vec<&str> = column.split('.').collect();
    let beyond = |from: usize| written.find(parts.get(from..)?, Role::Column);
    let whole = || written.find(&[column.split_once('.')?.1], Role::Column);
    let found = (0..parts.len()).find_map(|from| Some((from, beyond(from)?)));
    let (name, at) = match found {
        Some((from, at)) => (parts.get(from..)?.join("."), Some(at)),
        None => (column.to_owned(), whole()),
    };
    let message =
        format!("the column {name:?} in {clause} is neither in GROUP BY nor in an aggregate");
    let hint = format!("add it to GROUP BY, or put it into an aggregate, such as max({name})");
    let error = QueryError::invalid(message).with_hint(hint);
    Some(error.at_token(written, at))
}

/// The function that the engine speaks of.
fn called(text: &str) -> Option<&str> {
    const BEFORE: &[(&str, &str)] = &[
        ("unction '", "'"),
        ("call to '", "'"),
        ("argument types '", "("),
        ("The function ", " "),
    ];
    let quoted = BEFORE.iter().find_map(|(a, b)| between(text, a, b));
    let first = || {
        let (name, _) = text.split_once(" function requires ")?;
        (!name.contains(' ')).then_some(name)
    };
    let bare = || {
        let (name, _) = text.split_once(" does not support zero arguments")?;
        name.strip_prefix('\'')?.strip_suffix('\'')
    };
    quoted.or_else(first).or_else(bare)
}

/// How many arguments a function takes, and how many it was given, if that is
/// what is wrong.
fn arguments(name: &str, text: &str) -> Option<String> {
    let number = |keys: &[&str]| {
        keys.iter().find_map(|key| {
            let (_, rest) = text.split_once(key)?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<usize>().ok()
        })
    };
    let counted = |n: usize| match n {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        n => format!("{n} arguments"),
    };
    if !text.contains("argument") {
        return None;
    }
    let given = match text.contains("zero arguments") {
        true => Some(0),
        false => number(&[
            "called with ",
            "received ",
            "got ",
            "but ",
            "accept ",
            "take ",
        ]),
    };
    let wanted = number(&["requires only ", "requires ", "expects ", "expected "]);
    // An "at least" would be lost: the engine's own words are better.
    match (wanted, given?) {
        (Some(wanted), given) => {
            let wanted = counted(wanted);
            let are = if given == 1 { "is" } else { "are" };
            let given = if given == 0 {
                "none".into()
            } else {
                given.to_string()
            };
            Some(format!("{name} takes {wanted}, and {given} {are} given"))
        }
        (None, given) if !text.contains(" at least ") && !text.contains(" at most ") => {
            Some(format!("{name} cannot be called with {}", counted(given)))
        }
        _ => None,
    }
}

/// How a function can be called, where the engine lists that.
fn candidates(text: &str) -> Option<String> {
    let (_, listed) = text.split_once("Candidate functions:\n")?;
    let ways: Vec<&str> = listed
        .lines()
        .map(str::trim)
        .filter(|way| !way.is_empty() && !way.contains("UserDefined"))
        .take(NAMES)
        .collect();
    (!ways.is_empty()).then(|| format!("it is called as {}", ways.join(" or ")))
}

/// A text of the statement that is not what it is used as. No row was read yet;
/// and the text is told only because the statement has it, quotes and all.
pub(super) fn of_literal(root: &DataFusionError, written: &Written) -> Option<QueryError> {
    let text = match root {
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::CastError(text) | ArrowError::ParseError(text) => text,
            _ => return None,
        },
        DataFusionError::Execution(text) => text,
        _ => return None,
    };
    let quoted = |literal: &str| format!("'{literal}'");
    let mut literals = written.texts();
    let (at, literal) = literals.find(|(_, l)| !l.is_empty() && text.contains(&quoted(l)))?;
    let (what, how) = wanted(&text.replace(&quoted(literal), ""));
    let mut shown: String = literal
        .chars()
        .take(TEXT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if literal.chars().count() > TEXT {
        shown.push('…');
    }
    let message = format!("'{shown}' cannot be converted to {what}");
    let hint = match how {
        Some(how) => format!("{how}; TRY_CAST gives null where CAST fails"),
        None => "TRY_CAST gives null where CAST fails".to_owned(),
    };
    let error = QueryError::invalid(message).with_hint(hint);
    Some(error.at_token(written, Some(at)))
}

/// What a text was to be, and how that is written.
fn wanted(text: &str) -> (&'static str, Option<&'static str>) {
    let has = |word: &str| text.contains(word);
    if has("imestamp") {
        let how = "a timestamp is written '2026-01-02 03:04:05' or '2026-01-02T03:04:05Z'";
        ("a timestamp", Some(how))
    } else if has("Date32") || has("Date64") {
        ("a date", Some("a date is written '2026-01-02'"))
    } else if has("nterval") {
        ("an interval", Some("an interval is written '3 days'"))
    } else if has("Bool") {
        ("a boolean", Some("a boolean is true or false"))
    } else if ["Int", "Float", "Decimal"].into_iter().any(has) {
        ("a number", None)
    } else {
        ("the type that the query asks for", None)
    }
}

#[cfg(test)]
mod tests;
