//! The server: one process, everything embedded, data under one folder.
//!
//! - [`app`]: the parts and how they are put together
//! - [`intake`]: what the pipeline is given
//! - [`doors`]: the listening socket
//! - [`http`]: every call
//! - [`room`]: memory for bodies on their way in
//! - [`registry`], [`trails`]: accounts, tokens, trails
//! - [`audit`]: Cairn's own events
//! - [`maintenance`]: compaction, retention, trimming
//! - [`system_tables`], [`metrics`]: what Cairn tells of itself

pub mod ambient;
pub mod app;
pub mod audit;
pub mod doors;
pub mod explain;
pub mod http;
mod intake;
pub mod maintenance;
pub mod metrics;
pub mod registry;
pub mod room;
pub mod start;
pub mod system_tables;
pub mod trails;

pub use start::run;
