//! The engine's settings, and a session of it for each statement.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::config::{ConfigOptions, Dialect};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::cache::cache_manager::{CacheManagerConfig, FileMetadataCache};
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use object_store::ObjectStore;
use parking_lot::Mutex;
use url::Url;

use crate::catalog::{CATALOG, Names, PUBLIC};
use crate::coop::YieldInJoins;
use crate::functions;
use crate::idiom::Beside;
use crate::limits::{Limits, QueryPool};
use crate::planner::Functions;
use crate::sets::NoConstantsInSets;
use crate::share::{Share, SharePool};

/// How deep a statement may nest.
pub(crate) const DEPTH: usize = 64;

/// The footers of files, per store: keys of two stores may be alike.
#[derive(Debug)]
pub(crate) struct Footers {
    limit: usize,
    caches: Mutex<HashMap<Url, Arc<FileMetadataCache>>>,
}

impl Footers {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            caches: Mutex::default(),
        })
    }

    pub(crate) fn of(&self, store: &Url) -> Arc<FileMetadataCache> {
        let mut caches = self.caches.lock();
        Arc::clone(
            caches
                .entry(store.clone())
                .or_insert_with(|| Arc::new(DefaultCache::new(self.limit).with_name("footers"))),
        )
    }
}

/// The stores that one statement may read: those that its tables were found
/// in. The engine's own registry would open `file:///`.
#[derive(Debug, Default)]
pub(crate) struct Stores(Mutex<HashMap<String, Arc<dyn ObjectStore>>>);

fn store_key(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.0.lock().insert(store_key(url), store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        match self.0.lock().get(&store_key(url)) {
            Some(store) => Ok(Arc::clone(store)),
            None => plan_err!("no such store"),
        }
    }
}

/// The one function that the engine's optimizer looks up by its name, for
/// DISTINCT ON.
const FIRST: &str = "first_value";

/// What all sessions share. Nothing in it tells of a principal.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Without functions and without tables: [`crate::planner`] knows them.
    template: SessionState,
    functions: Functions,
    memory: Arc<dyn MemoryPool>,
    per_query: usize,
    disk: Arc<DiskManager>,
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Result<Self> {
        // Ours last: || of lists is the engine's.
        let mut planners = SessionStateDefaults::default_expr_planners();
        planners.push(Arc::new(functions::JoinTexts));
        let mut template = SessionStateBuilder::new()
            .with_config(SessionConfig::from(options(limits)))
            .with_expr_planners(planners)
            .with_scalar_functions(functions::scalar())
            .with_higher_order_functions(functions::higher_order())
            .with_relation_planners(vec![Arc::new(Beside)])
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_physical_optimizer_rules(physical_rules(limits))
            .build();
        datafusion_functions_json::register_all(&mut template)?;
        let functions = Functions::of(&template);
        let first = template.udaf(FIRST)?;
        let mut bare = SessionStateBuilder::new_from_existing(template);
        bare.scalar_functions().take();
        bare.higher_order_functions().take();
        bare.window_functions().take();
        let template = bare.with_aggregate_functions(vec![first]).build();
        Ok(Self {
            template,
            functions,
            memory: Arc::new(GreedyMemoryPool::new(limits.memory)),
            per_query: limits
                .memory_per_query
                .min(limits.memory_per_principal)
                .min(limits.memory),
            disk: limits.disk()?,
        })
    }

    /// The functions that are the same for everybody.
    pub(crate) fn functions(&self) -> &Functions {
        &self.functions
    }

    /// A session for one statement of one principal, with `memory` at the most
    /// where the caller says so.
    pub(crate) fn session(
        &self,
        names: &Names,
        stores: Arc<Stores>,
        share: &Arc<Share>,
        now: chrono::DateTime<chrono::Utc>,
        memory: Option<usize>,
    ) -> Result<SessionState> {
        let mut props = ExecutionProps::new();
        props.query_execution_start_time = Some(now);
        let mut session = SessionStateBuilder::new_from_existing(self.template.clone())
            .with_session_id(String::new())
            .with_runtime_env(self.runtime(stores, share, memory)?)
            .with_execution_props(props)
            .build();
        let schema = names.default_schema();
        if schema != PUBLIC {
            session.config_mut().options_mut().catalog.default_schema = schema.to_owned();
        }
        Ok(session)
    }

    fn runtime(
        &self,
        stores: Arc<Stores>,
        share: &Arc<Share>,
        memory: Option<usize>,
    ) -> Result<Arc<RuntimeEnv>> {
        let of_principal = SharePool::new(Arc::clone(share), Arc::clone(&self.memory));
        // The caches of files' statistics and listings are off: they would
        // outlive the statement and its principal.
        let caches = CacheManagerConfig::default()
            .with_file_statistics_cache_limit(0)
            .with_list_files_cache_limit(0)
            .with_metadata_cache_limit(0);
        let mut builder = RuntimeEnvBuilder::new()
            .with_cache_manager(caches)
            .with_memory_pool(Arc::new(QueryPool::new(
                Arc::new(of_principal),
                memory.map_or(self.per_query, |asked| asked.min(self.per_query)),
            )))
            .with_object_store_registry(stores);
        builder.disk_manager = Some(share.disk(&self.disk)?);
        builder.build_arc()
    }
}

