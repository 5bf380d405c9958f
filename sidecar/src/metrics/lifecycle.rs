//! Reloads by outcome, and what shadow mode let pass.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use queue_verifier::ErrorCode;

use super::render::Page;
use crate::problem::EdgeCode;
use crate::reload::OUTCOMES;
use crate::telemetry as name;

/// Reloads by outcome.
#[derive(Debug, Default)]
pub(crate) struct Reloads([AtomicU64; OUTCOMES.len()]);

impl Reloads {
    pub(crate) fn count(&self, outcome: &str) {
        if let Some(place) = OUTCOMES.iter().position(|known| *known == outcome) {
            self.0[place].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn render(&self, page: &mut Page) {
        page.family(name::RELOADS);
        for (outcome, count) in OUTCOMES.iter().zip(&self.0) {
            page.code(name::RELOADS, outcome, count.load(Relaxed));
        }
    }
}

/// Refusals that shadow mode answered with 200, by code.
#[derive(Debug)]
pub(crate) struct Shadowed(Box<[AtomicU64]>);

impl Shadowed {
    pub(super) fn new() -> Self {
        Self(codes().map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn count(&self, code: &str) {
        if let Some(place) = codes().position(|known| known == code) {
            self.0[place].fetch_add(1, Relaxed);
        }
    }

    /// Only what happened: in most sidecars nothing ever does.
    pub(super) fn render(&self, page: &mut Page) {
        page.family(name::SHADOWED);
        for (code, count) in codes().zip(&self.0) {
            let count = count.load(Relaxed);
            if count > 0 {
                page.code(name::SHADOWED, code, count);
            }
        }
    }
}

fn codes() -> impl Iterator<Item = &'static str> {
    let verdicts = ErrorCode::ALL.iter().map(|code| code.as_str());
    verdicts.chain(EdgeCode::ALL.iter().map(|code| code.as_str()))
}
