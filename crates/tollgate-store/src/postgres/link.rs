//! One connection and the statements prepared on it.

use crate::error::StoreError;
use crate::postgres::address::Target;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Connection, NoTls, Row, SimpleQueryMessage, Statement};

/// Statements kept prepared on one connection; what comes after is prepared for one use.
const STATEMENTS_MAX: usize = 512;

/// A parameter of a statement.
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// A statement, by what makes its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Query {
    /// A file's text.
    Fixed(&'static str),
    /// A file's text for one table.
    Of(&'static str, &'static str),
    /// Put together by a reader.
    Text(String),
}

impl Query {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Fixed(text) => Cow::Borrowed(text),
            Self::Of(text, table) => Cow::Owned(text.replace("{table}", table)),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// One connection.
pub(super) struct Link {
    client: Client,
    statements: Mutex<HashMap<Query, Statement>>,
    /// When it was last asked something.
    asked: Mutex<Instant>,
    /// How long an answer may take.
    answer_within: Option<Duration>,
    /// An answer did not come in time: what comes next would be the answer to something else.
    is_mute: AtomicBool,
}

impl Link {
    /// Connects; gives up when that takes too long.
    pub(super) async fn connect(target: &Target) -> Result<Self, StoreError> {
        let client = tokio::time::timeout(target.within, connected(target));
        let client = client
            .await
            .map_err(|_| StoreError::Unavailable("PostgreSQL does not answer in time".to_owned()))??;
        Ok(Self {
            client,
            statements: Mutex::default(),
            asked: Mutex::new(Instant::now()),
            answer_within: target.answer_within,
            is_mute: AtomicBool::new(false),
        })
    }

    /// Waits for an answer, but not for ever.
    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let Some(within) = self.answer_within else {
            return Ok(asked.await?);
        };
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                self.is_mute.store(true, Ordering::Relaxed);
                Err(StoreError::Unavailable("PostgreSQL did not answer in time".to_owned()))
            }
        }
    }

    /// What copying needs.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether nothing can be asked any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_mute.load(Ordering::Relaxed)
    }

    /// How long nothing was asked.
    pub(super) fn silence(&self) -> Duration {
        self.asked.lock().elapsed()
    }

    /// Asks for nothing and waits for the answer.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.answer(self.client.check_connection()).await
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&self, text: &str) -> Result<(), StoreError> {
        self.answer(self.client.batch_execute(text)).await
    }

    /// Runs statements without parameters; gives the first column of the last row, as text.
    pub(super) async fn run_for(&self, text: &str) -> Result<Option<String>, StoreError> {
        let messages = self.answer(self.client.simple_query(text)).await?;
        let last = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        });
        Ok(last.flatten())
    }

    /// The rows of a statement.
    pub(super) async fn query(&self, query: Query, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let statement = self.statement(query).await?;
        self.answer(self.client.query(&statement, params)).await
    }

    /// The only row of a statement, if there is one.
    pub(super) async fn query_opt(
        &self,
        query: Query,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, StoreError> {
        let statement = self.statement(query).await?;
        self.answer(self.client.query_opt(&statement, params)).await
    }

    /// How many rows a statement has changed.
    pub(super) async fn execute(&self, query: Query, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let statement = self.statement(query).await?;
        self.answer(self.client.execute(&statement, params)).await
    }

    async fn statement(&self, query: Query) -> Result<Statement, StoreError> {
        *self.asked.lock() = Instant::now();
        if let Some(statement) = self.statements.lock().get(&query) {
            return Ok(statement.clone());
        }
        let statement = self.answer(self.client.prepare(&query.text())).await?;
        let mut statements = self.statements.lock();
        if statements.len() < STATEMENTS_MAX {
            statements.insert(query, statement.clone());
        }
        Ok(statement)
    }
}

async fn connected(target: &Target) -> Result<Client, StoreError> {
    Ok(match &target.tls {
        None => {
            let (client, connection) = target.config.connect(NoTls).await?;
            carry(connection);
            client
        }
        Some(tls) => {
            let (client, connection) = target.config.connect(tls.clone()).await?;
            carry(connection);
            client
        }
    })
}

/// Carries what is said; ends when the client is dropped.
fn carry<S, T>(connection: Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %StoreError::from(error), "a connection to PostgreSQL has ended");
        }
    });
}

impl From<tokio_postgres::Error> for StoreError {
    /// Code and sentence only: the details can hold what was written.
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unavailable(match error.as_db_error() {
            Some(said) => format!("PostgreSQL: {} ({})", said.message(), said.code().code()),
            None => match error.source() {
                Some(cause) => format!("PostgreSQL: {error}: {cause}"),
                None => format!("PostgreSQL: {error}"),
            },
        })
    }
}

/// Whether others held what a statement needed, for longer than it was to wait, or waited in a circle with it.
pub(super) fn is_busy(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(text) if text.ends_with("(55P03)") || text.ends_with("(40P01)"))
}

/// A column of a row; `what` names it in an error.
pub(super) fn column<'a, T: FromSql<'a>>(
    row: &'a Row,
    place: usize,
    what: &'static str,
) -> Result<T, StoreError> {
    row.try_get(place).map_err(|_| StoreError::Corrupt(what))
}

/// 16 bytes that PostgreSQL knows as a UUID; both compare them byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) [u8; 16]);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

/// A number as PostgreSQL's `bigint` of the same 64 bits' order, as far as times and sequences go.
pub(super) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number back from a `bigint`.
pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
