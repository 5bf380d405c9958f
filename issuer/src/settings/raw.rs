//! Raw settings: takes what flags, environment and a TOML file say, gives one text for each key.
//!
//! **Invariant:** each key is declared once, below; the struct, the environment names, the flags and
//! [`REFERENCE`] all come from that declaration.

use serde::{Deserialize, Deserializer};

/// One row of the settings reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Key in the TOML file; with `_` as `-`, the name of the flag.
    pub name: &'static str,
    /// Name in the environment.
    pub env: &'static str,
    /// Value when nothing says otherwise; empty when there is none.
    pub default: &'static str,
    /// Whether the value is a secret: printed as `<redacted>`, and not a flag.
    pub secret: bool,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! declare {
    ($($(#[doc = $doc:literal])+ $kind:ident $name:ident = $env:literal or $default:literal;)+) => {
        /// Every key, as text, before it means anything.
        #[derive(Default, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawSettings {
            $(
                $(#[doc = $doc])+
                #[serde(default, deserialize_with = "scalar")]
                pub(super) $name: Option<String>,
            )+
        }

        /// Every key, in the order of the manual.
        pub const REFERENCE: &[Reference] = &[$(
            Reference {
                name: stringify!($name),
                env: $env,
                default: $default,
                secret: declare!(@secret $kind),
                doc: concat!($($doc),+).trim_ascii(),
            },
        )+];

        impl RawSettings {
            /// Takes each key from `self`, else from `lower`.
            #[must_use]
            pub fn over(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)+ }
            }

            /// The text of the key called `name`.
            pub(super) fn value(&self, name: &str) -> Option<&str> {
                match name {
                    $(stringify!($name) => self.$name.as_deref(),)+
                    _ => None,
                }
            }

            /// Sets the key called `name`; false when there is none.
            pub fn set(&mut self, name: &str, value: String) -> bool {
                match name {
                    $(stringify!($name) => self.$name = Some(value),)+
                    _ => return false,
                }
                true
            }
        }
    };
    (@secret secret) => { true };
    (@secret plain) => { false };
}

