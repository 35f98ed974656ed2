//! The extended protocol: statements that are prepared, bound and run.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use cairn_query::pg::declared_parameters;
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage as Back;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use tokio::sync::OnceCell;

use super::cursor::{PORTALS, Portal, Reading, duplicate_cursor, no_cursor, too_many_portals};
use super::error::{PgError, state};
use super::frontend::{Bind, Target};
use super::run::{Begun, asked};
use super::session::{Fail, Session};
use super::statement::{self, Command, Piece};
use super::types::{self, Column};
use super::values;
use crate::server::asking;

/// How many prepared statements a session may have.
const STATEMENTS: usize = 1000;
/// How many bytes the texts of the former, and the values of the latter, may
/// have together.
const TEXTS: usize = 4 << 20;
const VALUES: usize = 8 << 20;

/// A statement that a client can run any number of times. Each time it is read,
/// judged and planned anew: what a token may see changes over time.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) piece: Piece,
    pub(super) command: Command,
    /// The types that the client named for its parameters.
    pub(super) given: Vec<Option<Type>>,
    known: OnceCell<Known>,
}

/// What the engine says of it.
#[derive(Debug)]
pub(super) struct Known {
    parameters: Vec<Type>,
    /// `None` where it has no rows.
    schema: Option<SchemaRef>,
}

impl Statement {
    pub(super) fn new(piece: Piece, command: Command, given: Vec<Option<Type>>) -> Self {
        Self {
            piece,
            command,
            given,
            known: OnceCell::new(),
        }
    }

    /// The question in it, and how many characters stand before that.
    pub(super) fn question(&self) -> Option<(String, usize)> {
        match &self.command {
            Command::Ask => Some((self.piece.text.clone(), self.piece.before)),
            Command::Declare { query, .. } => Some(self.piece.part(*query, self.piece.text.len())),
            _ => None,
        }
    }

    /// The types of its parameters, as far as client and engine tell.
    fn kinds(&self) -> Vec<Option<Type>> {
        let known = self.known.get().map_or(&[][..], |k| &k.parameters);
        let count = known.len().max(self.given.len());
        (0..count)
            .map(|at| {
                let given = self.given.get(at).cloned().flatten();
                given.or_else(|| known.get(at).cloned())
            })
            .collect()
    }
}

fn no_statement(name: &str) -> PgError {
    let what = match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{name}\" does not exist"),
    };
    PgError::new(state::NO_STATEMENT, what)
}

/// The one column that SHOW gives, or the two of SHOW ALL.
pub(super) fn shown_schema(name: Option<&str>) -> SchemaRef {
    let names = match name {
        Some(name) => vec![name],
        None => vec!["name", "setting", "description"],
    };
    let fields: Vec<Field> = names
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect();
    Arc::new(Schema::new(fields))
}

