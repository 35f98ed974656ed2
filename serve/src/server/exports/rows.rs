//! The rows of an export: asked for as every question is, on an engine of
//! their own, whose queries may take longer than others.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_query::{AsOf, ErrorKind, Question};
use cairn_schemas::export::Export;
use cairn_schemas::{Micros, Position};
use serde_json::{Value, json};

use crate::export::manifest::TableState;
use crate::server::app::Shared;
use crate::server::asking::{Answer, AskError, Asker, ask_on};
use crate::server::audit::Caller;

/// How often it is asked while a table does not answer, with growing pauses:
/// after a start it may not have what an earlier attempt read.
const TRIES: u32 = 6;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Rows {
    answer: Answer,
    begun: Micros,
}

impl Rows {
    /// Asks: about the tables as they are now, or, where an earlier attempt
    /// told their states, about those.
    pub(super) async fn open(app: &Shared, document: &Export) -> Result<Self, AskError> {
        let begun = app.clock.now();
        let as_of = document.states.as_ref().map(AsOf::from_json).transpose()?;
        let question = Question {
            sql: document.sql.clone(),
            as_of,
            ..Question::default()
        };
        let asker = Asker {
            principal: document.owner.principal(),
            caller: Caller {
                address: document.owner.address.clone(),
                agent: document.owner.agent.clone(),
            },
            door: "export",
        };
        let mut pause = Duration::from_secs(1);
        for _ in 1..TRIES {
            match ask_on(app, &app.export_engine, asker.clone(), question.clone()).await {
                Err(AskError::Query(error)) if error.kind == ErrorKind::Unavailable => {}
                other => return other.map(|answer| Self { answer, begun }),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let answer = ask_on(app, &app.export_engine, asker, question).await?;
        Ok(Self { answer, begun })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.answer.schema()
    }

    /// When the rows were asked for.
    pub(super) fn begun(&self) -> Micros {
        self.begun
    }

    /// The tables that the statement speaks of, with their states where they
    /// have any.
    pub(super) fn tables(&self) -> Vec<TableState> {
        let states = self.answer.states().as_object();
        let without = self
            .answer
            .tables()
            .iter()
            .filter(|name| !self.has_state(name));
        let without = without.map(|name| TableState {
            name: name.clone(),
            state: None,
        });
        let states = states.into_iter().flatten();
        let with = states.map(|(name, state)| TableState {
            name: name.clone(),
            state: Some(state.clone()),
        });
        with.chain(without).collect()
    }

    fn has_state(&self, table: &str) -> bool {
        let mut names = self.answer.versions().keys();
        names.any(|name| name.split('@').next() == Some(table))
    }

    /// The states by which the same rows can be asked for again; nothing where
    /// a table has none, such as those that tell of Cairn itself.
    pub(super) fn states(&self) -> Option<Value> {
        let states = self.answer.versions();
        let all = self.answer.tables().iter().all(|name| self.has_state(name));
        (all && !states.is_empty()).then(|| json!(states))
    }

    /// Up to where the log is in these states.
    pub(super) fn reach(&self) -> Position {
        let mut reach = Position::default();
        for version in self.answer.versions().values() {
            reach.merge(&version.reach);
        }
        reach
    }

    pub(super) async fn next(&mut self) -> Option<Result<RecordBatch, AskError>> {
        self.answer.next().await
    }
}
