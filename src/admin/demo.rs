//! Something to try the server with at once: a company, two team members and a key.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::companies::{self, Company};
use super::keys::{self, NewKey, State};
use super::users::{self, Link, Role};
use super::{Admin, Error, members};
use crate::model::api_key::{ApiKey, ServiceType};
use crate::model::ids::CompanyId;
use crate::model::permission::Permission;
use crate::model::words::Words;

/// The company's name.
const COMPANY: &str = "Demo Company";
/// Who works there.
const MEMBERS: [(&str, &str); 2] = [("Anna Schmidt", "anna@demo.example"), ("Ben Weber", "ben@demo.example")];
/// Who signs in to its dashboard: address and name.
const USER: (&str, &str) = ("demo@demo.example", "Demo");
/// The name of its key.
const KEY: &str = "demo";
/// Where the key is kept, in the embedded database's data directory.
const KEY_FILE: &str = "demo-key";
/// Under this advisory lock (any number, but always the same), so that servers that
/// start at once make one demo.
const LOCK: i64 = 0x15a0_de40;

/// Sees to the demo. Gives its key if there is one that works.
///
/// With a configured key (`ISAO_DEMO_KEY`) it is that one, created if it does not exist. A
/// revoked one stays revoked. Else, where there is a data directory, the key is kept in it, and
/// made anew when there is no file or the database does not take it; former demo keys are revoked then. Else there is no demo: in a database that
/// others care for, no key appears that nobody asked for.
pub async fn ensure(
    admin: &Admin,
    configured: Option<&ApiKey>,
    data_dir: Option<&Path>,
) -> Result<Option<ApiKey>, Error> {
    let mut transaction = admin.pool.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(&mut *transaction).await?;
    let key = match (configured, data_dir) {
        (Some(key), _) => ensure_configured(&mut transaction, admin, key).await?,
        (None, Some(data_dir)) => Some(ensure_kept(&mut transaction, admin, data_dir.join(KEY_FILE)).await?),
        (None, None) => None,
    };
    transaction.commit().await?;
    Ok(key)
}

async fn ensure_configured(
    connection: &mut PgConnection,
    admin: &Admin,
    key: &ApiKey,
) -> Result<Option<ApiKey>, Error> {
    match keys::state(&mut *connection, key, admin.clock.now()).await? {
        Some(State::Active) => {}
        Some(state) => {
            tracing::warn!("the key of ISAO_DEMO_KEY is {state} and cannot be used; choose another one");
            return Ok(None);
        }
        None => create(connection, admin, key).await?,
    }
    Ok(Some(key.clone()))
}

async fn ensure_kept(connection: &mut PgConnection, admin: &Admin, file: PathBuf) -> Result<ApiKey, Error> {
    let at_file = |cause| Error::KeyFile { path: file.clone(), cause };
    if let Some(key) = read(&file).await?
        && keys::state(&mut *connection, &key, admin.clock.now()).await? == Some(State::Active)
    {
        return Ok(key);
    }
    let key = keys::generate(ServiceType::Generic)?;
    // The file comes first: a key in it that was never committed is replaced at the next
    // start, whereas a committed key that is in no file would be a loose end.
    write(&file, &key).await.map_err(at_file)?;
    revoke_former(connection, admin).await?;
    create(connection, admin, &key).await?;
    Ok(key)
}

/// Revokes the demo keys that a new one replaces: nobody knows where the file with them is.
async fn revoke_former(connection: &mut PgConnection, admin: &Admin) -> Result<(), sqlx::Error> {
    let revoked = sqlx::query!(
        "UPDATE api_keys SET revoked_at = $3
         WHERE name = $2 AND revoked_at IS NULL AND company_id IN (SELECT id FROM companies WHERE name = $1)
         RETURNING hint",
        COMPANY,
        KEY,
        admin.clock.now(),
    )
    .fetch_all(connection)
    .await?;
    for row in revoked {
        tracing::warn!(
            hint = %row.hint,
            "the former demo key is revoked, because its file is gone or names no key of this database; a new one is made"
        );
    }
    Ok(())
}

