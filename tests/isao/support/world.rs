//! A server of one's own, on a database of one's own, with the clock in hand.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use isao::clock::Clock;
use isao::database::postgres;
use isao::delivery::Tuning;
use isao::model::api_key::{ApiKey, ServiceType};
use isao::model::ids::{CompanyId, Ids};
use isao::model::permission::Permission;
use isao::model::words::Words;
use isao::outbound::address::AllowList;
use isao::outbound::client::TrustedCas;
use isao::outbound::dns::Resolver;
use isao::server::{Role, Server, Settings};
use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;

use super::database::Database;
use super::{Dns, Proxy, Received, Receiver, eventually};

/// When every world begins: the time of the page's examples.
pub const START: &str = "2024-11-08T10:30:00.000Z";

/// A server, a company and a key with all permissions.
pub struct World {
    pub clock: Clock,
    pub pool: PgPool,
    pub database: Database,
    allow: AllowList,
    pub company: CompanyId,
    pub key: String,
    pub http: reqwest::Client,
    /// The database as the server goes to it.
    route: String,
    resolver: Resolver,
    base: String,
    server: Option<Server>,
    tuning: Tuning,
    ids: Ids,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The `data` of an answer that must have this status.
    #[track_caller]
    pub fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()["data"].clone()
    }

    /// The text of a header that must be there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {self:?}"));
        value.to_str().unwrap()
    }

    /// Checks that it is 422 and answers what is said about each field.
    #[track_caller]
    pub fn bad_fields(&self) -> Value {
        self.assert_error(422, "VALIDATION_ERROR")["details"]["fields"].clone()
    }

    /// Checks that it is an error in our shape, with this status and code.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let body = self.json();
        assert_eq!(body["success"], false, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert!(body["details"].is_object(), "{body}");
        assert!(
            body["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
            "{body}"
        );
        assert!(self.headers.contains_key("x-request-id"));
        body
    }
}

impl World {
    pub async fn new() -> Self {
        Self::in_database(Database::create().await).await
    }

    /// A world in a database that is there already, with a schema of any age.
    pub async fn in_database(database: Database) -> Self {
        let route = database.url.clone();
        Self::on(database, route, &[], Tuning::default()).await
    }

    /// A world whose servers deliver like that.
    pub async fn tuned(tuning: Tuning) -> Self {
        let database = Database::create().await;
        let route = database.url.clone();
        Self::on(database, route, &[], tuning).await
    }

    /// A world whose server asks this name server. That of others asks none, and knows
    /// `localhost` only.
    pub async fn asking(dns: &Dns) -> Self {
        let database = Database::create().await;
        let route = database.url.clone();
        Self::on(database, route, &[dns.address], Tuning::default()).await
    }

    /// The same, and webhooks may go to this machine, those of other companies, too.
    pub async fn asking_with_local_receivers(dns: &Dns) -> Self {
        let database = Database::create().await;
        let route = database.url.clone();
        Self::allowing("127.0.0.0/8", database, route, &[dns.address], Tuning::default()).await
    }

    /// A world whose server goes to its database through a proxy.
    pub async fn behind_proxy() -> (Self, Proxy) {
        let database = Database::create().await;
        let proxy = Proxy::start(&database).await;
        (Self::on(database, proxy.url.clone(), &[], Tuning::default()).await, proxy)
    }

    /// A world whose webhooks may go to this machine, those of other companies, too.
    pub async fn with_local_receivers() -> Self {
        let database = Database::create().await;
        let route = database.url.clone();
        Self::allowing("127.0.0.0/8", database, route, &[], Tuning::default()).await
    }

    async fn on(database: Database, route: String, dns: &[SocketAddr], tuning: Tuning) -> Self {
        Self::allowing("", database, route, dns, tuning).await
    }

