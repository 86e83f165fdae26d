use crate::http::field::{FromJson, Text};

/// A currency by its ISO 4217 code, in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(pub String);

impl FromJson for Currency {
    fn from_json(json: &str) -> Result<Self, String> {
        let code = Text::<3>::from_json(json).ok().map(|Text(code)| code.to_ascii_uppercase());
        code.filter(|code| CODES.binary_search(&code.as_str()).is_ok())
            .map(Self)
            .ok_or_else(|| "must be an ISO 4217 currency code like EUR".into())
    }
}

/// The codes in use (ISO 4217, list one), sorted.
#[rustfmt::skip]
const CODES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD", "BIF", "BMD",
    "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF",
    "CLP", "CNY", "COP", "COU", "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB",
    "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF",
    "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW",
    "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT",
    "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD",
    "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD",
    "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS",
    "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "USN", "UYI", "UYU", "UYW", "UZS",
    "VED", "VES", "VND", "VUV", "WST", "XAD", "XAF", "XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XCD", "XCG",
    "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XTS", "XUA", "XXX", "YER", "ZAR", "ZMW", "ZWG",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_any_case() {
        assert!(CODES.is_sorted());
        for code in [r#""eur""#, r#"" EUR ""#, r#""Eur""#] {
            assert_eq!(Currency::from_json(code), Ok(Currency("EUR".into())), "{code}");
        }
        for bad in [r#""EURO""#, r#""AAA""#, r#""€""#, r#""DEM""#, "978", "[]"] {
            assert!(Currency::from_json(bad).is_err(), "{bad}");
        }
    }
}
