//! The database: the pool, the migrations, and what its errors mean.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, PgConnection, PgPool, Row as _};

/// Connections of a pool. A few are enough: statements are short, and writes
/// share the writer's one connection.
pub const CONNECTIONS: u32 = 12;
/// Connections for what must not wait for anybody's reads, and takes no time itself.
const FEW: u32 = 2;
/// How long a request waits for the database before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long after its last use a connection is taken to be there still.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// The oldest major version whose features we use (`ON DELETE SET NULL (column)`).
const OLDEST_MAJOR: i32 = 15;

/// Every session. It gives up soon: a frozen process must not hold the log. And as our statements are
/// small, compiling one would cost more than it saves, and so would starting processes to share it.
const SESSION: &str = "SET lock_timeout = '3s'; SET statement_timeout = '5s';
    SET idle_in_transaction_session_timeout = '5s'; SET timezone = 'UTC'; SET jit = off;
    SET max_parallel_workers_per_gather = 0";
/// A session for statements that are planned once.
const STEADY: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off";

/// The migrations, compiled in.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL does not parse.
    #[error("DATABASE_URL is not a PostgreSQL URL ({0}); write postgres://user:password@host:5432/database")]
    BadUrl(sqlx::Error),
    /// No connection.
    #[error("cannot connect to the database ({0}); check DATABASE_URL and that PostgreSQL is running")]
    Unreachable(sqlx::Error),
    /// A pooler between us and PostgreSQL.
    #[error(
        "DATABASE_URL leads to a connection pooler that gives each transaction another session; isao needs its own: name PostgreSQL itself, or a pool with pool_mode=session"
    )]
    Pooled,
    /// Too old.
    #[error("PostgreSQL {0} is too old: isao needs PostgreSQL {OLDEST_MAJOR} or newer")]
    TooOld(String),
    /// A right is missing.
    #[error(
        "the user {user:?} lacks a right in the database {database:?} ({cause}); isao makes its own tables there, so make \
         the user the owner of the database and of everything in it: ALTER DATABASE {database:?} OWNER TO {user:?}"
    )]
    Forbidden {
        /// Who connects.
        user: String,
        /// To which database.
        database: String,
        /// What the database said.
        cause: String,
    },
    /// The database was made by a newer version.
    #[error(
        "the database was made by a newer version of isao: this one does not know its migration {0}; start that version, or a \
         newer one"
    )]
    NewerVersion(i64),
    /// The database was made by another version.
    #[error(
        "the database was made by another version of isao ({0}); start the version that made it, or begin with an empty database (another DATABASE_URL or --data-dir)"
    )]
    OtherVersion(MigrateError),
    /// A migration failed.
    #[error("the database could not be brought up to date: {0}")]
    Migration(MigrateError),
}

impl OpenError {
    fn connecting(options: &PgConnectOptions, error: sqlx::Error) -> Self {
        Self::forbidden(options, &error).unwrap_or(Self::Unreachable(error))
    }

    fn migrating(options: &PgConnectOptions, error: MigrateError) -> Self {
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        match &error {
            MigrateError::VersionMissing(version) if *version > newest => Self::NewerVersion(*version),
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => Self::OtherVersion(error),
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => {
                Self::forbidden(options, cause).unwrap_or(Self::Migration(error))
            }
            _ => Self::Migration(error),
        }
    }

    /// 42501: insufficient privilege.
    fn forbidden(options: &PgConnectOptions, error: &sqlx::Error) -> Option<Self> {
        let said = error.as_database_error().filter(|said| said.code().as_deref() == Some("42501"))?;
        let user = options.get_username().to_owned();
        let database = options.get_database().unwrap_or(&user).to_owned();
        Some(Self::Forbidden { user, database, cause: said.message().to_owned() })
    }
}

/// Is a connection a session of PostgreSQL, as advisory locks, NOTIFY and prepared statements want it? A
/// pooler may give each transaction another one. Two connections that begin and commit in turns find
/// out, whichever of its sessions the pooler takes next.
async fn check_sessions(one: &mut PgConnection, options: &PgConnectOptions) -> Result<(), OpenError> {
    let mut other = options.connect().await.map_err(OpenError::Unreachable)?;
    for other_first in [false, true] {
        let session = begin(one).await?;
        begin(&mut other).await?;
        if other_first {
            commit(&mut other).await?;
            commit(one).await?;
        } else {
            commit(one).await?;
            commit(&mut other).await?;
        }
        if begin(one).await? != session {
            return Err(OpenError::Pooled);
        }
        commit(one).await?;
    }
    other.close().await.map_err(OpenError::Unreachable)
}

/// Begins a transaction; returns the session it is in.
async fn begin(connection: &mut PgConnection) -> Result<i32, OpenError> {
    let pid = async {
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
    };
    pid.await.map_err(OpenError::Unreachable)
}

