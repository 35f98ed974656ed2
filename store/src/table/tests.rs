//! Tables under faults, races and time.

mod aging;
mod commits;
mod compaction;
mod locked;
mod neighbours;
mod prepared;
mod support;
