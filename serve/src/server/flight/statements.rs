//! Prepared statements: what clients come back to by a handle.

use std::collections::HashMap;

use cairn_query::Param;
use cairn_schemas::Micros;
use cairn_schemas::time::SECOND;
use parking_lot::Mutex;

/// How long a statement is kept that nobody uses.
pub(super) const KEPT: i64 = 3600 * SECOND;
/// How many one principal may have; the one not used for longest goes.
const EACH: usize = 64;
/// How many there may be in all.
const ALL: usize = 4096;

/// A statement and the values that were last bound to it.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
}

#[derive(Debug)]
struct Held {
    whose: String,
    used: Micros,
    statement: Statement,
}

/// Every statement that is held.
#[derive(Debug, Default)]
pub(super) struct Statements(Mutex<HashMap<String, Held>>);

impl Statements {
    /// Holds a statement of `whose` under `id`.
    pub(super) fn hold(&self, id: String, whose: &str, now: Micros, sql: String) {
        let mut all = self.0.lock();
        all.retain(|_, held| now.0.saturating_sub(held.used.0) < KEPT);
        let own = all.values().filter(|held| held.whose == whose).count();
        if own >= EACH {
            drop_oldest(&mut all, Some(whose));
        } else if all.len() >= ALL {
            drop_oldest(&mut all, None);
        }
        let statement = Statement {
            sql,
            params: Vec::new(),
        };
        let held = Held {
            whose: whose.to_owned(),
            used: now,
            statement,
        };
        all.insert(id, held);
    }

    /// The statement `id`, if `whose` has it.
    pub(super) fn get(&self, id: &str, whose: &str, now: Micros) -> Option<Statement> {
        self.with(id, whose, now, |held| held.statement.clone())
    }

    /// Binds values to the statement `id`.
    pub(super) fn bind(&self, id: &str, whose: &str, now: Micros, params: Vec<Param>) -> bool {
        self.with(id, whose, now, |held| held.statement.params = params)
            .is_some()
    }

    /// Lets go of the statement `id`.
    pub(super) fn close(&self, id: &str, whose: &str) {
        let mut all = self.0.lock();
        if all.get(id).is_some_and(|held| held.whose == whose) {
            all.remove(id);
        }
    }

    fn with<T>(
        &self,
        id: &str,
        whose: &str,
        now: Micros,
        act: impl FnOnce(&mut Held) -> T,
    ) -> Option<T> {
        let mut all = self.0.lock();
        let held = all.get_mut(id).filter(|held| held.whose == whose)?;
        held.used = now;
        Some(act(held))
    }
}

fn drop_oldest(all: &mut HashMap<String, Held>, of: Option<&str>) {
    let oldest = all
        .iter()
        .filter(|(_, held)| of.is_none_or(|whose| held.whose == whose))
        .min_by_key(|(_, held)| held.used)
        .map(|(id, _)| id.clone());
    if let Some(oldest) = oldest {
        all.remove(&oldest);
    }
}
