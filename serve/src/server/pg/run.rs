//! Statements under way: from a question to rows on the wire, one batch at a
//! time, as fast as the client takes them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use cairn_query::{Param, Question};
use futures::poll;
use std::pin::pin;
use std::task::Poll;

use super::encode::Rows;
use super::error::{PgError, state};
use super::extended::{Statement, shown_schema};
use super::session::{Fail, Session};
use super::statement::{Command, CopyOut};
use super::types::{self, Column};
use crate::server::asking::{self, Answer, AskError};

/// Where rows come from.
#[derive(Debug)]
enum Source {
    Asked(Box<Answer>),
    /// All of them are here.
    Made(Option<RecordBatch>),
}

/// Rows under way.
#[derive(Debug)]
pub(super) struct Running {
    source: Source,
    pub(super) columns: Vec<Column>,
    rows: Option<Rows>,
    word: &'static str,
    /// Its statement, for places of errors.
    text: String,
    before: usize,
    /// Rows are passed over and not sent.
    pub(super) silent: bool,
}

/// What became of a statement at its beginning.
#[derive(Debug)]
pub(super) enum Begun {
    /// There was nothing to do.
    Empty,
    /// It is done.
    Done(String),
    /// Rows follow.
    Rows(Box<Running>),
    /// A cursor is read.
    Cursor {
        name: String,
        rows: Option<usize>,
        skip: bool,
    },
    /// Rows follow in another form.
    Copy(Box<Running>, CopyOut),
}

/// How many rows went out, and whether there may be more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) more: bool,
}

/// An error of the engine, or of asking it, as clients are told it.
pub(super) fn asked(error: &AskError, text: &str, before: usize) -> PgError {
    let told = match error {
        AskError::Query(error) => return PgError::of_query(error, text, before),
        AskError::Role(_) | AskError::OtherProcess => {
            PgError::fatal(state::NOT_ALLOWED, error.to_string())
        }
        AskError::Unrecorded(_) => PgError::new(state::IO, error.to_string()),
    };
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

impl Running {
    /// What the client is told was run.
    pub(super) fn tag(&self, rows: u64) -> String {
        match self.word {
            "SELECT" | "COPY" => format!("{} {rows}", self.word),
            word => word.to_owned(),
        }
    }

    /// Writes from now on as `codes` say.
    pub(super) fn reformat(&mut self, codes: &[i16]) -> Result<(), PgError> {
        types::reformat(&mut self.columns, codes)?;
        if let Some(rows) = &mut self.rows {
            rows.reformat(&self.columns);
        }
        Ok(())
    }
}

/// What a question is called when it is done.
fn word(text: &str) -> &'static str {
    let first: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    match first.to_ascii_lowercase().as_str() {
        "explain" => "EXPLAIN",
        "show" | "describe" | "desc" => "SHOW",
        _ => "SELECT",
    }
}

impl Session {
    /// Begins a statement.
    pub(super) async fn begin(
        &mut self,
        statement: &Arc<Statement>,
        params: Vec<Param>,
        codes: &[i16],
    ) -> Result<Begun, Fail> {
        self.may_run(&statement.command)?;
        Ok(match &statement.command {
            Command::Empty => Begun::Empty,
            Command::Ask | Command::Show(_) => {
                Begun::Rows(self.begin_rows(statement, params, codes).await?)
            }
            Command::Declare { name, .. } => {
                self.declare(name, statement, params)?;
                Begun::Done("DECLARE CURSOR".to_owned())
            }
            Command::Fetch { name, rows, skip } => Begun::Cursor {
                name: name.clone(),
                rows: *rows,
                skip: *skip,
            },
            Command::Copy(copy) => {
                let question = self.question(&copy.query);
                let before = copy.before.map_or(0, |b| b);
                let mut running = self.ask(question, &copy.query, before, &[]).await?;
                running.word = "COPY";
                Begun::Copy(running, copy.clone())
            }
            other => Begun::Done(self.command(other)?),
        })
    }

    /// Begins a statement that has rows.
    pub(super) async fn begin_rows(
        &mut self,
        statement: &Arc<Statement>,
        params: Vec<Param>,
        codes: &[i16],
    ) -> Result<Box<Running>, Fail> {
        if let Command::Show(name) = &statement.command {
            return self.show(name.as_deref(), codes);
        }
        let Some((text, before)) = statement.question() else {
            return Err(PgError::new(state::INTERNAL, "a statement without rows").into());
        };
        let question = Question {
            params,
            ..self.question(&text)
        };
        self.ask(question, &text, before, codes).await
    }

    /// A question of this session.
    pub(super) fn question(&self, text: &str) -> Question {
        let settings = self.parameters.settings();
        Question {
            timeout: settings.statement_timeout(),
            settings: Some(Arc::clone(settings)),
            ..Question::from(text)
        }
    }

    async fn ask(
        &mut self,
        question: Question,
        text: &str,
        before: usize,
        codes: &[i16],
    ) -> Result<Box<Running>, Fail> {
        let (app, asker) = (Arc::clone(&self.app), self.asker.clone());
        let answer = self
            .unless_stopped(asking::ask(&app, asker, question))
            .await?;
        let answer = answer.map_err(|e| asked(&e, text, before))?;
        let columns = types::columns(&answer.schema(), codes)?;
        Ok(Box::new(Running {
            source: Source::Asked(Box::new(answer)),
            columns,
            rows: None,
            word: word(text),
            text: text.to_owned(),
            before,
            silent: false,
        }))
    }

