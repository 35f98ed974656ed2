//! How the process's memory goes back to the system: in the steady state, not
//! at all.
//!
//! Every commit takes batches, pages and files of some 64 MiB and lets go of
//! them seconds later. By its defaults glibc maps and unmaps each larger piece
//! and trims the heap each time, and the kernel zeroes the same pages again
//! and again: about a sixteenth of all processor time of intake
//! (docs/benchmarks.md). Other allocators were tried there too.

// One call into the C library, made before there is a second thread.
#![allow(unsafe_code)]

/// Pieces larger than this are still mapped by themselves and given back. It
/// is the most that every version of glibc takes.
const MAPPED: i32 = 32 << 20;
/// The heap's free end may come to this before it is given back.
const KEPT: i32 = 512 << 20;

/// Tells the C library's allocator to keep what it has. To be called once, at
/// the process's start.
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt has no precondition; both values are in its range, and
    // no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
