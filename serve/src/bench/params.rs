//! The distributions that were measured on real CloudTrail logs, as they lie in
//! `testdata/generator_params.json`.
//!
//! Four logs were measured. Two carry the weight: `sans504` (30,477 events of
//! services that write logs, one account) and `invictus` (2,900 events of
//! people and tools, one account). The generator draws half of its events from
//! the first and nearly half from the second, which gives an average event of
//! about 1,355 bytes; the two small ones keep the share that they were found in.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

const MEASURED: &str = include_str!("../../../testdata/generator_params.json");

/// Everything that was measured.
#[derive(Debug, Deserialize)]
pub(crate) struct Params {
    /// Rates of the log of services.
    pub(crate) sans504: Rates,
    /// Rates of the log of people and tools.
    pub(crate) invictus: Rates,
    /// What was counted in each log.
    pub(crate) weights: BTreeMap<String, Counts>,
}

/// Lateness and bursts of one log.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rates {
    /// How many events.
    pub(crate) events: u64,
    /// From the event to its delivery.
    pub(crate) lateness_s: Quantiles,
    /// Seconds in which anything happened.
    pub(crate) active_seconds: u64,
    /// The greatest number of events in a second.
    pub(crate) max_per_second: f64,
    /// The mean number of events in a minute in which anything happened.
    pub(crate) mean_per_active_minute: f64,
    /// The greatest number of events in a minute.
    pub(crate) max_per_minute: f64,
    /// The slope of event names by rank.
    #[serde(rename = "zipf_eventName")]
    pub(crate) zipf: f64,
}

/// Some quantiles, in seconds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Quantiles {
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Quantiles {
    /// The value at `p`, between the measured ones on a straight line.
    pub(crate) fn at(&self, p: f64) -> f64 {
        let knots = [
            (0.0, self.min),
            (0.5, self.p50),
            (0.9, self.p90),
            (0.99, self.p99),
            (1.0, self.max),
        ];
        for pair in knots.windows(2) {
            let ((p0, v0), (p1, v1)) = (pair[0], pair[1]);
            if p <= p1 {
                return v0 + (v1 - v0) * (p - p0) / (p1 - p0);
            }
        }
        self.max
    }
}

/// `(eventSource, eventName, readOnly)`.
pub(crate) type Operation = (String, String, Option<bool>);

/// How often each value was seen in one log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// Operations.
    pub(crate) event_name: Vec<(Operation, u64)>,
    /// `userIdentity.type`; null in events that services themselves raise.
    pub(crate) user_type: Vec<(Option<String>, u64)>,
    /// Error codes; null where the call succeeded.
    pub(crate) error_code: Vec<(Option<String>, u64)>,
    /// User agents, cut at 160 characters.
    pub(crate) user_agent: Vec<(Option<String>, u64)>,
    /// Source addresses.
    pub(crate) ip: Vec<(Option<String>, u64)>,
    /// `(count, mean bytes)` by event name, of the names seen most.
    #[serde(rename = "size_by_event")]
    pub(crate) sizes: BTreeMap<String, (u64, f64)>,
}

impl Counts {
    /// How many events were counted.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.event_name.iter().map(|(_, n)| n).sum()
    }

    /// The mean size of an event with this name; the log's own mean for names
    /// too rare to have one.
    pub(crate) fn mean_size(&self, name: &str) -> f64 {
        if let Some((_, mean)) = self.sizes.get(name) {
            return *mean;
        }
        let (n, bytes) = self.sizes.values().fold((0.0, 0.0), |(n, b), (k, mean)| {
            (n + *k as f64, b + *k as f64 * mean)
        });
        if n > 0.0 { bytes / n } else { 1_350.0 }
    }
}

/// The logs, in the order in which the generator numbers them, with the share
/// of events drawn from each.
pub(crate) const SHARES: [(&str, f64); 4] = [
    ("sans504", 0.500),
    ("invictus", 0.488),
    ("stratus", 0.009),
    ("otrf", 0.003),
];

impl Params {
    /// The measured distributions.
    pub(crate) fn measured() -> anyhow::Result<Self> {
        serde_json::from_str(MEASURED)
            .context("testdata/generator_params.json does not have the expected form")
    }
}
