//! Bytes at rest and their life.
//!
//! - [`control`]: versioned documents of the control plane
//! - [`log`]: the embedded log, where "acknowledged" becomes "durable" on one machine
//! - [`objects`]: object stores, on local disk and S3, and whether they can be trusted
//! - [`outline`]: received bytes without what the columns beside them hold
//! - [`table`]: Parquet files under a Delta log, committed exactly once
//! - [`view`]: what a table shows to readers, committed files and fresh rows as one
//!
//! Control documents follow.

pub mod control;
pub mod log;
pub mod objects;
pub mod outline;
pub mod table;
pub mod view;
