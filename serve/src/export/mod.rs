//! What an export is to its reader: the manifest, how rows are counted, and
//! how all of it is checked. Nothing here needs a server, so that whoever was
//! given an export can check it without one. `docs/exports.md` is the format.

pub mod cells;
pub mod count;
pub mod manifest;
pub mod verify;

pub use manifest::{Manifest, ManifestError};
