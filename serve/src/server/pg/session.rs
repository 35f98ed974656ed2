//! One session: messages in, one after the other, and the states in between.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cairn_query::Standing as _;
use pgwire::messages::PgWireBackendMessage as Back;
use pgwire::messages::response::{CommandComplete, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::ParameterStatus;
use tokio_util::sync::CancellationToken;

use super::cancel::Registered;
use super::cursor::{self, Portal};
use super::door::Stop;
use super::error::{PgError, state};
use super::extended::Statement;
use super::frontend::{self, Front};
use super::parameters::Parameters;
use super::run::Begun;
use super::startup;
use super::statement::{self, Command, Piece};
use super::types;
use super::wire::{Lost, Wire};
use crate::server::app::Shared;
use crate::server::asking::Asker;

/// The longest message. A statement may be much shorter, and is told so by the
/// engine; this is for the values of its parameters.
const MESSAGE: usize = 2 << 20;

/// What ends a statement, or the session.
#[derive(Debug)]
pub(super) enum Fail {
    /// The client is told.
    Told(PgError),
    /// There is nobody to tell.
    Lost(Lost),
}

impl From<PgError> for Fail {
    fn from(error: PgError) -> Self {
        Self::Told(error)
    }
}

impl From<Lost> for Fail {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Bad(text) => Self::Told(PgError::fatal(state::PROTOCOL_VIOLATION, text)),
            other => Self::Lost(other),
        }
    }
}

/// Where a session stands between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    /// In none.
    None,
    /// In one.
    Open,
    /// In one in which a statement failed: nothing but its end is possible.
    Failed,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) app: Shared,
    pub(super) wire: Wire,
    pub(super) asker: Asker,
    pub(super) parameters: Parameters,
    pub(super) registered: Registered,
    pub(super) stop: Stop,
    pub(super) transaction: Transaction,
    savepoints: Vec<String>,
    pub(super) statements: HashMap<String, Arc<Statement>>,
    pub(super) portals: HashMap<String, Portal>,
    /// After an error in the extended protocol, until the client synchronizes.
    skipping: bool,
    /// Cancelled when somebody asks for the end of what runs now.
    pub(super) canceled: CancellationToken,
}

impl Session {
    pub(super) fn new(
        app: Shared,
        wire: Wire,
        asker: Asker,
        parameters: Parameters,
        registered: Registered,
        stop: Stop,
    ) -> Self {
        Self {
            app,
            wire,
            asker,
            parameters,
            registered,
            stop,
            transaction: Transaction::None,
            savepoints: Vec::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            skipping: false,
            canceled: CancellationToken::new(),
        }
    }

