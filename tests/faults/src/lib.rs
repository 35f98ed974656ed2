//! Faults on purpose, for tests only.
//!
//! - [`World`]: the objects that processes share, what is on its way to them, and the time
//! - [`FaultStore`]: one process' way to them, on which operations go wrong by a [`Plan`]
//! - [`Fault`], [`Odds`], [`Rng`]: what goes wrong, how often, and a chance that can be had again
//! - [`check`]: what a table amounts to, re-derived from the raw objects
//!
//! Nothing in this library knows of Cairn: it reads the Delta log as JSON and
//! the files with the plain Parquet reader, so that writer and checker cannot
//! share a mistake. Its own tests are the suite: `cargo test -p cairn-faults`.
//! docs/testing.md says how a schedule is replayed and how the long form runs.

pub mod check;
mod received;
mod seed;
mod store;
mod world;

pub use seed::{Fault, Kind, Odds, Plan, Rng};
pub use store::FaultStore;
pub use world::{DAWN, World};

#[cfg(test)]
mod suite;