async fn commit(connection: &mut PgConnection) -> Result<(), OpenError> {
    sqlx::raw_sql("COMMIT").execute(connection).await.map_err(OpenError::Unreachable)?;
    Ok(())
}

/// Opens the pool and brings the schema up to date (under sqlx's advisory lock, so
/// that several processes may start at once).
pub async fn open(url: &str) -> Result<PgPool, OpenError> {
    let options: PgConnectOptions = url.parse().map_err(OpenError::BadUrl)?;
    // A parameter of the start that poolers refuse, and that PostgreSQL needs no more.
    let options = options.extra_float_digits(None);
    let mut connection = options.connect().await.map_err(|error| OpenError::connecting(&options, error))?;
    check_sessions(&mut connection, &options).await?;
    let (number, version) = sqlx::query_as::<_, (i32, String)>(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version')",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(OpenError::Unreachable)?;
    if number / 10_000 < OLDEST_MAJOR {
        return Err(OpenError::TooOld(version));
    }
    MIGRATIONS.run(&mut connection).await.map_err(|error| OpenError::migrating(&options, error))?;
    Ok(pool(options))
}

fn pool(options: PgConnectOptions) -> PgPool {
    pool_with(options.application_name("isao").disable_statement_logging(), CONNECTIONS)
}

/// Another pool of the same kind: those who use one do not wait for those of the other.
pub fn another(pool: &PgPool) -> PgPool {
    pool_with((*pool.connect_options()).clone(), CONNECTIONS)
}

/// Another pool of a few connections, for short statements.
pub fn small(pool: &PgPool) -> PgPool {
    pool_with((*pool.connect_options()).clone(), FEW)
}

fn pool_with(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        // One that was used a moment ago is not asked first whether it is still there.
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                set(connection, SESSION).await?;
                // Most filters of a list are not given: only a plan for the actual values is a good one.
                set(connection, "SET plan_cache_mode = force_custom_plan").await
            })
        })
        .connect_lazy_with(options)
}

/// A connection outside the pool, with the pool's settings.
pub async fn connect(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    connect_with(&pool.connect_options()).await
}

/// A connection for a few statements that run over and over on arrays of any length: each
/// is planned once, and by the indexes, since the tables may be empty when it is. The
/// sizes that the planner would go by are not worth a plan for every run.
pub async fn connect_steady(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut connection = connect(pool).await?;
    set(&mut connection, STEADY).await?;
    Ok(connection)
}

async fn connect_with(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = async {
        let mut connection = options.connect().await?;
        set(&mut connection, SESSION).await?;
        Ok(connection)
    };
    tokio::time::timeout(ACQUIRE_TIMEOUT, connected).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Sets a session up. Not with options at its start, which a connection pooler drops without a word.
async fn set(connection: &mut PgConnection, settings: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(settings).execute(connection).await?;
    Ok(())
}

/// Is the database away (as opposed to: it answered, with an error)?
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // 08: connection exception; 53: too many connections, disk full and the like;
        // 57P: shutting down, crashed, starting up; 25006: only reads, such as after a
        // failover; 25P03: idle in transaction for too long.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
                || matches!(&*code, "25006" | "25P03")
        }),
        _ => false,
    }
}

/// Did two transactions get in each other's way? 40001 serialization, 40P01
/// deadlock, 55P03 lock time-out, 57014 statement time-out.
pub fn is_contention(error: &sqlx::Error) -> bool {
    has_code(error, |code| matches!(code, "40001" | "40P01" | "55P03" | "57014"))
}

/// Is the statement perhaps too large: 57014 statement time-out, 54000 a limit of the program?
pub fn is_too_large(error: &sqlx::Error) -> bool {
    has_code(error, |code| matches!(code, "57014" | "54000"))
}

/// Is a statement that commits by itself certain to have done nothing? The database said so,
/// and not while it went away, nor because the statement was cancelled: that may come late.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    has_code(error, |code| code != "57014") && !is_unavailable(error)
}

/// Was a constraint violated (class 23)?
pub fn is_constraint(error: &sqlx::Error) -> bool {
    has_code(error, |code| code.starts_with("23"))
}

/// Has a partitioned table no partition for a row? That is 23514 without a constraint's name.
pub fn lacks_partition(error: &sqlx::Error) -> bool {
    has_code(error, |code| code == "23514")
        && error.as_database_error().is_some_and(|error| error.constraint().is_none())
}

/// Was a value none that the function takes (22023)?
pub fn is_invalid_parameter(error: &sqlx::Error) -> bool {
    has_code(error, |code| code == "22023")
}

fn has_code(error: &sqlx::Error, is: impl Fn(&str) -> bool) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| is(&code))
}
