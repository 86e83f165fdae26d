//! isao: a self-hosted CRM event server.
//!
//! People create and change contacts and deals over REST, subscribe URLs to
//! events, and every change reaches every subscriber: signed, in order, at least
//! once. `docs/design.md` says why it is built like this; this is the tour, in the
//! order in which a request becomes a webhook:
//!
//! 1. [`server`]: puts the parts together; its router is the table of contents of the API.
//!    [`http`]: what all routes share.
//! 2. [`resources`]: contacts, deals, subscriptions, their deliveries and replays, triggers,
//!    the feed of events. Each has its wire types, its rules as pure functions, and its SQL
//!    together.
//! 3. [`writer`]: makes the commands of many handlers one transaction, which ends
//!    with appending their events to
//! 4. the [`log`]: all events in one order, from which everything is read.
//! 5. [`delivery`]: reads the log and sends each event to its subscribers, through
//! 6. [`outbound`]: where to, what, how it is signed, and the client that sends it.
//!
//! All of them speak of the values in [`model`], the last two of [`subscription`], too. Beside them: [`listeners`] (who follows the
//! log in this process), [`metrics`], [`retention`], [`shares`] (what companies use together). Around them: [`clock`] and [`random`],
//! passed in; the [`database`]; [`cli`] and [`admin`], for whoever runs it.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod dashboard;
pub mod database;
pub mod delivery;
pub mod diagnostics;
pub mod http;
pub mod listeners;
pub mod log;
pub mod metrics;
pub mod model;
pub mod outbound;
pub mod random;
pub mod resources;
pub mod retention;
pub mod server;
pub mod shares;
pub mod subscription;
pub mod tallies;
pub mod writer;
