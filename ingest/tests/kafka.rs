//! Kafka's topics as a source, against a real broker.
//!
//! These tests are ignored in a plain `cargo test`. `./test` starts a broker and
//! runs them with `--ignored`; by hand:
//!
//! ```text
//! deploy/scripts/kafka start /tmp/k --port 29092
//! CAIRN_TEST_KAFKA=127.0.0.1:29092 cargo test -p cairn-ingest --test kafka -- --ignored
//! ```
//!
//! Without the variable they fail.

// Helpers of tests: what is out of order there ends the test.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "kafka/change.rs"]
mod change;
#[path = "kafka/consume.rs"]
mod consume;
#[path = "kafka/cut.rs"]
mod cut;
#[path = "kafka/door.rs"]
mod door;
#[path = "kafka/harness.rs"]
mod harness;
#[path = "kafka/holes.rs"]
mod holes;
#[path = "kafka/pressure.rs"]
mod pressure;
#[path = "kafka/secure.rs"]
mod secure;
