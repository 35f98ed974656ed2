//! The names that one principal may use in one statement.
//!
//! Each table is resolved to one snapshot, however often and under however
//! many names a statement speaks of it. What is not in here does not exist for
//! the statement: there is no other catalog, no file or URL table, no table
//! function.

mod resolve;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock};

use arrow::datatypes::{Field, Schema, SchemaRef};
use cairn_schemas::TrailName;
use cairn_schemas::columns::{EVENT_COLUMNS, QUARANTINE_COLUMNS, event_schema, quarantine_schema};
use cairn_schemas::control::{Principal, Role};
use cairn_store::view::{TableName, TableVersion, Tables};
use datafusion::catalog::TableProvider;
use datafusion::common::internal_err;
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;

use crate::asof::{self, AsOf};
use crate::error::QueryError;
use crate::pg::known::{Relation, relations};
use crate::pg::tables::{self, PgTable};
use crate::pg::{Settings, information};
use crate::scan::{EventTable, nullable};
use crate::scope::Scope;
use crate::session::{Footers, Stores};
use crate::system::SystemTable;
use crate::views::{VIEWS, View};

/// The one catalog.
pub(crate) const CATALOG: &str = "cairn";
/// The schema of unqualified names.
pub(crate) const PUBLIC: &str = "public";
/// The schema of the trails' tables.
pub(crate) const TRAILS: &str = "trails";
/// The schema that tells of the others.
pub(crate) const INFORMATION: &str = "information_schema";
/// The schema that tells of them in PostgreSQL's words.
pub(crate) const PG_CATALOG: &str = "pg_catalog";
/// All of them.
const SCHEMAS: [&str; 4] = [PUBLIC, TRAILS, INFORMATION, PG_CATALOG];

/// A table that can be asked for.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) schema: &'static str,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) comment: String,
    /// Those of its columns that the principal may not see, and of other tables.
    pub(crate) withheld: Arc<BTreeSet<String>>,
}

/// What DESCRIBE says of a column that is withheld.
const WITHHELD: &str = "Withheld from you by an administrator: null in every row.";

/// Where its rows come from.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Events(TableName),
    System(Arc<dyn SystemTable>),
    /// Other names for the columns of `history`.
    View(&'static View),
    Information,
    Pg,
}

/// The tables of `pg_catalog`: the same for everybody, whatever they say.
static PG_ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entry = |table: &PgTable| Entry {
        withheld: Arc::default(),
        schema: PG_CATALOG,
        name: table.name.to_owned(),
        kind: Kind::Pg,
        comment: "PostgreSQL's description of these tables.".to_owned(),
    };
    tables::all().map(entry).collect()
});

impl Entry {
    /// Its columns as people see them.
    pub(crate) fn columns(&self) -> SchemaRef {
        match &self.kind {
            Kind::Events(TableName::Quarantine) => nullable(&quarantine_schema(), &self.withheld),
            Kind::Events(_) => nullable(&event_schema(), &self.withheld),
            Kind::System(table) => table.schema(),
            Kind::View(view) => view.schema(),
            Kind::Information => information::columns(&self.name),
            Kind::Pg => tables::get(&self.name)
                .map_or_else(|| Arc::new(Schema::empty()), |t| Arc::clone(&t.schema)),
        }
    }

    /// The question that it stands for, if it is a view.
    pub(crate) fn view_sql(&self, at: Option<&str>) -> Option<Cow<'_, str>> {
        match &self.kind {
            Kind::System(table) => table.view_sql().map(Cow::Borrowed),
            Kind::View(view) => Some(view.sql(at)),
            Kind::Events(_) | Kind::Information | Kind::Pg => None,
        }
    }

    /// Whether it is a view of what the principal did here.
    pub(crate) fn is_of_own_acts(&self) -> bool {
        matches!(&self.kind, Kind::System(table) if table.is_of_own_acts())
    }

    /// The sentence about one of its columns.
    pub(crate) fn comment_of(&self, column: &Field) -> String {
        if matches!(self.kind, Kind::Events(_)) && self.withheld.contains(column.name()) {
            return WITHHELD.to_owned();
        }
        let listed = match &self.kind {
            Kind::Events(TableName::Quarantine) => QUARANTINE_COLUMNS,
            Kind::Events(_) => EVENT_COLUMNS,
            Kind::View(view) => {
                let of = view.columns.iter().find(|c| c.name == column.name());
                return of.map(|c| c.says.to_owned()).unwrap_or_default();
            }
            Kind::System(_) | Kind::Information | Kind::Pg => &[],
        };
        match listed.iter().find(|c| c.name == column.name()) {
            Some(c) => c.comment.to_owned(),
            None => column
                .metadata()
                .get("comment")
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// `BASE TABLE` or `VIEW`, as SQL's standard has it.
    pub(crate) fn table_type(&self) -> &'static str {
        match self.kind {
            Kind::Events(_) => "BASE TABLE",
            Kind::System(_) | Kind::View(_) | Kind::Information | Kind::Pg => "VIEW",
        }
    }
}

