//! The server: one process, everything embedded, data under one folder.
//!
//! - [`app`]: the parts and how they are put together
//! - [`doors`]: the listening socket
//! - [`http`]: every call
//! - [`room`]: memory for bodies on their way in
//! - [`registry`], [`trails`]: accounts, tokens, trails
//! - [`audit`]: Cairn's own events
//! - [`rejected`]: calls without a valid token
//! - [`spill`]: the folder for what queries spill
//! - [`maintenance`]: compaction, retention, trimming
//! - [`system_tables`], [`metrics`]: what Cairn tells of itself

pub mod ambient;
pub mod app;
pub mod audit;
pub mod doors;
pub mod explain;
pub mod http;
pub mod maintenance;
pub mod metrics;
pub mod registry;
pub mod rejected;
pub mod room;
pub mod spill;
pub mod start;
pub mod system_tables;
pub mod trails;

pub use start::run;
