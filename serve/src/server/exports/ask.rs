//! From a request to a checked statement, a format and a place.

use cairn_schemas::control::Principal;
use cairn_schemas::export::{ExportFilter, ExportFormat, ExportPlace};
use cairn_schemas::selector::Among;
use cairn_schemas::{Micros, TrailName};

use super::files::{self, FilesError};
use crate::server::app::Shared;
use crate::server::http::error::ApiError;

/// What is exported, checked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was asked for.
    pub created: Micros,
    /// The statement.
    pub sql: String,
    /// The filter that it was made of, where there was one.
    pub filter: Option<ExportFilter>,
    /// The form of the files.
    pub format: ExportFormat,
    /// Whether CSV cells that a spreadsheet would run are neutralised.
    pub neutralise: bool,
    /// Where the files go.
    pub place: ExportPlace,
}

/// The statement for `filter`. What came in after `created` is not asked for,
/// so that an export that is begun again has the same events.
pub fn statement(filter: &ExportFilter, format: ExportFormat, created: Micros) -> String {
    let columns = match format.is_delivery() {
        true => files::DELIVERY_COLUMNS.join(", "),
        false => "*".to_owned(),
    };
    let table = match &filter.trail {
        // Trails' names are letters, digits, '-', '_' and '.'.
        Some(trail) => format!("trails.\"{}\"", TrailName::folded(trail)),
        None => "history".to_owned(),
    };
    let mut criteria = vec![format!("ingest_time <= '{}'", created.to_rfc3339())];
    if !filter.accounts.is_empty() {
        let accounts: Vec<String> = filter.accounts.iter().map(|a| format!("'{a}'")).collect();
        criteria.push(format!("account_id IN ({})", accounts.join(", ")));
    }
    if let Some(from) = filter.from {
        criteria.push(format!("event_time >= '{}'", from.to_rfc3339()));
    }
    if let Some(until) = filter.until {
        criteria.push(format!("event_time < '{}'", until.to_rfc3339()));
    }
    format!(
        "SELECT {columns} FROM {table} WHERE {}",
        criteria.join(" AND ")
    )
}

/// Refuses a filter that asks for accounts which `principal` may not read, or
/// for no time at all.
pub fn check_filter(principal: &Principal, filter: &ExportFilter) -> Result<(), ApiError> {
    if let Among::Only(readable) = principal.readable() {
        let foreign = filter.accounts.iter().find(|a| !readable.contains(*a));
        if let Some(foreign) = foreign {
            return Err(ApiError::forbidden(format!(
                "account {foreign} is not among those that this token may read"
            )));
        }
    }
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        return Err(ApiError::invalid(
            "until is not after from: the filter takes no event",
        ));
    }
    Ok(())
}

/// Refuses a statement that cannot be run, or whose answer does not suit the
/// format, before anything is written of it.
pub async fn check_statement(
    app: &Shared,
    principal: &Principal,
    sql: &str,
    format: ExportFormat,
) -> Result<(), ApiError> {
    let prepared = app.engine.prepare(principal, sql).await?;
    if !prepared.parameters.is_empty() {
        return Err(ApiError::invalid(
            "the statement has parameters ($1), and an export has no values for them",
        )
        .hint("write the values into the statement"));
    }
    files::check(format, &prepared.schema).map_err(|e| unsuited(&e))
}

/// The answer for a statement that does not suit its format.
pub fn unsuited(error: &FilesError) -> ApiError {
    ApiError::invalid(error.to_string())
}

#[cfg(test)]
mod tests;
