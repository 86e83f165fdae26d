use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::decimal::exact_decimal;

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
        let value = match exact_decimal(text) {
            Some(value) if value.scale() <= Self::DECIMALS => value,
            _ => shortened(text).ok_or(NotMoney)?,
        };
        let fits = value.scale() <= Self::DECIMALS
            && value.trunc().abs() < Decimal::from(10_u64.pow(Self::INTEGER_DIGITS));
        if fits { Ok(Self(value)) } else { Err(NotMoney) }
    }
}

/// A number that a binary float stands for is rounded, if it is the float next to a decimal that can
/// be kept: `0.30000000000000004` is 0.3, as the program that computed it meant. Programs write no more
/// than 17 digits of a float. A number with more digits means all of them.
fn shortened(text: &str) -> Option<Decimal> {
    /// Steps between neighbouring floats that a short computation may be off.
    const STEPS: f64 = 4.0;
    /// Digits that tell a float from all others.
    const FLOAT_DIGITS: usize = 17;
    let mantissa = text.split(['e', 'E']).next()?;
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    if digits > FLOAT_DIGITS {
        return None;
    }
    let rounded = exact_decimal(text)?.round_dp(Money::DECIMALS).normalize();
    match (text.parse::<f64>(), rounded.to_string().parse::<f64>()) {
        (Ok(sent), Ok(near)) if (sent - near).abs() <= STEPS * f64::EPSILON * near.abs() => Some(rounded),
        _ => None,
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
            ("1e2", "100"),
            ("1E+2", "100"),
            ("1.5e-1", "0.15"),
            ("-15e-1", "-1.5"),
            ("12345678901234567e-2", "123456789012345.67"),
            ("999999999999999999999e-6", "999999999999999.999999"),
            ("0.000000000000000000000000000000000001e36", "1"),
            ("1000000000000000000000000000000000000e-36", "1"),
            ("1.0000000000000000000000000000000000000000", "1"),
            ("0e999999999999", "0"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+1", "1"),
            ("-0e-999999999999", "0"),
            ("3.0000000000000004e-1", "0.3"),
            ("0.30000000000000004", "0.3"),
            ("1234.5600000000001", "1234.56"),
            ("99.99000000000001", "99.99"),
            ("999999999999999.999999", "999999999999999.999999"),
        ] {
            let money: Money = read.parse().unwrap();
            assert_eq!(serde_json::to_string(&money).unwrap(), shown, "{read}");
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
            "1e-999999999999",
            "123456789012345678e-3e1",
            "1234567890123456789e-8",
            "123456789012.3456789",
            "0.300000000000000040000000000000000001",
            "3.00000000000000040000000000000000001e-1",
            "79228162514264337593543950336",
            "1e",
            "1e+",
            "1e1.5",
            "e5",
            ".",
            "-",
            "-+1",
            "--1",
            "1_000",
            "0x10",
            "NaN",
            "",
        ] {
            assert_eq!(text.parse::<Money>(), Err(NotMoney), "{text}");
        }
    }
}
