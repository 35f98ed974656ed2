//! Every door, the configuration, and the one binary `cairn`.

pub mod cli;
pub mod client;
pub mod config;
pub mod server;
