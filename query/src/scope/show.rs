//! What EXPLAIN tells of a scan.

use std::fmt;

use cairn_schemas::AccountId;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};

use super::{Scope, ScopeExec};

impl DisplayAs for ScopeExec {
    /// All that EXPLAIN tells of a scan: nothing of its files, and no account
    /// but the principal's own.
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self
            .output
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect();
        write!(
            f,
            "EventScan: table={}, columns=[{}]",
            self.table,
            columns.join(", ")
        )?;
        let withheld: Vec<&str> = (0..columns.len())
            .filter(|i| self.withholds(*i))
            .map(|i| columns[i])
            .collect();
        if !withheld.is_empty() {
            write!(f, ", withheld=[{}]", withheld.join(", "))?;
        }
        match &self.scope {
            Scope::All => write!(f, ", accounts=all")?,
            Scope::Own(id) => write!(f, ", of={id}")?,
            Scope::Only(mine) => {
                let mine: Vec<&str> = mine.iter().map(AccountId::as_str).collect();
                write!(f, ", accounts=[{}]", mine.join(", "))?;
            }
        }
        if !self.filters.is_empty() {
            let filters: Vec<String> = self.filters.iter().map(ToString::to_string).collect();
            write!(f, ", filters=[{}]", filters.join(" AND "))?;
        }
        match self.fetch {
            Some(fetch) => write!(f, ", limit={fetch}"),
            None => Ok(()),
        }
    }
}
