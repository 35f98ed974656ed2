//! Which operation, user type, error, user agent and address occur together.
//!
//! Only the frequency of each value was measured, not of each combination. So
//! every measured event becomes a slot, every measured value is dealt to as
//! many slots as it was counted in, and rules say which slots suit it first: a
//! service's address to what that service does, `NoSuchBucketPolicy` to
//! questions about bucket policies. Drawing a slot at random then reproduces
//! every measured frequency exactly, in combinations that make sense.

use super::params::{Counts, Params, SHARES};
use super::prng::Prng;

/// An operation, as one log has it.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// `eventSource`.
    pub(crate) source: String,
    /// `eventName`.
    pub(crate) name: String,
    /// `readOnly`, where it is said.
    pub(crate) read_only: Option<bool>,
    /// Mean size in bytes.
    pub(crate) mean_size: f64,
}

impl Kind {
    /// The service's name: the source up to the first dot.
    pub(crate) fn service(&self) -> &str {
        self.source.split('.').next().unwrap_or_default()
    }
}

/// One measured event, as far as it was measured. Numbers are indices into
/// [`Mix`]'s lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The operation.
    pub(crate) kind: u16,
    /// `userIdentity.type`.
    pub(crate) user_type: Option<u16>,
    /// The error.
    pub(crate) error: Option<u16>,
    /// The user agent.
    pub(crate) agent: Option<u16>,
    /// The source address.
    pub(crate) address: Option<u16>,
}

/// All slots of all logs.
#[derive(Debug)]
pub(crate) struct Mix {
    /// Operations of all logs.
    pub(crate) kinds: Vec<Kind>,
    /// Every text that slots name by number.
    pub(crate) texts: Vec<String>,
    /// Slots by log.
    pub(crate) slots: Vec<Vec<Slot>>,
}

impl Mix {
    /// Deals the measured values; always in the same way.
    pub(crate) fn new(params: &Params) -> Self {
        let mut mix = Self {
            kinds: Vec::new(),
            texts: Vec::new(),
            slots: Vec::new(),
        };
        for (number, (log, _)) in SHARES.iter().enumerate() {
            let slots = match params.weights.get(*log) {
                Some(counts) => mix.deal_log(counts, number as u64),
                None => Vec::new(),
            };
            mix.slots.push(slots);
        }
        mix
    }

    /// Draws a slot: first the log by its share, then one of its events.
    pub(crate) fn draw(&self, prng: &mut Prng) -> (usize, Slot) {
        let mut unit = prng.unit();
        let mut profile = 0;
        while profile + 1 < SHARES.len() && unit >= SHARES[profile].1 {
            unit -= SHARES[profile].1;
            profile += 1;
        }
        let slots = &self.slots[profile];
        (profile, slots[prng.below(slots.len())])
    }

    /// The text with this number.
    pub(crate) fn text(&self, number: Option<u16>) -> Option<&str> {
        number.map(|n| self.texts[usize::from(n)].as_str())
    }

    /// The share of events for which `test` holds.
    pub(crate) fn share(&self, test: impl Fn(&Slot) -> bool) -> f64 {
        self.slots
            .iter()
            .zip(SHARES)
            .map(|(slots, (_, share))| {
                let hits = slots.iter().filter(|s| test(s)).count();
                share * hits as f64 / slots.len().max(1) as f64
            })
            .sum()
    }

    fn number(&mut self, text: &str) -> u16 {
        let at = self.texts.iter().position(|t| t == text);
        let at = at.unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn numbered(&mut self, counts: &[(Option<String>, u64)]) -> Vec<(Option<u16>, u64)> {
        counts
            .iter()
            .map(|(text, n)| (text.as_deref().map(|t| self.number(t)), *n))
            .collect()
    }

    fn deal_log(&mut self, counts: &Counts, number: u64) -> Vec<Slot> {
        let mut kinds: Vec<u16> = Vec::new();
        for ((source, name, read_only), n) in &counts.event_name {
            let index = u16::try_from(self.kinds.len()).unwrap_or(u16::MAX);
            self.kinds.push(Kind {
                source: source.clone(),
                name: name.clone(),
                read_only: *read_only,
                mean_size: counts.mean_size(name),
            });
            kinds.extend((0..*n).map(|_| index));
        }
        let order = shuffled(kinds.len(), number);
        let address_counts = self.numbered(&counts.ip);
        let agent_counts = self.numbered(&counts.user_agent);
        let user_counts = self.numbered(&counts.user_type);
        let error_counts = self.numbered(&counts.error_code);

        let kind = |i: usize| &self.kinds[usize::from(kinds[i])];
        let addresses = deal(&address_counts, &order, |v, i| {
            suits_address(self.text(v).unwrap_or_default(), kind(i))
        });
        let address = |i: usize| self.text(addresses[i]).unwrap_or_default();
        let agents = deal(&agent_counts, &order, |v, i| {
            suits_agent(self.text(v).unwrap_or_default(), kind(i), address(i))
        });
        let users = deal(&user_counts, &order, |v, i| {
            suits_user(self.text(v), kind(i), address(i))
        });
        let errors = deal(&error_counts, &order, |v, i| {
            suits_error(self.text(v), kind(i), address(i))
        });
        (0..kinds.len())
            .map(|i| Slot {
                kind: kinds[i],
                user_type: users[i],
                error: errors[i],
                agent: agents[i],
                address: addresses[i],
            })
            .collect()
    }
}

fn shuffled(n: usize, stream: u64) -> Vec<usize> {
    let mut prng = Prng::at(0, 0x006d_6978, stream);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, prng.below(i + 1));
    }
    order
}

