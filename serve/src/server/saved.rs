//! Saved queries: those that people keep, as versioned control documents, and
//! the library that comes with Cairn.
//!
//! Everybody in the organization who may ask sees them all and asks them over
//! their own accounts. Whoever saved one may change it, and administrators.

pub mod library;
pub mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use cairn_query::Template;
use cairn_schemas::control::{ControlKind, Principal, Role};
use cairn_schemas::saved::{Parameter, SavedQuery, is_parameter_name};
use cairn_schemas::{Clock, QueryName};
use cairn_store::control::{ControlError, ControlStore, DocumentKey};
use parking_lot::RwLock;

use super::http::error::ApiError;

/// How many parameters one may have.
const PARAMETERS: usize = 50;
/// The longest statement that is kept, in bytes.
const LONGEST: usize = 64 << 10;
/// The longest title or explanation.
const TITLE: usize = 500;

/// What somebody wants to keep.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is called.
    pub name: QueryName,
    /// One line about it.
    pub title: String,
    /// The statement.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

impl Wanted {
    /// The statement for the engine, if statement and parameters fit together.
    pub fn check(&self) -> Result<Template, ApiError> {
        if self.sql.len() > LONGEST || self.parameters.len() > PARAMETERS {
            return Err(ApiError::invalid(format!(
                "a saved query has at most {LONGEST} bytes and {PARAMETERS} parameters"
            )));
        }
        let texts = self.parameters.iter().map(|p| &p.says);
        if texts.chain([&self.title]).any(|t| t.len() > TITLE) {
            return Err(ApiError::invalid(format!(
                "a title and what is said of a parameter have at most {TITLE} bytes"
            )));
        }
        let template = Template::new(&self.sql)?;
        for (at, parameter) in self.parameters.iter().enumerate() {
            let name = &parameter.name;
            if !is_parameter_name(name) {
                return Err(ApiError::invalid(format!("{name:?} is no name for a parameter"))
                    .hint("a name has up to 40 lower-case letters, digits or '_', and starts with a letter"));
            }
            if self.parameters[..at].iter().any(|p| p.name == *name) {
                return Err(ApiError::invalid(format!(
                    "the parameter {name} stands twice"
                )));
            }
            if !template.names.contains(name) {
                return Err(ApiError::invalid(format!("the statement has no :{name}")));
            }
        }
        for name in &template.names {
            if self.parameters.iter().all(|p| p.name != *name) {
                return Err(
                    ApiError::invalid(format!("the parameter :{name} is not declared")).hint(
                        "give its name and its type: text, bigint, double, boolean or timestamp",
                    ),
                );
            }
        }
        Ok(template)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct SavedSet {
    control: ControlStore,
    clock: Arc<dyn Clock>,
    /// The newest version of each, deleted ones too.
    known: RwLock<BTreeMap<QueryName, SavedQuery>>,
    /// Held while a change is written, so that versions do not collide.
    changing: tokio::sync::Mutex<()>,
}

impl SavedSet {
    /// Reads the documents.
    pub async fn open(control: ControlStore, clock: Arc<dyn Clock>) -> Result<Self, ControlError> {
        let all: BTreeMap<String, Vec<SavedQuery>> = control.load(ControlKind::SavedQuery).await?;
        let newest = all.into_values().filter_map(|mut versions| versions.pop());
        Ok(Self {
            known: RwLock::new(newest.map(|q| (q.name.clone(), q)).collect()),
            control,
            clock,
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// Takes in what others changed, by the keys of all documents that there
    /// are. Reads only documents that are not known here, and of each the newest.
    pub async fn refresh(&self, keys: &[DocumentKey]) -> Result<(), ControlError> {
        let saved = keys.iter().filter(|k| k.kind == ControlKind::SavedQuery);
        let newest: BTreeMap<&str, &DocumentKey> = saved.map(|k| (k.id.as_str(), k)).collect();
        let mut failed = None;
        for key in newest.into_values() {
            let known = QueryName::new(&key.id)
                .ok()
                .and_then(|name| self.known.read().get(&name).map(|q| q.version));
            if known >= Some(key.version) {
                continue;
            }
            match self.control.get::<SavedQuery>(key).await {
                Ok(new) => self.learn(new),
                // One that cannot be read keeps nobody from the others.
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn learn(&self, new: SavedQuery) {
        let mut known = self.known.write();
        if known.get(&new.name).map(|q| q.version) < Some(new.version) {
            known.insert(new.name.clone(), new);
        }
    }

    /// Those that are there, by name.
    pub fn list(&self) -> Vec<SavedQuery> {
        let known = self.known.read();
        known.values().filter(|q| !q.deleted).cloned().collect()
    }

    /// The one of that name.
    pub fn find(&self, name: &QueryName) -> Result<SavedQuery, ApiError> {
        let known = self.known.read();
        let there = known.get(name).filter(|q| !q.deleted).cloned();
        there.ok_or_else(|| {
            ApiError::not_found(format!("there is no saved query {name}"))
                .hint("GET /v1/saved-queries lists them: cairn query list")
        })
    }

    /// Every version of the one of that name, oldest first.
    pub async fn versions(&self, name: &QueryName) -> Result<Vec<SavedQuery>, ControlError> {
        let keys = self
            .control
            .versions(ControlKind::SavedQuery, name.as_str());
        let mut versions = vec![];
        for key in keys.await? {
            versions.push(self.control.get(&key).await?);
        }
        Ok(versions)
    }

    /// Keeps a query: a new one, or the next version of one that is there.
    pub async fn save(&self, by: &Principal, wanted: Wanted) -> Result<SavedQuery, ApiError> {
        if library::find(&wanted.name).is_some() {
            return Err(ApiError::conflict(
                "name_taken",
                format!("{} is a question of Cairn's own library", wanted.name),
            )
            .hint("save it under another name"));
        }
        let _one_at_a_time = self.changing.lock().await;
        let old = self.known.read().get(&wanted.name).cloned();
        let there = old.as_ref().filter(|q| !q.deleted);
        if let Some(there) = there {
            may_change(there, by)?;
        }
        let new = SavedQuery {
            version: old.as_ref().map_or(0, |q| q.version) + 1,
            at: self.clock.now(),
            by: by.id.clone(),
            owner: there.map_or_else(|| by.id.clone(), |q| q.owner.clone()),
            name: wanted.name,
            title: wanted.title,
            sql: wanted.sql,
            parameters: wanted.parameters,
            deleted: false,
        };
        self.put(new).await
    }

    /// Ends a query. Its versions stay readable.
    pub async fn delete(&self, by: &Principal, name: &QueryName) -> Result<SavedQuery, ApiError> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.find(name)?;
        may_change(&old, by)?;
        self.put(SavedQuery {
            version: old.version + 1,
            at: self.clock.now(),
            by: by.id.clone(),
            deleted: true,
            ..old
        })
        .await
    }

    /// Durable in the documents before memory shows it.
    async fn put(&self, new: SavedQuery) -> Result<SavedQuery, ApiError> {
        let (name, version) = (new.name.as_str(), new.version);
        let put = self
            .control
            .put(ControlKind::SavedQuery, name, version, &new);
        if let Err(error) = put.await {
            if let ControlError::Conflict { .. } = &error
                && let Ok(keys) = self.control.keys().await
            {
                // Whoever lost knows the winner's before it is told so.
                let _ = self.refresh(&keys).await;
            }
            return Err(error.into());
        }
        self.learn(new.clone());
        Ok(new)
    }
}

fn may_change(query: &SavedQuery, by: &Principal) -> Result<(), ApiError> {
    match by.role == Role::Admin || query.owner == by.id {
        true => Ok(()),
        false => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("{} was saved by somebody else", query.name),
        )
        .hint("save it under another name, or ask an administrator")),
    }
}

#[cfg(test)]
mod tests;
