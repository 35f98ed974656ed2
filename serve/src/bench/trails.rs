//! The two trails of the measured run: one takes about a tenth of the events,
//! one about a third. Which criteria do so follows from the generator's own
//! weights.

use std::collections::BTreeSet;

use cairn_schemas::selector::{Among, ReadWriteFilter};
use cairn_schemas::{AccountId, Selector};
use serde::Serialize;

use super::actiontrail;
use super::generate::Generator;
use super::population::{ACS_REGIONS, REGIONS};
use super::prng::Weighted;

/// One of the two.
#[derive(Clone, Debug, Serialize)]
pub struct BenchTrail {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub selector: Selector,
    /// The share of events that it is expected to take.
    pub expected: f64,
}

/// The two trails for what `g` generates.
pub fn trails(g: &Generator) -> anyhow::Result<[BenchTrail; 2]> {
    let writes = write_share(g);
    // A tenth: what some accounts write.
    let (accounts, of_accounts) = near(&g.population.account_weights, 0.1 / writes);
    let mut ids = BTreeSet::new();
    for i in accounts {
        ids.insert(AccountId::new(&g.population.accounts[i].id)?);
    }
    let tenth = BenchTrail {
        name: "bench-tenth",
        selector: Selector {
            accounts: Among::Only(ids),
            read_write: ReadWriteFilter::Write,
            ..Selector::default()
        },
        expected: of_accounts * writes,
    };
    // A third: everything in some regions.
    let (regions, of_regions) = near(&g.population.region_weights, 1.0 / 3.0);
    let names = regions
        .into_iter()
        .flat_map(|i| [REGIONS[i], ACS_REGIONS[i % ACS_REGIONS.len()]].map(str::to_owned));
    let third = BenchTrail {
        name: "bench-third",
        selector: Selector {
            regions: Among::Only(names.collect()),
            ..Selector::default()
        },
        expected: of_regions,
    };
    Ok([tenth, third])
}

/// The share of events that are writes.
fn write_share(g: &Generator) -> f64 {
    let records = g.mix.share(|slot| {
        let kind = &g.mix.kinds[usize::from(slot.kind)];
        // Where a record does not say, its operation's name decides.
        !kind.read_only.unwrap_or_else(|| reads(&kind.name))
    });
    let actiontrail = g.actiontrail_share();
    (1.0 - actiontrail) * records + actiontrail * actiontrail::share(g, |rw| rw == "Write")
}

fn reads(name: &str) -> bool {
    ["Describe", "Get", "List", "Lookup", "Head"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Indices whose shares add up to nearly `target`, and their sum. The greatest
/// that still fits is taken first.
fn near(weights: &Weighted, target: f64) -> (Vec<usize>, f64) {
    let mut taken = Vec::new();
    let mut sum = 0.0;
    for i in 0..weights.len() {
        let share = weights.share(i);
        let better = (sum + share - target).abs() < (sum - target).abs();
        if sum + share <= target * 1.02 && better {
            taken.push(i);
            sum += share;
        }
    }
    if taken.is_empty() {
        // Fewer choices than that: the rarest is the nearest.
        let last = weights.len() - 1;
        return (vec![last], weights.share(last));
    }
    (taken, sum)
}
