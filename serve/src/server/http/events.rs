//! `POST /v1/events`: the door for events.
//!
//! The answer waits for two things: that every event is durable in the log,
//! and that the pipeline has judged it. Where judging takes too long (the
//! table's store is away, say), the answer tells what is certain: the event is
//! durable and will be judged.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use cairn_ingest::decode::DecodeLimits;
use cairn_ingest::judge::refusal_of;
use cairn_ingest::receive::{self, Encoding, Piece, ReceiveLimits};
use cairn_ingest::verdict::Verdict;
use cairn_schemas::control::Role;
use cairn_schemas::{AccountId, Partition};
use cairn_store::log::Envelope;
use futures::StreamExt;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auth::Authenticated;
use super::error::ApiError;
use crate::server::app::{App, Shared};
use crate::server::audit::Act;

/// How long an answer waits to learn what became of its events.
const VERDICT_WAIT: Duration = Duration::from_secs(10);

/// `?account=ID&receipts=refused`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    account: Option<String>,
    receipts: Option<String>,
}

/// What became of one event.
#[derive(Debug, Serialize)]
struct Receipt {
    index: usize,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    quarantined: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

/// What became of a body.
#[derive(Debug, Default, Serialize)]
pub struct Receipts {
    accepted: usize,
    duplicate: usize,
    refused: usize,
    events: Vec<Receipt>,
}

impl Receipts {
    /// Adds those of a further body; its events are counted on.
    pub fn extend(&mut self, more: Self) {
        let first = self.events.len();
        self.accepted += more.accepted;
        self.duplicate += more.duplicate;
        self.refused += more.refused;
        self.events.extend(more.events.into_iter().map(|r| Receipt {
            index: first + r.index,
            ..r
        }));
    }
}

/// The handler.
pub async fn post(
    State(app): State<Shared>,
    asked: Authenticated,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Receipts>, ApiError> {
    asked
        .needs(&app, &[Role::Sender, Role::Admin], "PutEvents")
        .await?;
    let only_refused = match parameters.receipts.as_deref() {
        None | Some("all") => false,
        Some("refused") => true,
        Some(other) => {
            return Err(ApiError::invalid(format!(
                "receipts={other:?} is not known; use all or refused"
            )));
        }
    };
    let account = match &parameters.account {
        None => None,
        Some(text) => match own_account(&asked, text) {
            Ok(account) => Some(account),
            Err(error) => {
                let mut act = Act::new("PutEvents", true, &asked.principal, &asked.caller);
                act.request = json!({"account": text.chars().take(64).collect::<String>()});
                act.error = Some((error.code().to_owned(), error.message().to_owned()));
                app.audit.record(act).await?;
                return Err(error);
            }
        },
    };
    let encoding = declared_encoding(&headers)?;
    let length = body.size_hint().exact();
    let _sent = app.room.for_body(length).await?;
    let body = read_body(&app, body).await?;
    app.metrics.received_bytes.inc_by(body.len() as u64);
    let inflates = encoding.is_some() || Encoding::of(&body).is_some();
    let mut inflated = match inflates {
        true => Some(app.room.for_inflated().await?),
        false => None,
    };
    let limits = app.receive_limits;
    // Inflating and splitting a large body takes the processor for a while.
    let pieces = tokio::task::spawn_blocking(move || split(body, encoding, &limits))
        .await
        .map_err(|e| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string())
        })??;
    if let Some(place) = &mut inflated {
        place.shrink(pieces.iter().map(size_of_piece).sum());
    }
    let mut receipts = take_in(&app, &asked, account, pieces).await?;
    let mismatched = receipts
        .events
        .iter()
        .filter(|r| r.code == Some("account_mismatch"))
        .count();
    if mismatched > 0 {
        let mut act = Act::new("PutEvents", true, &asked.principal, &asked.caller);
        act.request = json!({"account": parameters.account});
        act.response = json!({"account_mismatch": mismatched});
        act.error = Some((
            "account_mismatch".to_owned(),
            "events of accounts that the sender may not write for were quarantined".to_owned(),
        ));
        app.audit.record(act).await?;
    }
    if only_refused {
        receipts.events.retain(|r| r.status == "refused");
    }
    Ok(Json(receipts))
}

fn size_of_piece(piece: &Piece) -> usize {
    match piece {
        Piece::Event(bytes) => bytes.len(),
        Piece::TooLarge { .. } => 0,
    }
}

