//! What may be asked: one statement, which only reads, of bounded size.
//!
//! Twice: the text, before anything is made of it, against a list of the
//! statements that there are; and the plan that the engine made of it, node by
//! node, in case the engine should read more into the text than we did.

mod growth;

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan};
use datafusion::sql::parser::{ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, ShowStatementFilter, ShowStatementFilterPosition,
    ShowStatementOptions, Statement as Sql, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Exceeded, QueryError};
use crate::functions;
use crate::idiom;
use crate::pg::rewrite::{Naming, rewrite};
use crate::scan::EventTable;
use crate::system::RowsTable;
use crate::versioned::name_versions;

/// How deep an expression may be: `a OR b OR c …` nests without parentheses.
const EXPRESSION_DEPTH: usize = 512;
/// How many operators a statement may have.
const OPERATORS: usize = 2000;
/// How many UNIONs, EXCEPTs and INTERSECTs.
const SETS: usize = 100;
/// How many nodes a plan may have.
const PLAN_NODES: usize = 1000;
/// How many joins a plan may have.
const JOINS: usize = 24;
/// How many calls that can make much of little a plan may have: what each makes
/// of one batch is bounded, and all of it may be there at a time.
const GROWING: usize = 64;
/// How many calls of functions in all.
const CALLS: usize = 256;
/// How many before the plan is optimised: most columns of a view are calls, and
/// are gone once it is seen that nobody asks for them.
const WRITTEN: usize = 2048;

/// What a statement asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The rows of a query.
    Rows(Statement),
    /// How a query would be run.
    Plan(Statement),
    /// Which tables there are.
    Tables {
        /// Of which schema.
        schema: Option<String>,
        /// Whose names are like this.
        like: Option<String>,
    },
    /// Which columns a table has.
    Columns {
        /// The parts of its name, folded as SQL folds them.
        table: Vec<String>,
        /// Whose names are like this.
        like: Option<String>,
    },
}

/// Reads the statement, and refuses what is not a question.
pub(crate) fn parse(sql: &str, max_sql: usize, naming: Naming) -> Result<Ask, QueryError> {
    if sql.len() > max_sql {
        return Err(QueryError::limit(
            Exceeded::Statement,
            format!("the statement is longer than {max_sql} bytes"),
        ));
    }
    let (sql, search) = idiom::split(sql)?;
    let tokens = idiom::tokens(&sql)?;
    count_links(&tokens)?;
    let mut statements = idiom::statements(tokens)?;
    let one = statements.pop_front();
    let Some(statement) = one else {
        return Err(QueryError::invalid("there is no statement"));
    };
    if !statements.is_empty() {
        return Err(QueryError::invalid(
            "there is more than one statement: send them one by one",
        ));
    }
    ask(statement, naming, search)
}

/// Chains nest in the parsed tree without a parenthesis in the text, and every
/// walk over a tree costs stack; so they are counted before there is a tree.
fn count_links(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let (mut operators, mut sets) = (0, 0);
    for token in tokens {
        match &token.token {
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => sets += 1,
                Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::JOIN => operators += 1,
                _ => {}
            },
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Comma
            | Token::Period
            | Token::LParen
            | Token::RParen => {}
            _ => operators += 1,
        }
    }
    if operators > OPERATORS || sets > SETS {
        return Err(QueryError::limit(
            Exceeded::Statement,
            format!("the statement has more than {OPERATORS} operators, or {SETS} UNIONs"),
        )
        .with_hint("write a OR b OR c as x IN (a, b, c)"));
    }
    Ok(())
}

