//! The functions that clients of PostgreSQL call to ask a server what it is
//! and what it has. They tell of the principal's own names, of the settings
//! of its own connection, and of nothing else.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;

use super::call::{Call, Function, Gives, Lists};
use super::known::{self, NAMESPACES, OWNER, Relation, oid_of, parts, quoted};
use super::settings::SettingError;
use super::tables::Cell;
use super::types;
use super::{PATTERN, REG_IN, REG_OUT, SERVER_ENCODING, SERVER_VERSION};
use crate::catalog::{CATALOG, Names};
use crate::error::QueryError;

type Args<'a> = &'a [Option<&'a str>];

const fn f(
    name: &'static str,
    args: std::ops::RangeInclusive<usize>,
    gives: Gives,
    eval: fn(&Names, Args<'_>) -> Result<Cell>,
) -> Function {
    Function {
        name,
        args,
        gives,
        eval,
    }
}

fn null(_: &Names, _: Args<'_>) -> Result<Cell> {
    Ok(Cell::Null)
}

fn yes(_: &Names, _: Args<'_>) -> Result<Cell> {
    Ok(true.into())
}

fn no(_: &Names, _: Args<'_>) -> Result<Cell> {
    Ok(false.into())
}

fn principal(names: &Names, _: Args<'_>) -> Result<Cell> {
    Ok(names.principal_id().into())
}

fn database(_: &Names, _: Args<'_>) -> Result<Cell> {
    Ok(CATALOG.into())
}

fn encoding(_: &Names, _: Args<'_>) -> Result<Cell> {
    Ok("UTF8".into())
}

use Gives::{Bool, Int, Long, Text, Texts};

/// What is about things that are not there gives null, as PostgreSQL's do.
const FUNCTIONS: &[Function] = &[
    f("version", 0..=0, Text, |_, _| {
        Ok(format!("PostgreSQL {SERVER_VERSION}").into())
    }),
    f("current_database", 0..=0, Text, database),
    f("current_catalog", 0..=0, Text, database),
    f("current_schema", 0..=0, Text, |n, _| {
        Ok(n.default_schema().into())
    }),
    f("current_schemas", 1..=1, Texts, current_schemas),
    f("current_user", 0..=0, Text, principal),
    f("current_role", 0..=0, Text, principal),
    f("session_user", 0..=0, Text, principal),
    f("user", 0..=0, Text, principal),
    f("current_setting", 1..=2, Text, current_setting),
    f("set_config", 3..=3, Text, set_config),
    f("pg_backend_pid", 0..=0, Int, |n, _| {
        Ok(n.settings().backend().into())
    }),
    f("pg_is_in_recovery", 0..=0, Bool, no),
    f("pg_my_temp_schema", 0..=0, Int, |_, _| Ok(0.into())),
    f("pg_is_other_temp_schema", 1..=1, Bool, no),
    f("pg_client_encoding", 0..=0, Text, encoding),
    f("pg_encoding_to_char", 1..=1, Text, encoding),
    f("pg_char_to_encoding", 1..=1, Int, |_, _| {
        Ok(SERVER_ENCODING.into())
    }),
    f("inet_client_addr", 0..=0, Text, null),
    f("inet_client_port", 0..=0, Int, null),
    f("inet_server_addr", 0..=0, Text, null),
    f("inet_server_port", 0..=0, Int, null),
    f("pg_advisory_unlock_all", 0..=0, Text, null),
    f(PATTERN, 2..=2, Text, |_, a| {
        Ok(arg(a, 0)
            .zip(arg(a, 1))
            .map_or(Cell::Null, |(p, e)| pattern(p, e).into()))
    }),
    // What things are called.
    f("format_type", 2..=2, Text, format_type),
    f("pg_get_userbyid", 1..=1, Text, user_by_id),
    f("quote_ident", 1..=1, Text, |_, a| {
        Ok(arg(a, 0).map_or(Cell::Null, |t| quoted(t).into()))
    }),
    f("quote_literal", 1..=1, Text, |_, a| {
        Ok(arg(a, 0).map_or(Cell::Null, |t| literal(t).into()))
    }),
    f("quote_nullable", 1..=1, Text, |_, a| {
        Ok(arg(a, 0).map_or("NULL".into(), |t| literal(t).into()))
    }),
    f("parse_ident", 1..=2, Texts, |_, a| {
        Ok(arg(a, 0).map_or(Cell::Null, |t| Cell::Texts(parts(t))))
    }),
    f(REG_IN, 2..=2, Int, |n, a| {
        reg_in(n, a).map(|oid| oid.map_or(Cell::Null, Cell::from))
    }),
    f(REG_OUT, 2..=2, Text, reg_out),
    f("to_regclass", 1..=1, Int, |n, a| {
        Ok(arg(a, 0)
            .and_then(|t| find(n, t))
            .map_or(Cell::Null, |r| r.oid.into()))
    }),
    f("to_regtype", 1..=1, Int, |_, a| {
        Ok(arg(a, 0)
            .and_then(types::named)
            .map_or(Cell::Null, |t| t.oid.into()))
    }),
    f("to_regnamespace", 1..=1, Int, |_, a| {
        Ok(arg(a, 0)
            .and_then(known::namespace)
            .map_or(Cell::Null, Cell::from))
    }),
    // What is said of them.
    f("obj_description", 1..=2, Text, |n, a| {
        Ok(comment(n, a, Some("0")))
    }),
    f("col_description", 2..=2, Text, |n, a| {
        Ok(comment(n, a, arg(a, 1)))
    }),
    f("shobj_description", 2..=2, Text, null),
    f("pg_get_viewdef", 1..=2, Text, |n, a| {
        Ok(arg(a, 0).and_then(|t| find(n, t)).map_or(Cell::Null, |r| {
            r.definition.clone().unwrap_or_default().into()
        }))
    }),
    f("pg_get_expr", 2..=3, Text, null),
    f("pg_get_constraintdef", 1..=2, Text, null),
    f("pg_get_indexdef", 1..=3, Text, null),
    f("pg_get_ruledef", 1..=2, Text, null),
    f("pg_get_triggerdef", 1..=2, Text, null),
    f("pg_get_partkeydef", 1..=1, Text, null),
    f("pg_get_serial_sequence", 2..=2, Text, null),
    f("pg_get_statisticsobjdef", 1..=1, Text, null),
    f("pg_get_statisticsobjdef_columns", 1..=1, Text, null),
    f("pg_get_functiondef", 1..=1, Text, null),
    f("pg_get_function_arguments", 1..=1, Text, |_, _| {
        Ok("".into())
    }),
    f("pg_get_function_identity_arguments", 1..=1, Text, |_, _| {
        Ok("".into())
    }),
    f("pg_get_function_result", 1..=1, Text, |_, _| {
        Ok("\"any\"".into())
    }),
    f("pg_tablespace_location", 1..=1, Text, null),
    // Sizes are not told.
    f("pg_relation_size", 1..=2, Long, null),
    f("pg_table_size", 1..=1, Long, null),
    f("pg_total_relation_size", 1..=1, Long, null),
    f("pg_indexes_size", 1..=1, Long, null),
    f("pg_database_size", 1..=1, Long, null),
    f("pg_tablespace_size", 1..=1, Long, null),
    f("pg_size_pretty", 1..=1, Text, |_, a| {
        Ok(arg(a, 0).map_or(Cell::Null, |n| format!("{n} bytes").into()))
    }),
    // What may be done with them.
    f("pg_table_is_visible", 1..=1, Bool, |n, a| {
        Ok(arg(a, 0).map_or(Cell::Null, |t| {
            find(n, t).is_some_and(|r| visible(n, r)).into()
        }))
    }),
    f("pg_type_is_visible", 1..=1, Bool, yes),
    f("pg_function_is_visible", 1..=1, Bool, yes),
    f("pg_operator_is_visible", 1..=1, Bool, yes),
    f("pg_opclass_is_visible", 1..=1, Bool, yes),
    f("pg_collation_is_visible", 1..=1, Bool, yes),
    f("pg_relation_is_publishable", 1..=1, Bool, no),
    f("pg_relation_is_updatable", 2..=2, Int, |_, _| Ok(0.into())),
    f("pg_column_is_updatable", 3..=3, Bool, no),
    f("row_security_active", 1..=1, Bool, yes),
    f("has_table_privilege", 2..=3, Bool, |n, a| may_read(n, a, 2)),
    f("has_any_column_privilege", 2..=3, Bool, |n, a| {
        may_read(n, a, 2)
    }),
    f("has_column_privilege", 3..=4, Bool, |n, a| {
        may_read(n, a, 3)
    }),
    f("has_schema_privilege", 2..=3, Bool, |_, a| {
        Ok(is_one_of(a, &["usage"]))
    }),
    f("has_database_privilege", 2..=3, Bool, |_, a| {
        Ok(is_one_of(a, &["connect"]))
    }),
    f("has_function_privilege", 2..=3, Bool, |_, a| {
        Ok(is_one_of(a, &["execute"]))
    }),
    f("has_type_privilege", 2..=3, Bool, |_, a| {
        Ok(is_one_of(a, &["usage"]))
    }),
    f("has_language_privilege", 2..=3, Bool, no),
    f("has_sequence_privilege", 2..=3, Bool, no),
    f("has_tablespace_privilege", 2..=3, Bool, no),
    f("pg_has_role", 2..=3, Bool, |n, a| Ok(has_role(n, a))),
];

/// The names of all of them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let all = FUNCTIONS.iter().map(|f| f.name);
    let lists = Lists::NAMES.iter().copied();
    all.chain(lists).filter(|n| !n.starts_with("cairn_"))
}

/// Whether a call of `name` is for one of them.
pub(crate) fn has(name: &str) -> bool {
    names().any(|n| n == name)
}

/// The one of that name, for the statement that `names` is of.
pub(crate) fn udf(name: &str, names: &Arc<Names>) -> Option<Arc<ScalarUDF>> {
    if let Some(function) = FUNCTIONS.iter().find(|f| f.name == name) {
        return Some(Call::udf(function, names));
    }
    let list = Lists::NAMES.iter().find(|n| **n == name)?;
    Some(Lists::udf(list))
}

fn arg<'a>(args: Args<'a>, i: usize) -> Option<&'a str> {
    args.get(i).copied().flatten()
}

