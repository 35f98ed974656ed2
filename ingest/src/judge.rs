//! Admit: from received records to rows, in log order.
//!
//! Each record is decoded, its account checked against what its sender may
//! write for, and its id looked up among everything of the hot window. The
//! first of equal events wins; a different event under a known id is kept and
//! flagged, for dropping it would let somebody pre-empt evidence. Nothing here
//! depends on how records are cut into chunks, so a replay judges alike.

use std::collections::HashSet;
use std::thread::JoinHandle;

use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Micros, Partition, Position};
use cairn_store::log::Envelope;

use crate::decode::{self, Context, DecodeLimits, Dialect, Event, Flags, Reason, Refusal, Room};
use crate::recent::Stretch;
use crate::rows::{BatchFull, QuarantineBuilder, QuarantineRow, RowBuilder, RowMeta};
use crate::seen::{Candidate, ContentId, Done, Place, Seen, SeenError, SeenIndex, SeenKey, Slot};
use crate::source::{Received, Record};
use crate::verdict::Verdict;

mod learn;

pub use learn::{CatchUpError, CatchingUp, LEARNED, Learnable, MakeJudge, learnable, open_index};

/// Records that are decoded before they are looked up together: so few that they
/// and what is read of them stay in a processor's own cache.
const CHUNK: usize = 256;
/// The time between two looks for entries that have left the window.
const FORGET_EVERY: i64 = 3600 * cairn_schemas::time::SECOND;

/// A pause between two records that is taken for a jump of the clock.
const JUMP: i64 = 30 * cairn_schemas::time::DAY;
/// Batches that the index's own work rests after it failed.
const REST: u32 = 64;

pub use cairn_schemas::control::OWN_SENDER;

/// Why judging stopped for good.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The duplicate index cannot be read or written.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// A batch outgrew what Arrow can hold.
    #[error(transparent)]
    Full(#[from] BatchFull),
    /// The thread that keeps the duplicate index in shape panicked.
    #[error("the duplicate index's own work ended abruptly; start cairn again")]
    Upkeep,
}

/// What became of one batch of received records.
#[derive(Debug)]
pub struct Judged {
    /// The rows.
    pub stretch: Stretch,
    /// One for each event or refused record, with its offset, in order.
    pub verdicts: Vec<(i64, Verdict)>,
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
    /// The index's own work, while some is under way.
    upkeep: Option<JoinHandle<Done>>,
    known_accounts: HashSet<AccountId>,
    limits: DecodeLimits,
    rows: RowBuilder,
    refused: QuarantineBuilder,
    /// For how many days an event is remembered.
    window_days: u32,
    /// What decoding one event leaves to the next.
    room: Room,
    /// When the index was last told to forget.
    forgot_at: Micros,
    /// Batches before the index's own work is tried again.
    rest: u32,
}

impl Judge {
    /// `seen` must cover everything that history committed. An event is known
    /// as a duplicate for `window_days` days after it was received.
    pub fn new(
        seen: SeenIndex,
        known_accounts: HashSet<AccountId>,
        limits: DecodeLimits,
        window_days: u32,
    ) -> Self {
        Self {
            seen,
            upkeep: None,
            known_accounts,
            limits,
            rows: RowBuilder::new(),
            refused: QuarantineBuilder::new(),
            window_days,
            room: Room::default(),
            forgot_at: Micros(0),
            rest: 0,
        }
    }

    /// States that history committed everything below `position` as it was
    /// judged here.
    pub fn committed(&mut self, position: &Position) -> Result<(), SeenError> {
        self.seen.committed(position)
    }

    /// Begins to take in what others committed, up to `at`. Then come their
    /// rows through [`Self::learn`], and [`Self::learned`]. What is judged in
    /// between, and would have been judged otherwise after them, collides with
    /// them all the same.
    pub fn begin_learning(&mut self, at: &Position) -> Result<(), SeenError> {
        self.seen.begin_learning(at)
    }

    /// Takes rows in that others committed. `false` where one of them would have
    /// made a difference to what was judged here and is not committed: then this
    /// judge is of no use any more. Blocks.
    pub fn learn(&mut self, rows: &Learnable) -> Result<bool, SeenError> {
        let mut apart = true;
        rows.each(&mut self.seen, |seen, row, flagged| {
            apart = apart && seen.learn(row, flagged)?;
            Ok(())
        })?;
        Ok(apart)
    }

    /// States that all rows below `at` were learned.
    pub fn learned(&mut self, at: &Position) -> Result<(), SeenError> {
        self.seen.advance(at)
    }

    /// Whether history holds everything that was judged here, so that the
    /// pipeline may begin anew with this judge.
    pub fn is_settled(&self) -> bool {
        self.seen.is_settled()
    }

    /// Judges `received` in order. Blocks: takes the processor, and sometimes
    /// reads the disk.
    pub fn judge(&mut self, received: Vec<Received>) -> Result<Vec<Judged>, JudgeError> {
        let judged = received
            .iter()
            .map(|batch| self.judge_batch(batch))
            .collect();
        self.keep_up()?;
        judged
    }

