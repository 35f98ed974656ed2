//! The one binary of Cairn: the server and the command line.

fn main() -> std::process::ExitCode {
    bound_arenas();
    cairn_serve::cli::main()
}

/// Arenas of the allocator for each processor. glibc makes up to eight, and keeps
/// what was freed in one from the threads of all others: of the memory that a busy
/// server held, most was free. With four it needs a sixth less, and hardly more
/// time; with two a third less, and 3 % more time (docs/benchmarks.md).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: usize = 4;

/// Bounds the allocator's arenas, unless whoever starts the program has.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn bound_arenas() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let most = i32::try_from(processors.saturating_mul(ARENAS)).unwrap_or(i32::MAX);
    // SAFETY: mallopt(3) takes two numbers by value and touches nothing of ours.
    // There is no other thread yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, most);
    }
}

/// Other allocators have no such arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn bound_arenas() {}
