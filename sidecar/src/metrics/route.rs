//! Route class: the few names a path may have as a label, so that no caller makes new ones.

/// What a request is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteClass {
    Validate,
    Batch,
    Auth,
    Envoy,
    Grpc,
    Introspect,
    TokenReviews,
    /// Health.
    Probe,
    /// The status page, its JSON, the metrics.
    Page,
    /// Nothing that is there.
    Other,
}

impl RouteClass {
    pub(crate) const ALL: [Self; 10] = [
        Self::Validate,
        Self::Batch,
        Self::Auth,
        Self::Envoy,
        Self::Grpc,
        Self::Introspect,
        Self::TokenReviews,
        Self::Probe,
        Self::Page,
        Self::Other,
    ];

    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/v1/validate" => Self::Validate,
            "/v1/auth" => Self::Auth,
            "/v1/validate/batch" => Self::Batch,
            "/v1/introspect" => Self::Introspect,
            "/v1/tokenreviews" => Self::TokenReviews,
            "/livez" | "/readyz" | "/startupz" => Self::Probe,
            "/" | "/v1/status" | "/metrics" => Self::Page,
            _ if path.starts_with("/envoy/") => Self::Envoy,
            _ if path.starts_with("/envoy.service.auth.") => Self::Grpc,
            _ => Self::Other,
        }
    }

    /// Its label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Batch => "batch",
            Self::Auth => "auth",
            Self::Envoy => "envoy",
            Self::Grpc => "grpc",
            Self::Introspect => "introspect",
            Self::TokenReviews => "tokenreviews",
            Self::Probe => "probe",
            Self::Page => "page",
            Self::Other => "other",
        }
    }
}
