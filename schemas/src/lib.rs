//! What things are in Cairn: events, accounts, principals, trails, selectors,
//! positions, the columns auditors see and the keys objects lie under.
//!
//! Everything here is pure: no I/O, no clock, no randomness. The other crates
//! take their nouns from here and nothing else formats a key, names a column
//! or decides whether an account id is one.

pub mod ambient;
pub mod columns;
pub mod control;
pub mod export;
pub mod ids;
pub mod keys;
pub mod position;
pub mod saved;
pub mod selector;
pub mod time;
pub mod trail;
pub mod withhold;

pub use ambient::{Clock, IdSource};
pub use ids::{AccountId, IdError, QueryName, TokenId, TrailId, TrailName};
pub use position::{Partition, Position};
pub use selector::Selector;
pub use time::Micros;
pub use withhold::Withheld;
