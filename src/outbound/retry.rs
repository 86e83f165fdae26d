//! When a failed delivery is tried again.
//!
//! An event is attempted at most [`MAX_ATTEMPTS`] times. Between attempts lie the
//! configured [`RetryDelays`], or what the receiver asks for with `Retry-After`
//! if that is longer, within [`RETRY_AFTER_MAX`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::model::duration::{DurationError, format_duration, parse_duration};

/// Attempts in all: the first and three retries (the wire contract's number).
pub const MAX_ATTEMPTS: u8 = 4;

/// The longest single delay a setting may ask for. An event waits at the head of
/// its subscription: a longer wait would hold everything behind it for days.
pub const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest `Retry-After` that is honoured, so that a receiver's mistake
/// cannot park a subscription for ever.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// The share of a delay that jitter may add, so that subscriptions that failed
/// together do not all come back in the same instant.
pub const JITTER_SHARE: f64 = 0.2;

const RETRIES: usize = MAX_ATTEMPTS as usize - 1;

/// The delays before the second, third and fourth attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryDelays([Duration; RETRIES]);

impl Default for RetryDelays {
    /// `2s,15s,60s`: long enough for a restart or a short deployment of the
    /// receiver, short enough that the events waiting behind stay fresh.
    fn default() -> Self {
        Self([2, 15, 60].map(Duration::from_secs))
    }
}

impl RetryDelays {
    /// How long to wait after attempt number `attempt` (from 1) has failed;
    /// `None` after the last one.
    ///
    /// `retry_after` is the receiver's wish; `jitter`, in `0.0..1.0`, is drawn by
    /// the caller and lengthens the wait by up to [`JITTER_SHARE`] of it.
    pub fn after(&self, attempt: u8, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
        let delay = *self.0.get(usize::from(attempt).checked_sub(1)?)?;
        let wished = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Some(delay.max(wished).mul_f64(1.0 + JITTER_SHARE * jitter.clamp(0.0, 1.0)))
    }
}

/// Why a text is not a list of retry delays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RetryDelaysError {
    #[error("{0:?} is not a list of {RETRIES} retry delays, such as 2s,15s,60s")]
    Count(String),
    #[error(transparent)]
    Duration(#[from] DurationError),
    #[error("the retry delay {0} is longer than {max}", max = format_duration(DELAY_MAX))]
    TooLong(String),
}

impl FromStr for RetryDelays {
    type Err = RetryDelaysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let delays = text.split(',').map(parse_duration).collect::<Result<Vec<_>, _>>()?;
        if let Some(delay) = delays.iter().find(|delay| **delay > DELAY_MAX) {
            return Err(RetryDelaysError::TooLong(format_duration(*delay)));
        }
        delays.try_into().map(Self).map_err(|_| RetryDelaysError::Count(text.to_owned()))
    }
}

impl fmt::Display for RetryDelays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(format_duration).join(","))
    }
}

/// The three forms of an HTTP-date, all of which a recipient must read (RFC 9110 §5.6.7).
const HTTP_DATES: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// Reads a `Retry-After` header: seconds, or a date from which the time until
/// then follows (none if it has passed). Source: RFC 9110 §10.2.3.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that do not fit are still a wish for a very long time.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let date = HTTP_DATES.iter().find_map(|form| NaiveDateTime::parse_from_str(header, form).ok())?;
    Some((date.and_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn three_delays_lie_between_four_attempts() {
        let delays = RetryDelays::default();
        for (attempt, seconds) in
            [(0, None), (1, Some(2)), (2, Some(15)), (3, Some(60)), (4, None), (255, None)]
        {
            assert_eq!(delays.after(attempt, None, 0.0), seconds.map(Duration::from_secs), "{attempt}");
        }
    }

    #[test]
    fn the_longer_of_delay_and_wish_counts_within_bounds() {
        let delays: RetryDelays = "2s,15s,2h".parse().unwrap();
        for (attempt, wish, jitter, ms) in [
            (1, None, 0.5, 2_200),
            (1, None, 1.0, 2_400),
            (1, None, 7.0, 2_400),
            (1, None, -7.0, 2_000),
            (1, Some(SECOND), 0.0, 2_000),
            (1, Some(30 * SECOND), 0.0, 30_000),
            (1, Some(30 * SECOND), 1.0, 36_000),
            (1, Some(Duration::MAX), 0.0, 3_600_000),
            (3, Some(Duration::MAX), 0.0, 7_200_000),
        ] {
            let delay = delays.after(attempt, wish, jitter).unwrap();
            assert_eq!(delay.as_millis(), ms, "{attempt} {wish:?} {jitter}");
        }
    }

    #[test]
    fn delays_are_read_from_a_setting() {
        assert_eq!("2s, 15s ,60s".parse(), Ok(RetryDelays::default()));
        assert_eq!(RetryDelays::default().to_string(), "2s,15s,1m");
        assert_eq!("0s,1ms,24h".parse::<RetryDelays>().unwrap().to_string(), "0s,1ms,1d");
        for (text, error) in [
            ("2s,15s", "\"2s,15s\" is not a list of 3 retry delays, such as 2s,15s,60s"),
            ("1s,1s,1s,1s", "\"1s,1s,1s,1s\" is not a list of 3 retry delays, such as 2s,15s,60s"),
            ("2s,15s,25h", "the retry delay 25h is longer than 1d"),
            (
                "2s,,60s",
                "\"\" is not a duration: write a whole number and a unit (ms, s, m, h or d), such as 30s",
            ),
        ] {
            assert_eq!(text.parse::<RetryDelays>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(784_111_777 - 90, 0).unwrap(); // 08:48:07
        for (header, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }
}
