//! isao: a self-hosted CRM event server.
//!
//! People create and change contacts and deals over REST, subscribe URLs to
//! events, and every change reaches every subscriber: signed, in order, at least
//! once. `docs/design.md` says why it is built like this; this is the tour, in the
//! order in which a request becomes a webhook:
//!
//! 1. [`router`]: the table of contents of the API. [`http`]: what all routes share.
//! 2. [`resources`]: contacts, deals, subscriptions, their deliveries and replays, triggers,
//!    the feed of events. Each has its wire types, its rules as pure functions, and its SQL
//!    together.
//! 3. [`writer`]: makes the commands of many handlers one transaction, which ends
//!    with appending their events to the log.
//! 4. [`webhooks`]: reads the log and delivers.
//!
//! Values that these speak of, free of any I/O: [`records`] and [`events`] (the
//! catalogue of event types, the envelope, filters), [`permission`], [`api_key`],
//! [`address`] (where webhooks may go), [`duration`], [`ids`].
//!
//! Beside it: [`listeners`], who waits for events in this process, and [`metrics`].
//!
//! Around them: [`clock`] and [`random`], passed in; [`dns`], and [`targets`], which
//! judges what it finds; [`db`] and [`database`], and
//! [`embedded`], a PostgreSQL of our own; [`retention`]; [`app`], which puts
//! everything together; [`threads`] and [`open_files`]; [`config`], [`cli`], [`admin`] and [`serve`], for whoever
//! runs it.

pub mod address;
pub mod admin;
pub mod api_key;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod db;
pub mod dns;
pub mod duration;
pub mod embedded;
pub mod events;
pub mod http;
pub mod ids;
pub mod listeners;
pub mod metrics;
pub mod open_files;
pub mod permission;
pub mod random;
pub mod records;
pub mod resources;
pub mod retention;
pub mod router;
pub mod serve;
pub mod targets;
pub mod threads;
pub mod webhooks;
pub mod writer;