impl Session {
    pub(super) async fn parse(
        &mut self,
        name: String,
        sql: &str,
        oids: &[u32],
    ) -> Result<(), Fail> {
        let mut pieces = statement::split(sql);
        if pieces.len() > 1 {
            return Err(PgError::new(
                state::SYNTAX,
                "cannot insert multiple commands into a prepared statement",
            )
            .into());
        }
        let Some(piece) = pieces.pop() else {
            return Err(PgError::new(state::INTERNAL, "there is no statement").into());
        };
        let command = statement::command(&piece)?;
        self.may_run(&command)?;
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            return Err(PgError::new(
                state::DUPLICATE_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let texts = self.statements.values().map(|s| s.piece.text.len());
        if texts.sum::<usize>() + piece.text.len() > TEXTS {
            return Err(too_much("the texts of prepared statements").into());
        }
        if self.statements.len() >= STATEMENTS {
            return Err(PgError::new(
                state::TOO_MUCH,
                format!("a session has at most {STATEMENTS} prepared statements"),
            )
            .hint("DEALLOCATE those that are not needed")
            .into());
        }
        let given = oids
            .iter()
            .map(|oid| statement::parameter_type(*oid))
            .collect();
        let statement = Arc::new(Statement::new(piece, command, given));
        // One that is to stay has to be right. The unnamed one is planned when
        // it is described or run, and then once.
        if !name.is_empty() {
            self.known(&statement).await?;
        }
        self.statements.insert(name, statement);
        Ok(self.wire.put(Back::ParseComplete(ParseComplete::new()))?)
    }

    /// What is known of a statement before it is run.
    async fn known<'a>(&mut self, statement: &'a Statement) -> Result<&'a Known, Fail> {
        if let Some(known) = statement.known.get() {
            return Ok(known);
        }
        let mut known = Known {
            parameters: Vec::new(),
            schema: None,
        };
        if let Some((sql, before)) = statement.question() {
            let (app, asker) = (Arc::clone(&self.app), self.asker.clone());
            let preparing = asking::prepare(&app, &asker, self.question(&sql));
            let prepared = self.unless_stopped(preparing).await?;
            let prepared = prepared.map_err(|e| asked(&e, &sql, before))?;
            // What the statement casts a parameter to says more than what the
            // engine makes of it: object ids, names, times of day.
            let declared = declared_parameters(&sql);
            known.parameters = (1..)
                .zip(&prepared.parameters)
                .map(|(at, wanted)| {
                    let oid = declared.get(&at).and_then(|oid| u32::try_from(*oid).ok());
                    let named = oid.and_then(statement::parameter_type);
                    named.unwrap_or_else(|| types::of_parameter(wanted))
                })
                .collect();
            if statement.command.is_question() {
                known.schema = Some(prepared.schema);
            }
        }
        if let Command::Show(name) = &statement.command {
            let name = name
                .as_deref()
                .map(|n| self.parameters.show(n))
                .transpose()?;
            known.schema = Some(shown_schema(name.as_ref().map(|(n, _)| *n)));
        }
        Ok(statement.known.get_or_init(async || known).await)
    }

    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), Fail> {
        let statement = self.statements.get(&bind.statement).cloned();
        let statement = statement.ok_or_else(|| no_statement(&bind.statement))?;
        self.may_run(&statement.command)?;
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            return Err(duplicate_cursor(&bind.portal).into());
        }
        if self.portals.len() >= PORTALS {
            return Err(too_many_portals().into());
        }
        let size = bind.values.iter().flatten().map(Bytes::len).sum::<usize>();
        if self.portals.values().map(|p| p.size).sum::<usize>() + size > VALUES {
            return Err(too_much("the parameters of open portals").into());
        }
        let count = bind.values.len();
        let formats = types::formats(&bind.formats, count, "parameter")?;
        let untyped = |at: usize| statement.given.get(at).cloned().flatten().is_none();
        if (0..count).any(|at| formats[at] == types::Format::Binary && untyped(at)) {
            self.known(&statement).await?;
        }
        let kinds = statement.kinds();
        if let Some(known) = statement.known.get()
            && known.parameters.len() != count
        {
            return Err(PgError::protocol(format!(
                "bind message supplies {count} parameters, but prepared statement \"{}\" requires {}",
                bind.statement,
                known.parameters.len()
            ))
            .into());
        }
        let params = bind
            .values
            .into_iter()
            .zip(formats)
            .enumerate()
            .map(|(at, (value, format))| {
                let kind = kinds.get(at).cloned().flatten();
                values::param(at + 1, value, format, kind.as_ref())
            })
            .collect::<Result<Vec<_>, PgError>>()?;
        let portal = Portal {
            statement,
            params,
            size,
            codes: bind.results,
            state: Reading::Ready,
        };
        self.portals.insert(bind.portal, portal);
        Ok(self.wire.put(Back::BindComplete(BindComplete::new()))?)
    }

    pub(super) async fn describe(&mut self, target: Target, name: &str) -> Result<(), Fail> {
        let columns = match target {
            Target::Statement => {
                let statement = self.statements.get(name).cloned();
                let statement = statement.ok_or_else(|| no_statement(name))?;
                self.may_run(&statement.command)?;
                let known = self.known(&statement).await?;
                let schema = known.schema.clone();
                let oids = (0..known.parameters.len())
                    .map(|at| {
                        let given = statement.given.get(at).cloned().flatten();
                        given.unwrap_or_else(|| known.parameters[at].clone()).oid()
                    })
                    .collect();
                self.wire
                    .put(Back::ParameterDescription(ParameterDescription::new(oids)))?;
                match (&statement.command, schema) {
                    (
                        Command::Fetch {
                            name, skip: false, ..
                        },
                        _,
                    ) => Some(self.cursor_columns(name, &[]).await?),
                    (_, Some(schema)) => Some(types::columns(&schema, &[])?),
                    _ => None,
                }
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
                self.may_run(&portal.statement.command)?;
                self.portal_columns(name).await?
            }
        };
        match columns {
            Some(columns) => self
                .wire
                .put(Back::RowDescription(types::description(&columns)))?,
            None => self.wire.put(Back::NoData(NoData::new()))?,
        }
        Ok(())
    }

    /// The columns of a portal. One that asks the engine begins to run: it is
    /// planned once, and what it gives is what was described.
    async fn portal_columns(&mut self, name: &str) -> Result<Option<Vec<Column>>, Fail> {
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        match &portal.state {
            Reading::Open(running) => return Ok(Some(running.columns.clone())),
            Reading::Done(columns) => return Ok(Some(columns.clone())),
            Reading::Ready => {}
        }
        let (statement, codes) = (Arc::clone(&portal.statement), portal.codes.clone());
        match &statement.command {
            Command::Ask | Command::Show(_) => {
                let running = self.open(name).await?;
                Ok(Some(running.columns.clone()))
            }
            Command::Fetch {
                name, skip: false, ..
            } => Ok(Some(self.cursor_columns(name, &codes).await?)),
            _ => Ok(None),
        }
    }

    pub(super) async fn execute(&mut self, name: &str, rows: usize) -> Result<(), Fail> {
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        let statement = Arc::clone(&portal.statement);
        self.may_run(&statement.command)?;
        if self.stop.soon.is_cancelled() {
            return Err(PgError::stopping().into());
        }
        if matches!(statement.command, Command::Ask | Command::Show(_)) {
            return self.execute_rows(name, rows).await;
        }
        let (params, codes) = match self.portals.get_mut(name) {
            Some(portal) => (std::mem::take(&mut portal.params), portal.codes.clone()),
            None => return Err(no_cursor(name).into()),
        };
        match self.begin(&statement, params, &codes).await? {
            Begun::Empty => {
                let empty = EmptyQueryResponse::new();
                Ok(self.wire.put(Back::EmptyQueryResponse(empty))?)
            }
            Begun::Done(tag) => self.complete(tag),
            Begun::Cursor { name, rows, skip } => {
                if !skip {
                    self.cursor_columns(&name, &codes).await?;
                }
                let tag = self.fetch(&name, rows, skip).await?;
                self.complete(tag)
            }
            Begun::Copy(mut running, form) => {
                let tag = self.copy(&mut running, &form).await?;
                self.complete(tag)
            }
            Begun::Rows(_) => Ok(()),
        }
    }

    async fn execute_rows(&mut self, name: &str, rows: usize) -> Result<(), Fail> {
        let most = (rows > 0).then_some(rows as u64);
        let Some((running, sent)) = self.read(name, most).await? else {
            // All was read before: there are no more rows.
            return self.complete("SELECT 0");
        };
        if sent.more {
            let portal = self.portals.get_mut(name).ok_or_else(|| no_cursor(name))?;
            portal.state = Reading::Open(running);
            return Ok(self
                .wire
                .put(Back::PortalSuspended(PortalSuspended::new()))?);
        }
        let tag = running.tag(sent.rows);
        self.done(name, running.columns);
        self.complete(tag)
    }

    pub(super) fn close(&mut self, target: Target, name: &str) -> Result<(), Fail> {
        // What is not there is closed already, as in PostgreSQL.
        match target {
            Target::Statement => drop(self.statements.remove(name)),
            Target::Portal => drop(self.portals.remove(name)),
        }
        Ok(self.wire.put(Back::CloseComplete(CloseComplete::new()))?)
    }
}

fn too_much(what: &str) -> PgError {
    PgError::new(state::TOO_MUCH, format!("{what} take too much room"))
        .hint("close what is not needed")
}
