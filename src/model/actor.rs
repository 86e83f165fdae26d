//! Who causes an event.

use std::fmt;

use uuid::Uuid;

use super::ids::{KeyId, UserId};

/// `source` of events that a call of this API caused.
pub const SOURCE_API: &str = "api";
/// `source` of events that somebody caused on a page of the dashboard.
pub const SOURCE_UI: &str = "ui";

/// Who causes an event. The ids of both kinds differ, so that one of them is enough to compare by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A program, with an API key.
    Key(KeyId),
    /// A person, on a page of the dashboard.
    User(UserId),
}

impl Actor {
    /// What is stored of it, beside [`Self::source`].
    pub fn id(self) -> Uuid {
        match self {
            Self::Key(id) => id.0,
            Self::User(id) => id.0,
        }
    }

    /// Reads what is stored.
    pub fn stored(id: Uuid, source: &str) -> Self {
        if source == SOURCE_UI { Self::User(UserId(id)) } else { Self::Key(KeyId(id)) }
    }

    /// The `source` of the events.
    pub fn source(self) -> &'static str {
        match self {
            Self::Key(_) => SOURCE_API,
            Self::User(_) => SOURCE_UI,
        }
    }

    /// As programs are told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Key(_) => "api_key",
            Self::User(_) => "user",
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
        }
    }
}
