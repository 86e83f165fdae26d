//! What callers send.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::field::{Email, Field, FromJson, Problems, Tags, Text};
use crate::model::patch::Patch;
use crate::model::phone;

/// A phone number as the caller wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    text: String,
    key: String,
}

impl Phone {
    /// As the caller wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As compared, see [`phone::phone_key`].
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The key of a number that is stored. One of before, which is nobody's number by the rule of
/// today, is compared as it is.
pub fn phone_key(text: &str) -> String {
    phone::phone_key(text).unwrap_or_else(|| phone::phone_part(text))
}

impl FromJson for Phone {
    fn from_json(json: &str) -> Result<Self, String> {
        let Text(text) = Text::<50>::from_json(json)?;
        // Spreadsheets send a number, which may have a point and a zero.
        let number = text.strip_suffix(".0").unwrap_or(&text);
        let text = match json.starts_with('"') {
            true => text,
            false if number.bytes().all(|byte| byte.is_ascii_digit()) => number.to_owned(),
            false => return Err("must be text, or a whole number".to_owned()),
        };
        let key = phone::phone_key(&text).ok_or_else(|| {
            "must be a phone number like +33123456789: 3 to 20 digits, and perhaps an extension (x12)"
                .to_owned()
        })?;
        Ok(Self { text, key })
    }
}

/// A contact to create, or changes to one. Unknown fields are ignored, and named
/// under `warnings`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "Jane Smith", "phoneNumber": "+33987654321", "email": "jane@example.com", "tags": ["lead"]}))]
pub struct ContactInput {
    /// Required when a record is created. At most 255 characters.
    #[serde(default)]
    #[schema(value_type = String, max_length = 255)]
    name: Field<Text<255>>,
    /// Derived from `name` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    first_name: Field<Text<255>>,
    /// Derived from `name` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    last_name: Field<Text<255>>,
    /// Required when a contact is created; unique in the company, however it is punctuated. At most 50
    /// characters with 3 to 20 digits, and perhaps an extension (`x12`).
    #[serde(default)]
    #[schema(value_type = String, format = "phone", max_length = 50)]
    phone_number: Field<Phone>,
    /// An email address.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "email", max_length = 254)]
    email: Field<Email>,
    /// Job title.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    position: Field<Text<255>>,
    /// The company the person works for.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    current_company: Field<Text<255>>,
    /// Industry.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    industry_sector: Field<Text<255>>,
    /// City.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    city: Field<Text<255>>,
    /// Country.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    country: Field<Text<255>>,
    /// Labels; at most 100 of at most 100 characters.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    tags: Field<Tags>,
}

/// A contact to create.
pub struct NewContact {
    pub(super) name: String,
    pub(super) phone: Phone,
    /// The rest; `name` and `phone` are not in it.
    pub(super) rest: Changes,
}

/// Fields to change.
#[derive(Clone, Default)]
pub struct Changes {
    pub(super) name: Option<String>,
    pub(super) phone: Option<Phone>,
    pub(super) first_name: Patch<String>,
    pub(super) last_name: Patch<String>,
    pub(super) email: Patch<String>,
    pub(super) position: Patch<String>,
    pub(super) current_company: Patch<String>,
    pub(super) industry_sector: Patch<String>,
    pub(super) city: Patch<String>,
    pub(super) country: Patch<String>,
    pub(super) tags: Option<Vec<String>>,
}

impl ContactInput {
    /// Reads a contact to create.
    pub(super) fn into_new(mut self) -> Result<NewContact, ApiError> {
        let mut problems = Problems::default();
        let name = problems.required("name", std::mem::take(&mut self.name));
        let phone = problems.required("phoneNumber", std::mem::take(&mut self.phone_number));
        let rest = self.read(&mut problems);
        problems.finish()?;
        match (name, phone) {
            (Some(Text(name)), Some(phone)) => Ok(NewContact { name, phone, rest }),
            _ => Err(ApiError::internal(&"required fields are missing without a problem")),
        }
    }

    /// Reads changes to a contact.
    pub(super) fn into_changes(self) -> Result<Changes, ApiError> {
        let mut problems = Problems::default();
        let changes = self.read(&mut problems);
        problems.finish()?;
        Ok(changes)
    }

    /// Reads changes to a contact; what is wrong goes to `problems`.
    pub(super) fn read(self, problems: &mut Problems) -> Changes {
        let mut text = |name, field: Field<Text<255>>| problems.optional(name, field).map(|Text(text)| text);
        let first_name = text("firstName", self.first_name);
        let last_name = text("lastName", self.last_name);
        let position = text("position", self.position);
        let current_company = text("currentCompany", self.current_company);
        let industry_sector = text("industrySector", self.industry_sector);
        let city = text("city", self.city);
        let country = text("country", self.country);
        Changes {
            name: problems.kept("name", self.name).map(|Text(name)| name),
            phone: problems.kept("phoneNumber", self.phone_number),
            email: problems.optional("email", self.email).map(|Email(email)| email),
            tags: problems.optional("tags", self.tags).map(|Tags(tags)| tags).or_default(),
            first_name,
            last_name,
            position,
            current_company,
            industry_sector,
            city,
            country,
        }
    }
}
