//! Db: takes one code base's statements, runs them on Postgres or SQLite, gives rows.
//!
//! **Invariant:** every write happens inside a [`Tx`]; a `Tx` that is dropped leaves nothing behind.
//! **Invariant:** on SQLite a `Tx` holds the write lock from its first instant (`BEGIN IMMEDIATE`),
//! so a transaction never fails half-way because another one wrote first.
//!
//! Statements use `$1` placeholders, which both engines understand; where the engines differ, a
//! statement is a pair ([`Sql::each`]).

pub(crate) mod migrate;
mod types;

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Postgres, Row as _, Sqlite, Transaction};

pub(crate) use types::{Column, Id, Value};

/// Binds `$values` to a query of either engine.
macro_rules! bind {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Id(value) => query.bind(*value),
                Value::Time(value) => query.bind(*value),
                Value::Text(value) => query.bind(*value),
                Value::Int(value) => query.bind(*value),
                Value::Bool(value) => query.bind(*value),
                Value::Bytes(value) => query.bind(*value),
            };
        }
        query
    }};
}

/// The tenant every row belongs to until tenants are managed.
pub(crate) const DEFAULT_TENANT: Id = Id::fixed(0x0000_0000_0000_7000_8000_0000_0000_0001);

/// Where the data lives.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Postgres(Box<PgConnectOptions>),
    Sqlite(PathBuf),
}

/// A connected database.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    Postgres(PgPool),
    /// One writer, because SQLite has one: callers queue here in order instead of polling the file lock.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
}

/// An open transaction; [`Tx::commit`] keeps its writes, dropping it discards them.
pub(crate) enum Tx {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// One statement, or one for each engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    postgres: &'static str,
    sqlite: &'static str,
}

/// One row of either engine.
pub(crate) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

/// The database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    #[error("the database cannot be reached or is busy")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database refused the statement")]
    Refused(#[source] sqlx::Error),
}

