//! Receives events of isao with axum: verifies them, handles each one once, in SQLite, and answers 2xx
//! only when it is on disk. Run with: `SECRET=whsec_… cargo run`

use std::env::{self, VarError};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use rusqlite::{Connection, Transaction, params};
use serde_json::Value;
use standardwebhooks::Webhook;

struct Receiver {
    webhook: Webhook,
    database: Mutex<Connection>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = Connection::open(or("STORE", "events.db")?)?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, type TEXT, body TEXT);
         CREATE TABLE IF NOT EXISTS totals (type TEXT PRIMARY KEY, events INTEGER);",
    )?;
    let receiver = Receiver { webhook: Webhook::new(&env::var("SECRET")?)?, database: Mutex::new(database) };
    let app = Router::new()
        .route("/webhook/isao", post(receive))
        .layer(DefaultBodyLimit::max(2 * 1024 * 1024))
        .with_state(Arc::new(receiver));
    let port = or("PORT", "3000")?;
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://127.0.0.1:{port}/webhook/isao");
    Ok(axum::serve(listener, app).await?)
}

/// A setting, or what it is when it is not set.
fn or(name: &str, default: &str) -> Result<String, VarError> {
    match env::var(name) {
        Err(VarError::NotPresent) => Ok(default.to_owned()),
        found => found,
    }
}

/// The body is taken as bytes, because these were signed.
async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, (StatusCode, String)> {
    let refuse = |error: &dyn Error| (StatusCode::BAD_REQUEST, error.to_string());
    receiver.webhook.verify(&body, &headers).map_err(|error| refuse(&error))?;
    // A test is signed, too, but about an invented record.
    if headers.contains_key("x-isao-test") {
        return Ok("received");
    }
    let event: Value = serde_json::from_slice(&body).map_err(|error| refuse(&error))?;
    // SQLite waits for the disk, so it does not do so on a thread that answers requests.
    let kept = tokio::task::spawn_blocking(move || keep(&receiver, &event, &body)).await;
    // What fails is answered with 500, so isao sends it again.
    let failed = |error: &dyn Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    kept.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok("received")
}

/// Stores and handles an event in one transaction, unless that was done before.
fn keep(receiver: &Receiver, event: &Value, body: &[u8]) -> rusqlite::Result<()> {
    let id = event["metadata"]["eventId"].as_str(); // also the header webhook-id; the same at every repetition
    let kind = event["event"].as_str();
    let mut database = receiver.database.lock().unwrap_or_else(PoisonError::into_inner);
    let transaction = database.transaction()?;
    let row = params![id, kind, String::from_utf8_lossy(body)];
    let is_new = transaction.execute("INSERT OR IGNORE INTO events VALUES (?1, ?2, ?3)", row)? == 1;
    if is_new {
        handle(&transaction, kind)?;
    }
    transaction.commit()?;
    println!("{} {} {}", if is_new { "stored" } else { "again" }, kind.unwrap_or("?"), id.unwrap_or("?"));
    Ok(())
}

/// What is to be done about an event. Here it counts.
fn handle(transaction: &Transaction<'_>, kind: Option<&str>) -> rusqlite::Result<usize> {
    let count = "INSERT INTO totals VALUES (?1, 1) ON CONFLICT (type) DO UPDATE SET events = events + 1";
    transaction.execute(count, [kind])
}
