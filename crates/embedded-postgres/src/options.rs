//! What holders choose, and what they are told.

/// The oldest major version that is used: the first with `CREATE DATABASE … STRATEGY`.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// What a crash may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Full,
    /// Everything, for speed: for tests. Data that turns out unusable is made anew.
    Throwaway,
}

/// Where progress is told, a line at a time, without an end of line.
pub type Say = Box<dyn Fn(&str) + Send>;
