//! What is known of a query beside its rows.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use cairn_query::Question;
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Micros, Withheld};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::server::asking::{AskError, Asker};

const ABOUT: &str = "about.json";

/// A query, as it was asked and as it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// Its id.
    pub id: String,
    /// The token that asked.
    token: String,
    role: Role,
    /// What that token could read then.
    accounts: Among<AccountId>,
    /// The columns that it could not.
    #[serde(default)]
    withheld: Withheld,
    /// The statement.
    pub query: String,
    /// The state of the tables that was asked about.
    pub as_of: Option<Value>,
    /// When it was asked.
    pub started: Micros,
    /// How it ended; `None` while it waits or runs.
    pub outcome: Option<Outcome>,
}

/// How a query ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// In which way.
    pub state: State,
    /// When.
    pub ended: Micros,
    /// Its rows.
    pub rows: u64,
    /// The bytes that they take.
    pub bytes: u64,
    /// The states of the tables that it was computed over.
    pub versions: Value,
    /// Why it failed: code, sentence and hint.
    pub error: Option<(String, String, Option<String>)>,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for a place, or runs.
    Running,
    /// Its rows can be had.
    Done,
    /// It went wrong.
    Failed,
    /// Its caller ended it.
    Canceled,
    /// The server stopped while it ran.
    Lost,
}

impl State {
    /// As doors write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
        }
    }
}

impl Outcome {
    fn without_rows(state: State, ended: Micros) -> Self {
        Self {
            state,
            ended,
            rows: 0,
            bytes: 0,
            versions: Value::Null,
            error: None,
        }
    }

    pub(super) fn done(ended: Micros, rows: u64, bytes: u64, versions: Value) -> Self {
        Self {
            rows,
            bytes,
            versions,
            ..Self::without_rows(State::Done, ended)
        }
    }

    pub(super) fn failed(ended: Micros, error: &AskError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self {
            error: Some((error.code().to_owned(), error.to_string(), hint)),
            ..Self::without_rows(State::Failed, ended)
        }
    }

    pub(super) fn canceled(ended: Micros) -> Self {
        Self::without_rows(State::Canceled, ended)
    }

    pub(super) fn lost(ended: Micros) -> Self {
        let error = (
            "lost".to_owned(),
            "the server stopped while the query ran".to_owned(),
            Some("start it again".to_owned()),
        );
        Self {
            error: Some(error),
            ..Self::without_rows(State::Lost, ended)
        }
    }
}

impl About {
    pub(super) fn new(id: String, asker: &Asker, question: &Question, now: Micros) -> Self {
        Self {
            id,
            token: asker.principal.id.clone(),
            role: asker.principal.role,
            accounts: asker.principal.accounts.clone(),
            withheld: asker.principal.withheld.clone(),
            query: question.sql.clone(),
            as_of: question.as_of.as_ref().map(|at| at.to_json()),
            started: now,
            outcome: None,
        }
    }

    /// Who asked, as they were then.
    pub(super) fn principal(&self) -> Principal {
        Principal {
            id: self.token.clone(),
            role: self.role,
            accounts: self.accounts.clone(),
            withheld: self.withheld.clone(),
        }
    }

    pub(super) fn is_of(&self, asker: &Asker) -> bool {
        self.token == asker.principal.id
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.outcome.as_ref().map_or(State::Running, |o| o.state)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.outcome.as_ref().map_or(0, |o| o.bytes)
    }

    /// From the query's folder; `None` where that does not tell.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read(folder.join(ABOUT)).ok()?;
        let about: Self = serde_json::from_slice(&text).ok()?;
        (folder.file_name()?.to_str()? == about.id).then_some(about)
    }

    /// Into the query's folder, durable on return.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let (temporary, path) = (folder.join("about.new"), folder.join(ABOUT));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()
    }
}
