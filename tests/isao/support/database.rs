//! One throw-away PostgreSQL for all tests, a database of its own for each.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use embedded_postgres::{Durability, Embedded, Options, Search, throwaway_dir};
use isao::database::postgres;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The advisory lock under which the template is made.
const TEMPLATE_LOCK: i64 = 0x7465_6d70;

/// How to start PostgreSQL on `data_dir`.
pub fn options(data_dir: PathBuf, durability: Durability) -> Options {
    let variable = |name| std::env::vars_os().find(|(found, _)| found == name).map(|(_, value)| value);
    Options {
        data_dir,
        durability,
        supervisor: env!("CARGO_BIN_EXE_isao").into(),
        search: Search::new(variable("PG_BIN_DIR").map(PathBuf::from), variable("PATH")),
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).into()),
        say: Box::new(|line| eprintln!("{line}")),
    }
}

fn server() -> &'static Embedded {
    static SERVER: OnceLock<Embedded> = OnceLock::new();
    SERVER.get_or_init(|| {
        let directory = throwaway_dir(Path::new(env!("CARGO_MANIFEST_DIR")), &std::env::temp_dir()).unwrap();
        Embedded::start(options(directory, Durability::Throwaway)).unwrap()
    })
}

async fn connect() -> (&'static Embedded, PgConnection) {
    let server = tokio::task::spawn_blocking(server).await.unwrap();
    (server, PgConnection::connect(&server.url("postgres")).await.unwrap())
}

/// A database for one test.
pub struct Database {
    pub name: String,
    pub url: String,
}

impl Database {
    /// A new one, with the schema and nothing else.
    pub async fn create() -> Self {
        let (server, mut connection) = connect().await;
        let template = template(server, &mut connection).await;
        Self::copy_of(&template, server, &mut connection).await
    }

    async fn copy_of(template: &str, server: &Embedded, connection: &mut PgConnection) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        execute(connection, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await;
        Self { url: server.url(&name), name }
    }

    /// Drops it, whoever is still connected.
    pub async fn drop(&self) {
        let mut connection = PgConnection::connect(&server().url("postgres")).await.unwrap();
        execute(&mut connection, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}

/// Makes the template database of this schema, once. Databases that earlier runs
/// left behind (of tests that failed, or of another schema) go away on that occasion.
async fn template(server: &Embedded, connection: &mut PgConnection) -> String {
    static NAME: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    NAME.get_or_init(async || {
        let mut hash = Sha256::new();
        for migration in postgres::MIGRATIONS.iter() {
            hash.update(&migration.checksum);
        }
        let digest: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("template_{digest}");
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(TEMPLATE_LOCK)
            .execute(&mut *connection)
            .await
            .unwrap();
        let known: Option<i32> =
            sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate")
                .bind(&name)
                .fetch_optional(&mut *connection)
                .await
                .unwrap();
        if known.is_none() {
            execute(connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            execute(connection, format!("CREATE DATABASE {name}")).await;
            postgres::open(&server.url(&name)).await.unwrap().close().await;
            execute(connection, format!("ALTER DATABASE {name} IS_TEMPLATE true")).await;
        }
        sqlx::query("SELECT pg_advisory_unlock($1)")
            .bind(TEMPLATE_LOCK)
            .execute(&mut *connection)
            .await
            .unwrap();
        name
    })
    .await
    .clone()
}

async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.unwrap();
}
