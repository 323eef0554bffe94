//! A Postgres server: sqlx's pool, with values instead of types.

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Column as _, PgPool, Row as _, TypeInfo, ValueRef};

use super::{Durability, Error, Row, Statement, Value};

/// Begins a transaction that need not be on the disk when it is committed; one round trip.
const BEGIN_RELAXED: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// What every connection to Postgres is opened with.
///
/// No statement here runs long enough to be worth compiling or to be shared among processes, but the
/// planner takes some for expensive: it spent half a second on compiling the page of a list, and 8 ms
/// on starting two processes for sums that took 3.
pub fn settings(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("jit", "off"), ("max_parallel_workers_per_gather", "0")])
}

/// A pool, and how durable its transactions are.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) pool: PgPool,
    pub(super) durability: Durability,
}

impl Server {
    pub(super) async fn query(&self, statement: &Statement) -> Result<Vec<Row>, Error> {
        prepare(statement).fetch_all(&self.pool).await?.iter().map(row).collect()
    }

    pub(super) async fn execute(&self, statement: &Statement) -> Result<u64, Error> {
        Ok(prepare(statement).execute(&self.pool).await?.rows_affected())
    }

    /// Runs in a task of its own: dropped in the middle of BEGIN, sqlx would give the connection back
    /// with the transaction open, and whoever uses it next would write into it, never to be committed.
    pub(super) async fn transaction(&self, statements: Vec<Statement>) -> Result<bool, Error> {
        let server = self.clone();
        let task = tokio::spawn(async move { server.run(&statements).await });
        task.await.map_err(|_| Error::unavailable("the transaction ended early"))?
    }

    async fn run(&self, statements: &[Statement]) -> Result<bool, Error> {
        let mut tx = match self.durability {
            Durability::Full => self.pool.begin().await?,
            _ => self.pool.begin_with(BEGIN_RELAXED).await?,
        };
        for statement in statements {
            let rows = execute(&mut tx, statement).await?;
            if statement.expected_rows.is_some_and(|expected| expected != rows) {
                tx.rollback().await?;
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }
}

async fn execute(connection: &mut PgConnection, statement: &Statement) -> Result<u64, Error> {
    Ok(prepare(statement).execute(connection).await?.rows_affected())
}

fn prepare(statement: &Statement) -> Query<'_, sqlx::Postgres, PgArguments> {
    let query = sqlx::query(&statement.sql);
    statement.params.iter().fold(query, |query, param| match param {
        Value::Int(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.as_deref()),
        Value::Blob(bytes) => query.bind(bytes.as_deref()),
    })
}

fn row(row: &PgRow) -> Result<Row, Error> {
    let values = row.columns().iter().map(|column| value(row, column.ordinal()));
    Ok(Row::new(values.collect::<Result<_, Error>>()?))
}

fn value(row: &PgRow, ordinal: usize) -> Result<Value, Error> {
    let raw = row.try_get_raw(ordinal)?;
    let kind = raw.type_info().name().to_owned();
    drop(raw);
    Ok(match kind.as_str() {
        "INT8" => Value::Int(row.try_get(ordinal)?),
        "INT4" => Value::Int(row.try_get::<Option<i32>, _>(ordinal)?.map(i64::from)),
        "BYTEA" => Value::Blob(row.try_get(ordinal)?),
        _ => Value::Text(row.try_get(ordinal)?),
    })
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let passes = match &error {
            E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_) | E::Tls(_) => true,
            // Connection trouble, too few resources, an operator's intervention, a failed
            // serialization, a broken disk.
            E::Database(refusal) => refusal.code().is_some_and(|code| {
                ["08", "53", "57", "40", "58"].iter().any(|class| code.starts_with(class))
            }),
            _ => false,
        };
        if passes { Self::Unavailable(error.to_string()) } else { Self::Refused(Box::new(error)) }
    }
}
