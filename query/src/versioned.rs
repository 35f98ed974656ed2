//! `FOR SYSTEM_TIME AS OF` and its like, as part of the table's name: the
//! engine that plans the statement knows tables by their names alone.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, TableAlias, TableFactor, TableVersion, TypedString, Value,
    VisitMut, VisitorMut,
};

use crate::asof::{At, joined, not_a_time};
use crate::error::QueryError;

/// Makes `history FOR SYSTEM_TIME AS OF '…'` read `"history@…" AS history`,
/// wherever it stands.
pub(crate) fn name_versions(query: &mut Query) -> Result<(), QueryError> {
    match VisitMut::visit(query, &mut Naming) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Naming;

impl VisitorMut for Naming {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        let TableFactor::Table {
            name,
            alias,
            version,
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let asked = match version {
            Some(
                TableVersion::ForSystemTimeAsOf(asked)
                | TableVersion::TimestampAsOf(asked)
                | TableVersion::VersionAsOf(asked),
            ) => asked,
            // The others are refused by whoever looks next.
            _ => return ControlFlow::Continue(()),
        };
        let text = match literal(asked) {
            Ok(text) => text,
            Err(error) => return ControlFlow::Break(error),
        };
        if let Some(ObjectNamePart::Identifier(last)) = name.0.last_mut() {
            let plain = last.clone();
            let folded = match last.quote_style {
                Some(_) => last.value.clone(),
                None => last.value.to_ascii_lowercase(),
            };
            *last = Ident::with_quote('"', joined(&folded, &text));
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: plain,
                columns: vec![],
                at: None,
            });
        }
        *version = None;
        ControlFlow::Continue(())
    }
}

/// The text of a time or a version, which nothing has to be worked out for.
fn literal(asked: &Expr) -> Result<String, QueryError> {
    let value = match asked {
        Expr::Value(value) => &value.value,
        Expr::TypedString(TypedString { value, .. }) => &value.value,
        other => return Err(not_a_time(&other.to_string())),
    };
    let text = match value {
        Value::Number(text, _) => text.to_string(),
        Value::SingleQuotedString(text) => text.clone(),
        other => return Err(not_a_time(&other.to_string())),
    };
    match At::parse(&text) {
        Some(_) => Ok(text),
        None => Err(not_a_time(&text)),
    }
}
