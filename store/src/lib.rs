//! Bytes at rest and their life.
//!
//! - [`control`]: versioned documents of the control plane
//! - [`log`]: the embedded log, where "acknowledged" becomes "durable" on one machine
//! - [`view`]: what a table shows to readers, committed files and fresh rows as one
//!
//! Object stores, tables and control documents follow.

pub mod control;
pub mod log;
pub mod view;
