//! The text of `GET /metrics` (Prometheus exposition format 0.0.4).

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::{BOUNDS, Metrics, Spread, is_verdict, issuers};
use crate::report::Report;
use crate::telemetry as name;

impl Metrics {
    /// The whole page; `report` is what the sidecar knows besides.
    pub(crate) fn render(&self, report: &Report) -> String {
        let mut page = Page(String::with_capacity(16 * 1024));
        self.render_counters(&mut page);
        page.family(name::DURATION);
        page.spread(name::DURATION, "", &self.durations.spread());
        self.reloads.render(&mut page);
        page.one(name::SHADOW, u8::from(report.shadow));
        self.shadowed.render(&mut page);
        page.family(name::REQUEST_DURATION);
        for (route, spread) in self.requests() {
            let route = format!("route=\"{}\"", route.as_str());
            page.spread(name::REQUEST_DURATION, &route, &spread);
        }
        page.one(name::IN_FLIGHT, report.in_flight);
        page.one(name::CONNECTIONS, report.connections);
        page.one(name::DRAINING, u8::from(report.state.is_draining()));
        if let Some(remembered) = report.remembered {
            page.one(name::REMEMBERED, remembered.tokens);
            page.one(name::REMEMBERED_MOST, remembered.capacity);
        }
        issuers::render(&mut page, &report.issuers);
        if let Some(resident) = report.resident_bytes {
            page.one(name::RESIDENT, resident);
        }
        page.one(name::STARTED, report.started_at);
        page.family(name::BUILD);
        page.sample(
            name::BUILD,
            &format!("{{version=\"{}\"}}", report.version),
            1,
        );
        page.0
    }

    fn render_counters(&self, page: &mut Page) {
        page.family(name::VALIDATIONS);
        for (code, count) in self.verdicts() {
            page.code(name::VALIDATIONS, code, count);
        }
        page.family(name::RECALLED);
        page.sample(name::RECALLED, "", self.recalled.load(Relaxed));
        page.family(name::REFUSALS);
        for (code, count) in self.edge().filter(|(code, _)| !is_verdict(*code)) {
            page.code(name::REFUSALS, code.as_str(), count);
        }
    }
}

/// A page under construction; writing to a `String` cannot fail.
pub(super) struct Page(String);

impl Page {
    pub(super) fn family(&mut self, name: &str) {
        let (kind, help) = (name::metric(name).kind, name::metric(name).help);
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, value: impl std::fmt::Display) {
        self.family(name);
        self.sample(name, "", value);
    }

    pub(super) fn code(&mut self, name: &str, code: &str, count: u64) {
        self.sample(name, &format!("{{code=\"{code}\"}}"), count);
    }

    /// The samples of a histogram; `label` is one label, or none.
    fn spread(&mut self, name: &str, label: &str, spread: &Spread) {
        let mut sum = 0;
        let comma = if label.is_empty() { "" } else { "," };
        let bounds = BOUNDS.iter().map(|(_, label)| *label).chain(["+Inf"]);
        for (bound, count) in bounds.zip(spread.buckets) {
            sum += count;
            let labels = format!("{{{label}{comma}le=\"{bound}\"}}");
            self.sample(&format!("{name}_bucket"), &labels, sum);
        }
        let labels = if label.is_empty() {
            String::new()
        } else {
            format!("{{{label}}}")
        };
        self.sample(&format!("{name}_sum"), &labels, spread.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &labels, sum);
    }
}
