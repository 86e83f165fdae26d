use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An exact amount: a decimal from the wire to the database and back, never a binary float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(Decimal);

impl Money {
    /// Digits after the decimal point that are kept.
    pub const DECIMALS: u32 = 6;
    /// Digits before the decimal point.
    pub const INTEGER_DIGITS: u32 = 15;

    /// The amount in the database.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// An amount read from the database.
    pub fn from_decimal(value: Decimal) -> Self {
        Self(value.normalize())
    }
}

/// Why a number is not an amount.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a number with at most {} digits before and {} after the decimal point",
    Money::INTEGER_DIGITS,
    Money::DECIMALS
)]
pub struct NotMoney;

impl FromStr for Money {
    type Err = NotMoney;

    /// Reads the text of a JSON number, exactly.
    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let value = if text.contains(['e', 'E']) {
            Decimal::from_scientific(text).map_err(|_| NotMoney)?
        } else {
            Decimal::from_str_exact(text).map_err(|_| NotMoney)?
        };
        let value = shortened(text, value.normalize());
        let fits = value.scale() <= Self::DECIMALS
            && value.trunc().abs() < Decimal::from(10_u64.pow(Self::INTEGER_DIGITS));
        // Normalising keeps the sign of zero; the wire shows plain `0`.
        if fits { Ok(Self(if value.is_zero() { Decimal::ZERO } else { value })) } else { Err(NotMoney) }
    }
}

/// A number that a binary float stands for is rounded, if it is the float next to a decimal that can
/// be kept: `0.30000000000000004` is 0.3, as the program that computed it meant.
fn shortened(text: &str, value: Decimal) -> Decimal {
    /// Steps between neighbouring floats that a short computation may be off.
    const STEPS: f64 = 4.0;
    if value.scale() <= Money::DECIMALS {
        return value;
    }
    let rounded = value.round_dp(Money::DECIMALS).normalize();
    match (text.parse::<f64>(), rounded.to_string().parse::<f64>()) {
        (Ok(sent), Ok(near)) if (sent - near).abs() <= STEPS * f64::EPSILON * near.abs() => rounded,
        _ => value,
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_trimmed() {
        for (read, shown) in [
            ("25000", "25000"),
            ("25000.00", "25000"),
            ("0.1", "0.1"),
            ("-0.0", "0"),
            ("1e3", "1000"),
            ("2.5E-1", "0.25"),
            ("0.30000000000000004", "0.3"),
            ("1234.5600000000001", "1234.56"),
            ("99.99000000000001", "99.99"),
            ("999999999999999.999999", "999999999999999.999999"),
        ] {
            let money: Money = read.parse().unwrap();
            assert_eq!(serde_json::to_string(&money).unwrap(), shown);
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused() {
        for text in [
            "1000000000000000",
            "0.0000001",
            "0.1234567",
            "1.00000001",
            "1e40",
            "1e-40",
            "1e999999999999",
            "NaN",
            "",
        ] {
            assert_eq!(text.parse::<Money>(), Err(NotMoney), "{text}");
        }
    }
}
