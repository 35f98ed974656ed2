//! Receive, decode, admit, batch, commit, and the followers that deliver trails.

pub mod seen;
