//! Events as they were measured, as many as are wanted, from a seed.
//!
//! Every event is a function of the seed and its number alone. So the same
//! command gives the same bytes on every machine, questions can be asked about
//! events that are known to be there, and no event has to be kept in memory.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use cairn_schemas::time::SECOND;

use super::mix::{Mix, Slot, is_service};
use super::padding::Padding;
use super::params::Params;
use super::population::{ACS_REGIONS, Account, Population, REGIONS, User, put_time};
use super::prng::{Prng, Weighted};
use super::timing::Timing;
use super::{actiontrail, cloudtrail};

/// Streams of the seed.
const EVENT: u64 = 0x6576_6e74;
const REPEAT: u64 = 0x7265_7074;

/// How much sizes differ within one event name. Only the mean of each name was
/// measured; this makes the 99th percentile of all events come out as measured.
const SIZE_SIGMA: f64 = 0.13;
/// How far back a repeated event lies at most.
const REPEAT_WINDOW: u64 = 50_000;
/// The share of calls of people and tools that come from another account.
pub(crate) const CROSS_ACCOUNT: f64 = 0.01;
/// The share of ActionTrail events in a mix.
pub(crate) const MIX_ACTIONTRAIL: f64 = 0.2;

/// Which field names events have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DialectChoice {
    /// CloudTrail records.
    #[default]
    Cloudtrail,
    /// ActionTrail events.
    Actiontrail,
    /// Four of five CloudTrail, one of five ActionTrail.
    Mix,
}

/// What to generate.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many events, repeats among them.
    pub events: u64,
    /// Where everything follows from.
    pub seed: u64,
    /// Member accounts.
    pub accounts: usize,
    /// Regions.
    pub regions: usize,
    /// When the first event arrives.
    pub start: cairn_schemas::Micros,
    /// Over how many days events arrive.
    pub days: u32,
    /// The share of events that repeat an earlier one byte for byte.
    pub duplicates: f64,
    /// Field names.
    pub dialect: DialectChoice,
}

/// Makes events.
#[derive(Debug)]
pub struct Generator {
    pub(crate) shape: Shape,
    pub(crate) mix: Mix,
    pub(crate) population: Population,
    pub(crate) padding: Padding,
    /// How ActionTrail's operations are weighted.
    pub(crate) operations: Weighted,
    timing: Timing,
}

/// One event before it is written down.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) event_id: [u64; 2],
    pub(crate) actiontrail: bool,
    pub(crate) profile: usize,
    pub(crate) slot: Slot,
    /// The account that the event belongs to.
    pub(crate) account: &'a Account,
    /// The account of who acted.
    pub(crate) actor_account: &'a Account,
    pub(crate) user_number: usize,
    pub(crate) user: &'a User,
    pub(crate) region: usize,
    /// Seconds since 1970.
    pub(crate) event_time: i64,
    pub(crate) arrival: i64,
    /// Which key, bucket, encryption key and so on.
    pub(crate) access_key: usize,
    pub(crate) bucket: usize,
    pub(crate) kms_key: usize,
    /// Bytes.
    pub(crate) size: i64,
    /// What else is drawn.
    pub(crate) prng: Prng,
}

/// One generated event.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it arrives.
    pub arrival: cairn_schemas::Micros,
    /// Its bytes, with no line end.
    pub bytes: Bytes,
}

impl Generator {
    /// Checks the shape and prepares what all events share.
    pub fn new(shape: Shape) -> anyhow::Result<Self> {
        ensure!(shape.events > 0, "--events must be at least 1");
        ensure!(
            (1..=10_000).contains(&shape.accounts),
            "--accounts must be from 1 to 10000"
        );
        ensure!(
            (1..=REGIONS.len()).contains(&shape.regions),
            "--regions must be from 1 to {}",
            REGIONS.len()
        );
        ensure!(
            (0.0..=0.9).contains(&shape.duplicates),
            "--duplicates must be from 0 to 0.9; real deliveries repeat at most 0.21"
        );
        ensure!(
            (1..=3_650).contains(&shape.days),
            "--days must be from 1 to 3650"
        );
        let params = Params::measured()?;
        let mix = Mix::new(&params);
        if mix.slots.iter().any(Vec::is_empty) {
            bail!("testdata/generator_params.json lacks one of the measured logs");
        }
        let start = shape.start.0.div_euclid(SECOND);
        Ok(Self {
            population: Population::new(shape.seed, shape.accounts, shape.regions),
            padding: Padding::new(),
            operations: Weighted::zipf(actiontrail::OPERATIONS.len(), params.invictus.zipf),
            timing: Timing::new(&params, shape.seed, start, shape.days, shape.events),
            mix,
            shape,
        })
    }

