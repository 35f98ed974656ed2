//! The objects that a principal may know of, as PostgreSQL numbers them.
//!
//! Numbers are made of names, so that they are the same for everybody, after
//! every start and on every process, and tell nothing of what else there is.

use std::borrow::Cow;

use arrow::datatypes::SchemaRef;

use super::tables;
use crate::catalog::{Entry, INFORMATION, PG_CATALOG, PUBLIC, TRAILS};

/// Who owns everything.
pub(crate) const OWNER: (i32, &str) = (10, "cairn");
/// The one database.
pub(crate) const DATABASE: i32 = 16_384;
/// The class of tables in `pg_description`.
pub(crate) const PG_CLASS: i32 = 1259;

/// The schemas and their numbers.
pub(crate) const NAMESPACES: &[(i32, &str)] = &[
    (11, PG_CATALOG),
    (2200, PUBLIC),
    (13_183, INFORMATION),
    (16_385, TRAILS),
];

/// A table or view.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) oid: i32,
    pub(crate) namespace: i32,
    pub(crate) schema: &'static str,
    pub(crate) name: String,
    /// `r` for tables, `v` for views.
    pub(crate) kind: &'static str,
    pub(crate) comment: String,
    pub(crate) columns: SchemaRef,
    /// One for each column.
    pub(crate) comments: Vec<String>,
    /// The question that it stands for.
    pub(crate) definition: Option<String>,
}

/// A number above those that PostgreSQL gives to its own objects.
pub(crate) fn oid_of(name: &str) -> i32 {
    // FNV-1a: short, and the same for ever.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    // 16,385 and the few above it are given by hand.
    i32::try_from(20_000 + (hash & 0x3fff_ffff)).unwrap_or(i32::MAX)
}

/// The number of a schema.
pub(crate) fn namespace(schema: &str) -> Option<i32> {
    let found = NAMESPACES.iter().find(|(_, name)| *name == schema);
    found.map(|(oid, _)| *oid)
}

/// Every relation that the principal may be told of: `entries`, and
/// `pg_catalog`'s own.
pub(crate) fn relations(entries: &[Entry]) -> Vec<Relation> {
    let mut all: Vec<Relation> = entries.iter().map(relation).collect();
    // Two names of one number: the later one, in the order of the names, moves.
    all.sort_by(|a, b| (a.oid, a.schema, &a.name).cmp(&(b.oid, b.schema, &b.name)));
    for i in 1..all.len() {
        if all[i].oid <= all[i - 1].oid {
            all[i].oid = all[i - 1].oid + 1;
        }
    }
    all.extend(tables::all().map(|t| Relation {
        oid: t.oid,
        namespace: 11,
        schema: PG_CATALOG,
        name: t.name.to_owned(),
        kind: if t.oid < 9000 { "r" } else { "v" },
        comment: String::new(),
        columns: SchemaRef::clone(&t.schema),
        comments: vec![],
        definition: None,
    }));
    all
}

fn relation(entry: &Entry) -> Relation {
    let columns = entry.columns();
    let comments = columns.fields().iter().map(|f| entry.comment_of(f));
    Relation {
        oid: oid_of(&format!("{}.{}", entry.schema, entry.name)),
        namespace: namespace(entry.schema).unwrap_or(0),
        schema: entry.schema,
        name: entry.name.clone(),
        kind: match entry.table_type() {
            "BASE TABLE" => "r",
            _ => "v",
        },
        comment: entry.comment.clone(),
        comments: comments.collect(),
        columns,
        definition: entry.view_sql(None).map(Cow::into_owned),
    }
}

/// The name as SQL would have it written: quoted where it has to be.
pub(crate) fn quoted(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved(name);
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The words that cannot stand for a column or table without quotes.
pub(crate) fn is_reserved(name: &str) -> bool {
    const RESERVED: &[&str] = &[
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "localtime",
        "localtimestamp",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "placing",
        "primary",
        "references",
        "returning",
        "select",
        "session_user",
        "some",
        "symmetric",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    ];
    RESERVED.binary_search(&name).is_ok()
}

/// The parts of a name as SQL reads it: `trails."My-trail"`.
pub(crate) fn parts(name: &str) -> Vec<String> {
    let (mut parts, mut part, mut inside) = (vec![], String::new(), false);
    let mut letters = name.trim().chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '"' if inside && letters.peek() == Some(&'"') => {
                letters.next();
                part.push('"');
            }
            '"' => inside = !inside,
            '.' if !inside => parts.push(std::mem::take(&mut part)),
            c if inside => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests;
