//! Catalog: every metric of the sidecar, declared once: its name, kind, unit, labels and meaning.

/// One family of `GET /metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name; never renamed.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What one of it is.
    pub unit: &'static str,
    /// The labels of its samples, `le` of a histogram left out.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident $unit:literal [$($label:literal)?] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: &str = $name;
        )+

        /// Every metric, in the order of the page.
        pub const METRICS: &[Metric] = &[$(
            Metric {
                name: $name,
                kind: stringify!($kind),
                unit: $unit,
                labels: &[$($label)?],
                help: $help,
            },
        )+];
    };
}

metrics! {
    VALIDATIONS "queue_sidecar_validations_total" counter "tokens" ["code"] "Tokens judged, by code; `valid` is the good one.";
    RECALLED "queue_sidecar_recalled_total" counter "tokens" [] "Good tokens whose signature was remembered.";
    REFUSALS "queue_sidecar_refusals_total" counter "requests" ["code"] "Requests refused before a token was looked for, by code.";
    DURATION "queue_sidecar_validation_duration_seconds" histogram "seconds" [] "Time from token to verdict.";
    RELOADS "queue_sidecar_reloads_total" counter "reloads" ["code"] "Reloads of the settings, by outcome.";
    SHADOW "queue_sidecar_shadow" gauge "0 or 1" [] "1 when forward-auth lets everybody in and only counts.";
    SHADOWED "queue_sidecar_shadowed_total" counter "requests" ["code"] "Refusals that shadow mode answered with 200, by code.";
    REQUEST_DURATION "queue_sidecar_request_duration_seconds" histogram "seconds" ["route"] "Time from the head of a request to its answer, by class of route; absent for classes not asked yet.";
    IN_FLIGHT "queue_sidecar_in_flight" gauge "requests" [] "Requests being judged.";
    CONNECTIONS "queue_sidecar_connections" gauge "connections" [] "Open connections.";
    DRAINING "queue_sidecar_draining" gauge "0 or 1" [] "1 when the sidecar is shutting down.";
    REMEMBERED "queue_sidecar_remembered_tokens" gauge "tokens" [] "Good tokens remembered; absent when none are to be.";
    REMEMBERED_MOST "queue_sidecar_remembered_tokens_limit" gauge "tokens" [] "Good tokens remembered at most; absent when none are to be.";
    READY "queue_sidecar_ready" gauge "0 or 1" ["issuer"] "1 when a token could be judged now.";
    KEY_SET_AGE "queue_sidecar_key_set_age_seconds" gauge "seconds" ["issuer"] "Since the issuer confirmed the key set; absent when there is none to judge by.";
    KEY_SET_STALE "queue_sidecar_key_set_stale" gauge "0 or 1" ["issuer"] "1 when the key set is past its lifetime.";
    STALE_LIMIT "queue_sidecar_key_set_stale_limit_seconds" gauge "seconds" ["issuer"] "How long the key set serves past its lifetime.";
    KEYS "queue_sidecar_keys" gauge "keys" ["issuer"] "Usable keys in the set.";
    KEYS_REFUSED "queue_sidecar_keys_refused" gauge "keys" ["issuer"] "Keys of the set that are not used.";
    KEY_ALARMS "queue_sidecar_key_alarms" gauge "keys" ["issuer"] "Key ids that were seen with two materials; neither verifies.";
    REFRESH_ATTEMPTS "queue_sidecar_key_set_refresh_attempts_total" counter "fetches" ["issuer"] "Fetches of the key set so far; absent for keys given as settings.";
    REFRESH_FAILURES "queue_sidecar_key_set_refresh_failures" gauge "fetches" ["issuer"] "Failed fetches of the key set since the last success; absent for keys given as settings.";
    CLOCK_OFFSET "queue_sidecar_clock_offset_seconds" gauge "seconds" ["issuer"] "How far the issuer's clock is ahead of this one; absent where it sends no `Date`.";
    STATUS_LISTS "queue_sidecar_status_lists" gauge "lists" ["issuer"] "Status lists that tokens named lately.";
    STATUS_LISTS_UNFIT "queue_sidecar_status_lists_unfit" gauge "lists" ["issuer"] "Those without a copy within the age bound.";
    STATUS_LISTS_PUSHED "queue_sidecar_status_lists_pushed" gauge "lists" ["issuer"] "Those whose changes are pushed.";
    STATUS_LIST_AGE "queue_sidecar_status_list_age_seconds" gauge "seconds" ["issuer"] "Since the issuer confirmed the oldest of them; absent where there is none.";
    STATUS_MAX_AGE "queue_sidecar_status_max_age_seconds" gauge "seconds" ["issuer"] "How old a status list may be.";
    RESIDENT "process_resident_memory_bytes" gauge "bytes" [] "Memory of the process that is resident; absent where the system does not say.";
    STARTED "process_start_time_seconds" gauge "seconds since 1970" [] "When the sidecar began.";
    BUILD "queue_sidecar_build_info" gauge "1" ["version"] "This build.";
}

/// The metric called `name`.
pub(crate) fn metric(name: &str) -> &'static Metric {
    METRICS
        .iter()
        .find(|metric| metric.name == name)
        .expect("metrics are written by names of the declaration")
}
