//! The two things a program may not take from the air: the time, and
//! randomness. Both are passed in, so that a test or a simulation decides them.

use crate::Micros;

/// The wall clock. UTC, microseconds, may step backwards: nothing that must be
/// monotone may rest on it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment.
    fn now(&self) -> Micros;
}

/// Random bytes for ids and secrets.
pub trait IdSource: Send + Sync + std::fmt::Debug {
    /// Fills `out` with bytes that nobody can foresee. An implementation that
    /// cannot get any stops the process: a guessable secret is worse than none.
    fn fill(&self, out: &mut [u8]);

    /// Sixteen random bytes as 32 hexadecimal digits.
    fn hex128(&self) -> String {
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes);
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
