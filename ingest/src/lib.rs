//! Receive, decode, admit, batch, commit, and the followers that deliver.
//!
//! In the order in which an event goes through:
//!
//! - [`receive`]: a body becomes single events, still bytes
//! - [`decode`]: bytes become the columns' values, or a reason for quarantine
//! - [`rows`]: values become rows of an Arrow batch

pub mod decode;
pub mod receive;
pub mod rows;
