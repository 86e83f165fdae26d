//! The client's connections: kept, shared, closed, refused, encrypted.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use hyper::server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt as _;

use super::connection::Connection;
use super::tests::{client, client_that_trusts, joined, post, request, serve};
use super::*;

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || {
        let answer = |mut stream: TcpStream| {
            request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        };
        answer(listener.accept().unwrap().0);
        closed.send(()).unwrap();
        answer(listener.accept().unwrap().0);
    });
    let client = client();
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(post(&client, &url, true).await.unwrap().status, 200);
    is_closed.await.unwrap();
    // The kernel has to tell, and tokio to hear of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(post(&client, &url, true).await.unwrap().status, 200);
    joined(server).await;
}

#[tokio::test]
async fn an_http2_connection_is_shared_until_it_ends() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let service = service_fn(async |request: axum::http::Request<Incoming>| {
        assert_eq!(request.uri(), "https://example.com/hook?a=b");
        assert!(!request.headers().contains_key("host"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(axum::http::Response::new(Body::new(body)))
    });
    let serving = server::conn::http2::Builder::new(TokioExecutor::new());
    let serving = tokio::spawn(serving.serve_connection(TokioIo::new(far), service));
    let target: TargetUrl = "https://example.com/hook?a=b#c".parse().unwrap();
    let request = || axum::http::Request::new(Body::new("{}".into()));

    let mut one = Connection::http2(TokioIo::new(near), None).await.unwrap();
    let mut other = one.share().unwrap();
    for answer in
        [one.exchange(&target, request(), false).await, other.exchange(&target, request(), false).await]
    {
        let Ok((response, complete)) = answer else { panic!("no answer") };
        assert_eq!((response.status, response.snippet.as_str(), complete), (200, "{}", true));
    }
    assert!(one.is_reusable() && other.is_reusable());
    serving.abort();
    let _ = serving.await;
    tokio::task::yield_now().await;
    assert!(one.exchange(&target, request(), false).await.is_err());
    assert!(!one.is_reusable() && !other.is_reusable());
}

/// Serves connections one after the other, each by the script of its number.
fn serve_each(scripts: Vec<fn(&mut TcpStream)>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for script in scripts {
            script(&mut listener.accept().unwrap().0);
        }
    });
    (port, server)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Answers one request, and hangs up when the next one is there.
fn hang_up_on_the_second(stream: &mut TcpStream) {
    request(stream);
    stream.write_all(OK).unwrap();
    request(stream);
}

#[tokio::test]
async fn a_kept_connection_that_closes_before_a_byte_of_the_answer_costs_no_attempt() {
    let (port, server) = serve_each(vec![hang_up_on_the_second, hang_up_on_the_second, |stream| {
        request(stream);
        stream.write_all(OK).unwrap();
    }]);
    let client = client();
    let url = format!("http://127.0.0.1:{port}/");
    for _ in 0..3 {
        assert_eq!(post(&client, &url, true).await.unwrap().status, 200);
    }
    joined(server).await;
}

#[tokio::test]
async fn what_may_have_been_looked_at_is_not_sent_again() {
    // A byte of the answer came, or the connection was new.
    let (port, server) = serve_each(vec![
        |stream| {
            request(stream);
            stream.write_all(OK).unwrap();
            request(stream);
            stream.write_all(b"HTTP/1.1 2").unwrap();
        },
        |stream| {
            request(stream);
        },
    ]);
    let client = client();
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(post(&client, &url, true).await.unwrap().status, 200);
    for _ in 0..2 {
        assert_eq!(post(&client, &url, true).await.unwrap_err().class(), "broken");
    }
    joined(server).await;
}

