//! Randomness from the operating system.

/// `N` random bytes. Fails only where the operating system has none to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A random number in [0, 1), for pauses; without randomness, 0 is as good.
pub fn fraction() -> f64 {
    bytes().map_or(0.0, |bytes| f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}
