//! What the pages say, in each language. A text that is missing in one does not compile.

use std::time::Duration;

use rust_decimal::Decimal;

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
    no_webhooks: "No webhooks yet. Add one here, or over the API: POST /api/external/webhooks/subscribe.", "Pas encore de webhook. Ajoutez-en un ici ou par l’API : POST /api/external/webhooks/subscribe.";
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
    deals: "Deals", "Affaires";
    settings: "Settings", "Réglages";
    account: "Account", "Compte";
    copy_curl: "Copy as curl", "Copier en curl";
    moved: "Moved.", "Déplacé.";
    moved_to: "moved to", "déplacé vers";
    replaying: "The replay has begun.", "Le renvoi a commencé.";
    sector: "Sector", "Secteur";
    tags_hint: "Separated by commas.", "Séparées par des virgules.";
    title: "Title", "Titre";
    value: "Value", "Valeur";
    currency: "Currency", "Devise";
    currency_hint: "Three letters, like EUR.", "Trois lettres, comme EUR.";
    stage: "Stage", "Étape";
    status: "Status", "Statut";
    priority: "Priority", "Priorité";
    probability: "Probability in percent", "Probabilité en pour cent";
    expected_close: "Expected to close", "Clôture prévue";
    contact: "Contact", "Contact";
    contact_hint: "A name, e-mail or phone; suggestions come as you type.", "Un nom, un e-mail ou un téléphone ; des suggestions s’affichent à la saisie.";
    assigned_to: "Assigned to", "Assigné à";
    nobody: "nobody", "personne";
    everybody: "everybody", "tout le monde";
    source: "Source", "Source";
    description: "Description", "Description";
    open: "open", "ouverte";
    won: "won", "gagnée";
    lost: "lost", "perdue";
    high: "high", "haute";
    medium: "medium", "moyenne";
    low: "low", "basse";
    new_deal: "New deal", "Nouvelle affaire";
    several_contacts: "is what several contacts have; choose one of the suggestions", "correspond à plusieurs contacts ; choisissez une suggestion";
    no_such_contact: "is no contact’s name, e-mail or phone", "n’est le nom, l’e-mail ou le téléphone d’aucun contact";
    no_deals: "No deals yet. Create one here or over the API.", "Pas encore d’affaire. Créez-en une ici ou par l’API.";
    no_deals_of_contact: "None yet.", "Aucune pour le moment.";
    search_deals: "Title or description", "Titre ou description";
    any: "any", "toutes";
    all: "all", "tous";
    list: "List", "Liste";
    board: "Board", "Tableau";
    move_to: "Move to", "Déplacer vers";
    move_: "Move", "Déplacer";
    all_of_them: "All of them", "Toutes";
    more_stages: "There are more stages; their deals are in the list", "Il y a d’autres étapes ; leurs affaires sont dans la liste";
    delete_deal_hint: "Delete this deal?", "Supprimer cette affaire ?";
    record: "Record", "Fiche";
    record_or_event: "Record or event", "Fiche ou événement";
    since: "Since", "Depuis";
    until: "Until", "Jusqu’à";
    no_events: "Nothing has happened yet. Create a contact, here or over the API.", "Rien ne s’est encore passé. Créez un contact, ici ou par l’API.";
    event_gone: "There is no such event, or it is older than events are kept.", "Cet événement n’existe pas, ou il est plus ancien que ce qui est conservé.";
    nobody_wants_it: "No webhook wants this event.", "Aucun webhook ne souhaite cet événement.";
    sent_again: "will be sent again.", "seront renvoyées.";
    redeliver_all: "Redeliver all that match", "Relivrer tout ce qui correspond";
    redeliver_all_hint: "200 at once, from the newest; the next click sends the next ones.", "200 à la fois, à partir des plus récentes ; le clic suivant envoie les suivantes.";
    next_attempt: "Next attempt", "Prochain essai";
    waits_behind: "Waits behind", "Attend derrière";
    no_attempts: "No attempt yet.", "Pas encore d’essai.";
    attempt: "Attempt", "Essai";
    replay: "Replay", "Renvoi";
    no_answer: "No answer came.", "Aucune réponse n’est arrivée.";
    removed: "deleted", "supprimé";
    new_webhook: "New webhook", "Nouveau webhook";
    edit_webhook: "Edit webhook", "Modifier le webhook";
    edit: "Edit", "Modifier";
    secret_once: "This is the secret that signs deliveries. It is shown only now.", "Voici le secret qui signe les livraisons. Il n’est affiché que maintenant.";
    test: "Test", "Test";
    resume_waiting: "Resume and deliver what waits", "Reprendre et livrer ce qui attend";
    resume_skip: "Resume without it", "Reprendre sans";
    skip_ask: "Skip the events that wait? They are not delivered, but can be replayed.", "Ignorer les événements qui attendent ? Ils ne seront pas livrés, mais pourront être renvoyés.";
    rotate: "Rotate secret", "Changer le secret";
    rotate_ask: "Make a new secret? The present one signs for another 24 hours.", "Créer un nouveau secret ? L’actuel signe encore pendant 24 heures.";
    delete_webhook_ask: "Unsubscribe this URL? Events that wait are not delivered.", "Désabonner cette URL ? Les événements en attente ne seront pas livrés.";
    ordering: "Order", "Ordre";
    per_record: "in order per contact or deal", "dans l’ordre par contact ou affaire";
    one_by_one: "one after the other", "l’un après l’autre";
    would_send: "Events that would be sent:", "Événements à envoyer :";
    replay_now: "Send them again", "Les renvoyer";
    which: "Which", "Lesquels";
    only_undelivered: "only undelivered", "seulement les non livrés";
    count_first: "Count", "Compter";
    replays: "Replays", "Renvois";
    cancel: "Cancel", "Annuler";
    all_events: "everything that happens", "tout ce qui se passe";
    filters: "Filters", "Filtres";
    filters_hint: "All filters must match; of several values, separated by commas, one.", "Tous les filtres doivent correspondre ; parmi plusieurs valeurs, séparées par des virgules, une suffit.";
    field: "Field", "Champ";
    values: "Values", "Valeurs";
    also_send: "Also send", "Envoyer aussi";
    include_previous: "the values before a change", "les valeurs avant une modification";
    include_actor: "who caused the event", "l’auteur de l’événement";
    headers_hint: "One per line; their values are not shown again.", "Un par ligne ; leurs valeurs ne sont plus affichées.";
    headers_present: "Present:", "Présents :";
    setting_allows: "A setting of the server can allow it:", "Un réglage du serveur peut l’autoriser :";
    subscribed: "Subscribed.", "Abonné.";
    subscribed_already: "This webhook existed already; it goes on.", "Ce webhook existait déjà ; il continue.";
    failed_attempts: "attempts failed", "essais ont échoué";
    success: "Success", "Succès";
    of_attempts: "of all attempts", "de tous les essais";
    latency: "Event to answer", "De l’événement à la réponse";
    webhooks_waiting: "webhooks have events waiting", "webhooks ont des événements en attente";
    now: "now", "maintenant";
    language: "Language", "Langue";
    theme: "Look", "Apparence";
    theme_system: "as the system", "comme le système";
    theme_light: "light", "clair";
    theme_dark: "dark", "sombre";
    companies: "Companies", "Entreprises";
    work_for: "At work for", "Au travail pour";
    switch: "Switch", "Changer";
    old_password: "Present password", "Mot de passe actuel";
    wrong_password: "This is not your present password.", "Ce n’est pas votre mot de passe actuel.";
    sessions: "Sessions", "Sessions";
    browser: "Browser", "Navigateur";
    address: "Address", "Adresse";
    last_used: "Last used", "Dernière utilisation";
    this_one: "this one", "celle-ci";
    end: "End", "Terminer";
    end_others: "End all others", "Terminer toutes les autres";
    company_settings: "Company", "Entreprise";
    users: "Users", "Utilisateurs";
    audit_log: "Audit log", "Journal d’audit";
    members: "Team members", "Membres de l’équipe";
    members_hint: "Deals are assigned to them. Who may sign in is under Users.", "Les affaires leur sont assignées. Qui peut se connecter est sous Utilisateurs.";
    add: "Add", "Ajouter";
    name_needed: "A name is needed, and for a member an e-mail address; 255 characters at most.", "Un nom est nécessaire, et pour un membre une adresse e-mail ; 255 caractères au plus.";
    role: "Role", "Rôle";
    role_admin: "administrator", "administrateur";
    role_member: "member: records and deliveries", "membre : fiches et livraisons";
    role_read_only: "read only", "lecture seule";
    invite: "Invite", "Inviter";
    link_once: "Hand this link on; it works once, for 72 hours. It is shown only now.", "Transmettez ce lien ; il fonctionne une fois, pendant 72 heures. Il n’est affiché que maintenant.";
    no_password_yet: "no password yet", "pas encore de mot de passe";
    password_link: "New password link", "Nouveau lien de mot de passe";
    remove: "Remove", "Retirer";
    remove_user_ask: "Remove this user from the company?", "Retirer cet utilisateur de l’entreprise ?";
    user_incomplete: "A name and an e-mail address are needed.", "Un nom et une adresse e-mail sont nécessaires.";
    user_already: "This user works here already.", "Cet utilisateur travaille déjà ici.";
    user_elsewhere: "This user works for other companies, too; only the operator can make a link: isao users reset-password.", "Cet utilisateur travaille aussi pour d’autres entreprises ; seul l’exploitant peut créer un lien : isao users reset-password.";
    last_admin: "A company needs at least one administrator.", "Une entreprise a besoin d’au moins un administrateur.";
    no_audit: "Nothing was changed yet.", "Rien n’a encore été modifié.";
    who: "Who", "Qui";
    what: "What", "Quoi";
    rate_limit: "Requests per minute", "Requêtes par minute";
    unlimited: "unlimited", "illimité";
    expires: "Expires", "Expire";
    per_minute: "per minute", "par minute";
    revoke_ask: "Revoke this key? Whatever uses it stops working at once.", "Révoquer cette clé ? Tout ce qui l’utilise cesse aussitôt de fonctionner.";
    revoked: "revoked", "révoquée";
    expired: "expired", "expirée";
    key_incomplete: "A key needs a name and at least one permission; the limit is a number above 0.", "Une clé a besoin d’un nom et d’au moins un droit ; la limite est un nombre au-dessus de 0.";
    expires_in_past: "The expiry must be in the future.", "L’expiration doit être dans le futur.";
    try_it: "Try it", "Essayer";
    answers_ok: "200: received", "200 : reçu";
    answers_error: "500: fails", "500 : échoue";
    answers_slow: "200 after 5 seconds", "200 après 5 secondes";
    answers_gone: "410: stop sending", "410 : ne plus envoyer";
    inbox_about: "An inbox is a URL of this server that keeps what it receives: watch your first webhook arrive, fail, and be tried again, with no other program.", "Une boîte est une URL de ce serveur qui garde ce qu’elle reçoit : regardez votre premier webhook arriver, échouer et être réessayé, sans autre programme.";
    open_inbox: "Open an inbox", "Ouvrir une boîte";
    inbox_limits: "It keeps the newest 100 messages, and is closed after 7 days without use.", "Elle garde les 100 messages les plus récents et est fermée après 7 jours sans utilisation.";
    subscribe_inbox: "Subscribe it to all events", "L’abonner à tous les événements";
    make_contact: "Create a contact", "Créer un contact";
    inbox_answers: "It answers", "Elle répond";
    empty_inbox: "Empty", "Vider";
    received: "Received", "Reçu";
    nothing_received: "Nothing yet. Subscribe the inbox, then create a contact.", "Rien encore. Abonnez la boîte, puis créez un contact.";
    signature_good: "signature verified", "signature vérifiée";
    signature_bad: "signature wrong", "signature fausse";
    unsigned: "not signed", "non signé";
    elsewhere: "Receive it elsewhere", "Le recevoir ailleurs";
    see_webhook: "See the webhook", "Voir le webhook";
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
        let both = |text: &str| {
            [Language::English, Language::French].map(|language| language.money(text.parse().unwrap(), "EUR"))
        };
        assert_eq!(both("25000.000"), ["EUR 25,000", "25\u{202f}000\u{a0}EUR"]);
        assert_eq!(both("-1234.5"), ["EUR −1,234.50", "−1\u{202f}234,50\u{a0}EUR"]);
    }
}
