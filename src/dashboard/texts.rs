//! What the pages say, in each language. A text that is missing in one does not compile.

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

    fn parse(code: &str) -> Option<Self> {
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

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }

    /// A number with its thousands apart.
    pub(super) fn number(self, number: &i64) -> String {
        let digits = number.unsigned_abs().to_string();
        let apart = match self {
            Self::English => ",",
            Self::French => "\u{202f}",
        };
        let groups: Vec<_> =
            digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
        format!("{}{}", if *number < 0 { "−" } else { "" }, groups.join(apart))
    }
}

macro_rules! texts {
    ($($name:ident: $english:literal, $french:literal;)+) => {
        pub(super) struct Texts { $(pub(super) $name: &'static str,)+ }
        const ENGLISH: Texts = Texts { $($name: $english,)+ };
        const FRENCH: Texts = Texts { $($name: $french,)+ };
    };
}

impl Texts {
    /// Where a parameter stands, from the word that OpenAPI has for it.
    pub(super) fn place(&self, word: &str) -> &'static str {
        match word {
            "path" => self.in_path,
            "query" => self.in_query,
            _ => self.in_header,
        }
    }
}

texts! {
    skip: "Skip to the content", "Aller au contenu";
    main_menu: "Main", "Principal";
    overview: "Overview", "Aperçu";
    webhooks: "Webhooks", "Webhooks";
    undelivered: "Undelivered", "Non livrés";
    contacts: "Contacts", "Contacts";
    api_keys: "API keys", "Clés d’API";
    sign_in: "Sign in", "Se connecter";
    sign_out: "Sign out", "Se déconnecter";
    email: "E-mail", "E-mail";
    password: "Password", "Mot de passe";
    new_password: "New password", "Nouveau mot de passe";
    password_hint: "At least 10 characters.", "Au moins 10 caractères.";
    choose_password: "Choose a password", "Choisir un mot de passe";
    wrong_sign_in: "This e-mail and password do not belong together.", "Cet e-mail et ce mot de passe ne vont pas ensemble.";
    too_often: "Too many attempts. Please wait a quarter of an hour, or ask an administrator for a link.", "Trop d’essais. Veuillez patienter un quart d’heure ou demander un lien à un administrateur.";
    link_is_over: "This link has been used or is too old. Ask for a new one: isao users reset-password.", "Ce lien a été utilisé ou est trop ancien. Demandez-en un nouveau : isao users reset-password.";
    no_users: "No account yet? On the server: isao users create --help", "Pas encore de compte ? Sur le serveur : isao users create --help";
    name: "Name", "Nom";
    phone: "Phone", "Téléphone";
    company: "Company", "Entreprise";
    position: "Position", "Poste";
    city: "City", "Ville";
    country: "Country", "Pays";
    tags: "Tags", "Étiquettes";
    changed: "Changed", "Modifié";
    created: "Created", "Créé";
    search: "Search", "Rechercher";
    search_contacts: "Name, e-mail or phone", "Nom, e-mail ou téléphone";
    new_contact: "New contact", "Nouveau contact";
    save: "Save", "Enregistrer";
    delete: "Delete", "Supprimer";
    delete_contact_hint: "Its deals stay, without a contact.", "Ses affaires restent, sans contact.";
    next_page: "Next page", "Page suivante";
    no_contacts: "No contacts yet. Create one here or over the API, and every webhook that wants it hears of it.", "Pas encore de contact. Créez-en un ici ou par l’API : chaque webhook qui le souhaite en est informé.";
    none_found: "Nothing matches.", "Aucun résultat.";
    saved: "Saved.", "Enregistré.";
    deleted: "Deleted.", "Supprimé.";
    correct: "Please correct the fields that are marked.", "Veuillez corriger les champs signalés.";
    url: "URL", "URL";
    events: "Events", "Événements";
    state: "State", "État";
    last_success: "Last success", "Dernier succès";
    last_error: "Last error", "Dernière erreur";
    waiting: "waiting", "en attente";
    active: "active", "actif";
    paused: "paused", "en pause";
    degraded: "failing", "en échec";
    deactivated: "deactivated", "désactivé";
    never: "never", "jamais";
    no_webhooks: "No webhooks yet. Subscribe a URL over the API: POST /api/external/webhooks/subscribe.", "Pas encore de webhook. Abonnez une URL par l’API : POST /api/external/webhooks/subscribe.";
    all_well: "All webhooks are well.", "Tous les webhooks vont bien.";
    need_attention: "Webhooks that need attention", "Webhooks à surveiller";
    pause: "Pause", "Mettre en pause";
    resume: "Resume", "Reprendre";
    try_now: "Try now", "Essayer maintenant";
    send_test: "Send a test", "Envoyer un test";
    deliveries: "Deliveries", "Livraisons";
    no_deliveries: "Nothing was to be delivered yet.", "Rien n’était encore à livrer.";
    event: "Event", "Événement";
    when: "When", "Quand";
    attempts: "Attempts", "Essais";
    request: "Request", "Requête";
    redeliver: "Redeliver", "Relivrer";
    redelivered: "It will be sent again.", "La livraison sera refaite.";
    none_undelivered: "Everything was delivered.", "Tout a été livré.";
    delivered: "delivered", "livré";
    retrying: "retrying", "nouvel essai";
    skipped: "skipped", "ignoré";
    not_delivered: "undelivered", "non livré";
    new_key: "New API key", "Nouvelle clé d’API";
    kind: "For", "Pour";
    permissions: "Permissions", "Droits";
    key_once: "This is the key. It is shown only now.", "Voici la clé. Elle n’est affichée que maintenant.";
    revoke: "Revoke", "Révoquer";
    no_keys: "No API keys yet.", "Pas encore de clé d’API.";
    reference: "API reference", "Référence de l’API";
    search_reference: "Search the reference", "Chercher dans la référence";
    dashboard: "Dashboard", "Tableau de bord";
    contents: "Contents", "Sommaire";
    getting_started: "Getting started", "Pour commencer";
    described_in_english: "The descriptions are in English.", "Les descriptions sont en anglais.";
    base_url: "Base URL", "URL de base";
    key_first: "Before you paste a request", "Avant de coller une requête";
    document: "OpenAPI document", "Document OpenAPI";
    payloads: "What webhooks receive", "Ce que reçoivent les webhooks";
    payload: "Payload", "Contenu";
    headers: "Headers", "En-têtes";
    parameters: "Parameters", "Paramètres";
    body: "Body", "Corps";
    answer: "Answer", "Réponse";
    fields_of_answer: "Fields of the answer", "Champs de la réponse";
    other_answers: "Other answers", "Autres réponses";
    errors: "Errors", "Erreurs";
    shape_of_errors: "All errors have this shape.", "Toutes les erreurs ont cette forme.";
    required: "required", "obligatoire";
    example: "Example:", "Exemple :";
    no_key_needed: "No key is needed.", "Aucune clé n’est nécessaire.";
    in_path: "in the path", "dans le chemin";
    in_query: "in the query", "dans la requête";
    in_header: "header", "en-tête";
    copy: "Copy", "Copier";
    copied: "Copied", "Copié";
    fails_now: "The last event was not delivered; the next one waits for a while, and nothing is lost.", "Le dernier événement n’a pas été livré ; le suivant attend un moment, et rien n’est perdu.";
    not_found: "There is no such page.", "Cette page n’existe pas.";
    may_not: "Your role does not allow that.", "Votre rôle ne le permet pas.";
    failed: "Something went wrong on our side.", "Une erreur s’est produite de notre côté.";
    away: "The database does not answer. Nothing was changed; please try again in a few seconds.", "La base de données ne répond pas. Rien n’a été modifié ; veuillez réessayer dans quelques secondes.";
    back: "Back", "Retour";
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
    }
}
