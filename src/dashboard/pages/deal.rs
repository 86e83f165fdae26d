//! A deal as the API shows it, and what deals are chosen by.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dashboard::language::Language;
use crate::dashboard::page::Listed;
use crate::dashboard::texts::Texts;
use crate::dashboard::{Dashboard, Failure, SignedIn};
use crate::model::decimal::exact_decimal;

/// A deal in a list, as the API shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deal {
    pub(super) id: String,
    pub(super) title: String,
    value: Option<Box<RawValue>>,
    pub(super) currency: String,
    pub(super) stage: String,
    pub(super) status: String,
    pub(super) priority: String,
    pub(super) contact: Option<Named>,
    pub(super) assigned_to: Option<Named>,
    pub(super) updated_at: String,
}

/// Somebody, by name.
#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
}

impl Deal {
    /// What it is worth.
    pub(super) fn amount(&self, language: &Language) -> Option<String> {
        Some(language.money(self.value()?, &self.currency))
    }

    pub(super) fn value(&self) -> Option<Decimal> {
        exact_decimal(self.value.as_ref()?.get())
    }

    pub(super) fn status_text(&self, t: &'static Texts) -> &'static str {
        status(&self.status, t)
    }

    pub(super) fn priority_text(&self, t: &'static Texts) -> &'static str {
        priority(&self.priority, t)
    }

    pub(super) fn tone(&self) -> &'static str {
        match &*self.status {
            "won" => "good",
            "lost" => "bad",
            _ => "rest",
        }
    }
}

pub(super) fn status(word: &str, t: &'static Texts) -> &'static str {
    match word {
        "won" => t.won,
        "lost" => t.lost,
        _ => t.open,
    }
}

pub(super) fn priority(word: &str, t: &'static Texts) -> &'static str {
    match word {
        "high" => t.high,
        "low" => t.low,
        _ => t.medium,
    }
}

/// What deals can be chosen by.
pub(super) struct ByWhat {
    pub(super) stages: Vec<String>,
    pub(super) members: Vec<Named>,
}

impl ByWhat {
    pub(super) async fn read(dashboard: &Dashboard, signed_in: &SignedIn) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Stage {
            stage: String,
        }
        let whose = signed_in.whose();
        let stages: Listed<Stage> = dashboard.inside.get(&whose, "/deals/stages").await?;
        let members: Listed<Named> = dashboard.inside.get(&whose, "/members").await?;
        let stages = stages.data.into_iter().map(|stage| stage.stage).collect();
        Ok(Self { stages, members: members.data })
    }
}