fn ask(
    statement: Statement,
    naming: Naming,
    search: Option<idiom::Search>,
) -> Result<Ask, QueryError> {
    match statement {
        Statement::Explain(ExplainStatement { options, statement }) => {
            let plain = !options.analyze
                && !options.verbose
                && options.format.is_none()
                && options.analyze_level.is_none()
                && options.analyze_categories.is_none()
                && options.show_statistics.is_none();
            if !plain {
                return Err(QueryError::forbidden(
                    "EXPLAIN takes no options here: what they add tells of more than this query",
                ));
            }
            match ask(*statement, naming, None)? {
                Ask::Rows(statement) => Ok(Ask::Plan(statement)),
                _ => Err(QueryError::forbidden("EXPLAIN explains a query")),
            }
        }
        Statement::Statement(sql) => match *sql {
            Sql::Query(mut query) => {
                if let Some(search) = search {
                    search.narrow(&mut query)?;
                }
                rewrite(&mut query, naming);
                idiom::rewrite(&mut query)?;
                name_versions(&mut query)?;
                check_query(&query)?;
                Ok(Ask::Rows(Statement::Statement(Box::new(Sql::Query(query)))))
            }
            Sql::ShowTables { show_options, .. } => {
                let (names, like) = shown(show_options)?;
                Ok(Ask::Tables {
                    schema: names.and_then(|n| n.last().cloned()),
                    like,
                })
            }
            Sql::ShowColumns { show_options, .. } => {
                let (table, like) = shown(show_options)?;
                match table {
                    Some(table) => Ok(Ask::Columns { table, like }),
                    None => Err(QueryError::invalid(
                        "say of which table: SHOW COLUMNS FROM t",
                    )),
                }
            }
            Sql::ExplainTable { table_name, .. } => Ok(Ask::Columns {
                table: folded(&table_name),
                like: None,
            }),
            other => Err(refused(&other)),
        },
        other => Err(QueryError::forbidden(format!(
            "{} is not possible here: nothing but questions is",
            first_word(&other.to_string())
        ))),
    }
}

fn refused(statement: &Sql) -> QueryError {
    if let Sql::ShowVariable { variable } = statement {
        return not_shown(variable);
    }
    QueryError::forbidden(format!(
        "{} is not possible here: nothing but questions is",
        first_word(&statement.to_string())
    ))
}

/// A SHOW of what is not shown here. Beside the usual hint "SHOW is not
/// possible" would be wrong.
fn not_shown(variable: &[Ident]) -> QueryError {
    let what = variable.first().map_or("", |first| &first.value);
    let upper = first_word(&what.to_ascii_uppercase());
    let error = QueryError::forbidden(match upper.as_str() {
        // In the author's words, where they are no keyword.
        "TABLE" | "COLUMN" => format!("SHOW {upper} is not possible here"),
        _ => format!("SHOW {} is not possible here", first_word(what)),
    });
    match upper.as_str() {
        "TABLE" => error.with_hint("SHOW TABLES lists the tables"),
        "COLUMN" => error.with_hint("SHOW COLUMNS FROM history lists the columns of history"),
        _ => error,
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .chars()
        .take(20)
        .collect()
}

type Shown = (Option<Vec<String>>, Option<String>);

/// The `FROM` and the `LIKE` of a SHOW.
fn shown(options: ShowStatementOptions) -> Result<Shown, QueryError> {
    let names = options
        .show_in
        .and_then(|i| i.parent_name)
        .map(|n| folded(&n));
    let like = match options.filter_position {
        None => None,
        Some(
            ShowStatementFilterPosition::Infix(ShowStatementFilter::Like(like))
            | ShowStatementFilterPosition::Suffix(ShowStatementFilter::Like(like)),
        ) => Some(like),
        Some(_) => {
            return Err(
                QueryError::invalid("SHOW takes FROM and LIKE, and no other clause")
                    .with_hint("ask information_schema for more"),
            );
        }
    };
    Ok((names, like))
}

/// The parts of a name: unquoted ones in lower case.
fn folded(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_ascii_lowercase(),
        })
        .collect()
}

/// Walks the whole text of a query, subqueries and all.
#[derive(Default)]
struct Walk {
    depth: usize,
}

