//! Who acts, and on what: accounts, regions, users, keys, buckets. All of this
//! is made up, since each of the measured logs comes from one account and
//! nearly one region.

use super::prng::{BASE32, HEX, Prng, Weighted};

/// Streams of the seed.
const ACCOUNTS: u64 = 0x6163_6374;
const USERS: u64 = 0x7573_6572;

/// How unevenly events fall on accounts, regions and users (Zipf slopes).
const ACCOUNT_SLOPE: f64 = 1.0;
const REGION_SLOPE: f64 = 1.2;
const USER_SLOPE: f64 = 1.1;

/// Things that each account has of a kind.
pub(crate) const BUCKETS: usize = 20;
/// Encryption keys of an account.
pub(crate) const KMS_KEYS: usize = 5;
/// Instances, volumes, networks and so on of an account, by kind.
pub(crate) const THINGS: usize = 200;

/// Regions of CloudTrail events.
pub(crate) const REGIONS: [&str; 24] = [
    "us-east-1",
    "us-west-1",
    "eu-central-1",
    "us-east-2",
    "ap-northeast-2",
    "eu-west-1",
    "us-west-2",
    "ca-central-1",
    "ap-southeast-2",
    "eu-west-2",
    "eu-west-3",
    "ap-northeast-1",
    "ap-southeast-1",
    "eu-north-1",
    "sa-east-1",
    "ap-south-1",
    "eu-south-1",
    "me-south-1",
    "af-south-1",
    "ap-east-1",
    "ap-northeast-3",
    "eu-central-2",
    "il-central-1",
    "ca-west-1",
];

/// Regions of ActionTrail events; none is called like one of [`REGIONS`].
pub(crate) const ACS_REGIONS: [&str; 12] = [
    "cn-hangzhou",
    "cn-shanghai",
    "cn-beijing",
    "cn-shenzhen",
    "cn-qingdao",
    "cn-zhangjiakou",
    "cn-chengdu",
    "cn-hongkong",
    "cn-huhehaote",
    "cn-wulanchabu",
    "cn-guangzhou",
    "cn-nanjing",
];

const FIRST: [&str; 20] = [
    "anna", "benjamin", "carla", "deniz", "elena", "farid", "grace", "hiro", "ines", "jonas",
    "katrin", "liam", "mei", "noor", "olga", "pedro", "quentin", "rosa", "sven", "tariq",
];
const LAST: [&str; 20] = [
    "adler", "brandt", "costa", "dubois", "evans", "fischer", "garcia", "haas", "ito", "jansen",
    "keller", "lindt", "moreau", "novak", "okafor", "petrov", "quist", "rossi", "sato", "tanaka",
];
const ROLES: [&str; 10] = [
    "deploy-pipeline",
    "nightly-backup",
    "cost-report",
    "log-shipper",
    "image-builder",
    "data-import",
    "security-audit",
    "web-runtime",
    "batch-runtime",
    "break-glass",
];
const WORDS: [&str; 12] = [
    "invoices",
    "telemetry",
    "backups",
    "artifacts",
    "media",
    "exports",
    "audit",
    "datalake",
    "website",
    "models",
    "reports",
    "staging",
];

/// A person or a tool of one account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The name of the user, or of the role.
    pub(crate) name: String,
    /// The role's name, for when it acts with one.
    pub(crate) role: &'static str,
    /// The part of principal ids after `AIDA` or `AROA`.
    pub(crate) principal: String,
    /// Long-lived keys; the first is used more often.
    pub(crate) keys: [String; 2],
    /// Whether the second factor is used.
    pub(crate) mfa: bool,
}

/// A member account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Twelve digits.
    pub(crate) id: String,
    /// Its people and tools.
    pub(crate) users: Vec<User>,
    weights: Weighted,
    /// Where the account's own numbers begin.
    seed: u64,
}

/// Everyone and everything.
#[derive(Debug)]
pub(crate) struct Population {
    /// Accounts, the busiest first.
    pub(crate) accounts: Vec<Account>,
    /// How events fall on them.
    pub(crate) account_weights: Weighted,
    /// How events fall on regions.
    pub(crate) region_weights: Weighted,
}