    fn judge_batch(&mut self, batch: &Received) -> Result<Judged, JudgeError> {
        let slot = self.seen.slot(&batch.partition)?;
        let mut judged = Judged {
            stretch: Stretch {
                partition: batch.partition.clone(),
                first: batch.first,
                next: batch.first,
                rows: self.rows.finish(),
                quarantined: self.refused.finish(),
                bytes: 0,
                mark: batch.mark,
            },
            verdicts: Vec::with_capacity(batch.records.len()),
            sender: batch.envelope.sender.clone(),
            new_accounts: Vec::new(),
            conflicts: 0,
            received: batch.envelope.received,
        };
        let bytes = batch.records.iter().map(|r| r.bytes.len()).sum();
        self.rows.reserve(batch.records.len(), bytes);
        for records in batch.records.chunks(CHUNK) {
            self.judge_chunk(batch, slot, records, &mut judged)?;
        }
        judged.stretch.next = batch.next;
        let end = Position::at(batch.partition.clone(), judged.stretch.next);
        self.seen.advance(&end)?;
        self.forget(batch.envelope.received)?;
        judged.stretch.bytes = self.rows.bytes() + self.refused.bytes();
        judged.stretch.rows = self.rows.finish();
        judged.stretch.quarantined = self.refused.finish();
        Ok(judged)
    }

    fn judge_chunk(
        &mut self,
        batch: &Received,
        slot: Slot,
        records: &[Record],
        judged: &mut Judged,
    ) -> Result<(), JudgeError> {
        let mut room = std::mem::take(&mut self.room);
        let decoded: Vec<Result<Event<'_>, Refusal>> = records
            .iter()
            .map(|record| self.decode(batch, record, &mut room))
            .collect();
        self.room = room;
        let mut candidates = Vec::with_capacity(records.len());
        for (event, record) in decoded.iter().zip(records) {
            let Ok(event) = event else { continue };
            let account = self.account_of(event, &mut judged.new_accounts);
            candidates.push(Candidate {
                key: SeenKey::of(&account, &event.event_id),
                content: ContentId::of(&record.bytes),
                at: Place {
                    partition: slot,
                    offset: record.offset,
                    item: record.item,
                },
                ingest: batch.envelope.received,
            });
        }
        let mut answers = self.seen.check_batch(&candidates)?.into_iter();
        for (event, record) in decoded.into_iter().zip(records) {
            let verdict = match event {
                Ok(event) => {
                    let seen = answers.next().expect("each decoded event has one answer");
                    self.admit(batch, record, event, seen, judged)?
                }
                Err(refusal) => self.refuse(batch, record, refusal)?,
            };
            judged.verdicts.push((record.offset, verdict));
        }
        Ok(())
    }

