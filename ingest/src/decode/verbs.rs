//! Read or Write of an event that does not say, from the verb that its name
//! begins with.
//!
//! A name that is not in the table counts as Write: a read among the writes is
//! noise, a write among the reads goes unnoticed. The same reason keeps out
//! verbs that only mostly read: `Check` (of the console's sign-in), `Assume`
//! (it makes credentials), `Invoke`, `Test`, `Export`.

use cairn_schemas::selector::ReadWrite;

/// Verbs that only look. CloudTrail's own `readOnly` is true in all of 2,539
/// real events that begin with one, but for a `GetFederationToken`.
const READ_VERBS: [&str; 26] = [
    "BatchDescribe",
    "BatchGet",
    "BatchList",
    "Count",
    // The key service's use of keys changes nothing that it keeps.
    "Decrypt",
    "Describe",
    "Discover",
    "Download",
    "Encrypt",
    "Estimate",
    "Explain",
    "Fetch",
    "Filter",
    "Find",
    "GenerateDataKey",
    "Get",
    "Has",
    "Head",
    "List",
    "Lookup",
    "Query",
    "Read",
    "Scan",
    "Search",
    "Select",
    "View",
];

/// Names that begin like a read and make credentials.
const WRITES_ALL_THE_SAME: [&str; 3] = ["GetFederationToken", "GetSessionToken", "GetSigninToken"];

/// What an event of this name does, as far as its name tells.
pub(crate) fn read_or_write(event_name: &str) -> ReadWrite {
    let first = event_name.as_bytes().first();
    let reads = READ_VERBS
        .iter()
        .filter(|verb| {
            // The first letter decides most: names are many, verbs few.
            first.map(u8::to_ascii_uppercase) == verb.as_bytes().first().copied()
        })
        .any(|verb| begins_with_word(event_name, verb));
    if reads && !WRITES_ALL_THE_SAME.contains(&event_name) {
        ReadWrite::Read
    } else {
        ReadWrite::Write
    }
}

/// Whether `name` begins with `verb` as a word of its own, `getObject` with
/// `Get` too, `Getaway` not.
fn begins_with_word(name: &str, verb: &str) -> bool {
    let (name, verb) = (name.as_bytes(), verb.as_bytes());
    name.len() >= verb.len()
        && name[1..verb.len()] == verb[1..]
        && !name.get(verb.len()).is_some_and(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests;
