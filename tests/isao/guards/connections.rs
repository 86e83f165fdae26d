//! Callers that keep connections, or say nothing on them, lock nobody out.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::metric;
use crate::support::{World, eventually};

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.root().trim_start_matches("http://")).await.unwrap()
}

/// Everything that comes until the connection ends.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text));
    let _ = reading.await.expect("the connection ends");
    String::from_utf8(text).unwrap()
}

/// Sends this, and reads the one answer.
async fn say(world: &World, text: &str) -> (String, Value) {
    let mut stream = connect(world).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.to_lowercase(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_connections_open_locks_nobody_out() {
    let world = World::new().await;
    let mut kept = Vec::new();
    for number in 0..700 {
        let mut stream = connect(&world).await;
        if number % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
        }
        kept.push(stream);
    }
    for _ in 0..3 {
        let answer = reqwest::get(format!("{}/healthz", world.root())).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(rest(kept.remove(0)).await, "", "the first one made room");
    let mut last = kept.pop().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(last).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_those_who_say_nothing() {
    let mut world = World::new().await;
    let silent = connect(&world).await;
    let mut slow = connect(&world).await;
    slow.write_all(b"POST /api/external/contacts HTTP/1.1\r\nhost: ").await.unwrap();
    eventually("they are accepted", async || {
        world.send(world.http.get(format!("{}/readyz", world.root()))).await.status.eq(&200).then_some(())
    })
    .await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), world.take_server().stop());
    assert!(stopped.await.expect("it stops at once"));
    assert_eq!((rest(silent).await, rest(slow).await), (String::new(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_in_the_shape_of_all_answers() {
    let world = World::new().await;
    let long = "x".repeat(100_000);
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    for (text, status) in [
        ("G\u{1}T / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET /\u{7f} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nbad header: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431),
    ] {
        let (head, body) = say(&world, &text).await;
        let shown: String = text.chars().take(60).collect();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{shown:?}: {head}");
        assert!(head.contains("content-type: application/json"), "{shown:?}: {head}");
        assert_eq!((&body["success"], &body["code"]), (&false.into(), &"BAD_REQUEST".into()), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_as_too_long_is_refused_at_once() {
    let world = World::new().await;
    let key = &world.key;
    for length in [2 * 1024 * 1024, 1024_u64 * 1024 * 1024 * 1024] {
        let began = tokio::time::Instant::now();
        let (head, body) = say(
            &world,
            &format!("POST /api/external/contacts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"),
        )
        .await;
        assert!(head.starts_with("http/1.1 413"), "{head}");
        assert_eq!(body["code"], "PAYLOAD_TOO_LARGE");
        assert!(began.elapsed() < Duration::from_secs(10), "long before the request would be given up");
    }
    assert_eq!(metric(&world, "isao_panics_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_http2_without_tls() {
    let world = World::new().await;
    let mut stream = connect(&world).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(!rest(stream).await.contains('\0'), "no frames");
}
