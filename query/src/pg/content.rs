//! What the tables of `pg_catalog` say: of the principal's own names, and of
//! nothing else. No counts, no sizes, no other principal, no file.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use super::known::{DATABASE, NAMESPACES, OWNER, PG_CLASS, Relation, is_reserved, oid_of};
use super::tables::{self, Cell, Rows};
use super::types::{self, PgType};
use super::{SERVER_ENCODING, Settings, functions as pg_functions};
use crate::catalog::CATALOG;
use crate::functions;

/// What the tables are made of.
pub(crate) struct About<'a> {
    pub(crate) relations: &'a [Relation],
    pub(crate) settings: &'a Settings,
    pub(crate) principal: &'a str,
}

/// The rows of the table `name`.
pub(crate) fn rows(name: &str, about: &About<'_>) -> Result<RecordBatch> {
    let Some(table) = tables::get(name) else {
        return internal_err!("there is no table pg_catalog.{name}");
    };
    let mut rows = Rows::new(&table.schema);
    match name {
        "pg_class" => about.relations.iter().for_each(|r| class(&mut rows, r)),
        "pg_attribute" => about
            .relations
            .iter()
            .for_each(|r| attributes(&mut rows, r)),
        "pg_description" => about
            .relations
            .iter()
            .for_each(|r| descriptions(&mut rows, r)),
        "pg_tables" | "pg_views" => relations(&mut rows, name, about),
        "pg_type" => types::all().iter().for_each(|t| pg_type(&mut rows, t)),
        "cairn_types" => types::all().iter().for_each(|t| made_of(&mut rows, t)),
        "pg_namespace" => NAMESPACES.iter().for_each(|(oid, name)| {
            rows.push([
                ("oid", (*oid).into()),
                ("nspname", (*name).into()),
                ("nspowner", OWNER.0.into()),
            ]);
        }),
        "pg_database" => database(&mut rows),
        "pg_roles" | "pg_user" => roles(&mut rows, name, about.principal),
        "pg_settings" => about.settings.rows().into_iter().for_each(|r| rows.push(r)),
        "pg_am" => rows.push([
            ("oid", 2.into()),
            ("amname", "heap".into()),
            ("amhandler", "heap_tableam_handler".into()),
            ("amtype", "t".into()),
        ]),
        "pg_language" => rows.push([
            ("oid", 12.into()),
            ("lanname", "internal".into()),
            ("lanowner", OWNER.0.into()),
        ]),
        "pg_tablespace" => rows.push([
            ("oid", 1663.into()),
            ("spcname", "pg_default".into()),
            ("spcowner", OWNER.0.into()),
        ]),
        "pg_get_keywords" => keywords(&mut rows),
        "pg_proc" => procedures(&mut rows),
        // All the others are always empty.
        _ => {}
    }
    rows.batch()
}

fn class(rows: &mut Rows, r: &Relation) {
    let table = r.kind == "r";
    rows.push([
        ("oid", r.oid.into()),
        ("relname", r.name.clone().into()),
        ("relnamespace", r.namespace.into()),
        ("relowner", OWNER.0.into()),
        ("relam", (i32::from(table) * 2).into()),
        // Not known, and nobody's business.
        ("reltuples", (-1).into()),
        ("relpersistence", "p".into()),
        ("relkind", r.kind.into()),
        ("relnatts", (r.columns.fields().len() as i32).into()),
        ("relispopulated", true.into()),
        ("relreplident", "n".into()),
        ("relfrozenxid", "0".into()),
        ("relminmxid", "0".into()),
    ]);
}

fn attributes(rows: &mut Rows, r: &Relation) {
    for (i, field) in r.columns.fields().iter().enumerate() {
        let oid = types::of(field);
        let (len, by_value, align, storage) = types::get(oid).map_or((-1, false, "i", "x"), |t| {
            (t.len, t.by_value, t.align, t.storage)
        });
        let list = matches!(field.data_type(), DataType::List(_));
        rows.push([
            ("attrelid", r.oid.into()),
            ("attname", field.name().clone().into()),
            ("atttypid", oid.into()),
            ("attlen", len.into()),
            ("attnum", (i as i32 + 1).into()),
            ("attcacheoff", (-1).into()),
            ("atttypmod", (-1).into()),
            ("attndims", i32::from(list).into()),
            ("attbyval", by_value.into()),
            ("attalign", align.into()),
            ("attstorage", storage.into()),
            ("attnotnull", (!field.is_nullable()).into()),
            ("attislocal", true.into()),
            ("attstattarget", (-1).into()),
        ]);
    }
}

fn descriptions(rows: &mut Rows, r: &Relation) {
    let all = std::iter::once(&r.comment).chain(&r.comments);
    for (i, comment) in all.enumerate().filter(|(_, c)| !c.is_empty()) {
        rows.push([
            ("objoid", r.oid.into()),
            ("classoid", PG_CLASS.into()),
            ("objsubid", (i as i32).into()),
            ("description", comment.clone().into()),
        ]);
    }
}

