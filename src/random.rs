//! Randomness for secrets and keys, from the operating system.

/// `N` random bytes. Fails only where the operating system has none to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
