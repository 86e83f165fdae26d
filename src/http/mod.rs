//! What every route shares: the error shape, authentication, reading bodies and
//! queries, paging. Knows no resource.

pub mod allowed;
pub mod answer;
pub mod auth;
pub mod body;
pub mod bounded;
pub mod conditions;
pub mod error;
pub mod field;
pub mod id;
pub mod json;
pub mod layers;
pub mod openapi;
pub mod paging;
pub mod peer;
pub mod query;
pub mod rate_limit;
pub mod unread;
pub mod warnings;
