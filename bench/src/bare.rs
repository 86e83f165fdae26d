//! The bare client: what deliveries could be at best. It posts the same bytes, signed
//! beforehand, to the same receiver, over plain connections.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use tokio::time::Instant;

use crate::Error;
use crate::client::Connection;
use crate::delivery::{Mark, Signer, envelope, now};
use crate::phases::{Phases, percentiles};
use crate::report::Figures;

impl Phases {
    /// A bare client posts to the receiver what the server would.
    pub async fn bare(&mut self, figures: &mut Figures, connections: u32) -> Result<(), Error> {
        let count = self.scale.creates / u64::from(connections).min(4);
        self.bare_of(figures, &format!("bare/{connections}"), connections, count).await
    }

    /// So many posts from each connection.
    pub async fn bare_of(
        &mut self,
        figures: &mut Figures,
        key: &str,
        connections: u32,
        count: u64,
    ) -> Result<(), Error> {
        self.phase += 1;
        self.receiver.begin(self.phase).await?;
        let signer = Signer::new();
        let posts: Vec<_> = (0..count as u32).map(|number| Post::new(&signer, self.phase, number)).collect();
        let posts = Arc::new(posts);
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Connection::open(self.receiver.address).await?);
        }
        let (before, started) = (self.cpu(), Instant::now());
        let mut workers = tokio::task::JoinSet::new();
        for (index, mut client) in clients.into_iter().enumerate() {
            let (posts, path) = (posts.clone(), format!("/{}/{index}", self.phase));
            workers.spawn(async move {
                let mut latencies = Vec::with_capacity(posts.len());
                for post in posts.iter() {
                    let begun = Instant::now();
                    client.send(Method::POST, &path, &post.headers(), post.body.clone()).await?;
                    latencies.push(begun.elapsed().as_micros() as u32);
                }
                Ok::<_, Error>(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(ended) = workers.join_next().await {
            latencies.extend(ended??);
        }
        let seconds = started.elapsed().as_secs_f64();
        let cpu = self.cpu().since(&before);
        let all = (count * u64::from(connections)) as f64;
        self.receiver.check(all as u64).await?;
        latencies.sort_unstable();
        percentiles(figures, key, &latencies);
        figures.set(key, all / seconds);
        figures.set(format!("{key}/cpu"), cpu.generator / all);
        figures.set(format!("{key}/cpu receiver"), cpu.receiver / all);
        Ok(())
    }
}

/// A delivery made beforehand.
struct Post {
    id: String,
    signature: String,
    body: Bytes,
}

impl Post {
    const TIMESTAMP: &str = "1760000000";

    fn new(signer: &Signer, phase: u32, number: u32) -> Self {
        let body = envelope(&Mark { phase, connection: 0, number, at: now() });
        let id = format!("event_{number:032x}");
        let signature = signer.sign(&id, Self::TIMESTAMP, &body);
        Self { id, signature, body }
    }

    fn headers(&self) -> [(&str, &str); 5] {
        [
            ("content-type", "application/json"),
            ("user-agent", "isao-bench"),
            ("webhook-id", &self.id),
            ("webhook-timestamp", Self::TIMESTAMP),
            ("webhook-signature", &self.signature),
        ]
    }
}