    /// The shape that was asked for.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The event that number `i` is a repeat of; `i` itself where it is none.
    pub fn origin(&self, mut i: u64) -> u64 {
        while i > 0 {
            let mut prng = Prng::at(self.shape.seed, REPEAT, i);
            if !prng.chance(self.shape.duplicates) {
                break;
            }
            // Near repeats are more frequent than far ones.
            let far = i.min(REPEAT_WINDOW) as f64;
            let back = far.powf(prng.unit()) as u64;
            i -= back.clamp(1, i);
        }
        i
    }

    /// Event number `i` before it is written down, repeats left aside.
    pub(crate) fn facts(&self, i: u64) -> Facts<'_> {
        let mut prng = Prng::at(self.shape.seed, EVENT, i);
        let event_id = [prng.next(), prng.next()];
        let actiontrail = prng.chance(self.actiontrail_share());
        let (profile, slot) = self.mix.draw(&mut prng);
        let people = &self.population;
        let number = people.account_weights.at(prng.unit());
        let account = &people.accounts[number];
        let region = people.region_weights.at(prng.unit());
        let by_service = self.mix.text(slot.address).is_some_and(is_service);
        let actor_account = if !by_service && prng.chance(CROSS_ACCOUNT) {
            &people.accounts[(number + 1) % people.accounts.len()]
        } else {
            account
        };
        let user_number = actor_account.draw_user(&mut prng);
        let arrival = self.timing.arrival(i);
        let kind = &self.mix.kinds[usize::from(slot.kind)];
        let spread = (1.0 + SIZE_SIGMA * prng.normal()).clamp(0.6, 1.9);
        Facts {
            event_id,
            actiontrail,
            profile,
            slot,
            account,
            actor_account,
            user_number,
            user: &actor_account.users[user_number],
            region,
            event_time: arrival - self.timing.lateness(arrival, number, profile),
            arrival,
            access_key: usize::from(prng.chance(0.2)),
            // The square of a uniform number: few buckets hold most objects.
            bucket: (prng.unit().powi(2) * super::population::BUCKETS as f64) as usize,
            kms_key: prng.below(super::population::KMS_KEYS),
            size: (kind.mean_size * spread) as i64,
            prng,
        }
    }

    /// Appends event number `i` to `out`; for a repeat, the event it repeats.
    pub fn render(&self, i: u64, out: &mut Vec<u8>) {
        let mut facts = self.facts(self.origin(i));
        if facts.actiontrail {
            actiontrail::render(self, &mut facts, out);
        } else {
            cloudtrail::render(self, &mut facts, out);
        }
    }

    /// All events, in the order of their arrival.
    pub fn records(&self) -> impl Iterator<Item = Record> + Send + '_ {
        let mut buffer = Vec::with_capacity(8 * 1024);
        (0..self.shape.events).map(move |i| {
            buffer.clear();
            self.render(i, &mut buffer);
            Record {
                arrival: cairn_schemas::Micros(self.timing.arrival(i) * SECOND),
                bytes: Bytes::copy_from_slice(&buffer),
            }
        })
    }

    pub(crate) fn actiontrail_share(&self) -> f64 {
        match self.shape.dialect {
            DialectChoice::Cloudtrail => 0.0,
            DialectChoice::Actiontrail => 1.0,
            DialectChoice::Mix => MIX_ACTIONTRAIL,
        }
    }
}

impl Facts<'_> {
    /// The region's name in the event's dialect.
    pub(crate) fn region_name(&self) -> &'static str {
        if self.actiontrail {
            ACS_REGIONS[self.region % ACS_REGIONS.len()]
        } else {
            REGIONS[self.region]
        }
    }

    /// The event's id as text.
    pub(crate) fn id_text(&self) -> String {
        let mut out = Vec::with_capacity(36);
        super::prng::put_uuid(&mut out, self.event_id);
        let text: String = out.into_iter().map(char::from).collect();
        if self.actiontrail {
            text.to_ascii_uppercase()
        } else {
            text
        }
    }

    /// A moment as text.
    pub(crate) fn time_text(seconds: i64) -> String {
        let mut out = Vec::with_capacity(20);
        put_time(&mut out, seconds);
        out.into_iter().map(char::from).collect()
    }
}

/// Parses `--start`.
pub(crate) fn parse_start(text: &str) -> anyhow::Result<cairn_schemas::Micros> {
    let time = chrono::DateTime::parse_from_rfc3339(text)
        .with_context(|| format!("{text:?} is not a time: write it like 2026-06-01T00:00:00Z"))?;
    Ok(cairn_schemas::Micros(time.timestamp_micros()))
}

#[cfg(test)]
mod tests;
