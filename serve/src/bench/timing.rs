//! When events arrive, and how long before that they happened.
//!
//! Arrivals come in bursts: the weight of each minute, and of each second in
//! it, has a long tail whose greatest value lies as far above the mean as was
//! measured. An event happened some minutes before it arrived; events of one
//! account that arrive in the same second happened in the same second, so that
//! a burst in the log is a burst in event time too.

use super::params::{Params, Rates};
use super::prng::Prng;

/// Streams of the seed.
const MINUTES: u64 = 0x6d69_6e75;
const LATENESS: u64 = 0x6c61_7465;

/// A second's weights are taken from this many, again and again.
const PATTERN: usize = 4_096;

/// Tails of the weights; the greatest value follows from the cap.
const MINUTE_SIGMA: f64 = 1.6;
const SECOND_SIGMA: f64 = 1.0;

/// When the `i`th of `n` events arrives.
#[derive(Debug)]
pub(crate) struct Timing {
    seed: u64,
    /// Seconds since 1970.
    start: i64,
    events: u64,
    /// The share of all events that arrive before the end of each minute.
    minutes: Vec<f64>,
    /// Running sums of the pattern of seconds; one longer than the pattern.
    seconds: Vec<f64>,
    rates: [Rates; 2],
}

impl Timing {
    /// `events` events over `days` days from `start`.
    pub(crate) fn new(params: &Params, seed: u64, start: i64, days: u32, events: u64) -> Self {
        let rates = [params.sans504.clone(), params.invictus.clone()];
        let minute_cap = rates
            .iter()
            .map(|r| r.max_per_minute / r.mean_per_active_minute)
            .fold(1.0, f64::max);
        let second_cap = rates
            .iter()
            .map(|r| r.max_per_second * r.active_seconds as f64 / r.events as f64)
            .fold(1.0, f64::max);
        let mut prng = Prng::at(seed, MINUTES, 0);
        let count = days.max(1) as usize * 1_440;
        let mut minutes = running(&mut prng, count, MINUTE_SIGMA, minute_cap);
        let total = minutes[count];
        minutes.remove(0);
        for m in &mut minutes {
            *m /= total;
        }
        let mut seconds = running(&mut prng, PATTERN, SECOND_SIGMA, second_cap);
        // The pattern once more, so that any 60 seconds lie in one piece.
        let turn = seconds[PATTERN];
        for i in 1..=60 {
            seconds.push(turn + seconds[i]);
        }
        Self {
            seed,
            start,
            events: events.max(1),
            minutes,
            seconds,
            rates,
        }
    }

    /// The second in which event `i` arrives; never earlier than `i - 1`.
    pub(crate) fn arrival(&self, i: u64) -> i64 {
        let unit = ((i as f64 + 0.5) / self.events as f64).min(1.0);
        let minute = self
            .minutes
            .partition_point(|&m| m < unit)
            .min(self.minutes.len() - 1);
        let from = if minute == 0 {
            0.0
        } else {
            self.minutes[minute - 1]
        };
        let width = (self.minutes[minute] - from).max(f64::MIN_POSITIVE);
        let within = ((unit - from) / width).clamp(0.0, 1.0);
        // Each minute begins elsewhere in the pattern.
        let at = Prng::at(self.seed, MINUTES, 1 + minute as u64).below(PATTERN);
        let turn = &self.seconds[at..=at + 60];
        let wanted = turn[0] + within * (turn[60] - turn[0]);
        let second = turn[1..].partition_point(|&s| s < wanted).min(59);
        self.start + minute as i64 * 60 + second as i64
    }

    /// How many seconds before its arrival an event of this account and log
    /// happened.
    pub(crate) fn lateness(&self, arrival: i64, account: usize, profile: usize) -> i64 {
        let log = usize::from(profile != 0);
        let place = (arrival as u64) ^ ((account as u64) << 40) ^ ((log as u64) << 63);
        let p = Prng::at(self.seed, LATENESS, place).unit();
        self.rates[log].lateness_s.at(p).round() as i64
    }
}

/// Running sums of `n` weights with a long tail and mean about 1, from 0.
fn running(prng: &mut Prng, n: usize, sigma: f64, cap: f64) -> Vec<f64> {
    let mut sums = Vec::with_capacity(n + 61);
    let mut sum = 0.0;
    sums.push(sum);
    for _ in 0..n {
        sum += (sigma * prng.normal() - sigma * sigma / 2.0).exp().min(cap);
        sums.push(sum);
    }
    sums
}
