//! How the pages are read: the language, with its numbers, and the look.

use std::time::Duration;

use rust_decimal::Decimal;

use super::texts::{ENGLISH, FRENCH, Texts};

/// How somebody reads the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) language: Language,
    pub(super) theme: Theme,
}

impl Reader {
    pub(super) fn texts(self) -> &'static Texts {
        self.language.texts()
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Theme {
    /// What the system says.
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// By the cookie.
    pub(super) fn choose(cookie: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|theme| cookie == Some(theme.word())).unwrap_or(Self::System)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The languages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Language {
    English,
    French,
}

impl Language {
    /// The first that is known of: the cookie, the user's, what the browser asks for.
    pub(super) fn choose(cookie: Option<&str>, user: Option<&str>, accepts: Option<&str>) -> Self {
        let accepted = accepts.into_iter().flat_map(|accepts| accepts.split(','));
        let accepted = accepted.map(|one| one.split(['-', ';']).next().unwrap_or_default().trim());
        let wanted = cookie.into_iter().chain(user).chain(accepted);
        wanted.filter_map(Self::parse).next().unwrap_or(Self::English)
    }

    pub(super) fn parse(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Self::English),
            "fr" => Some(Self::French),
            _ => None,
        }
    }

    /// As HTML names it.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// As its speakers call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::French => "Français",
        }
    }

    /// The one to switch to.
    pub(super) fn other(self) -> Self {
        match self {
            Self::English => Self::French,
            Self::French => Self::English,
        }
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }

    /// A number with its thousands apart.
    pub(super) fn number(self, number: &i64) -> String {
        let digits = self.apart(&number.unsigned_abs().to_string());
        format!("{}{digits}", if *number < 0 { "−" } else { "" })
    }
}

impl Language {
    /// An amount of money, as it is written in the language.
    pub(super) fn money(self, amount: Decimal, currency: &str) -> String {
        let text = amount.normalize().to_string();
        let (negative, text) = text.strip_prefix('-').map_or(("", &*text), |rest| ("−", rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        // Cents are written with two digits.
        let fraction = if fraction.len() == 1 { format!("{fraction}0") } else { fraction.to_owned() };
        let whole = self.apart(whole);
        match (self, fraction.is_empty()) {
            (Self::English, true) => format!("{currency} {negative}{whole}"),
            (Self::English, false) => format!("{currency} {negative}{whole}.{fraction}"),
            (Self::French, true) => format!("{negative}{whole}\u{a0}{currency}"),
            (Self::French, false) => format!("{negative}{whole},{fraction}\u{a0}{currency}"),
        }
    }

    /// A share, as percent.
    pub(super) fn percent(self, share: f64) -> String {
        // What is not all is never said to be all.
        let tenths = (share * 1000.0).floor() / 10.0;
        match self {
            Self::English => format!("{tenths}%"),
            Self::French => format!("{tenths}\u{202f}%").replace('.', ","),
        }
    }

    /// How long something takes.
    pub(super) fn span(self, span: Duration) -> String {
        let milliseconds = span.as_millis();
        let text = match milliseconds {
            0..1000 => format!("{milliseconds}\u{a0}ms"),
            1000..100_000 => format!("{:.1}\u{a0}s", span.as_secs_f64()),
            _ => format!("{}\u{a0}min", span.as_secs() / 60),
        };
        if self == Self::French { text.replace('.', ",") } else { text }
    }

    /// Digits, the thousands apart.
    fn apart(self, digits: &str) -> String {
        let groups: Vec<_> =
            digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
        groups.join(match self {
            Self::English => ",",
            Self::French => "\u{202f}",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_first_that_is_known() {
        let choose = Language::choose;
        assert_eq!(choose(None, None, Some("de-CH,fr;q=0.8,en;q=0.5")), Language::French);
        assert_eq!(choose(Some("en"), Some("fr"), Some("fr")), Language::English);
        assert_eq!(choose(Some("xx"), Some("fr"), None), Language::French);
        assert_eq!(choose(None, None, Some("*")), Language::English);
    }

    #[test]
    fn numbers_are_written_as_they_are_in_the_language() {
        let both = |number| [Language::English, Language::French].map(|language| language.number(&number));
        assert_eq!(both(1_234_567), ["1,234,567", "1\u{202f}234\u{202f}567"]);
        assert_eq!(both(0), ["0", "0"]);
        assert_eq!(both(-1000)[0], "−1,000");
        let both = |text: &str| {
            [Language::English, Language::French].map(|language| language.money(text.parse().unwrap(), "EUR"))
        };
        assert_eq!(both("25000.000"), ["EUR 25,000", "25\u{202f}000\u{a0}EUR"]);
        assert_eq!(both("-1234.5"), ["EUR −1,234.50", "−1\u{202f}234,50\u{a0}EUR"]);
    }
}
