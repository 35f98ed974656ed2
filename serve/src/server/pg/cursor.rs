//! Portals and cursors: rows that are read in parts.

use std::sync::Arc;

use cairn_query::Param;

use super::error::{PgError, state};
use super::extended::Statement;
use super::run::{Running, Sent};
use super::session::{Fail, Session, Transaction};
use super::statement::{self, Command};
use super::types::{self, Column};

/// How many a session may have.
pub(super) const PORTALS: usize = 64;

/// A statement with the values of its parameters.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) statement: Arc<Statement>,
    pub(super) params: Vec<Param>,
    /// How many bytes came for them.
    pub(super) size: usize,
    /// The formats of its columns, as the client asked for them.
    pub(super) codes: Vec<i16>,
    pub(super) state: Reading,
}

/// How far a portal was read.
#[derive(Debug)]
pub(super) enum Reading {
    /// Not at all.
    Ready,
    /// To some row.
    Open(Box<Running>),
    /// To the end.
    Done(Vec<Column>),
}

pub(super) fn no_cursor(name: &str) -> PgError {
    let what = match name {
        "" => "the unnamed portal does not exist".to_owned(),
        name => format!("portal or cursor \"{name}\" does not exist"),
    };
    PgError::new(state::NO_CURSOR, what)
}

impl Session {
    /// The portal's rows, which begin to be read with this.
    pub(super) async fn open(&mut self, name: &str) -> Result<&mut Running, Fail> {
        let portal = self.portals.get_mut(name).ok_or_else(|| no_cursor(name))?;
        if matches!(portal.state, Reading::Ready) {
            let statement = Arc::clone(&portal.statement);
            let params = std::mem::take(&mut portal.params);
            let codes = portal.codes.clone();
            let running = self.begin_rows(&statement, params, &codes).await?;
            let portal = self.portals.get_mut(name).ok_or_else(|| no_cursor(name))?;
            portal.state = Reading::Open(running);
        }
        match self.portals.get_mut(name).map(|p| &mut p.state) {
            Some(Reading::Open(running)) => Ok(running),
            _ => Err(no_cursor(name).into()),
        }
    }

    /// The columns of a cursor, in the formats that its reader wants.
    pub(super) async fn cursor_columns(
        &mut self,
        name: &str,
        codes: &[i16],
    ) -> Result<Vec<Column>, Fail> {
        let portal = self.portals.get_mut(name).ok_or_else(|| no_cursor(name))?;
        if let Reading::Done(columns) = &mut portal.state {
            types::reformat(columns, codes)?;
            return Ok(columns.clone());
        }
        let running = self.open(name).await?;
        running.reformat(codes)?;
        Ok(running.columns.clone())
    }

    /// Sends up to `most` rows of a portal. It is taken out while it is read:
    /// if that fails, it is gone, and what it held is free.
    pub(super) async fn read(
        &mut self,
        name: &str,
        most: Option<u64>,
    ) -> Result<Option<(Box<Running>, Sent)>, Fail> {
        if let Some(Reading::Done(_)) = self.portals.get(name).map(|p| &p.state) {
            return Ok(None);
        }
        self.open(name).await?;
        let portal = self.portals.get_mut(name).ok_or_else(|| no_cursor(name))?;
        let state = std::mem::replace(&mut portal.state, Reading::Done(Vec::new()));
        let Reading::Open(mut running) = state else {
            return Ok(None);
        };
        let sent = self.send(&mut running, most).await?;
        Ok(Some((running, sent)))
    }

    pub(super) fn done(&mut self, name: &str, columns: Vec<Column>) {
        if let Some(portal) = self.portals.get_mut(name) {
            portal.state = Reading::Done(columns);
        }
    }

    /// DECLARE: a portal that statements read.
    pub(super) fn declare(
        &mut self,
        name: &str,
        statement: &Statement,
        params: Vec<Param>,
    ) -> Result<(), Fail> {
        if self.transaction == Transaction::None {
            return Err(PgError::new(
                state::NO_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .into());
        }
        if self.portals.contains_key(name) {
            return Err(duplicate_cursor(name).into());
        }
        if self.portals.len() >= PORTALS {
            return Err(too_many_portals().into());
        }
        let Some((sql, before)) = statement.question() else {
            return Err(PgError::new(state::INTERNAL, "a cursor without a question").into());
        };
        let mut inner = statement::split(&sql);
        let Some(mut piece) = inner.pop().filter(|_| inner.is_empty()) else {
            return Err(PgError::new(state::SYNTAX, "a cursor is over one statement").into());
        };
        piece.before += before;
        let statement = Statement::new(piece, Command::Ask, statement.given.clone());
        let portal = Portal {
            statement: Arc::new(statement),
            params,
            size: 0,
            codes: Vec::new(),
            state: Reading::Ready,
        };
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// FETCH and MOVE: the tag.
    pub(super) async fn fetch(
        &mut self,
        name: &str,
        rows: Option<usize>,
        skip: bool,
    ) -> Result<String, Fail> {
        let what = if skip { "MOVE" } else { "FETCH" };
        if let Some(Portal {
            state: Reading::Open(running),
            ..
        }) = self.portals.get_mut(name)
        {
            running.silent = skip;
        } else if skip {
            self.open(name).await?.silent = true;
        }
        if rows == Some(0) {
            return Ok(format!("{what} 0"));
        }
        let read = self.read(name, rows.map(|n| n as u64)).await?;
        let Some((mut running, sent)) = read else {
            return Ok(format!("{what} 0"));
        };
        running.silent = false;
        match self.portals.get_mut(name) {
            Some(portal) if sent.more => portal.state = Reading::Open(running),
            _ => self.done(name, running.columns),
        }
        Ok(format!("{what} {}", sent.rows))
    }
}

pub(super) fn duplicate_cursor(name: &str) -> PgError {
    PgError::new(
        state::DUPLICATE_CURSOR,
        format!("cursor \"{name}\" already exists"),
    )
}

pub(super) fn too_many_portals() -> PgError {
    PgError::new(
        state::TOO_MUCH,
        format!("a session has at most {PORTALS} portals and cursors"),
    )
    .hint("close those that are not needed")
}
