//! Removes segments that nobody needs any more. Only whole ones, never the one
//! being written, oldest first.

use super::{LogError, shared::Shared};

/// Removes the segments all of whose records lie below `below`. The answer is
/// how many bytes that freed. May be repeated after an error.
pub(super) fn trim(shared: &Shared, below: i64) -> Result<u64, LogError> {
    let _one_at_a_time = shared.trimming.lock();
    let mut freed = 0;
    // 1. Out of the list first: readers that come now hear that it is trimmed.
    while let Some(segment) = shared.with(|s| {
        let next = s.segments.get(1)?.base;
        (next <= below).then(|| s.segments.pop_front()).flatten()
    }) {
        let path = shared.path(segment.base);
        // 2. The file. 3. Its name, durably, before the next one goes: if the
        //    second name could vanish before the first, a crash would leave a
        //    gap. A crash before 3 leaves the segment there or not; the log
        //    begins with it or after it.
        let removed = shared.files.remove(&path);
        let gone = removed.or_else(|error| match error.kind() {
            // A removal that was reported as failed, and yet was done.
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        if let Err(error) = gone.and_then(|()| shared.files.sync_dir(&shared.dir)) {
            // Back into the list, so that the next trim tries again. Should the
            // file be gone already, a reader there gets an error, no silence.
            shared.with(|s| s.segments.push_front(segment));
            return Err(LogError::io("removing", &path, error));
        }
        freed += segment.bytes;
        tracing::debug!(path = %path.display(), bytes = segment.bytes, "log segment trimmed");
    }
    Ok(freed)
}

#[cfg(test)]
mod tests;
