//! The values everything else speaks of, free of any I/O.

pub mod api_key;
pub mod duration;
pub mod events;
pub mod ids;
pub mod permission;
pub mod records;
