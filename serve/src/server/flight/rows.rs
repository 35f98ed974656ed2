//! Answers as streams of Flight data.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tonic::Status;

use super::status::status_of;
use crate::server::asking::{Answer, AskError};

/// What a call for rows gives back.
pub(super) type FlightRows = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// About how many bytes one message has: clients refuse those of more than 4 MiB.
const MESSAGE: usize = 1 << 20;

/// What the feeder says: rows, or the proper end.
type Part = Result<Option<RecordBatch>, Status>;

/// The rows of an answer. A task reads them, two parts ahead at the most, and
/// only its own word ends the stream properly: a reader who takes nothing for
/// long loses the answer, and not its place among the queries to others.
pub(super) fn of_answer(answer: Answer) -> FlightRows {
    let schema = answer.schema();
    let (out, parts) = mpsc::channel::<Part>(2);
    tokio::spawn(async move {
        let last = match feed(answer, &out).await {
            Ok(()) => Ok(None),
            Err(status) => Err(status),
        };
        let _ = out.send(last).await;
    });
    let rows = futures::stream::unfold(Some(parts), |parts| async move {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Ok(Some(batch))) => Some((Ok(batch), Some(parts))),
            Some(Ok(None)) => None,
            Some(Err(status)) => Some((Err(status), None)),
            None => Some((Err(Status::aborted("the answer broke off")), None)),
        }
    });
    encoded(schema, rows)
}

async fn feed(mut answer: Answer, out: &mpsc::Sender<Part>) -> Result<(), Status> {
    while let Some(batch) = answer.next().await {
        let batch = batch.map_err(|e| status_of(&e))?;
        match answer.taken(out.reserve()).await {
            Ok(Ok(place)) => place.send(Ok(Some(batch))),
            // There is no more reader: dropping the answer records it.
            Ok(Err(_)) => return Ok(()),
            Err(error) => return Err(status_of(&AskError::Query(error))),
        }
    }
    Ok(())
}

/// One batch that is there already.
pub(super) fn of_batch(batch: RecordBatch) -> FlightRows {
    let schema = batch.schema();
    encoded(schema, futures::stream::iter([Ok(batch)]))
}

fn encoded(
    schema: SchemaRef,
    rows: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
) -> FlightRows {
    let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
    let data = FlightDataEncoderBuilder::new()
        .with_max_flight_data_size(MESSAGE)
        .with_schema(schema)
        .build(rows);
    data.map(|part| part.map_err(Status::from)).boxed()
}
