//! Decimals as they are written.

use rust_decimal::Decimal;

/// The decimal that a number's text means, to the last digit and without trailing zeros, also with an
/// exponent. None if the text is no number, or none that [`Decimal`] has: that type reads more digits
/// than it has by rounding.
pub fn exact_decimal(text: &str) -> Option<Decimal> {
    let (unsigned, negative) = match text.strip_prefix('-') {
        Some(unsigned) => (unsigned, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        // The wire shows plain `0`, without a sign.
        return Some(Decimal::ZERO);
    }
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    let number: i128 = significant.parse().ok()?;
    let (number, scale) = match u32::try_from(exponent) {
        Ok(zeros) => (number.checked_mul(10_i128.checked_pow(zeros)?)?, 0),
        Err(_) => (number, u32::try_from(exponent.checked_neg()?).ok()?),
    };
    Decimal::try_from_i128_with_scale(if negative { -number } else { number }, scale).ok()
}

/// The exponent of a number. One that no number of ours can have may be wrong by as much as it likes.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let far = if text.starts_with('-') { i64::from(i32::MIN) } else { i64::from(i32::MAX) };
    Some(text.parse::<i32>().map_or(far, i64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_moves_the_point_and_nothing_else() {
        for digits in ["1", "15", "123456789012345", "987654321098765432101", "100", "900000000000001"] {
            for places in -30_i32..=30 {
                let plain = match usize::try_from(places) {
                    Ok(zeros) => format!("{digits}{}", "0".repeat(zeros)),
                    Err(_) => {
                        let places = places.unsigned_abs() as usize;
                        let padded = format!("{digits:0>width$}", width = places + 1);
                        let (whole, fraction) = padded.split_at(padded.len() - places);
                        format!("{whole}.{fraction}")
                    }
                };
                let scientific = format!("{digits}e{places}");
                assert_eq!(exact_decimal(&scientific), exact_decimal(&plain), "{scientific} and {plain}");
                if plain.len() < 28 {
                    let read = exact_decimal(&scientific).unwrap();
                    assert_eq!(read, plain.parse::<Decimal>().unwrap().normalize(), "{scientific}");
                }
            }
        }
    }
}
