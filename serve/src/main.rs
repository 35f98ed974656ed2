//! The one binary of Cairn: the server and the command line.

fn main() -> std::process::ExitCode {
    cairn_serve::cli::main()
}

/// The allocator, also that of librdkafka, zstd and OpenSSL.
///
/// glibc's keeps what was freed in the arena of the thread that asked for it: of
/// the memory that a busy server held, two thirds and more were free, and it grew
/// with what was taken in. jemalloc needs two thirds of that, for the same time, and
/// does not grow (docs/benchmarks.md, "The allocator").
#[cfg(target_os = "linux")]
mod allocator {
    #![allow(unsafe_code)]

    use std::ffi::c_char;

    #[global_allocator]
    static JEMALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

    /// An address that all threads may have, of a text that never changes.
    #[repr(transparent)]
    struct Settings(*const c_char);

    // SAFETY: nobody writes to what it points at.
    unsafe impl Sync for Settings {}

    /// As many arenas as there are processors, not four times as many; buffers of any
    /// size are kept for the next one; a thread gives back what was not used for ten
    /// seconds, also while the server is idle. `MALLOC_CONF` in the environment, with
    /// the same names, comes after these and wins (jemalloc(3), "TUNING").
    #[used]
    // SAFETY: the name is jemalloc's own, for this very purpose.
    #[unsafe(export_name = "malloc_conf")]
    static MALLOC_CONF: Settings =
        Settings(c"narenas_ratio:1,oversize_threshold:0,background_thread:true".as_ptr());
}
