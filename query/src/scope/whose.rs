//! Whose rows may be seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray};
use arrow::buffer::BooleanBuffer;
use cairn_schemas::AccountId;
use cairn_schemas::control::OWN_SENDER;
use cairn_schemas::selector::Among;
use datafusion::common::internal_err;
use datafusion::error::Result;

/// The column that decides who may see a row.
const ACCOUNT: &str = "account_id";
/// The columns that tell what Cairn itself recorded, and of whom.
const SENDER: &str = "sender";
const PRINCIPAL: &str = "principal_id";

/// Whose rows may be seen.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Everybody's, and those that belong to nobody.
    All,
    /// Those of these accounts.
    Only(Arc<BTreeSet<AccountId>>),
    /// What Cairn itself recorded of what this principal did, whatever account
    /// such events belong to.
    Own(Arc<str>),
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
    /// The columns that decide.
    pub(crate) fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::All => &[],
            Self::Only(_) => &[ACCOUNT],
            Self::Own(_) => &[SENDER, PRINCIPAL],
        }
    }

    /// What each of them has to be, in every row that may be seen.
    pub(crate) fn wanted(&self) -> Vec<(&'static str, Vec<&str>)> {
        match self {
            Self::All => vec![],
            Self::Only(mine) => vec![(ACCOUNT, mine.iter().map(AccountId::as_str).collect())],
            Self::Own(id) => vec![(SENDER, vec![OWN_SENDER]), (PRINCIPAL, vec![&**id])],
        }
    }

    /// Whether a file that holds these accounts may hold a row to be seen.
    pub(crate) fn meets(&self, file: Option<&BTreeSet<AccountId>>) -> bool {
        match (self, file) {
            (Self::All | Self::Own(_), _) => true,
            (Self::Only(mine), _) if mine.is_empty() => false,
            (Self::Only(_), None) => true,
            (Self::Only(mine), Some(file)) => !mine.is_disjoint(file),
        }
    }

    /// Whether every row of a file that holds these accounts may be seen.
    pub(crate) fn holds(&self, file: Option<&BTreeSet<AccountId>>) -> bool {
        match (self, file) {
            (Self::All, _) => true,
            (Self::Only(_), None) | (Self::Own(_), _) => false,
            (Self::Only(mine), Some(file)) => file.is_subset(mine),
        }
    }

    /// For each row whether it may be seen, by [`Self::columns`]; `None` when
    /// all may.
    pub(super) fn mask(&self, columns: &[&ArrayRef]) -> Result<Option<BooleanArray>> {
        let texts: Option<Vec<_>> = columns.iter().map(|c| c.as_string_view_opt()).collect();
        match (self, texts.as_deref()) {
            (Self::All, _) => Ok(None),
            (Self::Only(mine), Some([accounts])) => Ok(among(mine, accounts)),
            (Self::Own(id), Some([senders, principals])) => Ok(own(id, senders, principals)),
            _ => internal_err!("the columns that say whose a row is are not texts"),
        }
    }
}

/// The rows that Cairn sent and that `id` is the principal of.
fn own(id: &str, senders: &StringViewArray, principals: &StringViewArray) -> Option<BooleanArray> {
    let mut seen = 0;
    let mask = BooleanBuffer::collect_bool(senders.len(), |i| {
        let keep = senders.is_valid(i)
            && senders.value(i) == OWN_SENDER
            && principals.is_valid(i)
            && principals.value(i) == id;
        seen += usize::from(keep);
        keep
    });
    (seen < senders.len()).then(|| BooleanArray::new(mask, None))
}

/// The rows of these accounts.
fn among(mine: &BTreeSet<AccountId>, accounts: &StringViewArray) -> Option<BooleanArray> {
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
    (seen < accounts.len()).then(|| BooleanArray::new(mask, None))
}

#[cfg(test)]
mod tests;