    /// Serves the client until it goes, or has to.
    pub(super) async fn run(mut self) {
        let soon = self.stop.soon.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = soon.cancelled() => Err(Fail::Told(PgError::stopping())),
                message = self.wire.message(MESSAGE) => message.map_err(Fail::from),
            };
            let outcome = match message {
                Ok(Some((kind, body))) => self.handle(kind, body).await,
                Ok(None) => return,
                Err(fail) => Err(fail),
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(Fail::Lost(lost)) => {
                    tracing::debug!(error = %lost, "a session ended");
                    return;
                }
                Err(Fail::Told(error)) => {
                    // Only what ends the session comes this far.
                    let _ = self.wire.put(Back::ErrorResponse(error.response()));
                    self.wire.close().await;
                    return;
                }
            }
        }
    }

    /// One message. `false` where it was the last.
    async fn handle(&mut self, kind: u8, body: Bytes) -> Result<bool, Fail> {
        if self.skipping && !matches!(kind, b'S' | b'X') {
            return Ok(true);
        }
        // From here to the end of the message, whichever part of it takes long.
        let running = self.registered.begin();
        self.canceled = running.token();
        let front = match frontend::read(kind, body) {
            Ok(front) => front,
            Err(error) if kind == b'Q' => {
                self.failed(error)?;
                self.ready().await?;
                return Ok(true);
            }
            Err(error) => {
                self.failed_until_sync(error).await?;
                return Ok(true);
            }
        };
        match front {
            Front::Query(text) => {
                self.simple(&text).await?;
                self.ready().await?;
                return Ok(true);
            }
            Front::Sync => {
                self.skipping = false;
                self.ready().await?;
                return Ok(true);
            }
            Front::Flush => {
                self.wire.flush().await?;
                return Ok(true);
            }
            Front::Terminate => return Ok(false),
            Front::Copy => return Ok(true),
            Front::Unknown(b'F') => {
                self.failed(PgError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    "the function call protocol is not supported",
                ))?;
                self.ready().await?;
                return Ok(true);
            }
            Front::Unknown(kind) => {
                let text = format!("invalid frontend message type {kind}");
                return Err(PgError::fatal(state::PROTOCOL_VIOLATION, text).into());
            }
            _ => {}
        }
        match self.extended(front).await {
            Ok(()) => Ok(true),
            Err(Fail::Told(error)) => {
                self.failed_until_sync(error).await?;
                Ok(true)
            }
            Err(lost) => Err(lost),
        }
    }

    async fn extended(&mut self, front: Front) -> Result<(), Fail> {
        match front {
            Front::Parse { name, sql, types } => self.parse(name, &sql, &types).await,
            Front::Bind(bind) => self.bind(bind).await,
            Front::Describe(target, name) => self.describe(target, &name).await,
            Front::Execute { portal, rows } => self.execute(&portal, rows).await,
            Front::Close(target, name) => self.close(target, &name),
            _ => Ok(()),
        }
    }

    /// Tells of an error. One that ends the session is handed on.
    fn failed(&mut self, error: PgError) -> Result<(), Fail> {
        if error.is_fatal() {
            return Err(error.into());
        }
        self.wire.put(Back::ErrorResponse(error.response()))?;
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
            // What the failed transaction reads, nobody can fetch any more.
            self.portals.clear();
        }
        Ok(())
    }

    async fn failed_until_sync(&mut self, error: PgError) -> Result<(), Fail> {
        self.failed(error)?;
        self.skipping = true;
        Ok(self.wire.flush().await?)
    }

    /// Says that the next statement may come. Outside of a transaction nothing
    /// that was open stays open.
    async fn ready(&mut self) -> Result<(), Fail> {
        let status = match self.transaction {
            Transaction::None => {
                self.portals.clear();
                TransactionStatus::Idle
            }
            Transaction::Open => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        };
        self.wire
            .put(Back::ReadyForQuery(ReadyForQuery::new(status)))?;
        Ok(self.wire.flush().await?)
    }

    /// A text with any number of statements, run one after the other, each for
    /// itself through the engine's gate. The first that fails is the last.
    async fn simple(&mut self, text: &str) -> Result<(), Fail> {
        self.statements.remove("");
        self.portals.remove("");
        for piece in statement::split(text) {
            if self.stop.soon.is_cancelled() {
                return Err(PgError::stopping().into());
            }
            match self.simple_statement(piece).await {
                Ok(()) => {}
                Err(Fail::Told(error)) => return self.failed(error),
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    async fn simple_statement(&mut self, piece: Piece) -> Result<(), Fail> {
        let command = statement::command(&piece)?;
        let statement = Arc::new(Statement::new(piece, command, Vec::new()));
        match self.begin(&statement, Vec::new(), &[]).await? {
            Begun::Empty => self.wire.put(Back::EmptyQueryResponse(
                pgwire::messages::response::EmptyQueryResponse::new(),
            ))?,
            Begun::Done(tag) => self.complete(tag)?,
            Begun::Rows(mut running) => {
                let description = types::description(&running.columns);
                self.wire.put(Back::RowDescription(description))?;
                let sent = self.send(&mut running, None).await?;
                self.complete(running.tag(sent.rows))?;
            }
            Begun::Cursor { name, rows, skip } => {
                if !skip {
                    let columns = self.cursor_columns(&name, &[]).await?;
                    let description = types::description(&columns);
                    self.wire.put(Back::RowDescription(description))?;
                }
                let tag = self.fetch(&name, rows, skip).await?;
                self.complete(tag)?;
            }
            Begun::Copy(mut running, form) => {
                let tag = self.copy(&mut running, &form).await?;
                self.complete(tag)?;
            }
        }
        Ok(())
    }

    pub(super) fn complete(&mut self, tag: impl Into<String>) -> Result<(), Fail> {
        let complete = CommandComplete::new(tag.into());
        Ok(self.wire.put(Back::CommandComplete(complete))?)
    }

    /// Whether a statement may be run now at all.
    pub(super) fn may_run(&self, command: &Command) -> Result<(), PgError> {
        // A session may stay open for long: whoever lost the token loses it.
        if !self.app.registry.holds(&self.asker.principal) {
            return Err(PgError::revoked());
        }
        match self.transaction == Transaction::Failed && !command.mends() {
            true => Err(PgError::new(
                state::FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            )),
            false => Ok(()),
        }
    }

    /// Tells of settings that have changed.
    fn tell(&mut self) -> Result<(), Fail> {
        for (name, value) in self.parameters.news() {
            if name == "application_name" {
                self.asker.caller.agent = startup::agent(&value);
            }
            let status = ParameterStatus::new(name.to_owned(), value);
            self.wire.put(Back::ParameterStatus(status))?;
        }
        Ok(())
    }

    fn notice(&mut self, code: &'static str, text: &str) -> Result<(), Fail> {
        let warning = PgError::warning(code, text);
        Ok(self.wire.put(Back::NoticeResponse(warning.notice()))?)
    }

    /// A command about the session itself: what it is told to have run.
    pub(super) fn command(&mut self, command: &Command) -> Result<String, Fail> {
        let tag = match command {
            Command::Begin(tag) => {
                if self.transaction != Transaction::None {
                    self.notice(
                        state::ACTIVE_TRANSACTION,
                        "there is already a transaction in progress",
                    )?;
                }
                self.transaction = Transaction::Open;
                self.parameters.settings().begin();
                tag
            }
            Command::Commit => self.end(true)?,
            Command::Rollback => self.end(false)?,
            Command::Savepoint(_) | Command::Release(_) | Command::RollbackTo(_) => {
                self.savepoint(command)?
            }
            Command::Set(set) => {
                if set.local && self.transaction == Transaction::None {
                    self.notice(
                        state::NO_TRANSACTION,
                        "SET LOCAL can only be used in transaction blocks",
                    )?;
                }
                self.parameters.set(set)?;
                self.tell()?;
                "SET"
            }
            Command::Reset(name) => {
                self.parameters.reset(name.as_deref())?;
                self.tell()?;
                "RESET"
            }
            Command::Deallocate(name) => self.deallocate(name.as_deref())?,
            Command::Close(name) => self.close_cursor(name.as_deref())?,
            Command::Discard(tag) => {
                if *tag == "DISCARD ALL" {
                    self.discard_all()?;
                }
                tag
            }
            Command::Unlisten => "UNLISTEN",
            // The others have rows.
            _ => "",
        };
        Ok(tag.to_owned())
    }

    fn end(&mut self, commit: bool) -> Result<&'static str, Fail> {
        let was = std::mem::replace(&mut self.transaction, Transaction::None);
        self.savepoints.clear();
        self.portals.clear();
        if was == Transaction::None {
            self.notice(state::NO_TRANSACTION, "there is no transaction in progress")?;
        }
        let committed = commit && was != Transaction::Failed;
        self.parameters.settings().end(committed);
        self.tell()?;
        // A transaction that failed is rolled back, whatever was said.
        Ok(match committed {
            true => "COMMIT",
            false => "ROLLBACK",
        })
    }

    fn savepoint(&mut self, command: &Command) -> Result<&'static str, Fail> {
        if self.transaction == Transaction::None {
            return Err(PgError::new(
                state::NO_TRANSACTION,
                "savepoints can only be used in transaction blocks",
            )
            .into());
        }
        let (name, tag) = match command {
            Command::Savepoint(name) => {
                self.savepoints.push(name.clone());
                return Ok("SAVEPOINT");
            }
            Command::Release(name) => (name, "RELEASE"),
            Command::RollbackTo(name) => (name, "ROLLBACK"),
            _ => return Ok(""),
        };
        let at = self.savepoints.iter().rposition(|s| s == name);
        let at = at.ok_or_else(|| {
            PgError::new(
                state::NO_SAVEPOINT,
                format!("savepoint \"{name}\" does not exist"),
            )
        })?;
        if tag == "RELEASE" {
            self.savepoints.truncate(at);
        } else {
            self.savepoints.truncate(at + 1);
            self.transaction = Transaction::Open;
        }
        Ok(tag)
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<&'static str, PgError> {
        match name {
            None => {
                self.statements.clear();
                Ok("DEALLOCATE ALL")
            }
            Some(name) => match self.statements.remove(name) {
                Some(_) => Ok("DEALLOCATE"),
                None => Err(PgError::new(
                    state::NO_STATEMENT,
                    format!("prepared statement \"{name}\" does not exist"),
                )),
            },
        }
    }

    fn close_cursor(&mut self, name: Option<&str>) -> Result<&'static str, PgError> {
        match name {
            None => {
                self.portals.clear();
                Ok("CLOSE CURSOR ALL")
            }
            Some(name) => match self.portals.remove(name) {
                Some(_) => Ok("CLOSE CURSOR"),
                None => Err(cursor::no_cursor(name)),
            },
        }
    }

    fn discard_all(&mut self) -> Result<(), Fail> {
        if self.transaction != Transaction::None {
            return Err(PgError::new(
                state::ACTIVE_TRANSACTION,
                "DISCARD ALL cannot run inside a transaction block",
            )
            .into());
        }
        self.portals.clear();
        self.statements.clear();
        self.parameters.reset(None)?;
        self.tell()
    }
}