fn own_account(asked: &Authenticated, text: &str) -> Result<AccountId, ApiError> {
    let account = AccountId::new(text).map_err(|e| ApiError::invalid(e.to_string()))?;
    if asked.principal.may_write(account.as_str()) {
        Ok(account)
    } else {
        Err(ApiError::forbidden(format!(
            "this token may not write for account {account}"
        )))
    }
}

fn declared_encoding(headers: &HeaderMap) -> Result<Option<Encoding>, ApiError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(None);
    };
    match value
        .to_str()
        .map(|v| v.trim().to_ascii_lowercase())
        .as_deref()
    {
        Ok("" | "identity") => Ok(None),
        Ok("gzip" | "x-gzip") => Ok(Some(Encoding::Gzip)),
        Ok("zstd") => Ok(Some(Encoding::Zstd)),
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "this Content-Encoding is not supported",
        )
        .hint("send the body plain, or with gzip or zstd")),
    }
}

/// Reads the body within its limits of size and time.
async fn read_body(app: &Shared, body: Body) -> Result<Bytes, ApiError> {
    let limit = usize::try_from(app.settings.server.max_body_bytes).unwrap_or(usize::MAX);
    let too_large = || too_large(format!("the body is larger than {limit} bytes"));
    let reading = async {
        let mut stream = body.into_data_stream();
        let mut whole = BytesMut::new();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|e| ApiError::invalid(format!("the body broke off: {e}")))?;
            if whole.len() + part.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    };
    match tokio::time::timeout(app.settings.server.request_timeout, reading).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the body did not come to an end in time; nothing was taken",
        )),
    }
}

fn too_large(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        .hint("send fewer events in one request; nothing was taken")
}

fn split(
    body: Bytes,
    encoding: Option<Encoding>,
    limits: &ReceiveLimits,
) -> Result<Vec<Piece>, ApiError> {
    let read = receive::decompress(body, encoding, limits);
    read.and_then(|plain| receive::split(&plain, limits))
        .map_err(|error| {
            let status = match error.code() {
                "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            ApiError::new(status, error.code(), error.to_string())
                .hint(format!("{}; nothing was taken", error.hint()))
        })
}

/// Makes the pieces durable and waits for what becomes of them.
async fn take_in(
    app: &Shared,
    asked: &Authenticated,
    account: Option<AccountId>,
    pieces: Vec<Piece>,
) -> Result<Receipts, ApiError> {
    let mut payloads = Vec::with_capacity(pieces.len());
    let mut oversized = Vec::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        match piece {
            Piece::Event(bytes) => payloads.push((index, bytes)),
            Piece::TooLarge { size, .. } => oversized.push((index, size)),
        }
    }
    let envelope = envelope(app, asked, account);
    let (indexes, bytes): (Vec<usize>, Vec<Bytes>) = payloads.into_iter().unzip();
    let mut events = if bytes.is_empty() {
        Vec::new()
    } else {
        append_and_wait(app, envelope, indexes, bytes).await?
    };
    let most = app.receive_limits.max_event;
    events.extend(oversized.into_iter().map(|(index, size)| Receipt {
        code: Some("too_large"),
        message: Some(format!("the event has {size} bytes; at most {most} are taken").into()),
        ..receipt(index, "refused")
    }));
    let receipts = in_order(events);
    app.metrics.refused_at_door(
        receipts
            .events
            .iter()
            .filter(|r| r.status == "refused" && !r.quarantined)
            .count(),
    );
    Ok(receipts)
}

fn envelope(app: &App, asked: &Authenticated, account: Option<AccountId>) -> Envelope {
    Envelope {
        received: app.clock.now(),
        sender: asked.principal.id.clone(),
        accounts: asked.principal.accounts.clone(),
        account,
    }
}

/// As they were sent, and counted.
fn in_order(mut events: Vec<Receipt>) -> Receipts {
    events.sort_by_key(|r| r.index);
    let count = |status| events.iter().filter(|r| r.status == status).count();
    let (accepted, duplicate, refused) = (count("accepted"), count("duplicate"), count("refused"));
    Receipts {
        accepted,
        duplicate,
        refused,
        events,
    }
}