/// The demo company, if there is one.
///
/// # Errors
/// When the database is away.
pub async fn company(pool: &PgPool) -> Result<Option<CompanyId>, Error> {
    Ok(existing(&mut *pool.acquire().await?).await?.map(|company| company.id))
}

/// The secret part of a link that signs its reader in as a user of the demo company, once.
///
/// # Errors
/// When the database is away.
pub async fn sign_in_link(admin: &Admin) -> Result<Option<String>, Error> {
    let mut connection = admin.pool.acquire().await?;
    let Some(company) = existing(&mut connection).await? else { return Ok(None) };
    match users::create(admin, &company, USER, Role::Admin).await {
        Ok(_) | Err(Error::MemberAlready { .. }) => {}
        Err(error) => return Err(error),
    }
    let user = users::find(&admin.pool, USER.0).await?;
    let link = users::link(&mut connection, admin, user, (Link::SignIn, users::SIGN_IN_LINK)).await?;
    Ok(Some(link))
}

/// The oldest company of the demo's name.
async fn existing(connection: &mut PgConnection) -> Result<Option<Company>, sqlx::Error> {
    sqlx::query!(
        "SELECT id, name, created_at FROM companies WHERE name = $1 ORDER BY created_at, id LIMIT 1",
        COMPANY,
    )
    .map(|row| Company { id: CompanyId(row.id), name: row.name, created_at: row.created_at })
    .fetch_optional(connection)
    .await
}

/// Adds the key, to the company that is there or a new one.
async fn create(connection: &mut PgConnection, admin: &Admin, key: &ApiKey) -> Result<(), Error> {
    let company = match existing(&mut *connection).await? {
        Some(company) => company,
        None => {
            let created_at = admin.clock.now();
            let id = CompanyId(admin.ids.next(created_at));
            let company = Company { id, name: COMPANY.to_owned(), created_at };
            companies::insert(&mut *connection, &company).await?;
            for (name, email) in MEMBERS {
                members::insert(&mut *connection, admin, &company, name, email).await?;
            }
            company
        }
    };
    let new = NewKey {
        name: KEY.to_owned(),
        description: Some("Made at the start of the server, for trying things out".to_owned()),
        permissions: Permission::ALL.into(),
        rate_limit: None,
        expires_at: None,
    };
    keys::insert(connection, admin, &company, key, new).await?;
    Ok(())
}

/// The demo key that the server with this data directory keeps in it; none if there is none.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub async fn kept(data_dir: &Path) -> Result<Option<ApiKey>, Error> {
    read(&data_dir.join(KEY_FILE)).await
}

/// The key in the file; none if there is no file. A damaged file is an error: the key that was in it may
/// be in use.
async fn read(file: &Path) -> Result<Option<ApiKey>, Error> {
    let path = file.to_path_buf();
    match fs::read(file).await {
        Ok(bytes) => {
            let key = str::from_utf8(&bytes).ok().and_then(|text| ApiKey::parse(text.trim()));
            key.map(Some).ok_or(Error::DamagedKeyFile { path })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::KeyFile { path, cause }),
    }
}

/// Puts the key in the file, for this user's eyes only, whole or not at all.
async fn write(file: &Path, key: &ApiKey) -> io::Result<()> {
    let draft = file.with_extension("new");
    match fs::remove_file(&draft).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut writer = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).await?;
    writer.write_all(format!("{}\n", key.reveal()).as_bytes()).await?;
    writer.sync_all().await?;
    fs::rename(&draft, file).await
}

