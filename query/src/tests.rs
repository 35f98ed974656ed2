//! A small organization in memory, and what its auditors get to see.

mod attacks;
mod clients;
pub(crate) mod fixture;
mod functions;
mod isolation;
mod limits;
mod reading;
mod spill;
mod views;
