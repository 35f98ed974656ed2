//! Casts to types that only PostgreSQL has.

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, DataType, Expr, Query, SelectItem, SetExpr, Value, ValueWithSpan,
};

use super::{call, folded, names, text};
use crate::pg::{REG_IN, REG_OUT, lists};

/// The types whose values are numbers of objects, and are written as names.
const REGS: &[&str] = &[
    "regclass",
    "regtype",
    "regnamespace",
    "regrole",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regconfig",
    "regdictionary",
    "regcollation",
];

/// `regclass` and the like.
fn reg(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            let name = folded(name).pop()?;
            REGS.contains(&name.as_str()).then_some(name)
        }
        _ => None,
    }
}

/// The engine's type for one of PostgreSQL's.
fn plain(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Custom(name, _) => match folded(name).pop()?.as_str() {
            "text" | "name" | "char" | "bpchar" | "varchar" | "character" | "json" | "jsonb"
            | "xml" | "inet" | "cidr" | "macaddr" | "uuid" | "citext" | "xid" | "cid" | "xid8"
            | "cstring" | "unknown" | "sql_identifier" | "character_data" | "yes_or_no"
            | "pg_node_tree" | "aclitem" | "tid" => DataType::Text,
            "oid" | "int4" | "int" | "integer" | "cardinal_number" => DataType::Integer(None),
            "int2" | "smallint" => DataType::SmallInt(None),
            "int8" | "bigint" => DataType::BigInt(None),
            "float4" | "real" => DataType::Real,
            "float8" => DataType::DoublePrecision,
            "bool" | "boolean" => DataType::Boolean,
            "bytea" => DataType::Bytea,
            "date" => DataType::Date,
            "int2vector" => list(DataType::SmallInt(None)),
            "oidvector" => list(DataType::Integer(None)),
            _ => return None,
        },
        DataType::CharacterVarying(_)
        | DataType::CharVarying(_)
        | DataType::Character(_)
        | DataType::Uuid
        | DataType::JSON
        | DataType::JSONB => DataType::Text,
        DataType::Regclass => DataType::Integer(None),
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, None)) => {
            let number = reg(item).map(|_| DataType::Integer(None));
            list(number.or_else(|| plain(item))?)
        }
        _ => return None,
    })
}

fn list(item: DataType) -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_)
    ) || plain(data_type) == Some(DataType::Text)
}

fn strip(expr: &mut Expr) -> &mut Expr {
    match expr {
        Expr::Nested(inner) => strip(inner),
        other => other,
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

pub(super) fn rewrite(expr: &mut Expr) {
    while let Expr::Collate { expr: inner, .. } = expr {
        *expr = take(inner);
    }
    match expr {
        Expr::Cast {
            expr: inner,
            data_type,
            ..
        } => {
            // x::regclass::text: the name behind the number.
            if is_text(data_type)
                && let Expr::Cast {
                    expr: number,
                    data_type: kind,
                    ..
                } = strip(inner)
                && let Some(kind) = reg(kind)
            {
                *expr = call(REG_OUT, vec![text(&kind), take(number)]);
                return;
            }
            if let Some(kind) = reg(data_type) {
                *expr = call(REG_IN, vec![text(&kind), take(inner)]);
                return;
            }
            if matches!(data_type, DataType::Array(_)) {
                spell_out(inner);
            }
            if let Some(other) = plain(data_type) {
                *data_type = other;
            }
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => spell_out(right),
        Expr::TypedString(typed) => {
            if let Some(kind) = reg(&typed.data_type) {
                let value = Expr::Value(typed.value.clone());
                *expr = call(REG_IN, vec![text(&kind), value]);
            }
        }
        _ => {}
    }
}

/// `'{a,b}'`, as a list.
fn spell_out(expr: &mut Expr) {
    let expr = strip(expr);
    if let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(written),
        ..
    }) = expr
        && let Some(items) = lists::items(written)
    {
        *expr = Expr::Array(Array {
            elem: items
                .into_iter()
                .map(|item| item.map_or_else(|| Expr::value(Value::Null), |i| text(&i)))
                .collect(),
            named: true,
        });
    }
}

/// What is shown of an object is its name: a cast to `regclass` that stands in
/// the outermost list of columns.
pub(super) fn shown(query: &mut Query) {
    shown_of(&mut query.body);
}

fn shown_of(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            shown_of(left);
            shown_of(right);
        }
        SetExpr::Query(query) => shown(query),
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                let alias = match item {
                    SelectItem::UnnamedExpr(expr) => names::ident(&names::of(expr)),
                    SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
                    _ => continue,
                };
                let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item
                else {
                    continue;
                };
                if let Expr::Cast {
                    expr: inner,
                    data_type,
                    ..
                } = strip(expr)
                    && let Some(kind) = reg(data_type)
                {
                    let shown = call(REG_OUT, vec![text(&kind), take(inner)]);
                    *item = SelectItem::ExprWithAlias { expr: shown, alias };
                }
            }
        }
        _ => {}
    }
}
