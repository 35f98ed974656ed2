//! What of the generated events was measured, and what is made up.

use super::generate::{CROSS_ACCOUNT, Generator, MIX_ACTIONTRAIL};
use super::params::SHARES;

/// The text of `cairn bench generate --describe`.
pub(crate) fn text(g: &Generator) -> String {
    let logs: Vec<String> = SHARES
        .iter()
        .map(|(log, share)| format!("{log} {:.1} %", share * 100.0))
        .collect();
    format!(
        "\
Measured on real CloudTrail logs (testdata/generator_params.json), and reproduced:
  - how often each operation, user type, error code, user agent and address occurs, and readOnly
  - the mean size of each operation's events; the 99th percentile of all sizes
  - how late events are delivered (quantiles of two logs)
  - how far the busiest minute and second lie above the mean
  - byte-for-byte repeats, as many as --duplicates asks for (up to 0.21 was seen)
  Events are drawn from four logs: {}.

Made up:
  - {} accounts and {} regions, and how unevenly events fall on them (each real log is of one
    account and nearly one region); the region does not depend on the operation
  - users, roles, keys, buckets, and addresses (the measured ones, moved into each account)
  - which values occur together, where rules of thumb do not decide it
  - what fills requestParameters and responseElements up to the measured size
  - {:.0} % of the calls of people and tools come from another account
  - one sign-in of ten fails; six users of ten have a second factor
  - how sizes spread around the mean of an operation; how far back a repeat lies
  - the days that the events are spread over, and that minutes do not depend on the time of day
  - ActionTrail events ({:.0} % of --dialect mix): form and mean size follow eleven real ones, their
    operations are made up
",
        logs.join(", "),
        g.shape().accounts,
        g.shape().regions,
        CROSS_ACCOUNT * 100.0,
        MIX_ACTIONTRAIL * 100.0,
    )
}