impl Visitor for Walk {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        if query.with.as_ref().is_some_and(|w| w.recursive) {
            return ControlFlow::Break(QueryError::invalid("WITH RECURSIVE is not supported"));
        }
        if !query.locks.is_empty() {
            return ControlFlow::Break(QueryError::forbidden("rows cannot be locked"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
        match growth::check_groups(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<QueryError> {
        match factor {
            // The engine would pass over these clauses without a word, and an
            // auditor take the answer for what was asked.
            TableFactor::Table {
                sample, version, ..
            } if sample.is_some() || version.is_some() => ControlFlow::Break(
                QueryError::invalid("TABLESAMPLE, AT, BEFORE and CHANGES are not supported")
                    .with_hint("FOR SYSTEM_TIME AS OF and VERSION AS OF ask for a past state"),
            ),
            TableFactor::Table { args: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            _ => ControlFlow::Break(QueryError::invalid(
                "table functions are not supported: FROM takes tables, subqueries and UNNEST",
            )),
        }
    }

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<QueryError> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH {
            return ControlFlow::Break(
                QueryError::limit(
                    Exceeded::Statement,
                    format!("an expression nests deeper than {EXPRESSION_DEPTH}"),
                )
                .with_hint("write a OR b OR c as x IN (a, b, c)"),
            );
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<QueryError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Sql) -> ControlFlow<QueryError> {
        match statement {
            Sql::Query(_) => ControlFlow::Continue(()),
            other => ControlFlow::Break(refused(other)),
        }
    }
}

fn check_query(query: &Query) -> Result<(), QueryError> {
    match query.visit(&mut Walk::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// With so much memory, in MiB, a query works on as many rows at a time as suits
/// the processor.
const ROOMY: usize = 384;

/// The calls of scalar functions in a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// All of them.
    all: usize,
    /// Those that can make long texts and lists of short ones.
    growing: usize,
}

impl Calls {
    /// How many rows each of so many partitions should work on at a time. What
    /// calls make of one batch is there at the same time: the more calls, the
    /// fewer rows. And a merge of spilled rows holds a few batches of each file
    /// that it merges: the less memory, in bytes, the fewer rows.
    pub(crate) fn batch_rows(self, partitions: usize, memory: usize) -> usize {
        let most = if self.growing > 0 { 1024 } else { 8192 };
        let most = ((memory >> 20).saturating_mul(most) / ROOMY).clamp(128, most);
        (131_072 / partitions.max(1) / self.all.max(1)).clamp(128, most)
    }

    /// The calls of an optimised plan: those that are really made.
    pub(crate) fn of(plan: &LogicalPlan) -> Result<Self, QueryError> {
        let mut calls = Self::default();
        plan.apply_with_subqueries(|node| {
            calls.count(node, CALLS)?;
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|e| QueryError::planning(&e))?;
        Ok(calls)
    }

    fn count(&mut self, node: &LogicalPlan, most: usize) -> Result<(), DataFusionError> {
        node.apply_expressions(|e| {
            e.apply(|e| {
                match e {
                    PlanExpr::ScalarFunction(call) => {
                        self.all += 1;
                        self.growing += usize::from(functions::grows(call.func.name()));
                    }
                    PlanExpr::HigherOrderFunction(_) => {
                        self.all += 1;
                        self.growing += 1;
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if self.all <= most && self.growing <= GROWING {
            return Ok(());
        }
        let text = format!(
            "the query calls more than {CALLS} functions, or more than {GROWING} that make texts or lists"
        );
        let error = QueryError::limit(Exceeded::Statement, text);
        Err(error.with_hint("ask in several queries").into())
    }
}

/// Whether the plan does nothing but read our own tables, and not too much of
/// anything.
pub(crate) fn verify(plan: &LogicalPlan) -> Result<(), QueryError> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|_| QueryError::forbidden("nothing but questions is possible here"))?;
    let (mut nodes, mut joins) = (0, 0);
    let mut calls = Calls::default();
    plan.apply_with_subqueries(|node| {
        nodes += 1;
        if nodes > PLAN_NODES {
            let e = QueryError::limit(Exceeded::Statement, "the query has too many parts");
            return Err(DataFusionError::from(e));
        }
        calls.count(node, WRITTEN)?;
        match node {
            LogicalPlan::Join(_) => {
                joins += 1;
                if joins > JOINS {
                    let text = format!("the query has more than {JOINS} joins");
                    return Err(QueryError::limit(Exceeded::Statement, text).into());
                }
            }
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source)?;
                if !provider.is::<EventTable>() && !provider.is::<RowsTable>() {
                    return Err(QueryError::forbidden("no such table").into());
                }
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Unnest(_) => {}
            _ => return Err(QueryError::forbidden("this kind of query is not possible").into()),
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|e| QueryError::planning(&e))?;
    growth::check(plan).map_err(|e| QueryError::planning(&e))
}