/// Appends and waits for the verdicts. Also how quarantine is taken in again.
async fn append_and_wait(
    app: &Shared,
    envelope: Envelope,
    indexes: Vec<usize>,
    payloads: Vec<Bytes>,
) -> Result<Vec<Receipt>, ApiError> {
    let places = match &app.kafka {
        Some(kafka) => {
            let own = kafka.own_intake();
            kafka.producer.send(&envelope, payloads, Some(&own)).await?
        }
        None => {
            let range = app.log.append(envelope, payloads).await?;
            range
                .map(|offset| (app.partition.clone(), offset))
                .collect()
        }
    };
    let mut verdicts = verdicts_of(app, &places).await;
    let receipts = std::iter::zip(indexes, places).map(|(index, (partition, offset))| {
        // Where there are several partitions, an offset alone says little.
        let shown = app.kafka.is_some().then(|| partition.to_string());
        let receipt = match verdicts.remove(&(partition, offset)) {
            Some(verdict) => judged(index, offset, verdict),
            None => Receipt {
                offset: Some(offset),
                pending: true,
                ..receipt(index, "accepted")
            },
        };
        Receipt {
            partition: shown,
            ..receipt
        }
    });
    Ok(receipts.collect())
}

/// What became of the records at `places`, as far as it is known in time.
/// Another process may read a partition: then nothing is known here.
async fn verdicts_of(app: &App, places: &[(Partition, i64)]) -> HashMap<(Partition, i64), Verdict> {
    let mut by_partition: BTreeMap<&Partition, Vec<i64>> = BTreeMap::new();
    for (partition, offset) in places {
        by_partition.entry(partition).or_default().push(*offset);
    }
    let waits = by_partition
        .into_iter()
        .map(|(partition, mut offsets)| async move {
            offsets.sort_unstable();
            let Some(board) = app.boards.of(partition) else {
                return Vec::new();
            };
            let each = board.wait_each(&offsets).await;
            let known = std::iter::zip(offsets, each).filter_map(|(offset, verdict)| {
                verdict.map(|verdict| ((partition.clone(), offset), verdict))
            });
            known.collect::<Vec<_>>()
        });
    let waited = tokio::time::timeout(VERDICT_WAIT, join_all(waits)).await;
    waited.unwrap_or_default().into_iter().flatten().collect()
}

fn receipt(index: usize, status: &'static str) -> Receipt {
    Receipt {
        index,
        status,
        event_id: None,
        partition: None,
        offset: None,
        code: None,
        message: None,
        quarantined: false,
        pending: false,
    }
}

fn judged(index: usize, offset: i64, verdict: Verdict) -> Receipt {
    match verdict {
        Verdict::Accepted { event_id } => Receipt {
            event_id: Some(event_id),
            offset: Some(offset),
            ..receipt(index, "accepted")
        },
        Verdict::Duplicate { event_id, offset } => Receipt {
            event_id: Some(event_id),
            offset: Some(offset),
            ..receipt(index, "duplicate")
        },
        Verdict::Refused { code, message } => Receipt {
            offset: Some(offset),
            code: Some(code),
            message: Some(message),
            quarantined: true,
            ..receipt(index, "refused")
        },
    }
}

/// Takes records in again that were quarantined, as `asked`. What would be refused
/// once more stays where it is: in the log it would come to lie in quarantine twice.
pub async fn take_again(
    app: &Shared,
    asked: &Authenticated,
    account: Option<AccountId>,
    payloads: Vec<Bytes>,
) -> Result<Receipts, ApiError> {
    let envelope = envelope(app, asked, account);
    let limits = DecodeLimits {
        max_event: app.receive_limits.max_event,
        ..DecodeLimits::default()
    };
    let (of, partition) = (envelope.clone(), app.partition.clone());
    // Decoding so many takes the processor for a while.
    let looked = tokio::task::spawn_blocking(move || {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for (index, bytes) in payloads.into_iter().enumerate() {
            match refusal_of(&bytes, &of, &partition, limits) {
                None => good.push((index, bytes)),
                Some(refusal) => refused.push(Receipt {
                    code: Some(refusal.reason.as_str()),
                    message: Some(refusal.detail.into_boxed_str()),
                    quarantined: true,
                    ..receipt(index, "refused")
                }),
            }
        }
        (good, refused)
    });
    let (good, mut events) = looked
        .await
        .map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()))?;
    let (indexes, bytes): (Vec<usize>, Vec<Bytes>) = good.into_iter().unzip();
    if !bytes.is_empty() {
        events.extend(append_and_wait(app, envelope, indexes, bytes).await?);
    }
    Ok(in_order(events))
}
