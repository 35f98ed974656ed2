//! What Flight SQL asks for, answered.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::GetCatalogsBuilder;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandStatementIngest,
    CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt,
    SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use cairn_query::{Prepared, Question, TableInfo};
use cairn_schemas::time::SECOND;
use cairn_schemas::{IdSource, Micros};
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::enter::{Handshakes, asker, welcomed};
use super::facts::{self, Facts};
use super::forms::{bound, located, parameter_schema, schema_bytes};
use super::rows::{FlightRows, of_answer, of_batch};
use super::seal::Seal;
use super::statements::{KEPT, Statement, Statements};
use super::status::{broken, internal, refused, status_of};
use crate::server::app::Shared;
use crate::server::asking::{self, Asker};

/// What tickets and handles are made for.
const A_TICKET: &str = "ticket";
const A_HANDLE: &str = "handle";

/// The service. One for all connections.
#[derive(Clone, Debug)]
pub(super) struct Service {
    app: Shared,
    ids: Arc<dyn IdSource>,
    seal: Arc<Seal>,
    statements: Arc<Statements>,
    facts: Arc<Facts>,
}

type Info = Result<Response<FlightInfo>, Status>;
type Rows = Result<Response<FlightRows>, Status>;

impl Service {
    pub(super) fn new(app: Shared, ids: Arc<dyn IdSource>) -> anyhow::Result<Self> {
        Ok(Self {
            seal: Arc::new(Seal::new(ids.as_ref())),
            statements: Arc::default(),
            facts: Arc::new(Facts::new()?),
            app,
            ids,
        })
    }

    /// Who calls, if they may ask at all.
    async fn asker<T>(&self, call: &str, request: &Request<T>) -> Result<Asker, Status> {
        let asker = asker(&self.app, call, request)?;
        let may = asking::may_ask(&self.app, &asker).await;
        may.map_err(|e| status_of(&e))?;
        Ok(asker)
    }

    fn now(&self) -> Micros {
        self.app.clock.now()
    }

    async fn prepared(&self, asker: &Asker, sql: &str) -> Result<Prepared, Status> {
        let prepared = asking::prepare(&self.app, asker, sql).await;
        prepared.map_err(|e| status_of(&e))
    }

    /// The statement of a handle that this caller was given.
    fn statement(&self, asker: &Asker, handle: &[u8]) -> Result<(String, Statement), Status> {
        let whose = &asker.principal.id;
        let id = self.seal.open(A_HANDLE, whose, self.now(), handle);
        let id = String::from_utf8_lossy(id.map_err(broken)?).into_owned();
        match self.statements.get(&id, whose, self.now()) {
            Some(statement) => Ok((id, statement)),
            None => Err(Status::not_found(
                "the prepared statement was closed, or not used for too long: prepare it again",
            )),
        }
    }

    /// Where the rows of a question can be fetched: once more, and for a while,
    /// and by nobody else.
    fn info(&self, asker: &Asker, ticket: &[u8], schema: &Schema, asked: FlightDescriptor) -> Info {
        let lifetime = self.app.settings.flight.ticket_lifetime.as_secs();
        let lifetime = i64::try_from(lifetime).unwrap_or(i64::MAX / SECOND) * SECOND;
        let expires = Micros(self.now().0.saturating_add(lifetime));
        let sealed = self
            .seal
            .close(A_TICKET, &asker.principal.id, expires, ticket);
        let ticket = TicketStatementQuery {
            statement_handle: sealed.into(),
        };
        located(ticket.as_any().encode_to_vec(), schema, asked)
    }

    async fn rows(&self, asker: Asker, statement: Statement) -> Rows {
        let question = Question {
            params: statement.params,
            ..statement.sql.into()
        };
        match asking::ask(&self.app, asker, question).await {
            Ok(answer) => Ok(Response::new(of_answer(answer))),
            Err(error) => Err(status_of(&error)),
        }
    }

    async fn tables(&self, asker: &Asker) -> Vec<TableInfo> {
        self.app.engine.tables(&asker.principal).await
    }

    /// Where the answer to a question about names and types is: it is as good
    /// as its own ticket, for whoever fetches it is asked who they are.
    async fn told<C: ProstMessageExt>(
        &self,
        query: C,
        schema: &Schema,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.asker(C::type_url(), &request).await?;
        let ticket = query.as_any().encode_to_vec();
        located(ticket, schema, request.into_inner())
    }
}

fn given(batch: Result<RecordBatch, FlightError>) -> Rows {
    Ok(Response::new(of_batch(batch.map_err(internal)?)))
}