fn relations(rows: &mut Rows, name: &str, about: &About<'_>) {
    let (kind, column, owner) = match name {
        "pg_tables" => ("r", "tablename", "tableowner"),
        _ => ("v", "viewname", "viewowner"),
    };
    for r in about.relations.iter().filter(|r| r.kind == kind) {
        let definition = r.definition.clone().map_or(Cell::Null, Cell::Text);
        rows.push([
            ("schemaname", r.schema.into()),
            (column, r.name.clone().into()),
            (owner, OWNER.1.into()),
            ("definition", definition),
        ]);
    }
}

fn pg_type(rows: &mut Rows, t: &PgType) {
    rows.push([
        ("oid", t.oid.into()),
        ("typname", t.name.into()),
        ("typnamespace", 11.into()),
        ("typowner", OWNER.0.into()),
        ("typlen", t.len.into()),
        ("typbyval", t.by_value.into()),
        ("typtype", t.kind.into()),
        ("typcategory", t.category.into()),
        ("typispreferred", t.preferred.into()),
        ("typisdefined", true.into()),
        ("typdelim", t.delim.into()),
        ("typsubscript", "-".into()),
        ("typelem", t.elem.into()),
        ("typarray", t.array.into()),
        ("typinput", t.input.into()),
        ("typoutput", t.output.into()),
        ("typreceive", t.receive.into()),
        ("typsend", t.send.into()),
        ("typmodin", "-".into()),
        ("typmodout", "-".into()),
        ("typanalyze", "-".into()),
        ("typalign", t.align.into()),
        ("typstorage", t.storage.into()),
        ("typtypmod", (-1).into()),
    ]);
}

/// A type, and the type of its items.
fn made_of(rows: &mut Rows, root: &PgType) {
    let item = types::get(root.elem).filter(|_| root.len == -1);
    for (depth, t) in std::iter::once(root).chain(item).enumerate() {
        let item = types::get(t.elem).filter(|_| t.len == -1);
        rows.push([
            ("root", root.oid.into()),
            ("oid", t.oid.into()),
            ("ns", "pg_catalog".into()),
            ("name", t.name.into()),
            ("kind", t.kind.into()),
            ("basetype", Cell::Null),
            ("has_bin_io", (t.receive != "-").into()),
            ("elemtype", t.elem.into()),
            ("elemdelim", item.map_or(Cell::Null, |i| i.delim.into())),
            ("range_subtype", Cell::Null),
            (
                "elem_has_bin_io",
                item.is_some_and(|i| i.receive != "-").into(),
            ),
            ("depth", (depth as i32).into()),
            ("elemtype_name", types::shown(t.elem).into()),
        ]);
    }
}

fn database(rows: &mut Rows) {
    rows.push([
        ("oid", DATABASE.into()),
        ("datname", CATALOG.into()),
        ("datdba", OWNER.0.into()),
        ("encoding", SERVER_ENCODING.into()),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1).into()),
        ("datfrozenxid", "0".into()),
        ("datminmxid", "0".into()),
        ("dattablespace", 1663.into()),
        ("datcollate", "C".into()),
        ("datctype", "C.UTF-8".into()),
    ]);
}

/// The owner of everything, and whoever asks.
fn roles(rows: &mut Rows, table: &str, principal: &str) {
    let asks = (oid_of(principal), principal);
    let all = std::iter::once(OWNER).chain(Some(asks).filter(|(_, name)| *name != OWNER.1));
    for (oid, name) in all {
        let login = name == principal;
        match table {
            "pg_roles" => rows.push([
                ("rolname", name.into()),
                ("rolinherit", true.into()),
                ("rolcanlogin", login.into()),
                ("rolconnlimit", (-1).into()),
                ("rolpassword", "********".into()),
                ("oid", oid.into()),
            ]),
            _ => rows.push([
                ("usename", name.into()),
                ("usesysid", oid.into()),
                ("passwd", "********".into()),
            ]),
        }
    }
}

fn keywords(rows: &mut Rows) {
    for word in ALL_KEYWORDS.iter().map(|w| w.to_ascii_lowercase()) {
        let (code, about) = match is_reserved(&word) {
            true => ("R", "reserved"),
            false => ("U", "unreserved"),
        };
        rows.push([
            ("word", word.into()),
            ("catcode", code.into()),
            ("barelabel", true.into()),
            ("catdesc", about.into()),
        ]);
    }
}

/// The functions that statements may call. Their arguments are of many types
/// each, so none are told; the reference page has them.
fn procedures(rows: &mut Rows) {
    let scalar = functions::scalar();
    let aggregate = SessionStateDefaults::default_aggregate_functions();
    let window = SessionStateDefaults::default_window_functions();
    let named = scalar
        .iter()
        .map(|f| (f.name().to_owned(), "f"))
        .chain(pg_functions::names().map(|n| (n.to_owned(), "f")))
        .chain(aggregate.iter().map(|f| (f.name().to_owned(), "a")))
        .chain(window.iter().map(|f| (f.name().to_owned(), "w")));
    for (name, kind) in named {
        rows.push([
            ("oid", oid_of(&format!("pg_catalog.{name}()")).into()),
            ("proname", name.clone().into()),
            ("pronamespace", 11.into()),
            ("proowner", OWNER.0.into()),
            ("prolang", 12.into()),
            ("prokind", kind.into()),
            ("provolatile", "s".into()),
            ("proparallel", "s".into()),
            // "any", as PostgreSQL calls what takes any type.
            ("prorettype", 2276.into()),
            ("prosrc", name.into()),
        ]);
    }
}
