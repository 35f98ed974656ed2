//! Admit: from received records to rows, in log order.
//!
//! Each record is decoded, its account checked against what its sender may
//! write for, and its id looked up among everything of the hot window. The
//! first of equal events wins; a different event under a known id is kept and
//! flagged, for dropping it would let somebody pre-empt evidence. Nothing here
//! depends on how records are cut into chunks, so a replay judges alike.

use std::collections::HashSet;

use cairn_schemas::{AccountId, Micros, Partition};
use sha2::{Digest, Sha256};

use crate::decode::{self, Context, Event, Refusal};
use crate::recent::Stretch;
use crate::rows::{QuarantineBuilder, RowBuilder, RowMeta};
use crate::seen::{ContentId, Place, Seen, SeenError, SeenIndex, SeenKey};
use crate::source::Received;
use crate::verdict::Verdict;

/// Why judging stopped for good.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The duplicate index cannot be read or written.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// Arrow refused a batch that this crate built.
    #[error("rows could not be put together: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// What became of one batch of received records.
#[derive(Debug)]
pub struct Judged {
    /// The rows.
    pub stretch: Stretch,
    /// One for each record, in order.
    pub verdicts: Vec<Verdict>,
    /// Who sent them.
    pub sender: String,
    /// Accounts that this process has not seen an event of before.
    pub new_accounts: Vec<AccountId>,
    /// How many were accepted under an id that another event has.
    pub conflicts: u64,
    /// When the records were received.
    pub received: Micros,
}

/// The state that judging needs. Owned by the pipeline, one thread at a time.
#[derive(Debug)]
pub struct Judge {
    seen: SeenIndex,
    known_accounts: HashSet<AccountId>,
    limits: decode::DecodeLimits,
}

impl Judge {
    /// `seen` must cover everything that history committed.
    pub fn new(
        seen: SeenIndex,
        known_accounts: HashSet<AccountId>,
        limits: decode::DecodeLimits,
    ) -> Self {
        Self { seen, known_accounts, limits }
    }

    /// Judges `received` in order.
    pub fn judge(&mut self, received: Vec<Received>) -> Result<Vec<Judged>, JudgeError> {
        let judged = received.iter().map(|batch| self.judge_batch(batch)).collect();
        self.seen.maintain()?;
        judged
    }

    fn judge_batch(&mut self, batch: &Received) -> Result<Judged, JudgeError> {
        let mut rows = RowBuilder::new(batch.payloads.len());
        let mut refused = QuarantineBuilder::new();
        let mut verdicts = Vec::with_capacity(batch.payloads.len());
        let mut new_accounts = Vec::new();
        let mut conflicts = 0;
        let mut offset = batch.first;
        for payload in &batch.payloads {
            let context = Context {
                envelope: &batch.envelope,
                partition: &batch.partition,
                offset,
                limits: &self.limits,
            };
            let verdict = match decode::decode(payload, &context) {
                Ok(mut event) => {
                    let verdict = self.admit(&mut event, payload, batch, offset)?;
                    if matches!(verdict, Verdict::Accepted { .. }) {
                        conflicts += u64::from(event.has_flag(CONFLICT));
                        self.note_account(&event.account_id, &mut new_accounts);
                        rows.push(&event, &row_meta(batch, offset));
                    }
                    verdict
                }
                Err(refusal) => {
                    refused.push(payload, &refusal, &row_meta(batch, offset), sole_account(batch));
                    let Refusal { code, message, .. } = refusal;
                    Verdict::Refused { code, message: message.into() }
                }
            };
            verdicts.push(verdict);
            offset += 1;
        }
        let bytes = rows.bytes() + refused.bytes();
        let stretch = Stretch {
            partition: batch.partition.clone(),
            first: batch.first,
            next: offset,
            rows: rows.finish()?,
            quarantined: refused.finish()?,
            bytes,
        };
        let sender = batch.envelope.sender.clone();
        let received = batch.envelope.received;
        Ok(Judged { stretch, verdicts, sender, new_accounts, conflicts, received })
    }

    /// Whether the event is new; flags it where its id is taken by another.
    fn admit(
        &mut self,
        event: &mut Event<'_>,
        raw: &[u8],
        batch: &Received,
        offset: i64,
    ) -> Result<Verdict, JudgeError> {
        let event_id: Box<str> = Box::from(&*event.event_id);
        let key = SeenKey::of(&event.account_id, &event_id);
        let content = ContentId::of(&Sha256::digest(raw).into());
        let place = Place::of(&batch.partition, offset);
        let seen = self.seen.check_and_insert(key, content, place, batch.envelope.received)?;
        Ok(match seen {
            Seen::New => Verdict::Accepted { event_id },
            Seen::Conflict => {
                event.add_flag(CONFLICT);
                Verdict::Accepted { event_id }
            }
            Seen::Duplicate { offset } => Verdict::Duplicate { event_id, offset },
        })
    }

    fn note_account(&mut self, account: &str, new: &mut Vec<AccountId>) {
        if self.known_accounts.contains(account) {
            return;
        }
        // Decoding checked it; a value that fails here names no account.
        if let Ok(id) = AccountId::new(account) {
            self.known_accounts.insert(id.clone());
            new.push(id);
        }
    }
}

const CONFLICT: &str = "conflicting_duplicate";

fn row_meta(batch: &Received, offset: i64) -> RowMeta<'_> {
    let Partition { source, number } = &batch.partition;
    RowMeta {
        ingest_time: batch.envelope.received,
        sender: &batch.envelope.sender,
        log_source: source,
        log_partition: *number,
        log_offset: offset,
    }
}

/// The account whose auditors may see a quarantined record: where the sender
/// may write for one only, nobody else is concerned.
fn sole_account(batch: &Received) -> Option<&AccountId> {
    match &batch.envelope.accounts {
        cairn_schemas::selector::Among::Only(set) if set.len() == 1 => set.first(),
        _ => None,
    }
}