#[tokio::test]
async fn a_head_that_is_odd_counts_by_its_status() {
    let (port, server) = serve_each(vec![
        |stream| {
            request(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
            for number in 0..400 {
                write!(stream, "x-{number}: {number}\r\n").unwrap();
            }
            stream.write_all(b"content-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        },
        |stream| {
            request(stream);
            stream
                .write_all(
                    b"HTTP/1.1 204 None\r\nServer : x\r\nx-folded: a\r\n b\r\nconnection: close\r\n\r\n",
                )
                .unwrap();
        },
        |stream| {
            request(stream);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
        },
    ]);
    let client = client();
    let url = format!("http://127.0.0.1:{port}/");
    for status in [200, 204, 200] {
        assert_eq!(post(&client, &url, true).await.unwrap().status, status);
    }
    joined(server).await;
}

/// An HTTP/2 connection to a peer that does this with each stream.
async fn http2_to(treat: impl Fn(h2::server::SendResponse<Bytes>) + Send + 'static) -> Connection {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(far).await.unwrap();
        while let Some(Ok((_, respond))) = connection.accept().await {
            treat(respond);
        }
    });
    Connection::http2(TokioIo::new(near), None).await.unwrap()
}

#[tokio::test]
async fn a_stream_that_the_peer_did_not_look_at_is_told_apart() {
    let target: TargetUrl = "https://example.com/".parse().unwrap();
    let request = || axum::http::Request::new(Body::new("{}".into()));
    let mut refusing = http2_to(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await;
    let refused = refusing.exchange(&target, request(), false).await;
    assert!(matches!(refused, Err(ExchangeError::Refused(_))));
    let mut failing = http2_to(|mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    let failed = failing.exchange(&target, request(), false).await;
    assert!(matches!(failed, Err(ExchangeError::Failed(_))));
    // GOAWAY names the last stream that was looked at: here none.
    let (port, _) = serve(|mut stream| {
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
        let mut seen = Vec::new();
        // The request has come when its body has; other frames may follow.
        while !seen.windows(2).any(|bytes| bytes == b"{}") {
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        // Closed with something unread, the connection would be reset, and the GOAWAY lost.
        while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    });
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut leaving = Connection::http2(TokioIo::new(stream), None).await.unwrap();
    let refused = leaving.exchange(&target, request(), false).await;
    assert!(matches!(refused, Err(ExchangeError::Refused(_))));
}

#[tokio::test]
async fn a_request_does_not_wait_for_the_streams_of_others() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut connection =
            h2::server::Builder::new().max_concurrent_streams(1).handshake::<_, Bytes>(far).await.unwrap();
        let mut held = Vec::new();
        while let Some(Ok(stream)) = connection.accept().await {
            held.push(stream);
        }
    });
    let target: TargetUrl = "https://example.com/".parse().unwrap();
    let request = || axum::http::Request::new(Body::new("{}".into()));
    let mut first = Connection::http2(TokioIo::new(near), None).await.unwrap();
    let mut second = first.share().unwrap();
    let waiting = tokio::spawn({
        let (target, request) = (target.clone(), request());
        async move { first.exchange(&target, request, true).await.is_ok() }
    });
    // Until the peer has said how many it takes.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(matches!(second.exchange(&target, request(), false).await, Err(ExchangeError::Crowded)));
    assert!(!waiting.is_finished(), "the first one has its stream, and waits for its answer");
}

/// Answers TLS with a self-signed certificate, which calls itself an authority. Perhaps demands one of
/// its clients.
async fn self_signed(demands_certificate: bool) -> u16 {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/self-signed");
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(format!("{fixtures}.pem")).unwrap().map(Result::unwrap).collect();
    let mut authorities = rustls::RootCertStore::empty();
    authorities.add(chain[0].clone()).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{fixtures}.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let clients = if demands_certificate {
        clients.build().unwrap()
    } else {
        rustls::server::WebPkiClientVerifier::no_client_auth()
    };
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => stream,
                Err((_, stream)) => {
                    // What was not read would take the alert away, if this closed at once.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    drop(stream);
                    continue;
                }
            };
            let service =
                service_fn(async |_| Ok::<_, Infallible>(axum::http::Response::new(Body::new("ok".into()))));
            let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    });
    port
}

