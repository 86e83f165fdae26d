//! One company, one receiver, one clock: none of them can stop the others.

mod connections;
mod reads;
mod receivers;
mod recorder;

use isao::model::permission::Permission;
use isao::model::words::Words;
use serde_json::Value;

use crate::support::{Answer, World};

/// Another company, which wants to be left in peace.
struct Quiet<'a> {
    world: &'a World,
    key: String,
}

impl<'a> Quiet<'a> {
    async fn beside(world: &'a World) -> Self {
        let company = world.add_company("Quiet").await;
        Self { world, key: world.add_key(company, Permission::ALL).await }
    }

    async fn get(&self, path: &str) -> Answer {
        self.world.send(self.world.http.get(self.world.url(path)).bearer_auth(&self.key)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.world.http.post(self.world.url(path)).bearer_auth(&self.key);
        self.world.send(request.json(&body)).await
    }
}

/// The value of a metric that has one series.
async fn metric(world: &World, name: &str) -> f64 {
    let answer = world.send(world.http.get(format!("{}/metrics", world.root()))).await;
    let value = answer.text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.unwrap().parse().unwrap()
}
