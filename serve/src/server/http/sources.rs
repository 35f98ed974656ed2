//! `/v1/sources`: the partitions that this process reads, and an
//! administrator's word that a stopped one shall go on.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use cairn_ingest::kafka::Acceptable;
use cairn_schemas::Partition;
use cairn_schemas::control::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Changing;
use super::auth::Authenticated;
use super::error::ApiError;
use crate::server::app::{App, Shared};
use crate::server::kafka::{self, Kafka};

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
    /// Where the gap ends, where the caller has seen it.
    to: Option<i64>,
    /// Why it stopped, where the caller has seen it.
    reason: Option<String>,
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
    let what = acceptable(&app, kafka, &wanted).await?;
    let mut answer = json!(what);
    answer["partition"] = json!(wanted.partition);
    let changing = Changing {
        name: "AcceptSourceGap",
        request: answer.clone(),
        resource: ("CAIRN::Partition", wanted.partition.to_string()),
        asked: &asked,
    };
    let by = asked.principal.id.clone();
    let change = async {
        let accepted = kafka.accepted.accept(&by, wanted.partition.clone(), what);
        Ok(accepted.await?)
    };
    changing.make(&app, change).await?;
    Ok(Json(answer))
}

/// What is accepted: that which stops the partition now, if it is what the caller
/// means.
async fn acceptable(app: &App, kafka: &Kafka, wanted: &Accept) -> Result<Acceptable, ApiError> {
    const LOOK: &str =
        "nothing was accepted: `cairn source list` shows what is stopped, and at what";
    let partition = &wanted.partition;
    let stop = kafka
        .stop_of(partition, &app.history.table().position())
        .await;
    let (stop, own) = stop.map_err(ApiError::unavailable)?;
    let Some(stop) = stop else {
        let text = match own {
            true => format!("{partition} is not stopped"),
            false => format!(
                "{partition} is not stopped as far as its log says, and another process reads it; one that \
                 stopped at a bad record is let go on where it is read"
            ),
        };
        return Err(ApiError::conflict("not_stopped", text).hint(LOOK));
    };
    let told = kafka::told_of(&stop);
    let Some(what) = stop.acceptable() else {
        let text = format!("{partition} is stopped, and accepting does not help: {told}");
        return Err(ApiError::conflict("not_acceptable", text).hint(stop.what_to_do()));
    };
    let differs = what.offset != wanted.offset
        || wanted.to.is_some_and(|to| what.to != Some(to))
        || wanted
            .reason
            .as_ref()
            .is_some_and(|reason| what.reason != reason);
    if differs {
        let text = format!(
            "{partition} is stopped at offset {}, by something else than what is accepted: {told}",
            what.offset
        );
        return Err(ApiError::conflict("stop_differs", text).hint(LOOK));
    }
    Ok(what)
}
