//! What an API key may do.

use super::words::words;

words! {
    /// One permission. A `:write` permission includes the matching `:read`.
    pub enum Permission {
        /// See contacts.
        ContactsRead = "contacts:read",
        /// Create, change and delete contacts.
        ContactsWrite = "contacts:write",
        /// See deals.
        DealsRead = "deals:read",
        /// Create, change and delete deals.
        DealsWrite = "deals:write",
        /// See agents (team members).
        AgentsRead = "agents:read",
        /// See subscriptions and poll triggers.
        WebhooksRead = "webhooks:read",
        /// Subscribe and unsubscribe.
        WebhooksWrite = "webhooks:write",
    }
}

impl Permission {
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
