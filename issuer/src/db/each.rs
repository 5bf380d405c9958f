//! Each: takes one statement and a column of values for each of its parameters, runs it for every row of them.
//!
//! **Invariant:** a row is written as if the statement had been run for it alone; on Postgres all of them
//! are one statement over arrays (`unnest`), so that many rows cost one round trip.

use sqlx::postgres::{PgArguments, PgHasArrayType, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{Postgres, Sqlite};
use uuid::Uuid;

use super::{DbError, Id, Row, Sql, Tx, Value, count};
use crate::clock::Timestamp;

/// The values of one parameter, one for each row.
#[derive(Debug)]
pub(crate) enum Values<'a> {
    Ids(Vec<Option<Id>>),
    Times(Vec<Option<Timestamp>>),
    Texts(Vec<Option<&'a str>>),
    Ints(Vec<Option<i64>>),
    Bytes(Vec<Option<&'a [u8]>>),
}

macro_rules! collected {
    ($($value:ty => $variant:ident),+ $(,)?) => {$(
        impl<'a> FromIterator<$value> for Values<'a> {
            fn from_iter<I: IntoIterator<Item = $value>>(values: I) -> Self {
                Self::$variant(values.into_iter().map(Some).collect())
            }
        }
        impl<'a> FromIterator<Option<$value>> for Values<'a> {
            fn from_iter<I: IntoIterator<Item = Option<$value>>>(values: I) -> Self {
                Self::$variant(values.into_iter().collect())
            }
        }
    )+};
}

collected!(Id => Ids, Timestamp => Times, &'a str => Texts, i64 => Ints, &'a [u8] => Bytes);

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ids(values) => values.len(),
            Self::Times(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// The value of the row `at`.
    fn at(&self, at: usize) -> Value<'_> {
        match self {
            Self::Ids(values) => Value::Id(values.get(at).copied().flatten()),
            Self::Times(values) => Value::Time(values.get(at).copied().flatten()),
            Self::Texts(values) => Value::Text(values.get(at).copied().flatten()),
            Self::Ints(values) => Value::Int(values.get(at).copied().flatten()),
            Self::Bytes(values) => Value::Bytes(values.get(at).copied().flatten()),
        }
    }
}

impl Tx {
    /// Runs `sql` for each row of `columns`; the number of rows it changed. `fixed` are the statement's first
    /// parameters, the same for every row. On Postgres the others are arrays.
    pub(crate) async fn execute_each(
        &mut self,
        sql: Sql,
        fixed: &[Value<'_>],
        columns: &[Values<'_>],
    ) -> Result<u64, DbError> {
        match self {
            Self::Postgres(tx) => {
                count::one();
                let query = bind_arrays(bind!(sqlx::query(sql.postgres), fixed), columns);
                Ok(query.execute(&mut **tx).await?.rows_affected())
            }
            Self::Sqlite(tx) => {
                let mut changed = 0;
                for at in 0..columns.first().map_or(0, Values::len) {
                    count::one();
                    let query = bind_row(bind!(sqlx::query(sql.sqlite), fixed), columns, at);
                    changed += query.execute(&mut **tx).await?.rows_affected();
                }
                Ok(changed)
            }
        }
    }

    /// The rows `sql` gives for each row of `columns`, all together.
    pub(crate) async fn fetch_each(
        &mut self,
        sql: Sql,
        fixed: &[Value<'_>],
        columns: &[Values<'_>],
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Postgres(tx) => {
                count::one();
                let query = bind_arrays(bind!(sqlx::query(sql.postgres), fixed), columns);
                let rows = query.fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::Sqlite(tx) => {
                let mut found = Vec::new();
                for at in 0..columns.first().map_or(0, Values::len) {
                    count::one();
                    let query = bind_row(bind!(sqlx::query(sql.sqlite), fixed), columns, at);
                    let rows = query.fetch_all(&mut **tx).await?;
                    found.extend(rows.into_iter().map(Row::Sqlite));
                }
                Ok(found)
            }
        }
    }
}

type OnPostgres<'q> = Query<'q, Postgres, PgArguments>;
type OnSqlite<'q> = Query<'q, Sqlite, <Sqlite as sqlx::Database>::Arguments>;

fn bind_arrays<'q>(mut query: OnPostgres<'q>, columns: &'q [Values<'q>]) -> OnPostgres<'q> {
    for column in columns {
        query = match column {
            Values::Ids(values) => query.bind(values),
            Values::Times(values) => query.bind(values),
            Values::Texts(values) => query.bind(values),
            Values::Ints(values) => query.bind(values),
            Values::Bytes(values) => query.bind(values),
        };
    }
    query
}

fn bind_row<'q>(query: OnSqlite<'q>, columns: &'q [Values<'q>], at: usize) -> OnSqlite<'q> {
    let values: Vec<_> = columns.iter().map(|column| column.at(at)).collect();
    bind!(query, &values)
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        <Uuid as PgHasArrayType>::array_type_info()
    }
}

impl PgHasArrayType for Timestamp {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("TIMESTAMPTZ")
    }
}
