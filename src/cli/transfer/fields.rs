//! The fields that an import writes, and the headers under which other programs export them.

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// People
    Contacts,
    /// Opportunities
    Deals,
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    /// As the API has it.
    pub name: &'static str,
    /// Must each new record have it?
    pub required: bool,
    /// Is it a list?
    pub list: bool,
    /// Other headers, in small letters and without anything but letters and digits.
    aliases: &'static [&'static str],
}

const fn field(name: &'static str, aliases: &'static [&'static str]) -> Field {
    Field { name, required: false, list: false, aliases }
}

/// The name of a contact, which can be put together from its parts.
pub const NAME: &str = "name";
/// The first part of a contact's name.
pub const FIRST_NAME: &str = "firstName";
/// The second part of a contact's name.
pub const LAST_NAME: &str = "lastName";
/// By which contacts are told apart.
pub const PHONE_NUMBER: &str = "phoneNumber";

/// Fields of a contact. Sources of the aliases: exports of Google Contacts, Outlook, HubSpot, Pipedrive
/// and Salesforce.
const CONTACT: [Field; 11] = [
    Field { required: true, ..field(NAME, &["fullname", "contact", "contactname", "displayname"]) },
    field(FIRST_NAME, &["givenname", "forename", "vorname", "prénom", "prenom"]),
    field(LAST_NAME, &["surname", "familyname", "nachname"]),
    Field {
        required: true,
        ..field(
            PHONE_NUMBER,
            &[
                "phone",
                "telephone",
                "téléphone",
                "telefon",
                "tel",
                "mobile",
                "mobilephone",
                "mobilenumber",
                "cell",
                "cellphone",
                "primaryphone",
                "phone1value",
                "businessphone",
                "phonework",
                "phonemobile",
            ],
        )
    },
    field("email", &["emailaddress", "mail", "email1value", "emailwork", "email1", "primaryemail"]),
    field("position", &["jobtitle", "title", "role", "organizationtitle", "organization1title"]),
    field(
        "currentCompany",
        &[
            "company",
            "companyname",
            "organization",
            "organisation",
            "organizationname",
            "organization1name",
            "employer",
            "account",
            "accountname",
        ],
    ),
    field("industrySector", &["industry", "sector"]),
    field("city", &["town", "businesscity", "mailingcity"]),
    field("country", &["countryregion", "businesscountryregion", "mailingcountry"]),
    Field { list: true, ..field("tags", &["tag", "labels", "label"]) },
];

/// Fields of a deal.
const DEAL: [Field; 13] = [
    Field { required: true, ..field("title", &["name", "dealname", "dealtitle", "deal", "opportunityname"]) },
    field("description", &["notes", "details"]),
    field("value", &["amount", "dealvalue", "dealamount"]),
    field("currency", &["currencycode", "dealcurrency"]),
    field("stage", &["dealstage", "pipelinestage"]),
    field("priority", &[]),
    field("probability", &["probabilitypercent", "dealprobability"]),
    field("status", &["dealstatus"]),
    field("expectedCloseDate", &["closedate", "closingdate"]),
    field("actualCloseDate", &["closed", "closedon", "closedat", "dealclosedon"]),
    field("source", &["leadsource"]),
    field("contactId", &[]),
    field("assignedToId", &[]),
];

impl Kind {
    /// The fields that can be imported.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Contacts => &CONTACT,
            Self::Deals => &DEAL,
        }
    }

    /// As people and paths of the API name them.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Deals => "deals",
        }
    }
}

impl Field {
    /// Returns whether a header is the field's own name, however it is written.
    pub fn is_named(&self, header: &str) -> bool {
        plain(self.name) == plain(header)
    }

    /// Returns whether other programs call the field so.
    pub fn is_alias(&self, header: &str) -> bool {
        self.aliases.contains(&&*plain(header))
    }
}

/// A header in small letters, without anything but letters and digits.
fn plain(header: &str) -> String {
    header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_plain_and_mean_one_field() {
        for kind in [Kind::Contacts, Kind::Deals] {
            let mut known: Vec<String> = kind.fields().iter().map(|field| plain(field.name)).collect();
            for alias in kind.fields().iter().flat_map(|field| field.aliases) {
                assert_eq!(plain(alias), **alias);
                known.push((*alias).to_owned());
            }
            let all = known.len();
            known.sort();
            known.dedup();
            assert_eq!(known.len(), all);
        }
    }
}
