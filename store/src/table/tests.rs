//! Tables under faults, races and time.

mod aging;
mod commits;
mod compaction;
mod locked;
mod neighbours;
mod past;
mod pledge;
mod prepared;
mod support;
