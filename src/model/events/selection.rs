use std::fmt;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};

use super::{EventType, RecordKind};
use crate::model::words::Words;

/// Which events somebody wants: event types, and patterns that stand for several of them.
///
/// Two selections with the same patterns are equal, however they were written: a pattern takes
/// in what it stands for, and the rest has the order of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSelection {
    patterns: Vec<EventPattern>,
    types: EventTypes,
}

/// One event type, or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EventPattern {
    /// `*`: all events.
    All,
    /// `contact.*`, `deal.*`: all events of such records.
    Of(RecordKind),
    /// One type.
    One(EventType),
}

/// A set of event types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventTypes(u32);

/// What is not a selection of events; the message lists what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an event type, a pattern, or a list of these; allowed are: {allowed}", allowed = EventSelection::allowed().join(", "))]
pub struct EventSelectionError;

impl EventPattern {
    const PATTERNS: [(&'static str, Self); 3] = [
        ("*", Self::All),
        ("contact.*", Self::Of(RecordKind::Contact)),
        ("deal.*", Self::Of(RecordKind::Deal)),
    ];

    fn parse(text: &str) -> Option<Self> {
        let known = Self::PATTERNS.into_iter().find(|(word, _)| *word == text).map(|(_, pattern)| pattern);
        known.or_else(|| EventType::parse(text).map(Self::One))
    }

    fn word(self) -> &'static str {
        match self {
            Self::One(event_type) => event_type.word(),
            pattern => {
                Self::PATTERNS.into_iter().find(|(_, known)| *known == pattern).map_or("*", |(word, _)| word)
            }
        }
    }

    fn matches(self, event_type: EventType) -> bool {
        match self {
            Self::All => true,
            Self::Of(kind) => event_type.record() == kind,
            Self::One(one) => event_type == one,
        }
    }

    /// Does it stand for everything that the other one stands for?
    fn includes(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Of(kind), Self::One(event_type)) => event_type.record() == kind,
            (one, other) => one == other,
        }
    }
}

impl EventSelection {
    /// Everything that can stand in a selection.
    pub fn allowed() -> Vec<&'static str> {
        let patterns = EventPattern::PATTERNS.into_iter().map(|(word, _)| word);
        EventType::WORDS.iter().copied().chain(patterns).collect()
    }

    /// Reads types and patterns; each text may have several of them, with commas between.
    ///
    /// # Errors
    /// When there is none, or one that is not known.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, EventSelectionError> {
        let words = texts.into_iter().flat_map(|text| text.split(',')).map(str::trim);
        let words = words.filter(|word| !word.is_empty());
        let wanted: Option<Vec<_>> = words.map(EventPattern::parse).collect();
        let wanted = wanted.filter(|wanted| !wanted.is_empty()).ok_or(EventSelectionError)?;
        let is_included =
            |pattern: EventPattern| wanted.iter().any(|other| *other != pattern && other.includes(pattern));
        let mut patterns: Vec<_> = wanted.iter().copied().filter(|pattern| !is_included(*pattern)).collect();
        patterns.sort_unstable();
        patterns.dedup();
        let types =
            EventType::ALL.iter().filter(|known| patterns.iter().any(|pattern| pattern.matches(**known)));
        Ok(Self { types: types.copied().collect(), patterns })
    }

    /// The types, all there are of the patterns.
    pub fn types(&self) -> EventTypes {
        self.types
    }

    /// The types and patterns as they were asked for.
    pub fn words(&self) -> Vec<&'static str> {
        self.patterns.iter().map(|pattern| pattern.word()).collect()
    }
}

impl utoipa::PartialSchema for EventSelection {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let format = SchemaFormat::Custom("event-types".to_owned());
        text.format(Some(format)).examples(["contact.created", "deal.*"]).into()
    }
}

impl utoipa::ToSchema for EventSelection {}

impl From<EventType> for EventSelection {
    fn from(event_type: EventType) -> Self {
        Self { patterns: vec![EventPattern::One(event_type)], types: [event_type].into_iter().collect() }
    }
}

/// With commas between.
impl fmt::Display for EventSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(","))
    }
}

impl EventTypes {
    /// Is it one of them?
    pub fn contains(self, event_type: EventType) -> bool {
        self.0 & Self::bit(event_type) != 0
    }

    /// All of them, in the order of the catalogue.
    pub fn iter(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |known| self.contains(*known))
    }

    /// Their words.
    pub fn words(self) -> Vec<String> {
        self.iter().map(|event_type| event_type.word().to_owned()).collect()
    }

    /// The first of them; of a selection there is always one.
    pub fn first(self) -> EventType {
        self.iter().next().unwrap_or(EventType::ContactCreated)
    }

    /// The only one, if there is no other.
    pub fn single(self) -> Option<EventType> {
        self.iter().next().filter(|_| self.0.is_power_of_two())
    }

    /// The kind of record that all of them are about, if it is one.
    pub fn kind(self) -> Option<RecordKind> {
        let first = self.first().record();
        self.iter().all(|event_type| event_type.record() == first).then_some(first)
    }

    fn bit(event_type: EventType) -> u32 {
        1 << (event_type as u32)
    }
}

impl FromIterator<EventType> for EventTypes {
    fn from_iter<I: IntoIterator<Item = EventType>>(types: I) -> Self {
        Self(types.into_iter().fold(0, |bits, event_type| bits | Self::bit(event_type)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_has_one_normal_form() {
        for (wanted, normal) in [
            (vec!["deal.won,"], "deal.won"),
            (vec!["deal.won", "deal.created", "deal.won"], "deal.created,deal.won"),
            (vec!["deal.won, deal.created"], "deal.created,deal.won"),
            (vec!["deal.won", "deal.*", "contact.created"], "deal.*,contact.created"),
            (vec!["deal.*", "contact.*"], "contact.*,deal.*"),
            (vec!["deal.*", "*", "contact.created"], "*"),
        ] {
            let selection = EventSelection::parse(wanted.clone()).unwrap();
            assert_eq!(selection.to_string(), normal, "{wanted:?}");
            assert_eq!(EventSelection::parse([normal]).unwrap(), selection, "it reads back");
        }
        for bad in [vec![], vec![""], vec![","], vec!["deal"], vec!["deal.w*"], vec!["Deal.won"]] {
            let error = EventSelection::parse(bad.clone()).unwrap_err().to_string();
            assert!(error.contains("deal.won") && error.contains("contact.*"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_pattern_stands_for_its_types() {
        let types = |text| EventSelection::parse([text]).unwrap().types();
        assert_eq!(types("*").iter().collect::<Vec<_>>(), EventType::ALL);
        assert!(types("deal.*").iter().all(|event_type| event_type.word().starts_with("deal.")));
        assert_eq!(types("deal.*").kind(), Some(RecordKind::Deal));
        assert_eq!(types("deal.won,contact.*").kind(), None);
        assert_eq!(types("deal.won").single(), Some(EventType::DealWon));
        assert_eq!(types("deal.won,deal.lost").single(), None);
        assert!(types("contact.*").contains(EventType::ContactUpdated));
        assert!(!types("contact.*").contains(EventType::DealUpdated));
    }
}