/// The relation of that number or name.
fn find<'a>(names: &'a Names, text: &str) -> Option<&'a Relation> {
    let all = names.relations();
    if let Ok(oid) = text.parse::<i32>() {
        return all.iter().find(|r| r.oid == oid);
    }
    let parts = parts(text);
    let named = |schema: &str, name: &str| {
        all.iter()
            .find(|r| r.schema == schema && (r.name == name || r.name.eq_ignore_ascii_case(name)))
    };
    match parts.as_slice() {
        [name] => names.path().iter().find_map(|schema| named(schema, name)),
        [schema, name] => named(schema, name),
        [catalog, schema, name] if catalog == CATALOG => named(schema, name),
        _ => None,
    }
}

fn visible(names: &Names, relation: &Relation) -> bool {
    names.path().contains(&relation.schema)
}

/// A pattern of LIKE whose escape is `escape`, or nothing, with a backslash.
fn pattern(written: &str, escape: &str) -> String {
    let escape = escape.chars().next();
    let mut made = String::with_capacity(written.len());
    let mut letters = written.chars();
    while let Some(letter) = letters.next() {
        match letter {
            c if Some(c) == escape => {
                made.push('\\');
                made.extend(letters.next());
            }
            '\\' => made.push_str("\\\\"),
            c => made.push(c),
        }
    }
    made
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn refused(error: SettingError) -> QueryError {
    let told = QueryError::invalid(error.message);
    match error.hint {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

fn current_setting(names: &Names, args: Args<'_>) -> Result<Cell> {
    let Some(name) = arg(args, 0) else {
        return Ok(Cell::Null);
    };
    match names.settings().get(name) {
        Ok(value) => Ok(value.into()),
        // The second argument says that a setting may be missing.
        Err(_) if arg(args, 1) == Some("true") => Ok(Cell::Null),
        Err(error) => Err(refused(error).into()),
    }
}

fn set_config(names: &Names, args: Args<'_>) -> Result<Cell> {
    let (Some(name), Some(value)) = (arg(args, 0), arg(args, 1)) else {
        return Ok(Cell::Null);
    };
    let settings = names.settings();
    let local = arg(args, 2) == Some("true");
    settings
        .set(name, value, local)
        .and_then(|()| settings.get(name))
        .map(Cell::from)
        .map_err(|e| refused(e).into())
}

fn current_schemas(names: &Names, args: Args<'_>) -> Result<Cell> {
    let implicit = arg(args, 0) == Some("true");
    // pg_catalog is always looked into, and first.
    let path = names.path().iter().skip(usize::from(!implicit));
    Ok(Cell::Texts(path.map(|s| (*s).to_owned()).collect()))
}

fn format_type(_: &Names, args: Args<'_>) -> Result<Cell> {
    let Some(oid) = arg(args, 0).and_then(|t| t.parse().ok()) else {
        return Ok(Cell::Null);
    };
    let modifier = arg(args, 1).and_then(|t| t.parse().ok()).unwrap_or(-1);
    Ok(types::shown_with(oid, modifier).into())
}

fn role(names: &Names, oid: &str) -> Option<String> {
    match oid.parse::<i32>().ok()? {
        oid if oid == OWNER.0 => Some(OWNER.1.to_owned()),
        oid if oid == oid_of(names.principal_id()) => Some(names.principal_id().to_owned()),
        _ => None,
    }
}

fn user_by_id(names: &Names, args: Args<'_>) -> Result<Cell> {
    Ok(arg(args, 0).map_or(Cell::Null, |oid| {
        role(names, oid)
            .unwrap_or_else(|| format!("unknown (OID={oid})"))
            .into()
    }))
}

fn comment(names: &Names, args: Args<'_>, column: Option<&str>) -> Cell {
    let relation = arg(args, 0).and_then(|t| find(names, t));
    let Some((relation, column)) = relation.zip(column.and_then(|c| c.parse::<usize>().ok()))
    else {
        return Cell::Null;
    };
    let text = match column.checked_sub(1) {
        None => Some(&relation.comment),
        Some(i) => relation.comments.get(i),
    };
    let text = text.filter(|t| !t.is_empty());
    text.map_or(Cell::Null, |t| t.clone().into())
}

fn is_one_of(args: Args<'_>, given: &[&str]) -> Cell {
    let Some(wanted) = args.last().copied().flatten() else {
        return Cell::Null;
    };
    let wanted = wanted.to_ascii_lowercase();
    wanted.split(',').any(|w| given.contains(&w.trim())).into()
}

/// `args` end with the privilege; before it stand what it is of and maybe who.
fn may_read(names: &Names, args: Args<'_>, usual: usize) -> Result<Cell> {
    let Some(of) = arg(args, args.len().saturating_sub(usual)) else {
        return Ok(Cell::Null);
    };
    match find(names, of) {
        Some(_) => Ok(is_one_of(args, &["select"])),
        None => Ok(false.into()),
    }
}

fn has_role(names: &Names, args: Args<'_>) -> Cell {
    let Some(wanted) = arg(args, args.len().saturating_sub(2)) else {
        return Cell::Null;
    };
    let name = role(names, wanted).unwrap_or_else(|| wanted.to_owned());
    (name == names.principal_id()).into()
}

/// The number behind a name: `'history'::regclass`. A number stays one.
fn reg_in(
    names: &Names,
    args: Args<'_>,
) -> Result<Option<i32>, datafusion::error::DataFusionError> {
    let (Some(kind), Some(text)) = (arg(args, 0), arg(args, 1)) else {
        return Ok(None);
    };
    if let Ok(oid) = text.parse() {
        return Ok(Some(oid));
    }
    if text == "-" {
        return Ok(Some(0));
    }
    let name = parts(text).pop().unwrap_or_default();
    let (found, what) = match kind {
        "regclass" => (find(names, text).map(|r| r.oid), "relation"),
        "regtype" => (types::named(text).map(|t| t.oid), "type"),
        "regnamespace" => (known::namespace(&name), "schema"),
        "regrole" => {
            let all = [OWNER.0, oid_of(names.principal_id())];
            let is = |oid: &i32| role(names, &oid.to_string()).as_deref() == Some(name.as_str());
            (all.into_iter().find(is), "role")
        }
        "regproc" | "regprocedure" => {
            let bare = name.split('(').next().unwrap_or_default();
            (Some(oid_of(&format!("pg_catalog.{bare}()"))), "function")
        }
        _ => (None, "object"),
    };
    match found {
        Some(oid) => Ok(Some(oid)),
        None => {
            let shown: String = text.chars().take(100).collect();
            Err(QueryError::invalid(format!("{what} \"{shown}\" does not exist")).into())
        }
    }
}

/// The name behind a number: `c.oid::regclass`. A number of nothing stays one.
fn reg_out(names: &Names, args: Args<'_>) -> Result<Cell> {
    let kind = arg(args, 0).unwrap_or_default();
    let Some(oid) = reg_in(names, args)? else {
        return Ok(Cell::Null);
    };
    let name = match kind {
        _ if oid == 0 => Some("-".to_owned()),
        "regclass" => {
            names
                .relations()
                .iter()
                .find(|r| r.oid == oid)
                .map(|r| match visible(names, r) {
                    true => quoted(&r.name),
                    false => format!("{}.{}", quoted(r.schema), quoted(&r.name)),
                })
        }
        "regtype" => types::get(oid).map(|_| types::shown(oid)),
        "regnamespace" => {
            let found = NAMESPACES.iter().find(|(n, _)| *n == oid);
            found.map(|(_, name)| quoted(name))
        }
        "regrole" => role(names, &oid.to_string()).map(|r| quoted(&r)),
        _ => arg(args, 1).map(str::to_owned),
    };
    Ok(name.unwrap_or_else(|| oid.to_string()).into())
}
