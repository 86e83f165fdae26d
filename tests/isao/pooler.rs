//! A connection pooler between the server and PostgreSQL: it works, or says in one sentence why not.
//!
//! Ignored, because it wants PgBouncer: `cargo test pooler -- --ignored`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use isao::database::postgres::{self, OpenError};
use tokio::process::{Child, Command};

use crate::support::database::Database;
use crate::support::{Process, eventually};

/// PgBouncer in front of a database; the URL through it.
async fn pgbouncer(database: &Database, mode: &str) -> (Child, String) {
    let directory = std::env::temp_dir().join(format!("{}-{mode}", database.name));
    fs::create_dir(&directory).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut url: url::Url = database.url.parse().unwrap();
    let name = url.path().trim_start_matches('/').to_owned();
    let socket = url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
    let host = socket.or(url.host_str().map(str::to_owned)).unwrap();
    let user = url.username().to_owned();
    let password = url.password().map_or_else(String::new, |password| format!(" password='{password}'"));
    let settings = format!(
        "[databases]\n{name} = host={host} port={} dbname={name} user={user}{password}\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = {mode}\n\
         default_pool_size = 50\nunix_socket_dir =\n",
        url.port().unwrap_or(5432)
    );
    let file = directory.join("pgbouncer.ini");
    fs::write(&file, settings).unwrap();
    let mut command = Command::new("pgbouncer");
    command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    // It refuses to be run by root.
    if embedded_postgres::is_root().unwrap() {
        // Whose the socket is.
        let owner = fs::metadata(&host).unwrap();
        for path in [&directory, &file] {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        command.uid(owner.uid()).gid(owner.gid());
    }
    let child = command.spawn().expect("PgBouncer is installed (apt-get install pgbouncer)");
    eventually("PgBouncer listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        .await;
    url.set_query(None);
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(port)).unwrap();
    fs::remove_dir_all(directory).unwrap();
    (child, url.to_string())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants PgBouncer"]
async fn a_pool_of_transactions_is_refused_and_one_of_sessions_works() {
    let database = Database::create().await;
    for mode in ["transaction", "statement"] {
        let (_pgbouncer, url) = pgbouncer(&database, mode).await;
        let error = postgres::open(&url).await.unwrap_err();
        assert!(matches!(error, OpenError::Pooled) || mode == "statement", "{mode}: {error}");
    }
    let (_pgbouncer, url) = pgbouncer(&database, "session").await;
    let pool = postgres::open(&url).await.unwrap();
    let limit: String = sqlx::query_scalar("SHOW statement_timeout").fetch_one(&pool).await.unwrap();
    assert_eq!(limit, "5s");
    let server = Process::with("DATABASE_URL", &url).await;
    let ready = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 200);
}
