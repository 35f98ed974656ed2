//! The door for PostgreSQL's clients: psql, drivers, BI tools.
//!
//! - [`door`]: the listening socket, TLS, how many may come
//! - [`startup`]: who is there, and whether it is them
//! - [`session`]: what is asked, one message after the other; [`extended`],
//!   [`cursor`], [`run`], [`copy`]: the parts of it
//! - [`wire`], [`frontend`]: bytes to messages and back
//! - [`statement`]: what a text asks for; [`parameters`]: SET and SHOW
//! - [`types`], [`encode`], [`values`]: columns, values out, values in
//! - [`cancel`]: stopping another connection's statement
//!
//! The messages are pgwire's; the session is not. Its handlers know neither
//! bounds on what an unknown client may send, nor the end of a client while its
//! query runs, nor a portal that is read in parts without being held whole
//! (docs/adr/0007-postgresql-door.md).

mod cancel;
mod copy;
mod cursor;
mod door;
mod encode;
mod error;
mod extended;
mod frontend;
mod parameters;
mod run;
mod session;
mod startup;
mod statement;
mod types;
mod values;
mod wire;

pub use door::Door;
