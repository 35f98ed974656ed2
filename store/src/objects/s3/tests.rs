//! Against an S3 that misbehaves on purpose.

pub(super) mod stub;

mod clarity;
mod headers;
