//! The values everything else speaks of, free of any I/O.

pub mod actor;
pub mod api_key;
pub mod attempt;
pub mod cell;
pub mod deal_words;
pub mod decimal;
pub mod duration;
pub mod etag;
pub mod event_schema;
pub mod events;
pub mod ids;
pub mod patch;
pub mod permission;
pub mod phone;
pub mod records;
pub mod text;
pub mod time;
pub mod words;
