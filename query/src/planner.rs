//! From a statement to a plan: the names of one principal, and the functions
//! of all.
//!
//! What tells of nobody is made once, and every statement looks it up there.
//! The functions that tell of a principal ([`pg::functions`]) are made for the
//! statement that calls them, and go with it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{ResolvedTableReference, TableReference, plan_datafusion_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion::logical_expr::{
    AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::{ParserOptions, SqlToRel};

use crate::catalog::{CATALOG, Names};
use crate::pg;

/// The functions that are the same for everybody, by their names and aliases.
#[derive(Debug)]
pub(crate) struct Functions {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
}

impl Functions {
    /// Those that `session` has.
    pub(crate) fn of(session: &SessionState) -> Self {
        Self {
            scalar: session.scalar_functions().clone(),
            higher_order: session.higher_order_functions().clone(),
            aggregate: session.aggregate_functions().clone(),
            window: session.window_functions().clone(),
        }
    }

    /// What the engine's errors call the function that statements call so.
    pub(crate) fn canonical(&self, name: &str) -> Option<&str> {
        let scalar = || self.scalar.get(name).map(|f| f.name());
        let higher_order = || self.higher_order.get(name).map(|f| f.name());
        let aggregate = || self.aggregate.get(name).map(|f| f.name());
        let window = || self.window.get(name).map(|f| f.name());
        scalar()
            .or_else(higher_order)
            .or_else(aggregate)
            .or_else(window)
    }

    /// What statements can call, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let scalar = self.scalar.keys().chain(self.higher_order.keys());
        let others = self.aggregate.keys().chain(self.window.keys());
        scalar.chain(others).map(String::as_str)
    }
}

/// The plan of a statement, over the tables that `names` has for it; of what
/// the principal did here, if that is all that it is about.
pub(crate) async fn plan(
    session: &SessionState,
    functions: &Functions,
    names: &Arc<Names>,
    statement: Statement,
    own: bool,
) -> Result<LogicalPlan> {
    let mut known = Known {
        session,
        functions,
        names,
        tables: HashMap::new(),
    };
    for reference in session.resolve_table_references(&statement)? {
        let resolved = known.resolved(reference);
        if &*resolved.catalog != CATALOG || known.tables.contains_key(&resolved) {
            continue;
        }
        let (schema, table) = (&resolved.schema, &resolved.table);
        let table = match own {
            true => names.own_acts(schema, table).await?,
            false => names.table(schema, table).await?,
        };
        if let Some(table) = table {
            known.tables.insert(resolved, provider_as_source(table));
        }
    }
    let sql = &session.config_options().sql_parser;
    let options = ParserOptions {
        parse_float_as_decimal: sql.parse_float_as_decimal,
        enable_ident_normalization: sql.enable_ident_normalization,
        enable_options_value_normalization: sql.enable_options_value_normalization,
        support_varchar_with_length: sql.support_varchar_with_length,
        map_string_types_to_utf8view: sql.map_string_types_to_utf8view,
        collect_spans: sql.collect_spans,
        default_null_ordering: sql.default_null_ordering.as_str().into(),
    };
    SqlToRel::new_with_options(&known, options).statement_to_plan(statement)
}

/// What a statement may speak of. What is not in here does not exist for it:
/// there is no other catalog, no file or URL table, no table function.
struct Known<'a> {
    session: &'a SessionState,
    functions: &'a Functions,
    names: &'a Arc<Names>,
    tables: HashMap<ResolvedTableReference, Arc<dyn TableSource>>,
}

impl Known<'_> {
    fn resolved(&self, reference: TableReference) -> ResolvedTableReference {
        reference.resolve(CATALOG, self.names.default_schema())
    }
}

impl ContextProvider for Known<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let name = self.resolved(name);
        let found = self.tables.get(&name).map(Arc::clone);
        found.ok_or_else(|| plan_datafusion_err!("table '{name}' not found"))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.session.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.session.relation_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        // PostgreSQL's first: `version()` is theirs.
        pg::functions::udf(name, self.names)
            .or_else(|| self.functions.scalar.get(name).map(Arc::clone))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.functions.higher_order.get(name).map(Arc::clone)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate.get(name).map(Arc::clone)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window.get(name).map(Arc::clone)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.session.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        let shared = self.functions.scalar.keys().cloned();
        shared
            .chain(pg::functions::names().map(str::to_owned))
            .collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.functions.higher_order.keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.window.keys().cloned().collect()
    }
}
