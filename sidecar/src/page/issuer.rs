//! One issuer in words: its keys, how fetching them goes, its clock, its revocation lists.

use queue_verifier::report::{KeySetState, RefreshStatus, StatusListStatus, StatusState};

use super::words;
use crate::report::IssuerReport;

pub(super) struct Issuer<'a> {
    pub(super) report: &'a IssuerReport,
}

/// A sentence that stands out.
pub(super) struct Note {
    pub(super) tone: &'static str,
    pub(super) text: String,
}

impl<'a> Issuer<'a> {
    pub(super) fn of(report: &'a IssuerReport) -> Self {
        Self { report }
    }

    pub(super) fn name(&self) -> &'a str {
        &self.report.known.issuer
    }

    pub(super) fn is_stale(&self) -> bool {
        self.report.known.key_set == Some(KeySetState::Stale)
    }

    /// Whether the last fetch of keys or of a list failed.
    pub(super) fn is_failing(&self) -> bool {
        let known = &self.report.known;
        let mut lists = known.status_lists.iter();
        self.refresh()
            .is_some_and(|refresh| refresh.failures_in_a_row > 0)
            || lists.any(|list| list.failures_in_a_row > 0)
    }

    /// Whether a list that tokens name has no copy within its bound.
    pub(super) fn has_unfit_list(&self) -> bool {
        let mut lists = self.report.known.status_lists.iter();
        lists.any(|list| list.state != StatusState::Fresh)
    }

    pub(super) fn tone(&self) -> &'static str {
        match self.report.known.key_set {
            Some(KeySetState::Fresh) => "good",
            Some(KeySetState::Stale) => "wait",
            _ => "bad",
        }
    }

    pub(super) fn keys_in_words(&self) -> &'static str {
        match self.report.known.key_set {
            Some(KeySetState::Fresh) if self.refresh().is_none() => {
                "The keys were given as settings and do not age."
            }
            Some(KeySetState::Fresh) => "The keys are fresh.",
            Some(KeySetState::Stale) => {
                "The keys are past their lifetime and still serve: the issuer could not be reached."
            }
            _ => "There are no keys to judge by: tokens of this issuer are answered with 503.",
        }
    }

    fn refresh(&self) -> Option<&'a RefreshStatus> {
        self.report.known.refresh.as_ref()
    }

    pub(super) fn confirmed(&self) -> String {
        let Some(refresh) = self.refresh() else {
            return "given as settings".to_owned();
        };
        let fetches = if refresh.attempts == 1 {
            "fetch"
        } else {
            "fetches"
        };
        let attempts = words::grouped(refresh.attempts);
        match self.report.known.key_set_age {
            Some(age) => format!("{} ago, in {attempts} {fetches}", words::span(&age)),
            None if self.report.known.keys.is_empty() => format!("never, in {attempts} {fetches}"),
            None => format!("too long ago, in {attempts} {fetches}"),
        }
    }

    pub(super) fn next_fetch(&self) -> String {
        match self.refresh() {
            Some(refresh) if refresh.next_in == 0 => "now".to_owned(),
            Some(refresh) => format!("in {}", words::span(&refresh.next_in)),
            None => "never".to_owned(),
        }
    }

    pub(super) fn clock(&self) -> String {
        match self.refresh().and_then(|refresh| refresh.clock_offset) {
            None => "unknown".to_owned(),
            Some(0) => "agrees with this one".to_owned(),
            Some(offset) => {
                let side = if offset > 0 { "ahead of" } else { "behind" };
                format!("{} {side} this one", words::span(&offset.unsigned_abs()))
            }
        }
    }

    /// What a person should know: failures, clocks apart, alarms.
    pub(super) fn notes(&self) -> Vec<Note> {
        let Some(refresh) = self.refresh() else {
            return Vec::new();
        };
        let mut notes = Vec::new();
        let error = refresh.last_error.as_deref().unwrap_or("no reason known");
        match refresh.failures_in_a_row {
            0 => {}
            1 => notes.push(Note::new("", format!("The last fetch failed: {error}"))),
            more => {
                let text = format!("The last {more} fetches failed, at last with: {error}");
                notes.push(Note::new("bad", text));
            }
        }
        if let Some(notice) = &refresh.clock_notice {
            let text =
                format!("Clocks apart: {notice}. Good tokens may be refused; set the clock.");
            notes.push(Note::new("", text));
        }
        if !refresh.alarms.is_empty() {
            let text = format!(
                "Key ids seen with two materials: {}. Neither verifies until the sidecar is started \
                 anew; ask the issuer's operators what happened.",
                refresh.alarms.join(", ")
            );
            notes.push(Note::new("bad", text));
        }
        if refresh.superseded > 0 {
            let text = format!(
                "{} answers were refused for being older than the keys at hand.",
                refresh.superseded
            );
            notes.push(Note::new("", text));
        }
        notes
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = List<'a>> {
        self.report.known.status_lists.iter().map(|known| List {
            uri: &known.uri,
            known,
        })
    }
}

impl Note {
    fn new(tone: &'static str, text: String) -> Self {
        Self { tone, text }
    }
}

/// A revocation list.
pub(super) struct List<'a> {
    pub(super) uri: &'a str,
    known: &'a StatusListStatus,
}

impl List<'_> {
    pub(super) fn tone(&self) -> &'static str {
        match self.known.state {
            StatusState::Fresh => "good",
            StatusState::Stale => "wait",
            _ => "bad",
        }
    }

    pub(super) fn age(&self) -> String {
        match (self.known.age, self.known.state) {
            (Some(age), StatusState::Fresh) => words::span(&age),
            (Some(age), _) => format!("{}: too old", words::span(&age)),
            (None, _) => "no copy yet".to_owned(),
        }
    }

    pub(super) fn size(&self) -> String {
        let size = self.known.size.and_then(|size| u64::try_from(size).ok());
        size.map_or_else(|| "–".to_owned(), words::grouped)
    }

    pub(super) fn push(&self) -> &'static str {
        match self.known.push {
            "connected" => "at once, pushed",
            "polling" => "as asked for: the push is lost",
            _ => "as asked for",
        }
    }

    pub(super) fn error(&self) -> Option<String> {
        let error = self.known.last_error.as_deref()?;
        (self.known.failures_in_a_row > 0).then(|| format!("failing: {error}"))
    }
}
