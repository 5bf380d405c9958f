//! Browser: takes a request that cookies speak for, refuses it unless a page of ours sent it.
//!
//! **Invariant:** a route that reads or sets a cookie takes a [`Page`], which exists only when `Origin` is
//! one of the settings', `Sec-Fetch-Site` does not contradict it, and `X-Queue-CSRF` says `1`, a header that
//! no form and no foreign page can send.
//!
//! Fetch §3.2 (`Origin`), §3.4 (CORS); Fetch Metadata §2.4.

pub(crate) mod cookies;
pub(crate) mod cors;

use axum::extract::FromRequestParts;
use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use crate::app::Shared;
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::ClientAddress;

/// Proof that a page of ours sent the request, with the device it runs on and the address it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The browser and its system, as people know them.
    pub(crate) device: String,
    pub(crate) address: ClientAddress,
}

impl FromRequestParts<Shared> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let refuse = |what: &str| Problem::new(ProblemCode::OriginRefused).detail(what);
        let known = &shared.settings.origins;
        if !one(headers, &ORIGIN).is_some_and(|origin| known.iter().any(|known| known == origin)) {
            return Err(refuse("expected the origin of a known page"));
        }
        if headers.contains_key(SEC_FETCH_SITE)
            && !matches!(
                one(headers, &SEC_FETCH_SITE),
                Some("same-origin" | "same-site")
            )
        {
            return Err(refuse("expected a page of the same site"));
        }
        if one(headers, &CSRF) != Some("1") {
            return Err(refuse("expected X-Queue-CSRF: 1"));
        }
        let agent = one(headers, &http::header::USER_AGENT).unwrap_or_default();
        Ok(Self {
            device: device(agent),
            address: ClientAddress::from_request_parts(parts, shared).await?,
        })
    }
}

/// The value of a header that comes once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// What a person would call the browser of `agent`: nothing of the header itself is kept.
fn device(agent: &str) -> String {
    let first = |known: &[(&str, &'static str)]| {
        let found = known.iter().find(|(token, _)| agent.contains(token));
        found.map(|(_, name)| *name)
    };
    let browser = first(BROWSERS).unwrap_or("A browser");
    match first(SYSTEMS) {
        Some(system) => format!("{browser} on {system}"),
        None => browser.to_owned(),
    }
}

/// The more particular before what it also calls itself.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: &[(&str, &str)] = &[
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const CSRF: HeaderName = HeaderName::from_static("x-queue-csrf");

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn device_is_named_as_people_would() {
        for (agent, expect) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "A browser"),
            ("<b>\u{202e}", "A browser"),
        ] {
            assert_eq!(device(agent), expect, "{agent}");
        }
    }
}
