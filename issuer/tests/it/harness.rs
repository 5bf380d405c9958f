//! What every test stands on: a database of either engine, a clock that is told the time, an issuer on
//! free ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use queue_issuer::{App, AppError, Clock, Settings};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::http::{Answer, request, send};
use crate::postgres;

pub(crate) use crate::clock::{FakeClock, START};

/// Runs each named test on both engines.
macro_rules! on_both_engines {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::harness::Database::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::harness::Database::postgres()).await;
            })+
        }
    };
}
pub(crate) use on_both_engines;

/// An empty database and a directory of its own, removed at the end.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) dir: PathBuf,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let dir = new_dir();
        Self {
            url: format!("sqlite:{}", dir.join("queue.db").display()),
            dir,
        }
    }

    pub(crate) fn postgres() -> Self {
        Self {
            url: postgres::new_database(),
            dir: new_dir(),
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres:")
    }

    /// Runs statements past the issuer.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        use sqlx::{AssertSqlSafe, Connection as _};
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .map(drop)
        } else {
            let mut connection =
                sqlx::SqliteConnection::connect(&format!("{}?mode=rwc", self.url)).await?;
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .map(drop)
        }
    }

    /// The whole number `sql` selects.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        use sqlx::{AssertSqlSafe, Connection as _};
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap()
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap()
        }
    }

    /// The text `sql` selects.
    pub(crate) async fn text(&self, sql: &str) -> String {
        use sqlx::{AssertSqlSafe, Connection as _};
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap()
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap()
        }
    }

    /// Keeps every other writer waiting until it is released.
    pub(crate) async fn hold_writes(&self) -> Held {
        use sqlx::{Connection as _, Executor as _};
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            let lock = "BEGIN; LOCK TABLE queue_customers IN EXCLUSIVE MODE";
            connection.execute(sqlx::raw_sql(lock)).await.unwrap();
            Held::Postgres(connection)
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            connection
                .execute(sqlx::raw_sql("BEGIN IMMEDIATE"))
                .await
                .unwrap();
            Held::Sqlite(connection)
        }
    }

    /// The environment of an issuer on this database, with `more` over it.
    pub(crate) fn env(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let dir = self.dir.display().to_string();
        let base = [
            ("DATABASE_URL_QUEUE", self.url.as_str()),
            ("QUEUE_ISSUER_DATA_DIR", dir.as_str()),
            ("QUEUE_ISSUER_LISTEN", "127.0.0.1:0"),
            ("QUEUE_ISSUER_OPS_LISTEN", "127.0.0.1:0"),
            ("QUEUE_ISSUER_KEK", KEK),
            ("QUEUE_SERVICE_TOKEN_RAPTOR", RAPTOR),
            ("QUEUE_SERVICE_TOKEN_VELVET", VELVET),
            ("QUEUE_SERVICE_TOKEN_OPS", OPS),
            ("FLAG_QUEUE_V1", "on"),
            // Time stands still here, and tests try more than people do; tests of limits set their own.
            ("QUEUE_ISSUER_LIMIT_AUTH_ADDRESS", "1000/s"),
            ("QUEUE_ISSUER_LIMIT_AUTH_ACCOUNT", "1000/s"),
            ("QUEUE_ISSUER_LIMIT_AUTH_PAIR", "1000/s"),
        ];
        let mut env: Vec<(String, String)> = Vec::new();
        for (name, value) in base.iter().chain(more) {
            env.retain(|(known, _)| known != name);
            env.push(((*name).to_owned(), (*value).to_owned()));
        }
        env
    }
}

/// A connection that holds a lock.
pub(crate) enum Held {
    Postgres(sqlx::PgConnection),
    Sqlite(sqlx::SqliteConnection),
}

impl Held {
    /// Does `sql` and lets the others go on.
    pub(crate) async fn commit(&mut self, sql: &'static str) {
        use sqlx::Executor as _;
        let sql = sqlx::AssertSqlSafe(format!("{sql}; COMMIT"));
        match self {
            Self::Postgres(connection) => {
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            }
            Self::Sqlite(connection) => {
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            }
        }
    }