    async fn allowing(
        allow: &str,
        database: Database,
        route: String,
        dns: &[SocketAddr],
        tuning: Tuning,
    ) -> Self {
        let clock = Clock::manual(START.parse().unwrap());
        let pool = postgres::open(&database.url).await.unwrap();
        let resolver = Resolver::asking(dns);
        let ids = Ids::default();
        let company = CompanyId(ids.next(clock.now()));
        let allow: AllowList = allow.parse().unwrap();
        let server = start(&route, &clock, &resolver, (Role::All, &tuning), (company, &allow)).await;
        let mut world = Self {
            route,
            resolver,
            base: base(server.address()),
            server: Some(server),
            tuning,
            allow,
            company,
            key: String::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            ids,
            clock,
            pool,
            database,
        };
        world.insert_company(company, "Acme").await;
        world.key = world.add_key(world.company, Permission::ALL).await;
        world
    }

    /// Another company.
    pub async fn add_company(&self, name: &str) -> CompanyId {
        let id = CompanyId(self.ids.next(self.clock.now()));
        self.insert_company(id, name).await;
        id
    }

    async fn insert_company(&self, id: CompanyId, name: &str) {
        sqlx::query("INSERT INTO companies (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(id.0)
            .bind(name)
            .bind(self.clock.now())
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Another key.
    pub async fn add_key(&self, company: CompanyId, permissions: &[Permission]) -> String {
        let key = ApiKey::generate(ServiceType::Generic, isao::random::bytes().unwrap());
        sqlx::query(
            "INSERT INTO api_keys (id, company_id, name, service_type, permissions, hash, hint, created_at)
             VALUES ($1, $2, 'test', 'generic', $3, $4, $5, $6)",
        )
        .bind(self.ids.next(self.clock.now()))
        .bind(company.0)
        .bind(permissions.iter().map(|permission| permission.word()).collect::<Vec<_>>())
        .bind(&key.hash()[..])
        .bind(key.hint())
        .bind(self.clock.now())
        .execute(&self.pool)
        .await
        .unwrap();
        key.reveal().to_owned()
    }

    /// A team member; the id as it is on the wire.
    pub async fn add_member(&self, company: CompanyId, name: &str) -> String {
        let id = self.ids.next(self.clock.now());
        sqlx::query(
            "INSERT INTO team_members (company_id, id, name, email, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(company.0)
        .bind(id)
        .bind(name)
        .bind(format!("{}@example.com", name.to_lowercase().replace(' ', ".")))
        .bind(self.clock.now())
        .execute(&self.pool)
        .await
        .unwrap();
        format!("member_{}", id.simple())
    }

    /// Takes the server out, for whoever wants to see how it stops.
    pub fn take_server(&mut self) -> Server {
        self.server.take().unwrap()
    }

    /// A second server on the same database, with the same clock.
    pub async fn another_server(&self) -> Server {
        self.server_as(Role::All).await
    }

    /// Another server on the same database, with the same clock, for this.
    pub async fn server_as(&self, role: Role) -> Server {
        start(&self.route, &self.clock, &self.resolver, (role, &self.tuning), (self.company, &self.allow))
            .await
    }

    /// From now on requests go to another server.
    pub fn turn_to(&mut self, address: SocketAddr) {
        self.base = base(address);
    }

    /// The address of a path of the API.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The server's root, without the API's base path.
    pub fn root(&self) -> &str {
        self.base.trim_end_matches("/api/external")
    }

    /// A request with the world's key.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(&self.key)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await
    }

    /// A request with this body as it is, declared as JSON.
    pub async fn send_text(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(method, path).header("content-type", "application/json").body(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// A contact; its data.
    pub async fn contact(&self, name: &str, phone: &str) -> Value {
        self.post("/contacts", serde_json::json!({"name": name, "phoneNumber": phone})).await.data(201)
    }

    /// A deal; its data.
    pub async fn deal(&self, body: Value) -> Value {
        self.post("/deals", body).await.data(201)
    }

    /// The types of all events so far, in the order of the log.
    pub async fn event_types(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT type FROM events ORDER BY seq").fetch_all(&self.pool).await.unwrap()
    }

    /// Everything that requests can write, as text: equal before and after means
    /// that nothing was written.
    pub async fn everything_written(&self) -> String {
        sqlx::query_scalar(
            "SELECT concat((SELECT json_agg(t ORDER BY id) FROM contacts t), (SELECT json_agg(t ORDER BY id) FROM deals t),
                           (SELECT json_agg(t ORDER BY number) FROM deal_stages t),
                           (SELECT json_agg(t ORDER BY id) FROM subscriptions t), (SELECT json_agg(t ORDER BY seq) FROM events t), (SELECT json_agg(id ORDER BY id) FROM replays))",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Causes events of every type; how many.
    pub async fn cause_every_event(&self) -> usize {
        let contact = self.contact("Jane Smith", "+33987654321").await;
        let contact = contact["id"].as_str().unwrap();
        self.put(&format!("/contacts/{contact}"), serde_json::json!({"city": "Paris"})).await;
        for status in ["won", "lost"] {
            let deal = self.deal(serde_json::json!({"title": "Big", "contactId": contact})).await;
            let path = format!("/deals/{}", deal["id"].as_str().unwrap());
            self.put(&path, serde_json::json!({"stage": "closed", "status": status})).await;
            self.delete(&path).await;
        }
        self.delete(&format!("/contacts/{contact}")).await;
        3 + 2 * 5
    }

    /// A subscription; its data.
    pub async fn subscribe(&self, event: &str, url: &str) -> Value {
        self.post("/webhooks/subscribe", serde_json::json!({"event": event, "target_url": url}))
            .await
            .data(201)
    }

    /// Moves the clock to the next retry, if one is on record; its subscription has
    /// nothing in flight then that could time out.
    pub async fn skip_to_retry(&self) -> bool {
        let due = self.next_retry().await;
        due.inspect(|due| self.skip_to(*due)).is_some()
    }

    /// When the next retry on record is due, if it is not yet.
    async fn next_retry(&self) -> Option<DateTime<Utc>> {
        sqlx::query_scalar("SELECT min(next_attempt_at) FROM cursors WHERE next_attempt_at > $1")
            .bind(self.clock.now())
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    fn skip_to(&self, due: DateTime<Utc>) {
        if let Ok(wait) = (due - self.clock.now()).to_std() {
            // The clock has whole milliseconds.
            self.clock.advance(wait + Duration::from_millis(1));
        }
    }

    /// Waits until the receiver, of one subscription, has got `count` requests, moving the
    /// clock to retries, and to none beyond.
    pub async fn expect_with_retries(&self, receiver: &Receiver, count: usize) -> Vec<Received> {
        eventually(&format!("the arrival of {count} requests"), async || {
            // In this order: what is due follows a request that is counted here.
            let due = self.next_retry().await;
            let received = receiver.all();
            if received.len() >= count {
                return Some(received);
            }
            due.inspect(|due| self.skip_to(*due));
            None
        })
        .await
    }

    /// Stops the server as SIGTERM does; every part must have ended well.
    pub async fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            assert!(server.stop().await, "a background task died");
        }
    }

    /// Starts it again, on another port.
    pub async fn start_server(&mut self) {
        let server = self.another_server().await;
        self.turn_to(server.address());
        self.server = Some(server);
    }
}

fn base(address: SocketAddr) -> String {
    format!("http://{address}/api/external")
}

async fn start(
    route: &str,
    clock: &Clock,
    resolver: &Resolver,
    (role, tuning): (Role, &Tuning),
    (company, allow): (CompanyId, &AllowList),
) -> Server {
    Server::start(Settings {
        bind: "127.0.0.1:0".parse().unwrap(),
        pool: postgres::open(route).await.unwrap(),
        clock: clock.clone(),
        role,
        tuning: tuning.clone(),
        trusted: TrustedCas::default(),
        allow_targets: allow.clone(),
        loopback_for: Some(company),
        connections: 1_300,
        retention: Duration::from_secs(30 * 24 * 60 * 60),
        resolver: resolver.clone(),
    })
    .await
    .unwrap()
}

impl Drop for World {
    /// Stops the server and drops the database; keeps it when the test panicked.
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let well = match self.server.take() {
                    Some(server) => server.stop().await,
                    None => true,
                };
                self.pool.close().await;
                if panicking {
                    eprintln!("the database is kept: {}", self.database.url);
                } else {
                    self.database.drop().await;
                    assert!(well, "a background task died");
                }
            });
        });
    }
}

/// A time on the wire.
pub fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}
