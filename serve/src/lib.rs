//! Every door, the configuration, the benchmark, and the one binary `cairn`.

pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod export;
pub mod server;
