//! Long answers go through the user's pager, as with `git` and `psql`.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// A running pager. Writing to it is writing to the terminal.
#[derive(Debug)]
pub(in crate::cli) struct Pager {
    child: Child,
}

impl Pager {
    /// Starts `pager` (as a shell would), else `less -SFRXK`. `None` where
    /// neither starts, or the user wants none (`cat`).
    pub(in crate::cli) fn start(pager: Option<&str>) -> Option<Self> {
        let mut command = match pager.map(str::trim) {
            Some("" | "cat") => return None,
            // Bare `less` would wrap the rows of a table, and stay for a short answer.
            Some("less") | None => {
                let mut less = Command::new("less");
                less.arg("-SFRXK");
                less
            }
            Some(line) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(line);
                shell
            }
        };
        let child = command.stdin(Stdio::piped()).spawn().ok()?;
        Some(Self { child })
    }

    /// Closes its input and waits until the user leaves it.
    pub(in crate::cli) fn finish(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        match self.child.wait()?.code() {
            // The shell's word for "there is no such command".
            Some(127) => Err(io::Error::other(
                "the pager cannot be started; set PAGER, or use --no-pager",
            )),
            _ => Ok(()),
        }
    }
}

impl Drop for Pager {
    /// A pager that lives on would fight the shell for the terminal.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Where it cannot be waited for there is nothing left to wait for.
        let _ = self.child.wait();
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.flush(),
            None => Ok(()),
        }
    }
}
