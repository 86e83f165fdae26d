//! Durations as settings write them: a whole number and a unit, such as `30s`.

use std::time::Duration;

/// The units, longest first, each with its length in milliseconds.
const UNITS: [(&str, u128); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a whole number and a unit (ms, s, m, h or d), such as 30s")]
pub struct DurationError(String);

/// Reads `250ms`, `30s`, `5m`, `24h` or `30d`; spaces around it do not matter.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let error = || DurationError(text.to_owned());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
    let number: u64 = number.parse().map_err(|_| error())?;
    u64::try_from(u128::from(number) * unit_ms).map(Duration::from_millis).map_err(|_| error())
}

/// Writes `duration` in the longest unit that needs no fraction, so that
/// [`parse_duration`] reads it back; what is under a millisecond is dropped.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    UNITS
        .iter()
        .find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(*unit_ms))
        .map_or_else(|| "0s".to_owned(), |(name, unit_ms)| format!("{}{name}", ms / unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_and_reads_back() {
        for (text, ms, shown) in [
            ("0s", 0, "0s"),
            ("1ms", 1, "1ms"),
            ("250ms", 250, "250ms"),
            ("2000ms", 2_000, "2s"),
            (" 30s ", 30_000, "30s"),
            ("90s", 90_000, "90s"),
            ("5m", 300_000, "5m"),
            ("60m", 3_600_000, "1h"),
            ("23h", 82_800_000, "23h"),
            ("24h", 86_400_000, "1d"),
            ("30d", 2_592_000_000, "30d"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            assert_eq!(format_duration(duration), shown);
            assert_eq!(parse_duration(shown), Ok(duration));
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let too_long = format!("{}d", u64::MAX);
        for text in [
            "", "s", "30", "30 s", "-1s", "+1s", "1.5s", "1e3s", "30S", "30sec", "1w", "1d12h", "٣s",
            &too_long,
        ] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not a duration")), "{error}");
        }
    }
}
