//! The client against real sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::model::events::EventType;
use crate::model::ids::EventId;
use crate::outbound::address::{AddressPolicy, Refusal, Rule};
use crate::outbound::custom_headers::CustomHeaders;
use crate::outbound::dns::Resolver;
use crate::outbound::request::Request;
use crate::outbound::signature::{Secret, Secrets};

const LONG: Duration = Duration::from_secs(10);

/// A client of a server that listens on loopback only.
pub(super) fn client() -> Client {
    client_that_trusts(&TrustedCas::default())
}

pub(super) fn client_that_trusts(trusted: &TrustedCas) -> Client {
    let demo = CompanyId(uuid::Uuid::nil());
    let policy = AddressPolicy { loopback: Some(demo), ..AddressPolicy::default() };
    Client::new(Targets::new(policy, Resolver::asking(&[])), LONG, trusted).unwrap()
}

/// Listens on a free port and gives the first connection to `script`.
pub(super) fn serve<T: Send + 'static>(
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, std::thread::spawn(move || script(listener.accept().unwrap().0)))
}

/// Waits for a script without holding up the client's own tasks.
pub(super) async fn joined<T: Send + 'static>(server: JoinHandle<T>) -> T {
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap()
}

/// Reads one request whose body is `{}`.
pub(super) fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with("\r\n\r\n{}") {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "the client hung up after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

/// Answers one request.
fn answer(bytes: &'static [u8]) -> (u16, JoinHandle<String>) {
    serve(move |mut stream| {
        let request = request(&mut stream);
        stream.write_all(bytes).unwrap();
        request
    })
}

pub(super) async fn post(client: &Client, url: &str, loopback: bool) -> Result<Response, AttemptError> {
    let headers =
        || HeaderMap::from_iter([(axum::http::header::USER_AGENT, HeaderValue::from_static("test"))]);
    let target: TargetUrl = url.parse().unwrap();
    let attempt = client.post(&target, loopback, headers, Bytes::from_static(b"{}"));
    tokio::time::timeout(LONG, attempt).await.expect("the attempt ends in time")
}

/// Posts for a subscription that may not reach loopback, as if its URL had passed.
async fn past_the_check(client: &Client, url: &str) -> Result<Response, AttemptError> {
    client.0.public.post(&url.parse().unwrap(), HeaderMap::new, Bytes::from_static(b"{}")).await
}

async fn post_to(port: u16) -> Result<Response, AttemptError> {
    post(&client(), &format!("http://127.0.0.1:{port}/hook?a=b#c"), true).await
}

#[tokio::test]
async fn an_answer_is_read_whole() {
    let (port, server) = answer(
        b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\nset-cookie: a=b\r\ncontent-length: 4\r\n\r\nno\0\xff",
    );
    assert_eq!(
        post_to(port).await.unwrap(),
        Response {
            status: 429,
            retry_after: Some("7".into()),
            remote_addr: Some(([127, 0, 0, 1], port).into()),
            headers: [("retry-after", "7"), ("set-cookie", "…"), ("content-length", "4")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            snippet: "no\u{fffd}\u{fffd}".into(),
        }
    );
    let request = joined(server).await;
    assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: test\r\n"), "{request}");
    assert!(request.contains("content-length: 2\r\n"), "{request}");
    assert!(!request.contains("accept-encoding"), "{request}");
}

#[tokio::test]
async fn headers_are_kept_within_bounds() {
    let (port, _) = serve(|mut stream| {
        request(&mut stream);
        let long = "ü".repeat(HEADER_CHARS + 1);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-long: {long}\r\nx-bytes: a").unwrap();
        stream.write_all(b"\xff\r\n").unwrap();
        for number in 0..HEADERS_KEPT {
            write!(stream, "x-{number}: {number}\r\n").unwrap();
        }
        stream.write_all(b"\r\n").unwrap();
    });
    let headers = post_to(port).await.unwrap().headers;
    assert_eq!(headers.len(), HEADERS_KEPT);
    assert_eq!(headers[1], ("x-long".to_owned(), "ü".repeat(HEADER_CHARS)));
    assert_eq!(headers[2].1, "a\u{fffd}");
    assert_eq!(headers[3], ("x-0".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn what_is_kept_is_cut_before_it_waits() {
    let (port, _) = serve(|mut stream| {
        request(&mut stream);
        write!(stream, "HTTP/1.1 429 Slow\r\nretry-after: {}\r\n", "9".repeat(10_000)).unwrap();
        write!(stream, "content-length: {SNIPPET_BYTES}\r\n\r\n").unwrap();
        stream.write_all(&[0xff; SNIPPET_BYTES]).unwrap();
    });
    let response = post_to(port).await.unwrap();
    assert_eq!(response.retry_after, None, "no time is that long");
    assert_eq!(response.snippet, "\u{fffd}".repeat(SNIPPET_BYTES / 3));
    assert!(response.snippet.capacity() <= SNIPPET_BYTES);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = elsewhere.local_addr().unwrap();
    let (port, _) = serve(move |mut stream| {
        request(&mut stream);
        write!(stream, "HTTP/1.1 307 Go\r\nlocation: http://{location}/\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    });
    assert_eq!(post_to(port).await.unwrap().status, 307);
    assert_eq!(elsewhere.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_body() {
    let (port, server) = serve(|mut stream| {
        for _ in 0..3 {
            request(&mut stream);
            let body = "x".repeat(BODY_BYTES - 1);
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    let client = client();
    for _ in 0..3 {
        let response = post(&client, &format!("http://127.0.0.1:{port}/"), true).await.unwrap();
        assert_eq!((response.status, response.snippet.len()), (200, SNIPPET_BYTES));
    }
    joined(server).await;
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let (port, server) = serve(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let response = post_to(port).await.unwrap();
    assert_eq!((response.status, response.snippet.len()), (200, SNIPPET_BYTES));
    joined(server).await;
}

#[tokio::test]
async fn a_body_that_stalls_is_waited_for() {
    let (port, server) = serve(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").unwrap();
        stream.read(&mut [0]).unwrap()
    });
    assert!(tokio::time::timeout(Duration::from_secs(2), post_to(port)).await.is_err());
    assert_eq!(joined(server).await, 0, "the client hung up");
}

#[tokio::test]
async fn a_broken_connection_is_told_apart_from_a_refused_one() {
    let (reset, _) = serve(|stream| {
        // Closing with the request unread makes the kernel send a reset.
        stream.peek(&mut [0]).unwrap();
    });
    let (closed, _) = answer(b"");
    let (cut, _) = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
    let (other, _) = answer(b"SSH-2.0-server\r\n");
    for port in [reset, closed, cut, other] {
        let error = post_to(port).await.unwrap_err();
        assert_eq!(error.class(), "broken", "{error:?}");
        assert!(!error.to_string().contains("hook"), "{error}");
    }

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = post_to(free).await.unwrap_err();
    assert!(error.to_string().starts_with("could not connect: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let (plain, _) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
    });
    let (hangs_up, _) = serve(|mut stream| {
        let _ = stream.read(&mut [0; 4096]).unwrap();
    });
    for port in [plain, hangs_up] {
        let error = post(&client(), &format!("https://127.0.0.1:{port}/"), true).await.unwrap_err();
        assert_eq!(error.class(), "tls", "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_error() {
    let error = post(&client(), "http://nowhere.invalid/", true).await.unwrap_err();
    assert_eq!(error.class(), "dns", "{error:?}");
}

#[tokio::test]
async fn a_refused_target_gets_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = client();
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "a.localhost."] {
        match post(&client, &format!("http://{host}:{port}/"), false).await {
            Err(AttemptError::Blocked(refusal)) => assert_eq!(refusal.rule(), Some(Rule::Loopback)),
            other => panic!("{host}: {other:?}"),
        }
    }
    // Past the check of the URL, the resolver still refuses: `localhost` stands
    // for any name that resolves to loopback.
    match past_the_check(&client, &format!("http://localhost:{port}/")).await {
        Err(AttemptError::Blocked(Refusal::Address(refusal))) => {
            assert_eq!((refusal.host.as_str(), refusal.rule), ("localhost", Rule::Loopback));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_connection_to_loopback_is_not_lent_to_others() {
    let (port, _) = serve(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let client = client();
    let url = format!("http://localhost:{port}/");
    assert_eq!(post(&client, &url, true).await.unwrap().status, 200);
    assert!(matches!(past_the_check(&client, &url).await, Err(AttemptError::Blocked(_))));
}

#[tokio::test]
async fn headers_are_shown_as_they_are_sent() {
    let (port, server) = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let secret = Secret::generate([1; 32]);
    let request = Request {
        event: EventId(Uuid::from_u128(1)),
        event_type: EventType::DealWon,
        attempt: 2,
        at: DateTime::from_timestamp_millis(1_731_061_800_999).unwrap(),
        test: true,
    };
    let secrets = Secrets { current: secret.clone(), previous: Vec::new() };
    let signature = request.sign(&secrets, b"{}");
    assert_eq!(signature, secret.sign("event_00000000000000000000000000000001", 1_731_061_800, b"{}"));
    let target: TargetUrl = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let headers = request.headers(&signature);
    client().post(&target, true, || headers.clone(), Bytes::from_static(b"{}")).await.unwrap();
    let sent = joined(server).await;
    let sent: Vec<_> = sent.lines().skip(1).filter_map(|line| line.split_once(": ")).collect();
    let shown = request.shown_headers(&signature, (&target, &CustomHeaders::default()), Some(2));
    let shown: Vec<_> = shown.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(sent, shown);
}