impl Population {
    /// `accounts` accounts and `regions` regions.
    pub(crate) fn new(seed: u64, accounts: usize, regions: usize) -> Self {
        let mut ids = std::collections::BTreeSet::new();
        let accounts: Vec<Account> = (0..accounts)
            .map(|i| {
                let mut prng = Prng::at(seed, ACCOUNTS, i as u64);
                let mut id = account_id(&mut prng);
                while !ids.insert(id.clone()) {
                    id = account_id(&mut prng);
                }
                Account::new(id, prng.next(), 40 * 10 / (10 + i))
            })
            .collect();
        Self {
            account_weights: Weighted::zipf(accounts.len(), ACCOUNT_SLOPE),
            region_weights: Weighted::zipf(regions, REGION_SLOPE),
            accounts,
        }
    }
}

fn account_id(prng: &mut Prng) -> String {
    format!("{}", 100_000_000_000 + prng.below(900_000_000_000))
}

impl Account {
    fn new(id: String, seed: u64, users: usize) -> Self {
        let users: Vec<User> = (0..users.max(4))
            .map(|i| User::new(&mut Prng::at(seed, USERS, i as u64)))
            .collect();
        Self {
            weights: Weighted::zipf(users.len(), USER_SLOPE),
            id,
            users,
            seed,
        }
    }

    /// Draws one of the users.
    pub(crate) fn draw_user(&self, prng: &mut Prng) -> usize {
        self.weights.at(prng.unit())
    }

    /// A stream that is the same whenever the same thing is named.
    pub(crate) fn thing(&self, kind: u64, number: usize) -> Prng {
        Prng::at(self.seed, kind, number as u64)
    }

    /// Appends a bucket's name.
    pub(crate) fn bucket(&self, out: &mut Vec<u8>, number: usize) {
        out.extend_from_slice(WORDS[number % WORDS.len()].as_bytes());
        out.push(b'-');
        self.thing(1, number).text(out, HEX, 10);
    }

    /// Appends the id of an encryption key.
    pub(crate) fn kms_key(&self, out: &mut Vec<u8>, number: usize) {
        self.thing(2, number).uuid(out);
    }

    /// Appends an address that stands, in this account and for this user, for
    /// a measured one: private where that is private.
    pub(crate) fn address(&self, out: &mut Vec<u8>, user: usize, measured: &str) {
        let place = measured.bytes().fold(user as u64, |h, b| {
            h.wrapping_mul(0x0100_0000_01b3) ^ u64::from(b)
        });
        let bits = Prng::at(self.seed, 3, place).next().to_le_bytes();
        let prefix: &[u8] = if measured.starts_with("192.168.") {
            b"192.168."
        } else if measured.starts_with("10.") {
            b"10."
        } else {
            b""
        };
        out.extend_from_slice(prefix);
        let dots = prefix.iter().filter(|b| **b == b'.').count();
        for (i, octet) in bits.iter().take(4 - dots).enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            // Public addresses begin with 20 to 99: none of those is reserved
            // but for parts that do not matter here.
            let octet = if dots == 0 && i == 0 {
                20 + octet % 80
            } else {
                1 + octet % 254
            };
            put_number(out, u64::from(octet));
        }
    }
}

impl User {
    fn new(prng: &mut Prng) -> Self {
        let first = FIRST[prng.below(FIRST.len())];
        let last = LAST[prng.below(LAST.len())];
        Self {
            name: format!("{first}.{last}"),
            role: ROLES[prng.below(ROLES.len())],
            principal: prng.string(BASE32, 17),
            keys: [prng.string(BASE32, 16), prng.string(BASE32, 16)],
            mfa: prng.chance(0.6),
        }
    }
}

/// Appends a number in decimal.
pub(crate) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `2026-01-02T03:04:05Z`.
pub(crate) fn put_time(out: &mut Vec<u8>, seconds: i64) {
    let day = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400);
    // Days to a date of the Gregorian calendar (Hinnant's `civil_from_days`).
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    let y = yoe + era * 400 + i64::from(m <= 2);
    let two = |n: i64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    out.extend_from_slice(&two(y / 100));
    out.extend_from_slice(&two(y % 100));
    for (mark, n) in [
        (b'-', m),
        (b'-', d),
        (b'T', rest / 3_600),
        (b':', rest / 60 % 60),
        (b':', rest % 60),
    ] {
        out.push(mark);
        out.extend_from_slice(&two(n));
    }
    out.push(b'Z');
}
