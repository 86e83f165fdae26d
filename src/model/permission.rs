//! What an API key may do.

use serde::{Serialize, Serializer};

/// One permission. A `:write` permission includes the matching `:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See contacts.
    ContactsRead,
    /// Create, change and delete contacts.
    ContactsWrite,
    /// See deals.
    DealsRead,
    /// Create, change and delete deals.
    DealsWrite,
    /// See agents (team members).
    AgentsRead,
    /// See subscriptions and poll triggers.
    WebhooksRead,
    /// Subscribe and unsubscribe.
    WebhooksWrite,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ContactsRead,
        Self::ContactsWrite,
        Self::DealsRead,
        Self::DealsWrite,
        Self::AgentsRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContactsRead => "contacts:read",
            Self::ContactsWrite => "contacts:write",
            Self::DealsRead => "deals:read",
            Self::DealsWrite => "deals:write",
            Self::AgentsRead => "agents:read",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Does holding `self` grant `wanted`?
    pub fn grants(self, wanted: Self) -> bool {
        self == wanted
            || matches!(
                (self, wanted),
                (Self::ContactsWrite, Self::ContactsRead)
                    | (Self::DealsWrite, Self::DealsRead)
                    | (Self::WebhooksWrite, Self::WebhooksRead)
            )
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
