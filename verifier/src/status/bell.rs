//! Bell: many threads ring, one answers; rung twice is rung once.
//!
//! **Invariant:** a bell that rings has a note under way, so it is answered; it never rings for ever.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody asked and was not answered yet.
#[derive(Debug, Default)]
pub(super) struct Bell<F = AtomicBool>(F);

/// The one bit threads share. Nothing else is read by what it says, so no order is asked of memory.
pub(super) trait Flag {
    fn swap(&self, value: bool) -> bool;
    fn store(&self, value: bool);
}

impl Flag for AtomicBool {
    fn swap(&self, value: bool) -> bool {
        self.swap(value, Ordering::Relaxed)
    }

    fn store(&self, value: bool) {
        self.store(value, Ordering::Relaxed);
    }
}

impl<F: Flag> Bell<F> {
    /// Rings; `send` carries the note, unless one is under way, and says whether it could.
    pub(super) fn ring(&self, send: impl FnOnce() -> bool) {
        if !self.0.swap(true) && !send() {
            self.0.store(false);
        }
    }

    /// Who rings from now on means the next answer; called by whoever took a note.
    pub(super) fn answer(&self) {
        self.0.store(false);
    }
}

#[cfg(test)]
mod tests;
