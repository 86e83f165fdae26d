//! Chance, from the operating system: no two runs are alike.

/// A number in `0..bound`.
pub fn below(bound: usize) -> usize {
    u32::from_be_bytes(isao::random::bytes().unwrap()) as usize % bound
}

/// Returns true in `share` of a hundred cases.
pub fn percent(share: usize) -> bool {
    below(100) < share
}
