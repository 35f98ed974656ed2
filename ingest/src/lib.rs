//! From received bytes to committed rows, and on to the trails.
//!
//! In the order data moves:
//!
//! - [`receive`]: a body becomes single events' bytes
//! - [`source`]: the log gives out records, in order; [`kafka`]: so do topics
//! - [`decode`]: bytes become an event's columns, or a reason why not
//! - [`judge`]: account and duplicates decide whether it is admitted, with [`seen`]
//! - [`rows`]: events become Arrow batches
//! - [`recent`], [`history`]: the newest rows, visible before they are in files
//! - [`pipeline`]: the one task that does all this and commits
//! - [`verdict`]: what doors tell their senders
//! - [`deliver`]: a trail follows history, taking what [`select`] selects

pub mod decode;
pub mod deliver;
pub mod history;
pub mod judge;
pub mod kafka;
pub mod pipeline;
pub mod receive;
pub mod recent;
pub mod rows;
pub mod seen;
pub mod select;
pub mod source;
pub mod verdict;

#[cfg(test)]
mod testing;