/// Everything that one statement may ask for.
#[derive(Debug)]
pub(crate) struct Names {
    tables: Arc<dyn Tables>,
    principal: Principal,
    scope: Scope,
    withheld: Arc<BTreeSet<String>>,
    footers: Arc<Footers>,
    stores: Arc<Stores>,
    entries: Vec<Entry>,
    /// Tables already resolved: the one snapshot of this statement.
    resolved: tokio::sync::Mutex<BTreeMap<String, Arc<dyn TableProvider>>>,
    touched: Mutex<BTreeSet<String>>,
    /// The state that is asked about where the statement itself does not say.
    as_of: Option<AsOf>,
    versions: Mutex<BTreeMap<String, TableVersion>>,
    settings: Arc<Settings>,
    /// Where names without a schema are looked for: `pg_catalog`, and what the
    /// settings say.
    path: Vec<&'static str>,
    relations: OnceLock<Vec<Relation>>,
}

impl Names {
    pub(crate) async fn new(
        tables: Arc<dyn Tables>,
        system: &[Arc<dyn SystemTable>],
        principal: Principal,
        footers: Arc<Footers>,
        stores: Arc<Stores>,
        as_of: Option<AsOf>,
        settings: Arc<Settings>,
    ) -> Arc<Self> {
        let readable = principal.readable();
        let known = tables.names(&readable).await;
        let scope = Scope::from(readable);
        let withheld = Arc::new(principal.withheld.columns());
        let mut entries = entries(known, system);
        for entry in &mut entries {
            entry.withheld = Arc::clone(&withheld);
        }
        Arc::new(Self {
            entries,
            withheld,
            tables,
            principal,
            scope,
            footers,
            stores,
            resolved: tokio::sync::Mutex::default(),
            touched: Mutex::default(),
            as_of,
            versions: Mutex::default(),
            path: path(&settings),
            settings,
            relations: OnceLock::new(),
        })
    }

    /// All that the principal may be told of, in the order of SHOW TABLES.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The settings of the connection that asks.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where names without a schema are looked for; `pg_catalog` first.
    pub(crate) fn path(&self) -> &[&'static str] {
        &self.path
    }

    /// The schema that a name without one is taken to be of.
    pub(crate) fn default_schema(&self) -> &'static str {
        self.path.get(1).copied().unwrap_or(PUBLIC)
    }

    /// The id of whoever asks.
    pub(crate) fn principal_id(&self) -> &str {
        &self.principal.id
    }

    /// The same names as PostgreSQL's catalogue numbers them.
    pub(crate) fn relations(&self) -> &[Relation] {
        self.relations.get_or_init(|| relations(&self.entries))
    }

    /// The tables that were resolved, for the audit event.
    pub(crate) fn touched(&self) -> Vec<String> {
        self.touched.lock().iter().cloned().collect()
    }

    /// The states of the tables of events that were resolved.
    pub(crate) fn versions(&self) -> BTreeMap<String, TableVersion> {
        self.versions.lock().clone()
    }

    /// The table of that name, in whatever state. A trail answers to its name in whatever case,
    /// for an unquoted name comes in lower case; two trails never differ by
    /// case alone.
    ///
    /// A name of the default schema may come without it, so the rest of the
    /// path is looked through as well; a table of that name comes before.
    pub(crate) fn find(&self, schema: &str, name: &str) -> Option<&Entry> {
        let (name, _) = asof::split(name);
        if let Some(found) = self.find_in(schema, name) {
            return Some(found);
        }
        if schema != self.default_schema() {
            return None;
        }
        let mut rest = self.path.iter().skip(2).chain(&self.path[..1]);
        rest.find_map(|schema| self.find_in(schema, name))
    }

    fn find_in(&self, schema: &str, name: &str) -> Option<&Entry> {
        if schema == PG_CATALOG {
            return PG_ENTRIES.iter().find(|e| e.name == name);
        }
        self.entries.iter().find(|e| {
            e.schema == schema
                && match &e.kind {
                    Kind::Events(TableName::Trail(_)) => e.name.eq_ignore_ascii_case(name),
                    _ => e.name == name,
                }
        })
    }

    /// The table of that name, also of a trail that the principal is not told
    /// of: whoever knows its name may ask for the rows of their own accounts,
    /// as they may ask history for them.
    pub(crate) async fn table(
        &self,
        schema: &str,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let (name, at) = asof::split(name);
        if let Some(entry) = self.find(schema, name) {
            return self.provider(entry, at).await;
        }
        if schema != TRAILS {
            return Ok(None);
        }
        let Ok(trail) = TrailName::new(&name.to_ascii_lowercase()) else {
            return Ok(None);
        };
        let mut entry = events(TRAILS, trail.as_str(), TableName::Trail(trail.clone()), "");
        entry.withheld = Arc::clone(&self.withheld);
        self.provider(&entry, at).await
    }

    /// The table as a view of what the principal did here finds it. An
    /// administrator's shows what everybody did.
    pub(crate) async fn own_acts(
        &self,
        schema: &str,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = self.table(schema, name).await?;
        if self.principal.role == Role::Admin {
            return Ok(table);
        }
        let Some(table) = table else {
            return Ok(None);
        };
        let Some(events) = table.downcast_ref::<EventTable>() else {
            return internal_err!("a view of one's own acts is over events");
        };
        let own = Scope::Own(Arc::from(self.principal.id.as_str()));
        Ok(Some(Arc::new(events.seen_by(own))))
    }

    /// Makes the view `entry` stand for `plan`, which was made of its question
    /// with these very names.
    pub(crate) async fn define(
        &self,
        entry: &Entry,
        at: Option<&str>,
        plan: LogicalPlan,
    ) -> Result<(), QueryError> {
        let columns = entry.columns();
        let (wanted, made) = (columns.fields(), plan.schema().fields());
        if !wanted
            .iter()
            .map(|f| f.name())
            .eq(made.iter().map(|f| f.name()))
        {
            let name = &entry.name;
            return Err(QueryError::internal(format!(
                "the view {name} does not have its own columns"
            )));
        }
        let view = Arc::new(ViewTable::new(plan, None));
        self.touched.lock().insert(entry.name.clone());
        let key = match at.filter(|_| matches!(entry.kind, Kind::View(_))) {
            Some(at) => asof::joined(&entry.name, at),
            None => entry.name.clone(),
        };
        self.resolved.lock().await.insert(key, view);
        Ok(())
    }
}