/// What the server says once it listens on `address`: where it is and what to paste first, line by
/// line. `program` is the name by which a shell finds this program.
pub fn welcome(
    (address, program): (SocketAddr, &str),
    (key, link): (Option<&ApiKey>, Option<&str>),
    now: DateTime<Utc>,
) -> String {
    let base = format!("http://{}", reachable(address));
    let dashboard = match link {
        Some(link) => {
            format!("Dashboard: {base}/dashboard/sign-in/{link} (signs you in, once, within an hour)\n")
        }
        None => format!("Dashboard: {base}/dashboard (make a user first: isao users create --help)\n"),
    };
    let api = format!("{base}/api/external");
    let first_steps = match key {
        Some(key) => {
            let key = key.reveal();
            let auth = format!("-H 'Authorization: Bearer {key}'");
            let post = format!("curl -X POST {auth} -H 'Content-Type: application/json'");
            // Another number at every start: numbers are unique, and the lines may be pasted again.
            let phone = format!("+1555{}", now.timestamp());
            format!(
                "Demo key: {key}

See events as they happen, in a terminal of its own:
  {program} listen --url {base} --key {key}
Get a signed webhook for each new contact, if something listens on port 3000:
  {post} -d '{{\"event\":\"contact.created\",\"target_url\":\"http://127.0.0.1:3000/webhook/isao\"}}' '{api}/webhooks/subscribe'
Create a contact:
  {post} -d '{{\"name\":\"Jane Doe\",\"phoneNumber\":\"{phone}\",\"email\":\"jane@example.com\"}}' '{api}/contacts'
Read the latest ones, as Zapier polls them:
  curl {auth} '{api}/triggers/contact.created/recent?limit=10'
"
            )
        }
        None => "There is no demo key. Make a company and a key of your own:
  isao companies create 'My Company'
  isao keys create --company 'My Company' --name first --type generic --permissions all
"
        .to_owned(),
    };
    format!(
        "isao listens on {base}\n\n{dashboard}\n{first_steps}\nMore: README.md, and {api}/openapi.json for every route.\n"
    )
}

/// An address to call the server by on this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_welcome_can_be_pasted() {
        let key = ApiKey::generate(ServiceType::Generic, [0xab; 32]);
        let text =
            welcome(("0.0.0.0:8080".parse().unwrap(), "./isao"), (Some(&key), None), at(1_700_000_000));
        let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        let [listen, subscribe, create, read] = lines[..] else { panic!("{text}") };
        assert_eq!(listen, format!("./isao listen --url http://127.0.0.1:8080 --key {}", key.reveal()));
        // What is created before anybody has subscribed arrives nowhere.
        assert!(subscribe.contains("/subscribe'") && create.ends_with("/contacts'"), "{text}");
        for line in [subscribe, create, read] {
            assert!(line.starts_with("curl ") && line.contains(key.reveal()), "{line}");
            assert!(line.contains("'http://127.0.0.1:8080/api/external/"), "{line}");
            assert!(line.matches('\'').count().is_multiple_of(2), "{line}");
        }
        assert!(text.contains(r#""phoneNumber":"+15551700000000""#), "{text}");
    }

    #[test]
    fn without_a_demo_key_the_welcome_says_how_to_make_one() {
        let text = welcome(("[::]:80".parse().unwrap(), "isao"), (None, None), at(0));
        assert!(text.contains("http://[::1]:80\n") && text.contains("isao keys create"), "{text}");
    }

    #[tokio::test]
    async fn a_kept_key_is_for_its_owners_eyes() {
        use std::os::unix::fs::PermissionsExt;

        let directory = std::env::temp_dir().join(format!("isao-demo-{}", std::process::id()));
        fs::create_dir_all(&directory).await.unwrap();
        let file = directory.join(KEY_FILE);
        assert_eq!(read(&file).await.unwrap(), None);
        for byte in [1, 2] {
            let key = ApiKey::generate(ServiceType::Generic, [byte; 32]);
            write(&file, &key).await.unwrap();
            assert_eq!(read(&file).await.unwrap(), Some(key));
        }
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let key = ApiKey::generate(ServiceType::Generic, [3; 32]);
        let half = &key.reveal()[..20];
        for damaged in [b"no key".as_slice(), b"", b"\n", b"\xff", half.as_bytes()] {
            fs::write(&file, damaged).await.unwrap();
            let error = read(&file).await.unwrap_err();
            assert!(matches!(error, Error::DamagedKeyFile { .. }), "{damaged:?}: {error}");
            assert_eq!(fs::read(&file).await.unwrap(), damaged);
        }
        fs::remove_file(&file).await.unwrap();
        fs::create_dir(&file).await.unwrap();
        assert!(matches!(read(&file).await, Err(Error::KeyFile { .. })));
        fs::remove_dir_all(&directory).await.unwrap();
    }
}
