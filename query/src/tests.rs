//! A small organization in memory, and what its auditors get to see.

mod attacks;
mod bombs;
mod chance;
mod clients;
mod corpus;
mod cost;
mod errors;
pub(crate) mod fixture;
mod functions;
mod generator;
mod holding;
mod idioms;
mod isolation;
mod limits;
mod oracle;
mod reading;
mod received;
mod spill;
mod views;