#[tokio::test]
async fn a_self_signed_certificate_is_told_and_can_be_trusted() {
    let port = self_signed(false).await;
    let url = format!("https://localhost:{port}/");
    let error = post(&client(), &url, true).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no TLS connection: the certificate is self-signed; ISAO_DELIVERY_CA can name it, or its authority, as trusted"
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/self-signed.pem");
    let trusted = TrustedCas::read(std::path::Path::new(path)).unwrap();
    let response = post(&client_that_trusts(&trusted), &url, true).await.unwrap();
    assert_eq!((response.status, response.snippet.as_str()), (200, "ok"));
    for (path, part) in [
        ("/nowhere/ca.pem", "cannot be read"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "no certificate"),
    ] {
        let error = TrustedCas::read(std::path::Path::new(path)).unwrap_err();
        assert!(error.contains(part), "{path}: {error}");
    }
}

#[tokio::test]
async fn a_receiver_that_demands_a_certificate_is_a_tls_error() {
    let port = self_signed(true).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/self-signed.pem");
    let trusted = TrustedCas::read(std::path::Path::new(path)).unwrap();
    let url = format!("https://localhost:{port}/");
    let error = post(&client_that_trusts(&trusted), &url, true).await.unwrap_err();
    assert_eq!(error.class(), "tls", "{error}");
    assert_eq!(
        error.to_string(),
        "no TLS connection: the receiver demands a certificate of its clients, and isao has none"
    );
}

#[tokio::test]
async fn a_connection_takes_no_new_requests_after_a_minute_however_busy() {
    const ORIGIN: &str = "https://example.com";
    for (age, is_used) in [(0, true), (50, true), (60, false), (3600, false)] {
        let pool = Pool::default();
        pool.put(ORIGIN, http2_to(|_| {}).await);
        // It was used just now, and is kept.
        let mut connection = pool.take(ORIGIN).unwrap();
        connection.grow_older(Duration::from_secs(age));
        let other = Pool::default();
        other.put(ORIGIN, connection);
        assert_eq!(other.take(ORIGIN).is_some(), is_used, "{age} s");
    }
}

#[tokio::test]
async fn informational_answers_come_before_the_answer_but_not_without_end() {
    let (port, server) = serve(|mut stream| {
        request(&mut stream);
        for _ in 0..100 {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    assert_eq!(post(&client(), &format!("http://127.0.0.1:{port}/"), true).await.unwrap().status, 200);
    joined(server).await;

    let (port, server) = serve(|mut stream| {
        request(&mut stream);
        let some = b"HTTP/1.1 103\r\n\r\n".repeat(1024);
        let mut sent = 0_u64;
        while stream.write_all(&some).is_ok() {
            sent += some.len() as u64;
        }
        sent
    });
    let client = client();
    let failed = post(&client, &format!("http://127.0.0.1:{port}/"), true).await.unwrap_err();
    assert_eq!(failed, AttemptError::Broken("the receiver sent too much that is no answer".to_owned()));
    // What was not read is in the buffers of the sockets.
    assert!(joined(server).await < 32 * 1024 * 1024);
}

#[tokio::test]
async fn a_chatty_http2_peer_that_never_answers_is_hung_up_on() {
    // Frames (RFC 9113): empty settings, then PING after PING, until nobody reads them any more.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING_ACK: [u8; 17] = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut reading, mut writing) = tokio::io::split(far);
    let drain = tokio::spawn(async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await });
    let flood = tokio::spawn(async move {
        let mut sent = 0_u64;
        writing.write_all(&SETTINGS).await.unwrap();
        while writing.write_all(&PING_ACK.repeat(1024)).await.is_ok() {
            sent += 17 * 1024;
        }
        sent
    });
    let target: TargetUrl = "https://example.com/".parse().unwrap();
    let mut connection = Connection::http2(TokioIo::new(near), None).await.unwrap();
    let exchange = connection.exchange(&target, axum::http::Request::new(Body::new("{}".into())), true);
    assert!(tokio::time::timeout(Duration::from_secs(10), exchange).await.unwrap().is_err());
    assert!(flood.await.unwrap() < 4 * 1024 * 1024);
    drain.abort();
}