/// The engine's rules between ours.
fn physical_rules(limits: &Limits) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> =
        vec![Arc::new(NoConstantsInSets)];
    let mut engines = PhysicalOptimizer::new().rules;
    if is_plain(limits) {
        // Without these there is no plan that can run.
        engines.retain(|r| ["OutputRequirements", "EnsureRequirements"].contains(&r.name()));
    }
    rules.extend(engines);
    rules.push(Arc::new(YieldInJoins));
    rules
}

fn options(limits: &Limits) -> ConfigOptions {
    let mut o = ConfigOptions::new();
    o.catalog.create_default_catalog_and_schema = false;
    o.catalog.default_catalog = CATALOG.to_owned();
    o.catalog.default_schema = PUBLIC.to_owned();
    // Ours stands in the catalog; the engine's own would show its settings.
    o.catalog.information_schema = false;
    // It knows -> and ->> as the operators of JSON, not as lambdas.
    o.sql_parser.dialect = Dialect::PostgreSQL;
    o.sql_parser.collect_spans = true;
    o.execution.enable_recursive_ctes = false;
    o.execution.collect_statistics = false;
    o.execution.target_partitions = limits.threads.max(1);
    // Each part of a sort sets this aside for its merge, spilled or not.
    let aside = limits.memory_per_query / (8 * limits.threads.max(1));
    o.execution.sort_spill_reservation_bytes = aside.min(10 << 20);
    o.execution.time_zone = Some("UTC".to_owned());
    o.execution.parquet.pushdown_filters = true;
    o.execution.parquet.reorder_filters = true;
    // DataFusion 55.2 makes wrong answers of it: where one least or greatest value
    // is asked of a column and another of an expression, as in `min(lower(a)),
    // max(b)`, it skips the rows that cannot change the column's, and with them
    // those that the expression needs (`AggregateExec::init_dynamic_filter`).
    o.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    o.explain.show_sizes = false;
    if is_plain(limits) {
        o.execution.target_partitions = 1;
        o.execution.parquet.pushdown_filters = false;
        o.optimizer.enable_dynamic_filter_pushdown = false;
        o.optimizer.enable_topk_aggregation = false;
        o.optimizer.prefer_hash_join = false;
    }
    o
}

/// Whether the answer is for comparing with what optimizing makes of it.
fn is_plain(_limits: &Limits) -> bool {
    #[cfg(test)]
    return _limits.plain;
    #[cfg(not(test))]
    false
}
