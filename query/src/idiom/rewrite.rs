//! What was read, in the words of the engine's planner.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select,
    SelectItem, TableAlias, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::calls::{Try, arguments, call, cast, function, is, null};
use super::names;
use super::unnest::beside;
use crate::error::QueryError;
use crate::views;

/// Makes the question one that the planner knows.
pub(crate) fn rewrite(query: &mut Query) -> Result<(), QueryError> {
    let mut views = Views(false);
    let _: ControlFlow<()> = Visit::visit(query, &mut views);
    match VisitMut::visit(query, &mut Rewrite { views: views.0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Whether the question is asked of one of the views.
struct Views(bool);

impl Visitor for Views {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.0.last().and_then(ObjectNamePart::as_ident);
        self.0 |= name.is_some_and(|n| views::is_view(&n.value) || names::is_id(&n.value));
        ControlFlow::Continue(())
    }
}

struct Rewrite {
    /// Names are those of the views, without regard to case.
    views: bool,
}

impl VisitorMut for Rewrite {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        if self.views
            && let Some(with) = &mut query.with
        {
            with.cte_tables.iter_mut().for_each(|t| alias(&mut t.alias));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<QueryError> {
        if self.views {
            for item in &mut select.projection {
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    spell(alias);
                }
            }
            for from in &mut select.from {
                from.joins.iter_mut().for_each(using);
            }
        }
        select.from = beside(std::mem::take(&mut select.from));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<QueryError> {
        if let [ObjectNamePart::Identifier(name)] = relation.0.as_mut_slice() {
            if names::is_id(&name.value) {
                *name = Ident::new(names::STORE);
            } else if views::is_view(&name.value) {
                name.value = name.value.to_ascii_lowercase();
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        if self.views {
            match factor {
                TableFactor::Table { alias: Some(a), .. }
                | TableFactor::Derived { alias: Some(a), .. }
                | TableFactor::NestedJoin { alias: Some(a), .. }
                | TableFactor::UNNEST { alias: Some(a), .. } => alias(a),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match expr {
            Expr::Function(f) if is(f, "try") => {
                if let Some([inner]) = arguments(f).as_deref_mut() {
                    let _: ControlFlow<()> = inner.visit(&mut Try);
                    *expr = std::mem::replace(*inner, null());
                }
            }
            Expr::Identifier(ident) if self.views => {
                spell(ident);
                if let Some(part) = dotted(ident) {
                    *expr = part;
                }
            }
            Expr::CompoundIdentifier(parts) if self.views => parts.iter_mut().for_each(spell),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        let made = match expr {
            Expr::Function(call) => function(call),
            Expr::Cast {
                kind,
                expr,
                data_type,
                ..
            } => cast(kind, expr, data_type),
            _ => Ok(None),
        };
        match made {
            Ok(Some(made)) => *expr = made,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// A name as the views spell it.
fn spell(ident: &mut Ident) {
    if let Some(name) = names::canonical(&ident.value) {
        ident.value = name.to_owned();
        // Unquoted, it would be folded.
        ident.quote_style = Some('"');
    }
}

fn alias(alias: &mut TableAlias) {
    alias.columns.iter_mut().for_each(|c| spell(&mut c.name));
}

fn using(join: &mut Join) {
    let (JoinOperator::Join(JoinConstraint::Using(columns))
    | JoinOperator::Inner(JoinConstraint::Using(columns))
    | JoinOperator::Left(JoinConstraint::Using(columns))
    | JoinOperator::LeftOuter(JoinConstraint::Using(columns))
    | JoinOperator::Right(JoinConstraint::Using(columns))
    | JoinOperator::RightOuter(JoinConstraint::Using(columns))
    | JoinOperator::FullOuter(JoinConstraint::Using(columns))) = &mut join.join_operator
    else {
        return;
    };
    for part in columns.iter_mut().flat_map(|c| c.0.iter_mut()) {
        if let ObjectNamePart::Identifier(name) = part {
            spell(name);
        }
    }
}

/// The columns of JSON whose members the log service names after a dot.
const JSON: [&str; 6] = [
    "event.requestParameters",
    "event.requestParameterJson",
    "event.responseElements",
    "event.additionalEventData",
    "event.userIdentity",
    "event.insightDetails",
];

/// `"event.requestParameters.DiskId"`: a member of a column of JSON.
fn dotted(ident: &Ident) -> Option<Expr> {
    if names::canonical(&ident.value).is_some() {
        return None;
    }
    let (column, member) = JSON.iter().find_map(|column| {
        let (start, rest) = ident.value.split_at_checked(column.len())?;
        let member = rest.strip_prefix('.').filter(|m| !m.is_empty())?;
        start
            .eq_ignore_ascii_case(column)
            .then_some((*column, member))
    })?;
    let json = || Expr::Identifier(Ident::with_quote('"', column));
    let entry = |json: Expr, key: &str| {
        let key = Expr::Value(Value::SingleQuotedString(key.to_owned()).into());
        call("json_entry", vec![json, key])
    };
    let whole = entry(json(), member);
    let Some((path, last)) = member.rsplit_once('.') else {
        return Some(whole);
    };
    // A key may have dots in it, and a path has.
    let path = Value::SingleQuotedString(format!("$.{path}"));
    let inner = call("json_extract", vec![json(), Expr::Value(path.into())]);
    let path = entry(inner, last);
    Some(call("coalesce", vec![whole, path]))
}