    fn decode<'a>(
        &self,
        batch: &Received,
        record: &'a Record,
        room: &mut Room,
    ) -> Result<Event<'a>, Refusal> {
        if let Some(refusal) = &record.refusal {
            return Err(Refusal::clone(refusal));
        }
        let own = batch.envelope.sender == OWN_SENDER;
        let mut limits = self.limits;
        if own {
            // What Cairn says of itself is never too large to be shown.
            limits.max_event = usize::MAX;
        }
        let context = Context {
            limits,
            item: record.item,
            ..Context::new(&batch.envelope, &batch.partition, record.offset)
        };
        let event = decode::decode_in(&record.bytes, &context, room)?;
        // Otherwise a sender could put words into the mouth of the audit trail.
        if !own && claims_to_be_cairn(&event) {
            return Err(reserved());
        }
        Ok(event)
    }

    /// The event's account as a checked id, which decoding made sure it is.
    fn account_of(&mut self, event: &Event<'_>, new: &mut Vec<AccountId>) -> AccountId {
        if let Some(known) = self.known_accounts.get(&*event.account_id) {
            return known.clone();
        }
        let id = AccountId::new(&event.account_id).expect("decode refuses what is no account id");
        self.known_accounts.insert(id.clone());
        new.push(id.clone());
        id
    }

    fn admit(
        &mut self,
        batch: &Received,
        record: &Record,
        event: Event<'_>,
        seen: Seen,
        judged: &mut Judged,
    ) -> Result<Verdict, JudgeError> {
        let event_id = Box::from(&*event.event_id);
        let flags = match seen {
            Seen::Duplicate(first) => {
                return Ok(Verdict::Duplicate {
                    event_id,
                    offset: first.offset,
                });
            }
            Seen::New => Flags::NONE,
            Seen::Conflict(_) => {
                judged.conflicts += 1;
                Flags::CONFLICTING_DUPLICATE
            }
        };
        self.rows.push(
            &event,
            &RowMeta {
                ingest_time: batch.envelope.received,
                sender: &batch.envelope.sender,
                log_source: &batch.partition.source,
                log_partition: batch.partition.number,
                log_offset: record.offset,
                log_item: record.item,
                origin: record.origin.as_deref(),
                flags,
            },
        )?;
        Ok(Verdict::Accepted { event_id })
    }

    fn refuse(
        &mut self,
        batch: &Received,
        record: &Record,
        refusal: Refusal,
    ) -> Result<Verdict, JudgeError> {
        self.refused.push(&QuarantineRow {
            ingest_time: batch.envelope.received,
            account: sole_account(batch),
            sender: &batch.envelope.sender,
            log_source: &batch.partition.source,
            log_partition: batch.partition.number,
            log_offset: record.offset,
            log_item: record.item,
            origin: record.origin.as_deref(),
            refusal: &refusal,
            raw: &record.bytes,
        })?;
        Ok(Verdict::Refused {
            code: refusal.reason.as_str(),
            message: refusal.detail.into_boxed_str(),
        })
    }

    /// Moves the duplicate index's own work along, on a thread of its own: a
    /// merge may take seconds, which intake must not wait for.
    fn keep_up(&mut self) -> Result<(), JudgeError> {
        if self.upkeep.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(ended) = self.upkeep.take()
        {
            let done = ended.join().map_err(|_| JudgeError::Upkeep)?;
            let ended = self.seen.finish(done);
            self.postpone(ended)?;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return Ok(());
        }
        if self.upkeep.is_none()
            && let Some(work) = self.seen.next_work()
        {
            self.upkeep = Some(std::thread::spawn(move || work.run()));
        }
        Ok(())
    }

    /// The index's files are derived: a disk that will not take them now stops
    /// nothing. The work is offered again, after a rest.
    fn postpone(&mut self, ended: Result<(), SeenError>) -> Result<(), JudgeError> {
        match ended {
            Err(error @ SeenError::Io { .. }) => {
                tracing::warn!(error = %error, "the duplicate index could not be written, trying again later");
                self.rest = REST;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Lets go of everything that history has not committed; the folder is free
    /// on return. Blocks until the index's own work has ended.
    pub fn let_go(mut self) {
        self.end_work();
    }

    fn end_work(&mut self) {
        self.seen.stop_work();
        if let Some(ended) = self.upkeep.take()
            && let Ok(done) = ended.join()
        {
            // A merge that was told to stop says so; nothing is lost by it.
            let _ = self.seen.finish(done);
        }
    }

    /// Writes the index's newest entries out, as far as history committed them,
    /// so that the next start has little to read. What fails here is made up
    /// for then.
    pub fn close(&mut self) {
        self.end_work();
        if let Err(error) = self.seen.flush() {
            tracing::warn!(error = %error, "the duplicate index was not written out, the next start reads history instead");
        }
    }

    /// Lets the index forget what lies before the window, once an hour.
    fn forget(&mut self, now: Micros) -> Result<(), JudgeError> {
        let since = now.0.saturating_sub(self.forgot_at.0);
        if since > FORGET_EVERY {
            self.forgot_at = now;
            if since > JUMP {
                // The first look, a month without events, or a clock that
                // jumped: the last would make repeats count twice, so wait.
                return Ok(());
            }
            let expired = self.seen.expire(now.minus_days(self.window_days));
            self.postpone(expired)?;
        }
        Ok(())
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // A merge under way must not hold up the stop; it is begun anew later.
        self.seen.stop_work();
    }
}

/// Whether an event says that it is of service `cairn`, in any spelling that a
/// question or a trail's selector might take for it.
pub(crate) fn claims_to_be_cairn(event: &Event<'_>) -> bool {
    let is_cairn = |text: &Option<decode::Text<'_>>| {
        let first = text.as_deref().and_then(|t| t.split('.').next());
        first.is_some_and(|t| t.trim().eq_ignore_ascii_case("cairn"))
    };
    event.dialect == Dialect::Cairn
        || is_cairn(&event.service_name)
        || is_cairn(&event.event_source)
}

/// Why `bytes` would be refused, were they received in `envelope` now; nothing
/// where they would be an event, be it a repeat.
pub fn refusal_of(
    bytes: &[u8],
    envelope: &Envelope,
    partition: &Partition,
    limits: DecodeLimits,
) -> Option<Refusal> {
    let context = Context {
        limits,
        ..Context::new(envelope, partition, 0)
    };
    match decode::decode(bytes, &context) {
        Ok(event) => claims_to_be_cairn(&event).then(reserved),
        Err(refusal) => Some(refusal),
    }
}

/// The refusal of an event that does.
pub(crate) fn reserved() -> Refusal {
    Refusal::new(
        Reason::ReservedService,
        "events of service cairn are written by Cairn alone; name the service otherwise",
    )
}

/// The account whose auditors may see a quarantined record: where the sender
/// may write for one only, nobody else is concerned.
fn sole_account(batch: &Received) -> Option<&AccountId> {
    match &batch.envelope.accounts {
        Among::Only(set) if set.len() == 1 => set.first(),
        _ => None,
    }
}
