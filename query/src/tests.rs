//! A small organization in memory, and what its auditors get to see.

mod attacks;
pub(crate) mod fixture;
mod isolation;
mod limits;
mod reading;
mod spill;
