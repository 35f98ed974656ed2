//! `/v1/sources`: the partitions that this process reads, and an
//! administrator's word that a stopped one shall go on.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use cairn_schemas::Partition;
use cairn_schemas::control::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Changing;
use super::auth::Authenticated;
use super::error::ApiError;
use crate::server::app::Shared;
use crate::server::kafka;

/// `GET /v1/sources`.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "ListSources").await?;
    Ok(Json(match &app.kafka {
        Some(kafka) => kafka::status(kafka, app.clock.as_ref()),
        None => json!({"partitions": []}),
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// `source/number`.
    partition: Partition,
    /// The offset at which it stopped.
    offset: i64,
}

/// `POST /v1/sources/accept`.
pub async fn accept(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "AcceptSourceGap").await?;
    let wanted: Accept =
        serde_json::from_slice(&body).map_err(|e| ApiError::invalid(e.to_string()))?;
    let Some(kafka) = &app.kafka else {
        return Err(ApiError::not_found("this server reads no Kafka topic")
            .hint("start it with --kafka and --topic"));
    };
    let changing = Changing {
        name: "AcceptSourceGap",
        request: json!({"partition": wanted.partition, "offset": wanted.offset}),
        resource: ("CAIRN::Partition", wanted.partition.to_string()),
        asked: &asked,
    };
    let by = asked.principal.id.clone();
    let change = async {
        let accepted = kafka
            .accepted
            .accept(&by, wanted.partition.clone(), wanted.offset);
        Ok(accepted.await?)
    };
    changing.make(&app, change).await?;
    Ok(Json(
        json!({"partition": wanted.partition, "offset": wanted.offset}),
    ))
}