    pub(crate) async fn release(self) {
        use sqlx::Connection as _;
        match self {
            Self::Postgres(connection) => connection.close().await.unwrap(),
            Self::Sqlite(connection) => connection.close().await.unwrap(),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// A running issuer.
pub(crate) struct Issuer {
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) clock: Arc<FakeClock>,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<Result<(), AppError>>,
}

impl Issuer {
    pub(crate) async fn start(database: &Database) -> Self {
        Self::start_with(database, &[], FakeClock::new()).await
    }

    pub(crate) async fn start_with(
        database: &Database,
        more: &[(&str, &str)],
        clock: Arc<FakeClock>,
    ) -> Self {
        Self::try_start(database, more, clock)
            .await
            .unwrap_or_else(|error| panic!("the issuer starts: {error}"))
    }

    pub(crate) async fn try_start(
        database: &Database,
        more: &[(&str, &str)],
        clock: Arc<FakeClock>,
    ) -> Result<Self, AppError> {
        Self::run(database.env(more), clock).await
    }

    /// With exactly this environment.
    pub(crate) async fn start_in(env: Vec<(String, String)>, clock: Arc<FakeClock>) -> Self {
        Self::run(env, clock)
            .await
            .unwrap_or_else(|error| panic!("the issuer starts: {error}"))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one task of the harness, joined by `stop`"
    )]
    async fn run(env: Vec<(String, String)>, clock: Arc<FakeClock>) -> Result<Self, AppError> {
        let settings = Settings::from_env(env)?;
        let app = App::build(settings, Arc::clone(&clock) as Arc<dyn Clock>).await?;
        let (public, ops) = (app.public_addr(), app.ops_addr());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(app.serve(async {
            drop(stopped.await);
        }));
        Ok(Self {
            public,
            ops,
            clock,
            stop: Some(stop),
            served,
        })
    }

    /// Stops the issuer and waits until it has drained.
    pub(crate) async fn stop(mut self) -> Result<(), AppError> {
        self.stop.take();
        self.served.await.expect("the issuer does not panic")
    }

    /// `GET` on the public listener, as nobody.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        send(
            self.public,
            request(method, path, headers, body.map(|body| body.to_string())),
        )
        .await
    }

    /// A request by Raptor.
    pub(crate) async fn raptor(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call(method, path, &[("authorization", &bearer(RAPTOR))], body)
            .await
    }

    /// A request on the operators' listener.
    pub(crate) async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let headers = [("authorization", &*bearer(OPS))];
        send(
            self.ops,
            request(method, path, &headers, body.map(|body| body.to_string())),
        )
        .await
    }

    /// A new customer's id.
    pub(crate) async fn customer(&self, email: &str) -> String {
        let made = self
            .raptor(
                Method::POST,
                "/api/v1/customers",
                Some(json!({ "email": email })),
            )
            .await;
        made.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    /// The answer to minting a session.
    pub(crate) async fn mint(&self, customer: &str) -> Answer {
        self.raptor(
            Method::POST,
            "/api/v1/service/sessions",
            Some(json!({ "customer_id": customer })),
        )
        .await
    }

    /// The kids of the published set.
    pub(crate) async fn published(&self) -> Vec<String> {
        let set = self.get("/.well-known/jwks.json").await.expect(200);
        let keys = set["keys"].as_array().expect("keys");
        keys.iter()
            .map(|key| key["kid"].as_str().expect("a kid").to_owned())
            .collect()
    }
}

/// The header and the claims of a token, unverified: for looking at what was written.
pub(crate) fn look_into(token: &str) -> (Value, Value) {
    let part = |place: usize| {
        let text = token.split('.').nth(place).expect("three parts");
        let bytes = base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(text)
            .expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (part(0), part(1))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Asks `condition` again until it holds; another process's change arrives within a second.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} within 5 s");
}

fn new_dir() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("queue-issuer-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&dir).expect("a directory for the test");
    dir
}

pub(crate) const RAPTOR: &str = "raptor-0123456789-abcdefghijklmnopqrstuvwxyz";
pub(crate) const VELVET: &str = "velvet-0123456789-abcdefghijklmnopqrstuvwxyz";
pub(crate) const OPS: &str = "operators-0123456789-abcdefghijklmnopqrstuvwxyz";
/// SHA-256 of "queue tests", in base64; made for tests.
pub(crate) const KEK: &str = "jsgKfbssMzHccbZ/8L1Rqg7gpY4OS8W7XxradgbR5Z4=";
