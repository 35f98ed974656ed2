//! The one binary of Cairn: the server and the command line.

fn main() -> std::process::ExitCode {
    cairn_serve::cli::main()
}