    fn show(&mut self, name: Option<&str>, codes: &[i16]) -> Result<Box<Running>, Fail> {
        let (schema, columns) = match name {
            Some(name) => {
                let (name, value) = self.parameters.show(name)?;
                (shown_schema(Some(name)), vec![vec![value]])
            }
            None => {
                let mut columns = vec![Vec::new(), Vec::new(), Vec::new()];
                for (name, value, about) in self.parameters.all() {
                    columns[0].push(name.to_owned());
                    columns[1].push(value);
                    columns[2].push(about.to_owned());
                }
                (shown_schema(None), columns)
            }
        };
        let arrays = columns
            .into_iter()
            .map(|c| Arc::new(StringArray::from(c)) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect())
            .map_err(|e| PgError::new(state::INTERNAL, e.to_string()))?;
        Ok(Box::new(Running {
            source: Source::Made(Some(batch)),
            columns: types::columns(&schema, codes)?,
            rows: None,
            word: "SHOW",
            text: String::new(),
            before: 0,
            silent: false,
        }))
    }

    /// `work`, unless somebody stops it: by a cancel request, by going away,
    /// or by stopping the server. Then it is dropped, which stops the query and
    /// gives its place back.
    pub(super) async fn unless_stopped<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Fail> {
        let mut work = pin!(work);
        // Mostly it is there, and what waits to be written can wait for it.
        if let Poll::Ready(done) = poll!(work.as_mut()) {
            return Ok(done);
        }
        let (canceled, now) = (self.canceled.clone(), self.stop.now.clone());
        let wire = &mut self.wire;
        let gone = async {
            match wire.flush().await {
                Ok(()) => wire.gone().await,
                Err(lost) => lost,
            }
        };
        tokio::select! {
            done = work => Ok(done),
            lost = gone => Err(lost.into()),
            () = canceled.cancelled() => Err(PgError::canceled().into()),
            () = now.cancelled() => Err(PgError::stopping().into()),
        }
    }

    /// The next batch, ready to be written.
    pub(super) async fn batch(&mut self, running: &mut Running) -> Result<bool, Fail> {
        let batch = match &mut running.source {
            Source::Made(batch) => batch.take(),
            Source::Asked(answer) => match self.unless_stopped(answer.next()).await? {
                None => None,
                Some(Ok(batch)) => Some(batch),
                Some(Err(error)) => {
                    return Err(asked(&error, &running.text, running.before).into());
                }
            },
        };
        let Some(batch) = batch else {
            running.rows = None;
            return Ok(false);
        };
        let rows = Rows::new(&batch, &running.columns);
        match rows {
            Ok(rows) => running.rows = Some(rows),
            Err(error) => {
                if let Source::Asked(answer) = &mut running.source {
                    answer.fail(&error).await;
                }
                return Err(PgError::of_query(&error, &running.text, running.before).into());
            }
        }
        Ok(true)
    }

    /// Writes what waits, if the one who asked may still have it. However slow
    /// they read, no more than this waits.
    async fn pass_on(&mut self, running: &mut Running) -> Result<(), Fail> {
        let (canceled, now) = (self.canceled.clone(), self.stop.now.clone());
        let flushing = async {
            match &mut running.source {
                Source::Made(_) => Ok(self.wire.flush().await?),
                Source::Asked(answer) => {
                    let taken = answer.taken(self.wire.flush()).await;
                    let flushed =
                        taken.map_err(|e| PgError::of_query(&e, &running.text, running.before))?;
                    Ok(flushed?)
                }
            }
        };
        // What was not written yet still is, before the error: no message is
        // torn.
        tokio::select! {
            biased;
            () = canceled.cancelled() => Err(PgError::canceled().into()),
            () = now.cancelled() => Err(PgError::stopping().into()),
            flushed = flushing => flushed,
        }
    }

    /// Sends rows, up to `most` of them.
    pub(super) async fn send(
        &mut self,
        running: &mut Running,
        most: Option<u64>,
    ) -> Result<Sent, Fail> {
        self.each_row(running, most, |rows, silent, out| match silent {
            true => rows.skip_row(),
            false => rows.write_row(out),
        })
        .await
    }

    /// Has `write` write rows, up to `most` of them, and passes them on.
    pub(super) async fn each_row(
        &mut self,
        running: &mut Running,
        most: Option<u64>,
        mut write: impl FnMut(&mut Rows, bool, &mut bytes::BytesMut),
    ) -> Result<Sent, Fail> {
        let mut sent = 0;
        loop {
            let silent = running.silent;
            while let Some(rows) = running.rows.as_mut().filter(|rows| !rows.is_done()) {
                if most.is_some_and(|most| sent >= most) {
                    return Ok(Sent {
                        rows: sent,
                        more: true,
                    });
                }
                write(rows, silent, self.wire.out());
                sent += 1;
                if self.wire.is_full() {
                    self.pass_on(running).await?;
                }
            }
            // As in PostgreSQL, a portal that gave as many as it was asked for
            // is not at its end, whether or not there are more.
            if most.is_some_and(|most| sent >= most) {
                return Ok(Sent {
                    rows: sent,
                    more: true,
                });
            }
            if !self.batch(running).await? {
                return Ok(Sent {
                    rows: sent,
                    more: false,
                });
            }
        }
    }
}