/// Gives each value to as many slots as it was counted in: the rarest value
/// first, to slots that suit it well, then to those that will do, then to any.
fn deal(
    counts: &[(Option<u16>, u64)],
    order: &[usize],
    suits: impl Fn(Option<u16>, usize) -> u8,
) -> Vec<Option<u16>> {
    let mut dealt: Vec<Option<Option<u16>>> = vec![None; order.len()];
    let mut left: Vec<(Option<u16>, u64)> = counts.to_vec();
    left.sort_by_key(|(_, n)| *n);
    for wanted in [2, 1, 0] {
        for (value, n) in &mut left {
            for &i in order {
                if *n == 0 {
                    break;
                }
                if dealt[i].is_none() && suits(*value, i) >= wanted {
                    dealt[i] = Some(*value);
                    *n -= 1;
                }
            }
        }
    }
    dealt.into_iter().map(Option::flatten).collect()
}

/// Whether an address is the name of a service.
pub(crate) fn is_service(address: &str) -> bool {
    address.ends_with(".amazonaws.com") || address == "AWS Internal"
}

/// What services do to one another, whatever the address.
fn between_services(kind: &Kind) -> bool {
    kind.name == "AssumeRole" || kind.source.starts_with("kms.")
}

/// What services tell of themselves, with nobody having called.
fn raised_by_service(kind: &Kind) -> bool {
    kind.name.ends_with("SecretVersionDelete") || kind.name == "SharedSnapshotVolumeCreated"
}

fn suits_address(address: &str, kind: &Kind) -> u8 {
    let s3 = kind.source.starts_with("s3.");
    let best = match address {
        "AWS Internal" => kind.name == "Decrypt",
        "delivery.logs.amazonaws.com" => kind.name == "PutObject",
        "cloudtrail.amazonaws.com" => {
            between_services(kind)
                || (s3 && matches!(&*kind.name, "PutObject" | "GetBucketAcl" | "HeadBucket"))
        }
        "secretsmanager.amazonaws.com" => {
            kind.name.ends_with("SecretVersionDelete") || between_services(kind)
        }
        _ if is_service(address) => between_services(kind) || kind.source == address,
        _ => !between_services(kind) && kind.name != "PutObject",
    };
    u8::from(best) * 2
}

fn suits_agent(agent: &str, kind: &Kind, address: &str) -> u8 {
    if is_service(address) {
        return if agent == address {
            2
        } else {
            u8::from(is_service(agent))
        };
    }
    if is_service(agent) && !agent.starts_with("console") {
        return 0;
    }
    let by_source = [
        ("S3Console", "s3."),
        ("RDS Console", "rds."),
        ("EC2Console", "ec2."),
        ("console.ec2", "ec2."),
    ];
    if let Some((_, source)) = by_source.iter().find(|(mark, _)| agent.contains(mark)) {
        return u8::from(kind.source.starts_with(source)) * 2;
    }
    if agent.contains("Mozilla") {
        return 1 + u8::from(kind.name == "ConsoleLogin");
    }
    if agent.contains("s3.sync") {
        return 1 + u8::from(kind.name == "GetObject");
    }
    1
}

fn suits_user(user_type: Option<&str>, kind: &Kind, address: &str) -> u8 {
    let raised_by_service = raised_by_service(kind);
    match user_type {
        None => u8::from(raised_by_service) * 2,
        Some("AWSService") if is_service(address) && address != "AWS Internal" => {
            1 + u8::from(!raised_by_service)
        }
        Some("AWSService") => 0,
        Some(_) if raised_by_service => 0,
        Some(_) => 1 + u8::from(!is_service(address)),
    }
}

fn suits_error(error: Option<&str>, kind: &Kind, address: &str) -> u8 {
    let Some(error) = error else { return 1 };
    let best = match error {
        "AccessDenied" => address == "delivery.logs.amazonaws.com" || kind.name == "AssumeRole",
        "ThrottlingException" => kind.name.contains("Parameter"),
        "Client.UnauthorizedOperation" => {
            matches!(&*kind.name, "GetPasswordData" | "DescribeInstanceAttribute")
        }
        _ => {
            let subject = subject_of(error);
            !subject.is_empty() && kind.name.contains(&subject)
        }
    };
    // An error that nobody would have got there is worse than a plain one.
    let possible = !is_service(address) && !raised_by_service(kind);
    if best { 2 } else { u8::from(possible) }
}

/// What an error code is about: `NoSuchBucketPolicy` is about `BucketPolicy`.
fn subject_of(error: &str) -> String {
    let mut subject = error.trim_start_matches("Client.").to_owned();
    for noise in [
        "NoSuch",
        "Invalid",
        "Configuration",
        "NotFound",
        "AlreadyExists",
        "LimitExceeded",
        "NotEnabled",
        "NotEmpty",
        "Exception",
        "Error",
        "Value",
        "ID",
        ".",
        "Set",
    ] {
        subject = subject.replace(noise, "");
    }
    // Operations are called GetBucketCors.
    subject.replace("CORS", "Cors")
}
