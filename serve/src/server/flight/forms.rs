//! What goes into and comes out of Flight's messages.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::{
    FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket,
};
use cairn_query::{Param, Prepared, ScalarValue};
use futures::{Stream, TryStreamExt as _};
use tonic::{Response, Status};

use super::status::internal;

/// Where the rows of `ticket` can be fetched.
pub(super) fn located(
    ticket: Vec<u8>,
    schema: &Schema,
    asked: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(internal)?;
    Ok(Response::new(
        info.with_endpoint(endpoint)
            .with_descriptor(asked)
            // How many there will be is not known before they are read.
            .with_total_records(-1)
            .with_total_bytes(-1),
    ))
}

/// A schema as messages have it.
pub(super) fn schema_bytes(schema: &Schema) -> Result<prost::bytes::Bytes, Status> {
    let options = IpcWriteOptions::default();
    let message: Result<IpcMessage, _> = SchemaAsIpc::new(schema, &options).try_into();
    Ok(message.map_err(internal)?.0)
}

/// The parameters as columns. Where a statement does not say what it wants,
/// text stands for anything.
pub(super) fn parameter_schema(prepared: &Prepared) -> Schema {
    let field = |(at, wanted): (usize, &Option<DataType>)| {
        let data_type = wanted.clone().unwrap_or(DataType::Utf8);
        Field::new(format!("${}", at + 1), data_type, true)
    };
    Schema::new(
        prepared
            .parameters
            .iter()
            .enumerate()
            .map(field)
            .collect::<Vec<_>>(),
    )
}

/// The values of one row. Texts stand for what the statement wants.
fn params_of(batch: &RecordBatch) -> Result<Vec<Param>, Status> {
    if batch.num_rows() != 1 {
        return Err(Status::invalid_argument(format!(
            "{} rows of parameters came, and a statement is asked with one: bind them one by one",
            batch.num_rows()
        )));
    }
    let value = |column: &Arc<dyn Array>| {
        let value = ScalarValue::try_from_array(column, 0);
        let value =
            value.map_err(|_| Status::invalid_argument("a parameter has no single value"))?;
        Ok(match value {
            ScalarValue::Utf8(text)
            | ScalarValue::Utf8View(text)
            | ScalarValue::LargeUtf8(text) => Param::Text(text),
            value if value.is_null() => Param::Text(None),
            value => Param::Typed(value),
        })
    };
    batch.columns().iter().map(value).collect()
}

/// The values that a client binds: one row of them, or none.
pub(super) async fn bound(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<Vec<Param>, Status> {
    let mut batches = FlightRecordBatchStream::new_from_flight_data(data.map_err(Into::into));
    let wrong = |e| Status::invalid_argument(format!("the parameters cannot be read: {e}"));
    let mut bound = None;
    while let Some(batch) = batches.try_next().await.map_err(wrong)? {
        if batch.num_rows() == 0 && bound.is_none() {
            continue;
        }
        if bound.replace(params_of(&batch)?).is_some() {
            return Err(Status::invalid_argument(
                "a statement is asked with one row of parameters: bind them one by one",
            ));
        }
    }
    Ok(bound.unwrap_or_default())
}
