-- People who sign in to the dashboard, in which companies they work, and what was changed by whom.

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    -- as compared: in lower case
    email_key     text NOT NULL UNIQUE,
    name          text NOT NULL,
    -- argon2id in PHC form; null until one is chosen
    password      text,
    -- the language of the pages; null is what the browser asks for
    language      text CHECK (language IN ('en', 'fr')),
    created_at    timestamptz NOT NULL,
    disabled_at   timestamptz
);

CREATE TABLE memberships (
    company_id    uuid NOT NULL REFERENCES companies (id),
    user_id       uuid NOT NULL REFERENCES users (id),
    role          text NOT NULL CHECK (role IN ('admin', 'member', 'read_only')),
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (company_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

-- Whoever has the cookie is the user. Only its hash is kept.
CREATE TABLE sessions (
    hash          bytea PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users (id),
    company_id    uuid NOT NULL REFERENCES companies (id),
    address       text NOT NULL,
    user_agent    text NOT NULL,
    created_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_seen ON sessions (seen_at);

-- Links that work once: to sign in, to choose a password, to accept an invitation.
CREATE TABLE one_time_links (
    hash          bytea PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('sign_in', 'password')),
    user_id       uuid NOT NULL REFERENCES users (id),
    expires_at    timestamptz NOT NULL
);
CREATE INDEX one_time_links_expiry ON one_time_links (expires_at);

CREATE TABLE audit_log (
    company_id    uuid NOT NULL REFERENCES companies (id),
    id            uuid NOT NULL,
    at            timestamptz NOT NULL,
    -- user_…, or the operator at the command line
    actor         text NOT NULL,
    actor_name    text NOT NULL,
    action        text NOT NULL,
    subject       text NOT NULL,
    details       text NOT NULL,
    address       text NOT NULL,
    PRIMARY KEY (company_id, id)
);
