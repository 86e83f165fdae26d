//! Receivers that send without end hold up nobody.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::Quiet;
use crate::support::{Receiver, Reply, World, eventually};

/// A receiver that answers every request with informational answers, and never with another one.
async fn never_final() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut some = [0; 4096];
                let _ = socket.read(&mut some).await;
                let hints = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(512);
                while socket.write_all(&hints).await.is_ok() {}
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_never_come_to_the_answer_hold_up_nobody() {
    const HOSTILE: usize = 20;
    let world = World::with_local_receivers().await;
    let quiet = Quiet::beside(&world).await;
    let mut hostile = Vec::new();
    for _ in 0..HOSTILE {
        hostile.push(world.subscribe("contact.created", &never_final().await).await);
    }
    let receiver = Receiver::start().await;
    let wanted = json!({"event": "contact.created", "target_url": receiver.url("/")});
    quiet.post("/webhooks/subscribe", wanted).await.data(201);
    world.contact("Jane", "+33100000001").await;
    for number in 0..10 {
        let contact = json!({"name": "Joe", "phoneNumber": format!("+331000001{number:02}")});
        quiet.post("/contacts", contact).await.data(201);
    }
    receiver.expect(10).await;
    for subscription in hostile {
        let path = format!("/webhooks/{}/deliveries", subscription["id"].as_str().unwrap());
        let failed = eventually("the attempt fails", async || {
            let listed = world.get(&path).await.data(200);
            (listed[0]["state"] == "retrying").then(|| listed[0].clone())
        })
        .await;
        assert_eq!(failed["error_class"], "broken", "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_whose_receivers_hang_leaves_room_for_new_ones_of_others() {
    let world = World::with_local_receivers().await;
    let quiet = Quiet::beside(&world).await;
    // Four hosts, as far as the limit of a host goes, so that it is none here.
    let mut hosts = Vec::new();
    for _ in 0..4 {
        hosts.push(Receiver::scripted(|_, _| Reply::After(Duration::from_secs(60), 200)).await);
    }
    for number in 0..300 {
        let url = hosts[number % hosts.len()].url(&format!("/{number}"));
        world.subscribe("contact.created", &url).await;
    }
    let receiver = Receiver::start().await;
    let wanted = json!({"event": "contact.created", "target_url": receiver.url("/")});
    quiet.post("/webhooks/subscribe", wanted).await.data(201);
    world.contact("Jane", "+33100000001").await;
    eventually("all that may be in flight is", async || {
        (super::metric(&world, "isao_delivery_attempts_in_flight").await >= 128.0).then_some(())
    })
    .await;
    quiet.post("/contacts", json!({"name": "Joe", "phoneNumber": "+33100000002"})).await.data(201);
    receiver.expect(1).await;
    eventually("only those that hang are in flight", async || {
        (super::metric(&world, "isao_delivery_attempts_in_flight").await == 128.0).then_some(())
    })
    .await;
}
