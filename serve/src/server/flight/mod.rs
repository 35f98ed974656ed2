//! Arrow Flight SQL: for ADBC, JDBC and whatever else takes rows as Arrow.
//!
//! - [`door`]: the listening socket, and how many may come
//! - [`enter`]: from a call to who makes it
//! - [`service`]: what Flight SQL asks for; [`forms`], [`status`]: its messages
//! - [`seal`], [`statements`]: what clients come back with, and what they left here
//! - [`rows`]: answers as streams
//! - [`facts`]: names, types, abilities
//!
//! Questions go through [`super::asking`], as those of every door.

mod door;
mod enter;
mod facts;
mod forms;
mod rows;
mod seal;
mod service;
mod statements;
mod status;

pub use door::Door;