impl Db {
    /// Opens `target`, creating a SQLite file that does not exist.
    pub(crate) async fn connect(target: &Target, connections: u32) -> Result<Self, DbError> {
        match target {
            Target::Postgres(options) => {
                let options = options.as_ref().clone().application_name("queue-issuer");
                let pool = PgPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .test_before_acquire(false)
                    .before_acquire(|connection, known| {
                        Box::pin(async move { is_alive(connection, known.idle_for).await })
                    });
                Ok(Self::Postgres(pool.connect_with(options).await?))
            }
            Target::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .foreign_keys(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // An acknowledged revocation survives a power cut, not only a crash.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(BUSY_TIMEOUT);
                let write = connect_sqlite(options.clone(), 1).await?;
                let read = connect_sqlite(options, connections).await?;
                Ok(Self::Sqlite { read, write })
            }
        }
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, DbError> {
        Ok(match self {
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    /// The rows `sql` selects, outside any transaction.
    pub(crate) async fn fetch_all(
        &self,
        sql: impl Into<Sql>,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, DbError> {
        let sql = sql.into();
        Ok(match self {
            Self::Postgres(pool) => {
                let rows = bind!(sqlx::query(sql.postgres), values)
                    .fetch_all(pool)
                    .await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
            Self::Sqlite { read, .. } => {
                let rows = bind!(sqlx::query(sql.sqlite), values)
                    .fetch_all(read)
                    .await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
        })
    }

    /// The first row `sql` selects, outside any transaction.
    pub(crate) async fn fetch_optional(
        &self,
        sql: impl Into<Sql>,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, DbError> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// Proves that a write would be accepted, and writes nothing.
    pub(crate) async fn check_writable(&self) -> Result<(), DbError> {
        let mut tx = self.begin().await?;
        // Matches no row, but a read-only server or standby refuses it all the same.
        tx.execute(
            "UPDATE queue_key_sets SET generation = generation WHERE generation < 0",
            &[],
        )
        .await?;
        tx.rollback().await
    }

    /// Calls `heard` whenever the database announces something on `channel`, and once when it begins to
    /// listen; ends with why it cannot. SQLite announces nothing: there it never ends.
    pub(crate) async fn listen(&self, channel: &str, heard: impl Fn()) -> DbError {
        match self {
            Self::Postgres(pool) => {
                let Err(error) = listen(pool, channel, heard).await;
                error.into()
            }
            Self::Sqlite { .. } => std::future::pending().await,
        }
    }

    /// Waits until every connection is back and closed.
    pub(crate) async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

impl Tx {
    /// Runs `sql`; the number of rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        values: &[Value<'_>],
    ) -> Result<u64, DbError> {
        let sql = sql.into();
        Ok(match self {
            Self::Postgres(tx) => bind!(sqlx::query(sql.postgres), values)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
            Self::Sqlite(tx) => bind!(sqlx::query(sql.sqlite), values)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
        })
    }

    /// The rows `sql` selects.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: impl Into<Sql>,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, DbError> {
        let sql = sql.into();
        Ok(match self {
            Self::Postgres(tx) => {
                let rows = bind!(sqlx::query(sql.postgres), values)
                    .fetch_all(&mut **tx)
                    .await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
            Self::Sqlite(tx) => {
                let rows = bind!(sqlx::query(sql.sqlite), values)
                    .fetch_all(&mut **tx)
                    .await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
        })
    }

    /// The first row `sql` selects.
    pub(crate) async fn fetch_optional(
        &mut self,
        sql: impl Into<Sql>,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, DbError> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// Runs a file of statements as it stands.
    async fn execute_file(&mut self, sql: Sql) -> Result<(), DbError> {
        match self {
            Self::Postgres(tx) => sqlx::raw_sql(sql.postgres)
                .execute(&mut **tx)
                .await
                .map(drop)?,
            Self::Sqlite(tx) => sqlx::raw_sql(sql.sqlite)
                .execute(&mut **tx)
                .await
                .map(drop)?,
        }
        Ok(())
    }

    /// Keeps what the transaction wrote.
    pub(crate) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Postgres(tx) => tx.commit().await?,
            Self::Sqlite(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Discards what the transaction wrote.
    pub(crate) async fn rollback(self) -> Result<(), DbError> {
        match self {
            Self::Postgres(tx) => tx.rollback().await?,
            Self::Sqlite(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

impl Sql {
    /// A statement the engines spell differently.
    pub(crate) const fn each(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres, sqlite }
    }
}

impl From<&'static str> for Sql {
    fn from(both: &'static str) -> Self {
        Self::each(both, both)
    }
}

impl Row {
    /// The value of `column`.
    pub(crate) fn get<T: Column>(&self, column: &'static str) -> Result<T, DbError> {
        Ok(match self {
            Self::Postgres(row) => row.try_get(column)?,
            Self::Sqlite(row) => row.try_get(column)?,
        })
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing(&code)),
            _ => false,
        };
        if unavailable {
            Self::Unavailable(error)
        } else {
            Self::Refused(error)
        }
    }
}

/// Whether an engine's code says "try again": connection, shutdown, deadlock, lock and resource
/// classes of Postgres (08, 53, 57P, 40, 55P03, 25006), `SQLITE_BUSY` and `SQLITE_LOCKED` of SQLite.
fn is_passing(code: &str) -> bool {
    const POSTGRES: [&str; 6] = ["08", "53", "57P", "40", "55P03", "25006"];
    if code.len() == 5 && POSTGRES.iter().any(|class| code.starts_with(class)) {
        return true;
    }
    code.parse::<u32>()
        .is_ok_and(|number| code.len() < 5 && matches!(number & 0xff, 5 | 6))
}

/// Whether `connection` answers. It did when it was given back, so one that rested for a moment only is not
/// asked again: under load that is a round trip less for every request.
async fn is_alive(connection: &mut PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for >= RESTED {
        connection.ping().await?;
    }
    Ok(true)
}

/// Holds one connection. What is announced while it is lost is made up for by one more call.
async fn listen(pool: &PgPool, channel: &str, heard: impl Fn()) -> Result<Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        heard();
        listener.try_recv().await?;
    }
}

/// Opens a SQLite pool, waiting for another process that is turning the new file to WAL mode: SQLite
/// answers "busy" to that at once, whatever the busy timeout says.
async fn connect_sqlite(
    options: SqliteConnectOptions,
    connections: u32,
) -> Result<SqlitePool, DbError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    for _ in 0..WAL_ATTEMPTS {
        match pool
            .clone()
            .connect_with(options.clone())
            .await
            .map_err(DbError::from)
        {
            Err(DbError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            done => return done,
        }
    }
    Ok(pool.connect_with(options).await?)
}

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may rest before it is asked whether it is still there.
const RESTED: Duration = Duration::from_secs(1);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const WAL_ATTEMPTS: usize = 100;