declare! {
    /// Public URL of the issuer, equal to `iss` in every token; no path, no trailing slash, https unless loopback.
    plain url = "QUEUE_ISSUER_URL" or "http://localhost:4100";
    /// Address of the public listener.
    plain listen = "QUEUE_ISSUER_LISTEN" or "127.0.0.1:4100";
    /// Address of the operators' listener.
    plain ops_listen = "QUEUE_ISSUER_OPS_LISTEN" or "127.0.0.1:4101";
    /// Directory of the embedded database and its key-encryption key.
    plain data_dir = "QUEUE_ISSUER_DATA_DIR" or "./queue-data";
    /// Database: `postgres://…` or `sqlite:PATH`; without it, `queue.db` in the data directory.
    secret database_url = "DATABASE_URL_QUEUE" or "";
    /// Most connections held open to the database.
    plain database_connections = "QUEUE_ISSUER_DATABASE_CONNECTIONS" or "10";
    /// Values of `aud` a token may carry, separated by spaces or commas; the first is the default.
    plain audiences = "QUEUE_ISSUER_AUDIENCES" or "raptor";
    /// Origins of the pages that sign customers in, such as `https://antlers.example`; compared whole. Without any, the issuer's own.
    plain origins = "QUEUE_ISSUER_ORIGINS" or "";
    /// Domain passkeys are made for (RP ID): the host of every origin, or a parent of it. Without one, the host of the issuer's URL; once passkeys exist, never change it.
    plain rp_id = "QUEUE_ISSUER_RP_ID" or "";
    /// Name that authenticators show beside a passkey. At most 64 characters.
    plain rp_name = "QUEUE_ISSUER_RP_NAME" or "Queue";
    /// Who is let in: `off`, `on`, or `N%` of the customers, chosen by their id.
    plain flag = "FLAG_QUEUE_V1" or "off";
    /// Key-encryption key: 32 random bytes in base64, `file:/path` or `ssm:/path`. Seals the private signing keys and the waiting mails in the database.
    secret kek = "QUEUE_ISSUER_KEK" or "";
    /// File that holds the key-encryption key; made, with mode 0600, beside an embedded database.
    plain kek_file = "QUEUE_ISSUER_KEK_FILE" or "";
    /// Signing keys given whole: PEM (PKCS#8 or PKCS#1, one or more), `file:/path` or `ssm:/path`. Then none is generated.
    secret signing_key = "QUEUE_JWT_SIGNING_KEY" or "";
    /// Size of a generated RSA key: 2048, 3072 or 4096.
    plain rsa_bits = "QUEUE_ISSUER_RSA_BITS" or "2048";
    /// Life of an access token; each is shortened by up to 5 % at random. 30s to 1h.
    plain token_life = "QUEUE_ISSUER_TOKEN_LIFE" or "300s";
    /// Life of a session. At least a token's life, at most 90d.
    plain session_life = "QUEUE_ISSUER_SESSION_LIFE" or "12h";
    /// How long caches may serve the JWK Set and discovery documents (`max-age`). 1s to 1h.
    plain jwks_max_age = "QUEUE_ISSUER_JWKS_MAX_AGE" or "300s";
    /// Longest time a verifier keeps a set it fetched before it asks again; delays activation. 1s to 24h, and with `jwks_max_age` at least 60s: no verifier asks oftener than that.
    plain refresh_allowance = "QUEUE_ISSUER_REFRESH_ALLOWANCE" or "300s";
    /// Tolerance verifiers give to time claims; delays activation and destruction of keys. 0s to 5m.
    plain leeway = "QUEUE_ISSUER_LEEWAY" or "30s";
    /// Places of a new status list, one bit each; it closes when about half are taken. 1024 to 8388608, a multiple of 8.
    plain status_list_size = "QUEUE_ISSUER_STATUS_LIST_SIZE" or "1048576";
    /// How often verifiers ask for a newer status list (`ttl`); a revocation is seen everywhere within this and 1s. 1s to 5m.
    plain status_list_ttl = "QUEUE_ISSUER_STATUS_LIST_TTL" or "5s";
    /// Most verifiers that are told of new status lists at once; the others poll. 0 to 65536.
    plain status_list_subscribers = "QUEUE_ISSUER_STATUS_LIST_SUBSCRIBERS" or "1024";
    /// Where mail goes: `smtps://user:password@host`, `smtp://user:password@host:587?tls=required` (the default of `smtp:`), `smtp://127.0.0.1:25?tls=none` on loopback alone; without it or with `file:`, into `outbox/` of the data directory. User and password are percent-encoded.
    secret mail_url = "QUEUE_ISSUER_MAIL_URL" or "";
    /// Whom mail is from, `Name <local@domain>`; the name is what mails call the product. Required where mail goes to a server.
    plain mail_from = "QUEUE_ISSUER_MAIL_FROM" or "";
    /// Where links in mails point: an origin, as `url`; without it, `url`.
    plain front_url = "QUEUE_ISSUER_FRONT_URL" or "";
    /// Audit events after which a signed checkpoint of their chain is due. 1 to 1000000.
    plain audit_checkpoint_events = "QUEUE_ISSUER_AUDIT_CHECKPOINT_EVENTS" or "1000";
    /// Time after which a signed checkpoint is due if there are audit events since the last. 1m to 24h.
    plain audit_checkpoint_interval = "QUEUE_ISSUER_AUDIT_CHECKPOINT_INTERVAL" or "1h";
    /// How long the answer to an `Idempotency-Key` is remembered. 1m to 7d.
    plain idempotency_life = "QUEUE_ISSUER_IDEMPOTENCY_LIFE" or "24h";
    /// Addresses and networks of the proxies in front, separated by spaces or commas; what they say of a client's address counts. None by default.
    plain trusted_proxies = "QUEUE_ISSUER_TRUSTED_PROXIES" or "";
    /// The header those proxies append a client's address to: `x-forwarded-for` or `forwarded`. The other is never read.
    plain forwarded_header = "QUEUE_ISSUER_FORWARDED_HEADER" or "x-forwarded-for";
    /// Most sign-in requests from one address (of IPv6: one /64), all accounts together. 1/h to 1000000/s.
    plain limit_auth_address = "QUEUE_ISSUER_LIMIT_AUTH_ADDRESS" or "120/m";
    /// Most sign-in requests about one account, from anywhere. 1/h to 1000000/s.
    plain limit_auth_account = "QUEUE_ISSUER_LIMIT_AUTH_ACCOUNT" or "10/m";
    /// Most sign-in requests about one account from one address. 1/h to 1000000/s.
    plain limit_auth_pair = "QUEUE_ISSUER_LIMIT_AUTH_PAIR" or "5/m";
    /// Most refreshes from one address, all sessions together. 1/h to 1000000/s.
    plain limit_refresh_address = "QUEUE_ISSUER_LIMIT_REFRESH_ADDRESS" or "600/m";
    /// Most refreshes of one session, from anywhere. 1/h to 1000000/s.
    plain limit_refresh_account = "QUEUE_ISSUER_LIMIT_REFRESH_ACCOUNT" or "240/m";
    /// Most refreshes of one session from one address. 1/h to 1000000/s.
    plain limit_refresh_pair = "QUEUE_ISSUER_LIMIT_REFRESH_PAIR" or "120/m";
    /// Most requests from one address to `/api/v1`, all callers together. 1/h to 1000000/s.
    plain limit_service_address = "QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS" or "2000/s";
    /// Most requests of one calling service. 1/h to 1000000/s.
    plain limit_service_client = "QUEUE_ISSUER_LIMIT_SERVICE_CLIENT" or "1000/s";
    /// Longest time one request may take. 100ms to 5m.
    plain request_timeout = "QUEUE_ISSUER_REQUEST_TIMEOUT" or "10s";
    /// Longest time a client may take to send the head of a request. 100ms to 1m.
    plain header_timeout = "QUEUE_ISSUER_HEADER_TIMEOUT" or "5s";
    /// Longest time a shutdown waits for requests under way. 0s to 5m.
    plain drain_timeout = "QUEUE_ISSUER_DRAIN_TIMEOUT" or "20s";
    /// What is logged, in the syntax of `tracing` (`info`, `queue_issuer=debug`).
    plain log = "QUEUE_ISSUER_LOG" or "info";
    /// Form of the log: `text` or `json`.
    plain log_format = "QUEUE_ISSUER_LOG_FORMAT" or "text";
}

/// TOML writes numbers, words and lists; settings read them as one text.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected a text, a whole number or a list of texts"
    )]
    enum Scalar {
        Text(String),
        Number(i64),
        List(Vec<String>),
    }
    Ok(Some(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => text,
        Scalar::Number(number) => number.to_string(),
        Scalar::List(list) => list.join(" "),
    }))
}
