//! The server: one process, everything embedded, data under one folder.
//!
//! - [`app`]: the parts and how they are put together
//! - [`intake`]: what the pipeline is given
//! - [`doors`]: the listening socket
//! - [`http`]: every call
//! - [`asking`]: what holds for every query, whatever its door
//! - [`queries`]: queries that nobody waits for, and their results
//! - [`flight`]: Arrow Flight SQL's clients
//! - [`pg`]: PostgreSQL's clients; [`scram`], [`tls`]: how they are known
//! - [`room`]: memory for bodies on their way in
//! - [`node`], [`kafka`]: the log's name, and where events come from beside HTTP
//! - [`registry`], [`trails`]: accounts, tokens, trails
//! - [`exports`]: files for others, with a manifest
//! - [`states`]: states of tables, as each principal is told of them
//! - [`stores`]: how object stores are reached, and whether they keep what is written
//! - [`starts`]: whether another process has the same log
//! - [`audit`]: Cairn's own events
//! - [`reload`]: what other processes changed
//! - [`rejected`]: calls without a valid token
//! - [`spill`]: the folder for what queries spill
//! - [`maintenance`]: compaction, retention, trimming
//! - [`system_tables`], [`watermarks`], [`metrics`]: what Cairn tells of itself

pub mod ambient;
pub mod app;
pub mod asking;
pub mod audit;
pub mod doors;
pub mod explain;
pub mod exports;
pub mod flight;
pub mod http;
mod intake;
pub mod kafka;
pub mod maintenance;
pub mod metrics;
pub mod node;
mod observing;
pub(crate) mod opening;
pub mod pg;
pub mod queries;
pub mod registry;
pub mod rejected;
pub mod reload;
pub mod room;
pub mod saved;
pub mod scram;
pub mod spill;
pub mod start;
mod starts;
pub mod states;
pub mod stores;
pub mod system_tables;
mod tables;
pub mod tls;
pub mod trails;
pub mod watermarks;

pub use start::run;
