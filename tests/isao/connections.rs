//! Connections of callers, and those to receivers: what the one side closes costs the other nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use crate::support::{World, eventually};

/// A connection to the server of the world, as a client of one's own has it.
fn connect(world: &World) -> TcpStream {
    let address = world.root().trim_start_matches("http://");
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream
}

/// Reads one answer: its head, and that its body was read to the end.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "the connection ended: {}",
            String::from_utf8_lossy(&text)
        );
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_body_was_read_leaves_the_connection_alone() {
    let world = World::new().await;
    let mut stream = connect(&world);
    tokio::task::spawn_blocking(move || {
        for number in 0..60 {
            write!(stream, "POST /api/external/contacts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n").unwrap();
            if number % 2 == 0 {
                // The body comes late, as it does over a network.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            stream.write_all(&[b' '; 50]).unwrap();
            let head = answer(&mut stream);
            assert!(head.starts_with("http/1.1 401") && !head.contains("connection: close"), "{number}: {head}");
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_to_be_read_is_answered_and_the_connection_ends() {
    let world = World::new().await;
    let mut stream = connect(&world);
    tokio::task::spawn_blocking(move || {
        let length = 1024 * 1024 * 1024;
        write!(stream, "POST /api/external/contacts HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
            .unwrap();
        let chunk = vec![b' '; 64 * 1024];
        let mut writing = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || while writing.write_all(&chunk).is_ok() {});
        let head = answer(&mut stream);
        assert!(head.starts_with("http/1.1 401") && head.contains("connection: close"), "{head}");
        drop(stream);
        writer.join().unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_before_sending_a_body_is_answered_at_once() {
    let world = World::new().await;
    let mut stream = connect(&world);
    tokio::task::spawn_blocking(move || {
        write!(stream, "POST /api/external/contacts HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 50\r\n\r\n").unwrap();
        let head = answer(&mut stream);
        assert!(head.starts_with("http/1.1 401") && head.contains("connection: close"), "{head}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_chunks_that_was_asked_for_leaves_the_connection_alone() {
    let world = World::new().await;
    let (mut stream, key) = (connect(&world), world.key.clone());
    tokio::task::spawn_blocking(move || {
        let body = json!({"name": "Jane", "phoneNumber": "+33100000001"}).to_string();
        write!(stream, "POST /api/external/contacts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        write!(stream, "{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).unwrap();
        let mut head = [0; 25];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
        let head = answer(&mut stream);
        assert!(head.starts_with("http/1.1 201") && !head.contains("connection: close"), "{head}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_origin_may_call() {
    let world = World::new().await;
    let preflight = world
        .http
        .request(Method::OPTIONS, world.url("/contacts"))
        .header("origin", "https://tool.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let answer = world.send(preflight).await;
    assert_eq!(answer.status, 200, "without a key: {answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    assert!(answer.header("access-control-allow-headers").contains("idempotency-key"));
    assert!(answer.headers.get("access-control-allow-credentials").is_none(), "there are no cookies");
    let request = world.request(Method::GET, "/contacts").header("origin", "https://tool.example.com");
    let answer = world.send(request).await;
    answer.data(200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    let refused = world.http.get(world.url("/contacts")).header("origin", "null");
    assert_eq!(
        world.send(refused).await.header("access-control-allow-origin"),
        "*",
        "errors can be read, too"
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_read_within_the_same_bounds() {
    let world = World::new().await;
    let post = async |encoding: &str, body: Vec<u8>| {
        let request = world.request(Method::POST, "/contacts").header("content-type", "application/json");
        world.send(request.header("content-encoding", encoding).body(body)).await
    };
    let contact = json!({"name": "Jane", "phoneNumber": "+33100000001"}).to_string();
    assert_eq!(post("gzip", gzip(contact.as_bytes())).await.data(201)["name"], "Jane");
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    post("gzip", bomb).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    post("gzip", contact.clone().into_bytes()).await.assert_error(400, "BAD_REQUEST");
    let told = post("br", contact.into_bytes()).await.assert_error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert!(told["message"].as_str().unwrap().contains("gzip"), "{told}");
}

/// A receiver that answers 200 and closes, without saying so before.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_closes_after_each_answer_costs_no_attempt() {
    const EVENTS: usize = 20;
    let world = World::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                while !seen.ends_with(b"}}") {
                    let mut buffer = [0; 4096];
                    match stream.read(&mut buffer) {
                        Ok(read) if read > 0 => seen.extend_from_slice(&buffer[..read]),
                        _ => return,
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                std::thread::sleep(std::time::Duration::from_millis(1));
            });
        }
    });
    let subscription = world.subscribe("contact.created", &url).await;
    for number in 0..EVENTS {
        world.contact(&number.to_string(), &format!("+331000000{number:02}")).await;
    }
    let path =
        format!("/webhooks/{}/deliveries?state=delivered&limit=100", subscription["id"].as_str().unwrap());
    let delivered = eventually("all deliveries", async || {
        let delivered = world.get(&path).await.data(200);
        (delivered.as_array().unwrap().len() == EVENTS).then_some(delivered)
    })
    .await;
    for delivery in delivered.as_array().unwrap() {
        assert_eq!(delivery["attempts"], 1, "{delivery}");
    }
}
