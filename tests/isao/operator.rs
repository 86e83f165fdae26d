//! What whoever runs the binary sees: signals, output that goes nowhere, and settings that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::database::Database;
use crate::support::{Process, eventually};

/// Runs the binary in a shell, which may do with its output what it likes; `$ISAO` is the binary.
async fn shell(database: &Database, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("ISAO", env!("CARGO_BIN_EXE_isao")).env("DATABASE_URL", &database.url);
    command.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the server with settings with which it does not start, and tells what it said.
async fn refusal(settings: &[(&str, &str)]) -> String {
    let settings: Vec<_> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isao"));
        command.args(["serve", "--bind", "127.0.0.1:0"]).env("ISAO_LOG", "off").envs(settings);
        // Where the machine that runs the tests has its certificates.
        command.env_remove("SSL_CERT_DIR").stdin(Stdio::null()).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

async fn connect(database: &Database) -> PgConnection {
    PgConnection::connect(&database.url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_does_not_end_the_server() {
    let database = Database::create().await;
    let process = Process::serve(&database).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..3 {
        process.signal("HUP").await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let alive = http.get(format!("http://{}/healthz", process.address)).send().await.unwrap();
        assert_eq!(alive.status(), 200);
    }
    process.signal("TERM").await;
    assert!(process.ended().await.success());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_saw_is_not_valid() {
    let database = Database::create().await;
    let mut connection = connect(&database).await;
    let create = "\"$ISAO\" keys create --company Acme --name first --permissions all";
    assert!(shell(&database, "\"$ISAO\" companies create Acme").await.status.success());
    let active = "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL";
    for (to, part) in [
        (">&-", "nobody would see"),
        ("> /dev/null", "nobody would see"),
        ("> /dev/full", "so it was revoked"),
        ("--json > /dev/full", "so it was revoked"),
        ("--json >&-", "nobody would see"),
    ] {
        let output = shell(&database, &format!("{create} {to}")).await;
        assert!(!output.status.success(), "{to}: {}", said(&output));
        assert!(said(&output).contains(part), "{to}: {}", said(&output));
        let valid: i64 = sqlx::query_scalar(active).fetch_one(&mut connection).await.unwrap();
        assert_eq!(valid, 0, "{to}");
    }
    // The reader is gone before anything is written.
    let piped = shell(&database, &format!("{{ sleep 1; {create}; echo $? >&2; }} | true")).await;
    assert!(said(&piped).contains("so it was revoked") && said(&piped).ends_with("1\n"), "{}", said(&piped));
    let valid: i64 = sqlx::query_scalar(active).fetch_one(&mut connection).await.unwrap();
    assert_eq!(valid, 0);
    let output = shell(&database, create).await;
    assert!(output.status.success() && output.stdout.starts_with(b"ck_"), "{}", said(&output));
    // A result can be asked for again, but its loss is told.
    for command in
        ["companies create Other", "companies list", "keys list --json", "members list", "database"]
    {
        let output = shell(&database, &format!("\"$ISAO\" {command} > /dev/full")).await;
        assert!(!output.status.success(), "{command}");
        assert!(said(&output).contains("could not be written"), "{command}: {}", said(&output));
    }
    connection.close().await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_do_not_act_on_the_terminal() {
    let database = Database::create().await;
    let name = "a\u{1b}[2J\n\u{9b}31mb";
    let mut connection = connect(&database).await;
    let company = "INSERT INTO companies (id, name, created_at) VALUES (gen_random_uuid(), $1, now())";
    sqlx::query(company).bind(name).execute(&mut connection).await.unwrap();
    for (command, lines) in [("companies list", Some(2)), ("companies list --json", None)] {
        let output = shell(&database, &format!("\"$ISAO\" {command}")).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(lines.is_none_or(|lines| text.lines().count() == lines), "{text}");
    }
    connection.close().await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_of_another_kind_is_named() {
    for (name, value, part) in [
        (
            "ISAO_ALERT_URL",
            "ftp://example.com/alerts",
            "--alert-url (ISAO_ALERT_URL) has a bad value: must begin with http",
        ),
        ("ISAO_PUBLIC_URL", "ftp://crm.example/", "must begin with http:// or https://"),
        ("DATABASE_URL", "mysql://root:secret@127.0.0.1/isao", "isao works with PostgreSQL only"),
    ] {
        let said = refusal(&[(name, value)]).await;
        assert!(said.contains(part) && said.contains(name), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_with_what_to_do() {
    let database = Database::create().await;
    let mut connection = connect(&database).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99991231000000, 'later', true, '', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let told = refusal(&[("DATABASE_URL", &database.url)]).await;
    assert!(told.contains("made by a newer version of isao"), "{told}");
    assert!(told.contains("99991231000000") && told.contains("start that version, or a newer one"), "{told}");
    connection.close().await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_told_with_what_to_do() {
    let database = Database::create().await;
    let mut connection = connect(&database).await;
    let (user, empty) = (format!("guest_{}", database.name), format!("{}_empty", database.name));
    for statement in [format!("CREATE ROLE {user} LOGIN"), format!("CREATE DATABASE {empty}")] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let told = |name: &str| {
        let url = database.url.replace("postgres@", &format!("{user}@"));
        let url = url.replace(&format!("/{}?", database.name), &format!("/{name}?"));
        async move { refusal(&[("DATABASE_URL", &url)]).await }
    };
    for name in [&empty, &database.name] {
        let sentence = told(name).await;
        assert!(sentence.contains("permission denied"), "{sentence}");
        assert!(sentence.contains(&format!("ALTER DATABASE \"{name}\" OWNER TO \"{user}\"")), "{sentence}");
    }
    let revoke = format!("REVOKE CONNECT ON DATABASE {empty} FROM public");
    sqlx::query(AssertSqlSafe(revoke)).execute(&mut connection).await.unwrap();
    let sentence = told(&empty).await;
    assert!(
        sentence.contains("permission denied for database") && sentence.contains("OWNER TO"),
        "{sentence}"
    );
    for statement in [format!("DROP DATABASE {empty}"), format!("DROP ROLE {user}")] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_there_are_named() {
    let database = Database::create().await;
    let told = refusal(&[("DATABASE_URL", &database.url), ("SSL_CERT_FILE", "/nowhere/ca.pem")]).await;
    assert!(told.contains("SSL_CERT_FILE is /nowhere/ca.pem, which cannot be read"), "{told}");
    assert!(told.contains("correct or unset it"), "{told}");
    database.drop().await;
}

/// A data directory of a test.
struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_demo_key_is_an_error_and_a_lost_one_is_revoked() {
    let data = Data(std::env::temp_dir().join(format!("isao-operator-{}", std::process::id())));
    fs::create_dir(&data.0).unwrap();
    fs::set_permissions(&data.0, fs::Permissions::from_mode(0o755)).unwrap();
    let (directory, file) = (data.0.join("data"), data.0.join("data/demo-key"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |process: &Process, key: &str| {
        let url = format!("http://{}/api/external/test", process.address);
        http.get(url).bearer_auth(key.trim()).send().await.unwrap().status().as_u16()
    };
    let process = Process::with("ISAO_DATA_DIR", &directory).await;
    let first = fs::read_to_string(&file).unwrap();
    assert_eq!(status(&process, &first).await, 200);

    fs::write(&file, &first[..20]).unwrap();
    let told = refusal(&[("ISAO_DATA_DIR", directory.to_str().unwrap())]).await;
    assert!(told.contains("demo-key does not hold an API key; restore it, or remove it"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), first[..20], "it is left alone");
    assert_eq!(status(&process, &first).await, 200);

    fs::write(&file, &first).unwrap();
    let second = Process::with("ISAO_DATA_DIR", &directory).await;
    assert_eq!(status(&second, &first).await, 200, "a file that was restored is as good as before");
    second.kill().await;

    fs::remove_file(&file).unwrap();
    let third = Process::with("ISAO_DATA_DIR", &directory).await;
    let new = fs::read_to_string(&file).unwrap();
    assert_eq!(status(&third, &new).await, 200);
    eventually("the former key is refused", async || (status(&third, &first).await == 401).then_some(()))
        .await;
    third.kill().await;
    process.kill().await;
    eventually("PostgreSQL stops", async || {
        (!directory.join("postgres/postmaster.pid").exists()).then_some(())
    })
    .await;
}
