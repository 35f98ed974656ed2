//! Whose rows may be seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use cairn_schemas::AccountId;
use cairn_schemas::selector::Among;
use datafusion::common::internal_err;
use datafusion::error::Result;

/// Whose rows may be seen.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Everybody's, and those that belong to nobody.
    All,
    /// Those of these accounts.
    Only(Arc<BTreeSet<AccountId>>),
}

impl From<Among<AccountId>> for Scope {
    fn from(among: Among<AccountId>) -> Self {
        match among {
            Among::All => Self::All,
            Among::Only(accounts) => Self::Only(Arc::new(accounts)),
        }
    }
}

impl Scope {
    /// Whether a file that holds these accounts may hold a row to be seen.
    pub(crate) fn meets(&self, file: Option<&BTreeSet<AccountId>>) -> bool {
        match (self, file) {
            (Self::All, _) => true,
            (Self::Only(mine), _) if mine.is_empty() => false,
            (Self::Only(_), None) => true,
            (Self::Only(mine), Some(file)) => !mine.is_disjoint(file),
        }
    }

    /// Whether every row of a file that holds these accounts may be seen.
    pub(crate) fn holds(&self, file: Option<&BTreeSet<AccountId>>) -> bool {
        match (self, file) {
            (Self::All, _) => true,
            (Self::Only(_), None) => false,
            (Self::Only(mine), Some(file)) => file.is_subset(mine),
        }
    }

    /// For each row whether it may be seen; `None` when all may.
    pub(super) fn mask(&self, accounts: &ArrayRef) -> Result<Option<BooleanArray>> {
        let Self::Only(mine) = self else {
            return Ok(None);
        };
        let Some(accounts) = accounts.as_string_view_opt() else {
            return internal_err!("the account column is not text");
        };
        // A view of up to twelve bytes is the whole text, so that equal views
        // are equal accounts: neighbours mostly are.
        const WHOLE: u128 = 12;
        let mut last: Option<(u128, bool)> = None;
        let mut seen = 0;
        let views = accounts.views();
        let mask = BooleanBuffer::collect_bool(accounts.len(), |i| {
            if accounts.is_null(i) {
                return false;
            }
            let view = views[i];
            let keep = match last {
                Some((v, keep)) if v == view => keep,
                _ => mine.contains(accounts.value(i)),
            };
            if view & u128::from(u32::MAX) <= WHOLE {
                last = Some((view, keep));
            }
            seen += usize::from(keep);
            keep
        });
        Ok((seen < accounts.len()).then(|| BooleanArray::new(mask, None)))
    }
}
