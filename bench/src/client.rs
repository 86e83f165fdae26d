//! One keep-alive connection, as bare as hyper has it: no pool, no task of its own.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::RETRY_AFTER;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Error;

pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// What moves the bytes; driven while a request is waited for.
    driver: Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    host: String,
}

/// What was answered.
pub struct Answer {
    pub status: StatusCode,
    /// Does it say when to come back?
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        assert!(address.ip().is_loopback(), "load is for this machine only");
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Box::pin(driver), host: address.to_string() })
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let seconds = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let body = body.collect().await?.to_bytes();
            let retry_after = seconds.map(Duration::from_secs);
            Ok::<_, hyper::Error>(Answer { status: parts.status, retry_after, body })
        };
        tokio::select! {
            biased;
            answer = exchange => Ok(answer?),
            ended = &mut self.driver => {
                ended?;
                Err("the connection was closed".into())
            }
        }
    }
}
