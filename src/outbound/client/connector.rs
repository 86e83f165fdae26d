//! Opening connections where the address policy allows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Extensions, Uri};
use futures_util::future::BoxFuture;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector, HttpInfo};
use rustls::ClientConfig;
use tower::{Service, ServiceExt as _};

use super::connection::Connection;
use super::error::{AttemptError, BoxError};
use super::trust::{ReceiverVerifier, TrustedCas};
use crate::outbound::targets::Targets;

/// Opens connections for subscriptions that may reach loopback, or for those that may not.
pub(super) struct Connector(HttpsConnector<HttpConnector<JudgingResolver>>);

impl Connector {
    /// A host's addresses share `timeout`, so that a dead one leaves time for the next.
    /// Receivers may have certificates of the system's authorities and of those in `trusted`.
    pub(super) fn new(
        targets: Targets,
        loopback: bool,
        timeout: Duration,
        trusted: &TrustedCas,
    ) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new_with_resolver(JudgingResolver { targets, loopback });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = ReceiverVerifier::new(trusted, provider.clone())?;
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
        Ok(Self(tls.https_or_http().enable_all_versions().wrap_connector(tcp)))
    }

    /// A new connection to the host of `uri`.
    pub(super) async fn connect(&self, uri: Uri) -> Result<Connection, AttemptError> {
        let stream = self.0.clone().oneshot(uri).await.map_err(|error| AttemptError::connecting(&*error))?;
        let connected = stream.connected();
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        let remote_addr = extensions.get().map(HttpInfo::remote_addr);
        let connection = if connected.is_negotiated_h2() {
            Connection::http2(stream, remote_addr).await
        } else {
            Connection::http1(stream, remote_addr).await
        };
        connection.map_err(|error| AttemptError::broken(&error))
    }
}

/// Resolves names by [`Targets`].
#[derive(Clone, Debug)]
struct JudgingResolver {
    targets: Targets,
    loopback: bool,
}

impl Service<Name> for JudgingResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { targets, loopback } = self.clone();
        Box::pin(async move { Ok(targets.connectable(name.as_str(), loopback).await?.into_iter()) })
    }
}