/// A ticket's body: the handle of a prepared statement, or a statement.
const PREPARED: u8 = 1;
const PLAIN: u8 = 2;

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Service;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Handshakes>, Status> {
        welcomed(&self.app, &request)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let asker = self.asker("CommandStatementQuery", &request).await?;
        let prepared = self.prepared(&asker, &query.query).await?;
        if !prepared.parameters.is_empty() {
            return Err(Status::invalid_argument(
                "the statement has parameters: prepare it and bind them",
            ));
        }
        let ticket = [&[PLAIN], query.query.as_bytes()].concat();
        self.info(&asker, &ticket, &prepared.schema, request.into_inner())
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let asker = self
            .asker("CommandPreparedStatementQuery", &request)
            .await?;
        let handle = &query.prepared_statement_handle;
        let (_, statement) = self.statement(&asker, handle)?;
        let prepared = self.prepared(&asker, &statement.sql).await?;
        let ticket = [&[PREPARED], handle.as_ref()].concat();
        self.info(&asker, &ticket, &prepared.schema, request.into_inner())
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Rows {
        let asker = self.asker("TicketStatementQuery", &request).await?;
        let (sealed, whose) = (&ticket.statement_handle, &asker.principal.id);
        let opened = self.seal.open(A_TICKET, whose, self.now(), sealed);
        let statement = match opened.map_err(broken)?.split_first() {
            Some((&PREPARED, handle)) => self.statement(&asker, handle)?.1,
            Some((&PLAIN, sql)) => Statement {
                sql: String::from_utf8_lossy(sql).into_owned(),
                params: Vec::new(),
            },
            _ => return Err(internal("a ticket of no kind")),
        };
        self.rows(asker, statement).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Rows {
        let asker = self
            .asker("CommandPreparedStatementQuery", &request)
            .await?;
        let (_, statement) = self.statement(&asker, &query.prepared_statement_handle)?;
        self.rows(asker, statement).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let asker = self.asker("CreatePreparedStatement", &request).await?;
        let prepared = self.prepared(&asker, &query.query).await?;
        let (id, whose, now) = (self.ids.hex128(), &asker.principal.id, self.now());
        let expires = Micros(now.0 + 24 * KEPT);
        let handle = self.seal.close(A_HANDLE, whose, expires, id.as_bytes());
        self.statements.hold(id, whose, now, query.query);
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema: schema_bytes(&prepared.schema)?,
            parameter_schema: schema_bytes(&parameter_schema(&prepared))?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let asker = asker(&self.app, "ClosePreparedStatement", &request)?;
        // One that is gone is as good as closed.
        if let Ok((id, _)) = self.statement(&asker, &query.prepared_statement_handle) {
            self.statements.close(&id, &asker.principal.id);
        }
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let asker = self.asker("BindParameters", &request).await?;
        let handle = query.prepared_statement_handle;
        let (id, _) = self.statement(&asker, &handle)?;
        let bound = bound(request.into_inner()).await?;
        self.statements
            .bind(&id, &asker.principal.id, self.now(), bound);
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(handle),
        })
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = GetCatalogsBuilder::new().schema();
        self.told(query, &schema, request).await
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Rows {
        self.asker("CommandGetCatalogs", &request).await?;
        let mut builder = query.into_builder();
        builder.append(facts::CATALOG);
        given(builder.build())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = query.clone().into_builder().schema();
        self.told(query, &schema, request).await
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Rows {
        let asker = self.asker("CommandGetDbSchemas", &request).await?;
        given(facts::schemas(query, &self.tables(&asker).await))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = query.clone().into_builder().schema();
        self.told(query, &schema, request).await
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Rows {
        let asker = self.asker("CommandGetTables", &request).await?;
        given(facts::tables(query, &self.tables(&asker).await))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = query.into_builder().schema();
        self.told(query, &schema, request).await
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Rows {
        self.asker("CommandGetTableTypes", &request).await?;
        given(facts::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = self.facts.sql.schema();
        self.told(query, &schema, request).await
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Rows {
        self.asker("CommandGetSqlInfo", &request).await?;
        given(query.into_builder(&self.facts.sql).build())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = self.facts.types.schema();
        self.told(query, &schema, request).await
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Rows {
        self.asker("CommandGetXdbcTypeInfo", &request).await?;
        given(query.into_builder(&self.facts.types).build())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = facts::primary_keys();
        self.told(query, &schema, request).await
    }

    async fn do_get_primary_keys(
        &self,
        _query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Rows {
        self.asker("CommandGetPrimaryKeys", &request).await?;
        given(Ok(RecordBatch::new_empty(facts::primary_keys())))
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = facts::foreign_keys();
        self.told(query, &schema, request).await
    }

    async fn do_get_exported_keys(
        &self,
        _query: CommandGetExportedKeys,
        request: Request<Ticket>,
    ) -> Rows {
        self.asker("CommandGetExportedKeys", &request).await?;
        given(Ok(RecordBatch::new_empty(facts::foreign_keys())))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = facts::foreign_keys();
        self.told(query, &schema, request).await
    }

    async fn do_get_imported_keys(
        &self,
        _query: CommandGetImportedKeys,
        request: Request<Ticket>,
    ) -> Rows {
        self.asker("CommandGetImportedKeys", &request).await?;
        given(Ok(RecordBatch::new_empty(facts::foreign_keys())))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = facts::foreign_keys();
        self.told(query, &schema, request).await
    }

    async fn do_get_cross_reference(
        &self,
        _query: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Rows {
        self.asker("CommandGetCrossReference", &request).await?;
        given(Ok(RecordBatch::new_empty(facts::foreign_keys())))
    }

    async fn get_flight_info_fallback(
        &self,
        command: Command,
        request: Request<FlightDescriptor>,
    ) -> Info {
        asker(&self.app, "GetFlightInfo", &request)?;
        Err(refused(
            command.type_url().rsplit('.').next().unwrap_or("this"),
        ))
    }

    async fn do_get_fallback(&self, request: Request<Ticket>, _message: Any) -> Rows {
        asker(&self.app, "DoGet", &request)?;
        Err(refused("this ticket"))
    }

    async fn do_put_statement_update(
        &self,
        _query: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        asker(&self.app, "CommandStatementUpdate", &request)?;
        Err(refused("a change"))
    }

    async fn do_put_statement_ingest(
        &self,
        _query: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        asker(&self.app, "CommandStatementIngest", &request)?;
        Err(refused("putting rows in"))
    }

    async fn do_put_fallback(
        &self,
        request: Request<PeekableFlightDataStream>,
        _message: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        asker(&self.app, "DoPut", &request)?;
        Err(refused("putting data in"))
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        asker(&self.app, "DoAction", &request)?;
        Err(refused("this action"))
    }

    async fn register_sql_info(&self, _id: i32, _info: &SqlInfo) {}
}
