//! Page: a report as HTML for a person; whole in itself, without a script.
//!
//! **Invariant:** everything that comes from outside (issuers, `kid`s, errors) is escaped by the
//! template; the one thing that is not is our own style sheet, and the policy names its hash, so
//! that a browser runs and loads nothing else (hazard S24).

mod chart;
mod issuer;
mod words;

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64_simd::STANDARD;

use crate::report::{Report, State};
use chart::{Hour, LatencyChart};
use issuer::Issuer;

/// The page.
#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    report: &'a Report,
    /// Seconds since 1970.
    now: u64,
    reloads: bool,
    css: &'static str,
    headline: Headline,
    hour: Hour<'a>,
    latency: LatencyChart<'a>,
    issuers: Vec<Issuer<'a>>,
}

/// The state in plain words.
struct Headline {
    title: &'static str,
    meaning: &'static str,
    advice: &'static str,
    tone: &'static str,
    /// Colour of the icon, as a URL has it.
    dot: &'static str,
}

/// Draws `report`; `reloads` makes the browser ask again by itself.
///
/// # Errors
/// None that can be foreseen: the template writes to memory.
pub(crate) fn draw(report: &Report, now: u64, reloads: bool) -> Result<String, askama::Error> {
    let page = Page {
        report,
        now,
        reloads,
        css: CSS,
        headline: Headline::of(report),
        hour: Hour::of(&report.verdicts.last_hour),
        latency: LatencyChart::of(&report.validation),
        issuers: report.issuers.iter().map(Issuer::of).collect(),
    };
    page.render()
}

impl Headline {
    fn of(report: &Report) -> Self {
        let any = |is_so: fn(&Issuer<'_>) -> bool| {
            let mut issuers = report.issuers.iter().map(Issuer::of);
            issuers.any(|issuer| is_so(&issuer))
        };
        if report.shadow {
            return Self {
                title: "Shadow mode: nobody is refused",
                meaning: "Forward-auth answers 200 to everybody, whatever it finds, and counts whom \
                    it would have refused. Who was found good is named in the identity headers.",
                advice: "set `shadow` to false, and reload, once the counts are as you expect.",
                tone: "bad",
                dot: "%23a8322a",
            };
        }
        let is_stale = any(|issuer| issuer.is_stale());
        match report.state {
            State::Ready if is_stale => Self {
                title: "Ready, on old keys",
                meaning: "Tokens are judged, with keys past their lifetime: an issuer could not be \
                    reached. When the bound below has passed, its tokens are answered with 503.",
                advice: "find out why the issuer does not answer; its last error is below.",
                tone: "wait",
                dot: "%23c9861e",
            },
            State::Ready if any(|issuer| issuer.has_unfit_list()) => Self {
                title: "Ready, without a revocation list",
                meaning: "A revocation list is missing or older than its bound. Sessions on it are \
                    answered with 503, or go unchecked where the settings accept that.",
                advice: "find out why the list cannot be fetched; its last error is below.",
                tone: "bad",
                dot: "%23a8322a",
            },
            State::Ready if any(|issuer| issuer.is_failing()) => Self {
                title: "Ready, while an issuer does not answer",
                meaning: "Tokens are judged by what is known, and that is young enough. Nothing is \
                    refused for it until a bound below has passed.",
                advice: "find out why the issuer does not answer; its last error is below.",
                tone: "wait",
                dot: "%23c9861e",
            },
            State::Ready => Self {
                title: "Ready",
                meaning: "Tokens are judged here, offline: no request of yours waits for the issuer.",
                advice: "",
                tone: "good",
                dot: "%23257a4f",
            },
            State::Starting => Self {
                title: "Starting",
                meaning: "There is no key set to judge by yet. Until there is, every token is \
                    answered with 503, none with 200.",
                advice: "if this lasts longer than a few seconds, see the last error below: can the \
                    issuer be reached from this machine, and is its URL right?",
                tone: "wait",
                dot: "%23c9861e",
            },
            State::NotReady => Self {
                title: "Not ready",
                meaning: "The keys of an issuer are older than its bound allows. Its tokens are \
                    answered with 503, none with 200.",
                advice: "bring the issuer back; the sidecar asks again by itself and needs no \
                    restart.",
                tone: "bad",
                dot: "%23a8322a",
            },
            State::Draining => Self {
                title: "Draining",
                meaning: "The sidecar is shutting down: it answers what it accepted and takes no \
                    new connection.",
                advice: "nothing, if the shutdown is meant. A service that still asks here should \
                    ask the next sidecar.",
                tone: "wait",
                dot: "%23c9861e",
            },
        }
    }
}

/// What a browser may do with the page: apply its style sheet, show its icon, nothing else.
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode_to_string(digest(&SHA256, CSS.as_bytes()).as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
});

const CSS: &str = include_str!("../templates/status.css");
/// What a remembered token takes, roughly: a million of them are about 1.5 GB.
const BYTES_A_TOKEN: u64 = 1500;