/// The schemas that names are looked for in, as `settings` have them.
fn path(settings: &Settings) -> Vec<&'static str> {
    let wanted = settings.path();
    let own = wanted
        .iter()
        .filter_map(|name| SCHEMAS.into_iter().find(|s| s == name))
        .filter(|s| *s != PG_CATALOG);
    std::iter::once(PG_CATALOG).chain(own).collect()
}

/// A table's name in audit events and in plans.
fn canonical(table: &TableName) -> String {
    match table {
        TableName::History => "history".to_owned(),
        TableName::Quarantine => "quarantine".to_owned(),
        TableName::Trail(name) => format!("{TRAILS}.{name}"),
    }
}

fn events(schema: &'static str, name: &str, table: TableName, comment: &str) -> Entry {
    Entry {
        withheld: Arc::default(),
        schema,
        name: name.to_owned(),
        kind: Kind::Events(table),
        comment: comment.to_owned(),
    }
}

fn entries(known: Vec<TableName>, system: &[Arc<dyn SystemTable>]) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut trails: Vec<TrailName> = Vec::new();
    for table in known {
        match table {
            TableName::History => {
                let comment = "Every event of the last 90 days.";
                all.push(events(PUBLIC, "history", TableName::History, comment));
                all.push(events(
                    PUBLIC,
                    "events",
                    TableName::History,
                    "The same as history.",
                ));
            }
            TableName::Quarantine => {
                let comment = "What could not become an event, and why.";
                all.push(events(PUBLIC, "quarantine", TableName::Quarantine, comment));
            }
            TableName::Trail(name) => trails.push(name),
        }
    }
    let history = all.iter().any(|e| e.name == "history");
    for view in VIEWS.into_iter().filter(|_| history) {
        all.extend(view.names.iter().map(|name| Entry {
            schema: PUBLIC,
            name: (*name).to_owned(),
            kind: Kind::View(view),
            comment: view.says.to_owned(),
            withheld: Arc::default(),
        }));
    }
    all.extend(system.iter().map(|table| Entry {
        schema: PUBLIC,
        name: table.name().to_owned(),
        kind: Kind::System(Arc::clone(table)),
        comment: table.comment().to_owned(),
        withheld: Arc::default(),
    }));
    trails.sort();
    all.extend(trails.into_iter().map(|name| {
        let comment = format!("The events that the trail {name} has taken.");
        events(
            TRAILS,
            name.as_str(),
            TableName::Trail(name.clone()),
            &comment,
        )
    }));
    for name in information::names() {
        all.push(Entry {
            schema: INFORMATION,
            name: name.to_owned(),
            kind: Kind::Information,
            comment: "SQL's standard description of these tables.".to_owned(),
            withheld: Arc::default(),
        });
    }
    all
}
