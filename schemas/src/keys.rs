//! Where things lie: the only place that puts object keys together.
//!
//! ```text
//! DATA/
//!   node                                   the name of this folder's log
//!   starts                                 the last starts on it, where the store is shared
//!   LOCK                                   held by the running server
//!   admin.token                            the first administrator's token, mode 0600
//!   log/                                   the embedded log's segments
//!   seen/                                  runs of the duplicate index (derived; may be deleted)
//!   exports/<principal>/…/<export>/        exports that were given no other destination
//!   store/                                 an object store, laid out as it would be in a bucket
//!     control/<kind>/<id>/<version>.json   control documents
//!     tables/history/                      Delta tables
//!     tables/quarantine/
//!     tables/trails/<name>-<id>/           trails that were given no destination
//! ```
//!
//! Every part of a key is checked (a type of [`crate::ids`]) or a number, so no
//! key can leave its folder.

use crate::control::ControlKind;
use crate::ids::{TrailId, TrailName};

/// The file that the running server holds locked.
pub const LOCK_FILE: &str = "LOCK";
/// The name of this data folder's log.
pub const NODE_FILE: &str = "node";
/// What this data folder's process is called in Kafka's consumer group.
pub const MEMBER_FILE: &str = "member";
/// The numbers of this data folder's last starts.
pub const STARTS_FILE: &str = "starts";
/// The first administrator's token.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// The embedded log's folder.
pub const LOG_DIR: &str = "log";
/// The duplicate index's folder.
pub const SEEN_DIR: &str = "seen";
/// The folder of exports that were given no other destination.
pub const EXPORTS_DIR: &str = "exports";
/// The folder that is an object store.
pub const STORE_DIR: &str = "store";
/// The table of every event, in the object store.
pub const HISTORY: &str = "tables/history";
/// The table of what could not become an event, in the object store.
pub const QUARANTINE: &str = "tables/quarantine";

/// The folder of one control document's versions. `id` must be one of
/// [`crate::ids`]' types or a constant.
pub fn control_folder(kind: ControlKind, id: &str) -> String {
    format!("control/{}/{id}", kind.as_str())
}

/// One version of a control document; versions sort as text.
pub fn control(kind: ControlKind, id: &str, version: u64) -> String {
    format!("{}/{version:020}.json", control_folder(kind, id))
}

/// The table of a trail that was given no destination.
pub fn trail_table(name: &TrailName, id: &TrailId) -> String {
    format!("tables/trails/{}-{}", name.folded(), &id.as_str()[..8])
}
