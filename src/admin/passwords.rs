//! Passwords, as they are kept: argon2id (RFC 9106).

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use super::Error;
use crate::random;

/// The shortest password, in characters (NIST SP 800-63B asks for 8 at least).
pub const MIN_CHARS: usize = 10;
/// The longest one, in bytes: each is hashed as a whole.
pub const MAX_BYTES: usize = 512;
/// Passwords that are hashed at a time: each takes 19 MiB and some ten milliseconds of a processor.
const AT_ONCE: usize = 2;

static TURN: Semaphore = Semaphore::const_new(AT_ONCE);
/// Nobody's: what a password is compared with when there is no such user, so that it takes as long.
static NOBODYS: LazyLock<String> =
    LazyLock::new(|| hash_now(b"nobody has this password", [7; 16]).unwrap_or_default());

/// Why a password is refused, if it is.
pub fn refusal(password: &str) -> Option<String> {
    if password.chars().count() < MIN_CHARS {
        return Some(format!("must have at least {MIN_CHARS} characters"));
    }
    (password.len() > MAX_BYTES).then(|| format!("must not be longer than {MAX_BYTES} bytes"))
}

/// The hash to keep of a password.
pub async fn hash(password: String) -> Result<String, Error> {
    let salt = random::bytes()?;
    apart(move || hash_now(password.as_bytes(), salt)).await.ok_or(Error::Password)
}

/// Is it the password of which this hash is kept? Without one it is not, and takes as long to say.
pub async fn is_right(password: String, kept: Option<String>) -> bool {
    let is_right = move || {
        let expected = kept.as_deref().unwrap_or(&NOBODYS);
        let expected = PasswordHash::new(expected).ok()?;
        let right = Argon2::default().verify_password(password.as_bytes(), &expected).is_ok();
        Some(right && kept.is_some())
    };
    apart(is_right).await.unwrap_or(false)
}

fn hash_now(password: &[u8], salt: [u8; 16]) -> Option<String> {
    let salt = SaltString::encode_b64(&salt).ok()?;
    Some(Argon2::default().hash_password(password, &salt).ok()?.to_string())
}

/// Does it on a thread of its own, a few at a time.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    let _turn = TURN.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_is_right() {
        let kept = hash("correct horse".to_owned()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash("correct horse".to_owned()).await.unwrap(), "salted");
        let is =
            async |password: &str, kept: Option<&String>| is_right(password.to_owned(), kept.cloned()).await;
        assert!(is("correct horse", Some(&kept)).await);
        assert!(!is("correct horse ", Some(&kept)).await);
        assert!(!is("nobody has this password", None).await);
        assert!(!is("x", Some(&"damaged".to_owned())).await);
    }

    #[test]
    fn a_password_has_some_length_and_not_too_much() {
        assert!(refusal("123456789").is_some() && refusal("1234567890").is_none());
        assert!(refusal(&"é".repeat(257)).is_some());
    }
}
