//! From an entry to the rows that it stands for in this statement.

use std::sync::Arc;

use cairn_store::view::{PastError, TableName, ViewError};
use datafusion::catalog::TableProvider;
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;

use super::{Entry, Kind, Names, canonical};
use crate::asof::{self, AsOf, At, Past};
use crate::error::QueryError;
use crate::pg::content::{self, About};
use crate::pg::information;
use crate::scan::EventTable;
use crate::system::RowsTable;

impl Names {
    pub(super) async fn provider(
        &self,
        entry: &Entry,
        at: Option<(&str, At)>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let name = match &entry.kind {
            Kind::Events(table) => canonical(table),
            Kind::System(_) | Kind::View(_) => entry.name.clone(),
            Kind::Information | Kind::Pg => format!("{}.{}", entry.schema, entry.name),
        };
        let key = match &at {
            Some((text, _)) => asof::joined(&name, text),
            None => name.clone(),
        };
        let mut resolved = self.resolved.lock().await;
        if let Some(provider) = resolved.get(&key) {
            return Ok(Some(Arc::clone(provider)));
        }
        let always_now = matches!(&entry.kind, Kind::System(t) if t.view_sql().is_none());
        if at.is_some() && !matches!(entry.kind, Kind::Events(_) | Kind::View(_))
            || self.as_of.is_some() && always_now
        {
            let text = format!("{name} tells of now, and has no past states");
            let hint = "AS OF is for history, quarantine and the tables of trails";
            return Err(QueryError::invalid(text).with_hint(hint).into());
        }
        let provider: Arc<dyn TableProvider> = match &entry.kind {
            Kind::Events(table) => match self.events(table, &name, &key, at).await? {
                Some(provider) => provider,
                None => return Ok(None),
            },
            Kind::View(_) => {
                return internal_err!("the view {name} was not planned before it was looked up");
            }
            Kind::System(table) if table.view_sql().is_some() => {
                return internal_err!("the view {name} was not planned before it was looked up");
            }
            Kind::System(table) => {
                let rows = table.rows(&self.principal).await?;
                RowsTable::new(table.schema(), rows)?
            }
            Kind::Information => {
                let rows = information::rows(&entry.name, &self.entries)?;
                RowsTable::new(rows.schema(), vec![rows])?
            }
            Kind::Pg => {
                let about = About {
                    relations: self.relations(),
                    settings: &self.settings,
                    principal: &self.principal.id,
                };
                let rows = content::rows(&entry.name, &about)?;
                RowsTable::new(rows.schema(), vec![rows])?
            }
        };
        self.touched.lock().insert(name);
        resolved.insert(key, Arc::clone(&provider));
        Ok(Some(provider))
    }

    /// A table of events, now or in the state that is asked for.
    async fn events(
        &self,
        table: &TableName,
        name: &str,
        key: &str,
        at: Option<(&str, At)>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let asked = self.asked(name, key, at)?;
        // The past first: a snapshot that is taken after it reaches as far.
        let version = match &asked {
            None => None,
            Some(at) => match at.moment() {
                Err(told) => Some(told.clone()),
                Ok(moment) => match self.tables.past(table, moment).await {
                    Ok(Some(version)) => Some(version),
                    Ok(None) => return Ok(None),
                    Err(PastError::Refused(text)) => {
                        return Err(QueryError::invalid(format!("table {name}: {text}")).into());
                    }
                    Err(PastError::View(error)) => return Err(unreadable(name, &error)),
                },
            },
        };
        let snapshot = self.tables.snapshot(table).await;
        let Some(snapshot) = snapshot.map_err(|error| unreadable(name, &error))? else {
            return Ok(None);
        };
        let past = match &version {
            None => None,
            Some(version) => Some(Past::of(&snapshot, version).ok_or_else(|| {
                QueryError::unavailable(format!(
                    "table {name} does not reach that far here yet; try again in a moment"
                ))
            })?),
        };
        let version = version.unwrap_or_else(|| snapshot.as_version());
        self.versions.lock().insert(key.to_owned(), version);
        let footers = self.footers.of(&snapshot.store_url);
        self.stores
            .register_store(&snapshot.store_url, Arc::clone(&snapshot.store));
        let (name, scope) = (name.to_owned(), self.scope.clone());
        let table = EventTable::new(name, snapshot, scope, &self.withheld, footers, past);
        Ok(Some(Arc::new(table)))
    }

    /// The state in which a table is asked for: what the statement says of it,
    /// unless the caller says which version that was.
    fn asked(&self, name: &str, key: &str, at: Option<(&str, At)>) -> Result<Option<At>> {
        let at = at.map(|(_, at)| at);
        Ok(match &self.as_of {
            None => at,
            Some(AsOf::Time(time)) => Some(at.unwrap_or(At::Time(*time))),
            Some(AsOf::Versions(told)) => match (told.get(key), at) {
                (Some(told), _) => Some(told.clone()),
                (None, Some(at)) => Some(at),
                (None, None) => {
                    let text = format!("as_of gives no version for {name}");
                    return Err(QueryError::invalid(text).into());
                }
            },
        })
    }
}

fn unreadable(name: &str, error: &ViewError) -> DataFusionError {
    tracing::error!(table = name, error = %error, "query: no snapshot");
    QueryError::unavailable(format!("table {name} cannot be read now; try again")).into()
}
