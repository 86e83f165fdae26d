//! `isao import` and `isao export`: real processes, a real server.

use std::fmt::Write as _;
use std::time::Duration;

use isao::model::permission::Permission;
use isao::model::words::Words as _;
use serde_json::{Value, json};

use crate::listen::listener::User;
use crate::support::{World, eventually};

/// All records of a list, oldest first, without what differs by itself.
async fn all(world: &World, path: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = world.get(&format!("{path}?sort=createdAt&limit=200{cursor}")).await;
        for mut record in answer.data(200).as_array().unwrap().clone() {
            let record_of = record.as_object_mut().unwrap();
            for field in ["id", "createdAt", "updatedAt"] {
                record_of.remove(field);
            }
            records.push(record);
        }
        match answer.json()["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return records,
        }
    }
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.pool).await.unwrap()
}

/// Rows that an import has settled, by its checkpoint.
fn settled_rows(user: &User) -> Option<u64> {
    let found = std::fs::read_dir(user.path("state/isao")).ok()?;
    let files = found.filter_map(|found| Some(found.ok()?.path()));
    let path = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "json"))?;
    serde_json::from_slice::<Value>(&std::fs::read(path).ok()?).ok()?["rows"].as_u64()
}

const DEALS: &str = "SELECT count(*) FROM deals";
const EVENTS: &str = "SELECT count(*) FROM events";

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheets_file_is_imported_and_bad_rows_are_told_and_kept() {
    let world = World::new().await;
    let user = User::of(&world);
    world.contact("There", "+331").await.as_object().unwrap();
    let file = user.file(
        "a.csv",
        b"\xef\xbb\xbfFirst Name;Surname;E-Mail;Phone;Labels;City;Shoe size\r\n\
          Ann;Lee;ann@example.com;+33 100;lead, vip;\"Paris\r\nSud\";38\r\n\
          Bob;Ray;not an address;none;;;\r\n\
          Cy;Fox;;'+33101;;'=1+1;\r\n\
          ;;;;;;\r\n\
          Di;Roe;;+331;;;\r\n\
          Ed;Poe;+33102\r\n\
          F\xff;Poe;;+33103;;;\r\n",
    );
    let rejects = user.path("rejects.csv");
    let (code, stdout, stderr) = user.run(&["import", "contacts", &file, "--rejects", &rejects]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.starts_with("2 contacts created, 4 rows refused (in "), "{stdout}");
    assert!(
        stderr.contains("First Name = firstName") && stderr.contains("Not imported: Shoe size"),
        "{stderr}"
    );
    for said in [
        "line 4: email must be ",
        "phoneNumber must be a phone number like",
        "line 7: ",
        "line 8: has 3 cells, but the header has 7",
        "line 9: cell 1 is not UTF-8",
    ] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    let contacts = all(&world, "/contacts").await;
    assert_eq!(contacts.len(), 3);
    assert_eq!(
        (&contacts[1]["name"], &contacts[1]["city"], &contacts[1]["tags"]),
        (&json!("Ann Lee"), &json!("Paris\r\nSud"), &json!(["lead", "vip"]))
    );
    assert_eq!((&contacts[2]["phoneNumber"], &contacts[2]["city"]), (&json!("+33101"), &json!("=1+1")));
    let rejected = std::fs::read(&rejects).unwrap();
    let rejected = String::from_utf8_lossy(&rejected);
    let lines: Vec<_> = rejected.lines().collect();
    assert_eq!(lines.len(), 5, "{rejected}");
    assert_eq!(lines[0], "First Name;Surname;E-Mail;Phone;Labels;City;Shoe size;import_error");
    assert!(lines[1].starts_with("Bob;Ray;not an address;none;;;;"), "{rejected}");
    assert!(lines[2].starts_with("Di;Roe;;+331;;;;"), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_of_every_bad_row_and_writes_nothing() {
    let world = World::new().await;
    let user = User::of(&world);
    let before = world.everything_written().await;
    let file =
        user.file("a.csv", "name\tphone\temail\nA\t+33100\t\nB\t\tx\nC\t0033 100\tc@d.ee\nD\t+33102\t\n");
    let (code, stdout, stderr) = user.run(&["import", "contacts", &file, "--dry-run"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    let lines: Vec<_> = stdout.lines().collect();
    assert!(
        lines[0].starts_with("line 3: email must ") && lines[0].ends_with("phoneNumber is required"),
        "{stdout}"
    );
    assert_eq!(
        lines[1..],
        ["line 4: phoneNumber is that of line 2", "2 rows are good, 2 are bad; nothing was written"]
    );
    let deals = user.file("d.csv", "title,value,stage\nA,1.5,new\nB,many,\n,2,\n");
    let (code, stdout, _) = user.run(&["import", "deals", &deals, "--dry-run"]).await;
    assert_eq!(code, Some(1));
    assert!(stdout.contains("line 3: value ") && stdout.contains("line 4: title is required"), "{stdout}");
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_can_be_mapped_and_a_bad_map_says_what_there_is() {
    let world = World::new().await;
    let user = User::of(&world);
    let file = user.file("a.csv", "Who|Mobile|Phone|Title\nAnn|+33100|+33200|Dr.\n");
    let args = ["import", "contacts", &file];
    let (code, _, stderr) = user.run(&args).await;
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("no column for name, which is required; its columns are: Who, Mobile"),
        "{stderr}"
    );
    let maps = ["--map", "who=name", "--map", "Phone=phoneNumber", "--map", "Title="];
    let (code, _, stderr) = user.run(&[&args[..], &maps].concat()).await;
    assert_eq!(code, Some(0), "{stderr}");
    let contact = &all(&world, "/contacts").await[0];
    assert_eq!(
        (&contact["name"], &contact["phoneNumber"], &contact["position"]),
        (&json!("Ann"), &json!("+33200"), &Value::Null)
    );
    for (map, said) in [("Whom=name", "the columns are: Who, Mobile"), ("Who=nmae", "the fields are: name, ")]
    {
        let (code, _, stderr) = user.run(&[&args[..], &["--map", map]].concat()).await;
        assert!(code == Some(1) && stderr.contains(said), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upserting_twice_changes_nothing_the_second_time() {
    let world = World::new().await;
    let user = User::of(&world);
    world.contact("Ann", "+33100").await;
    let file = user.file("a.csv", "name,phone,city\nAnn,+33 100,Paris\nBob,+33101,Rome\nBob,+33101,Oslo\n");
    let args = ["import", "contacts", &file, "--upsert"];
    let (code, stdout, stderr) = user.run(&args).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("1 contacts created, 2 found, 0 rows refused"), "{stdout}");
    let cities = ["Paris", "Oslo"];
    assert_eq!(
        all(&world, "/contacts").await.iter().map(|one| one["city"].clone()).collect::<Vec<_>>(),
        cities
    );
    // The last row of a contact counts, so the one before it changes it and is changed back.
    let file = user.file("a.csv", "name,phone,city\nAnn,+33 100,Paris\nBob,+33101,\n");
    let before = world.everything_written().await;
    for options in [&[][..], &["--from-start"]] {
        let (code, stdout, stderr) = user.run(&[&args[..], options].concat()).await;
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.starts_with("0 contacts created, 2 found, 0 rows refused"), "{stdout}");
    }
    assert_eq!(world.everything_written().await, before);
    let (code, _, _) = user.run(&["import", "contacts", &file, "--upsert", "--clear-empty"]).await;
    assert_eq!((code, &all(&world, "/contacts").await[1]["city"]), (Some(0), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_goes_on_and_doubles_nothing() {
    let world = World::new().await;
    let user = User::of(&world);
    const ROWS: usize = 6_000;
    let mut rows = "title,value\n".to_owned();
    for row in 0..ROWS {
        let value = if row % 1_000 == 7 { "much".to_owned() } else { row.to_string() };
        writeln!(rows, "\"Deal\n{row}\",{value}").unwrap();
    }
    let file = user.file("deals.csv", rows);
    let rejects = user.path("rejects.csv");
    let args = ["import", "deals", &file, "--rejects", &rejects];
    let mut settled = 0;
    for _ in 0..5 {
        let import = user.start(&args);
        settled = eventually("a batch", async || settled_rows(&user).filter(|rows| *rows > settled)).await;
        // At any moment of the batches that follow.
        tokio::time::sleep(Duration::from_millis(60).mul_f64(isao::random::fraction())).await;
        import.kill().await;
    }
    let (code, stdout, stderr) = user.run(&args).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.starts_with("5994 deals created, 6 rows refused"), "{stdout}");
    assert!(stderr.contains("Going on after"), "{stderr}");
    assert_eq!((count(&world, DEALS).await, count(&world, EVENTS).await), (5_994, 5_994));
    assert_eq!(std::fs::read_to_string(&rejects).unwrap().matches("much,").count(), 6);
    // By mistake once more: it is recognised. On purpose, it is done.
    let (_, stdout, _) = user.run(&args).await;
    assert!(stdout.contains("6000 rows were sent before"), "{stdout}");
    assert_eq!(count(&world, DEALS).await, 5_994);
    let few = user.file("few.csv", "title\nA\nB\n");
    for (options, deals) in [(&[][..], 5_996), (&[], 5_996), (&["--from-start"], 5_998)] {
        let (code, _, stderr) = user.run(&[&["import", "deals", &few], options].concat()).await;
        assert_eq!((code, count(&world, DEALS).await), (Some(0), deals), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_as_it_was() {
    let world = World::new().await;
    let user = User::of(&world);
    let hostile = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "'=1", "'", "a,b;\"c\"\nd", "Zoë 💥"];
    for (number, text) in hostile.iter().enumerate() {
        let contact = json!({"name": text, "phoneNumber": format!("+3310{number}"), "city": text,
            "tags": [text, "a,b", "=x"], "firstName": text, "lastName": null, "email": format!("a{number}@b.cd")});
        world.post("/contacts", contact).await.data(201);
        let deal = json!({"title": text, "description": text, "value": "123456789012345.123456", "stage": text,
            "status": "won", "probability": number});
        world.post("/deals", deal).await.data(201);
    }
    for number in 0..250 {
        world.contact(&format!("Contact {number}"), &format!("+33200{number}")).await;
    }
    let other = world.add_company("Other").await;
    let mut elsewhere = World::new().await;
    let key = world
        .add_key(other, &[Permission::ContactsRead, Permission::DealsRead, Permission::WebhooksRead])
        .await;
    let stranger = User::at(world.root(), &key);
    let there = User::of(&elsewhere);
    for (kind, rows) in [("contacts", 258), ("deals", 8)] {
        let file = user.path(&format!("{kind}.csv"));
        let (code, stdout, stderr) = user.run(&["export", kind, "--output", &file]).await;
        assert_eq!((code, &*stdout), (Some(0), ""), "{stderr}");
        assert!(stderr.contains(&format!("{rows} {kind} exported")), "{stderr}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("'=cmd|") && !text.contains(",=cmd"), "{text}");
        let (code, _, stderr) = there.run_on(&file, &["import", kind, "-", "--clear-empty"]).await;
        assert_eq!(code, Some(0), "{stderr}");
        let path = format!("/{kind}");
        let sorted = async |world: &World| {
            let mut records = all(world, &path).await;
            records.sort_by_key(Value::to_string);
            records
        };
        assert_eq!(sorted(&elsewhere).await, sorted(&world).await);
        let (code, stdout, stderr) = stranger.run(&["export", kind]).await;
        assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stderr}");
        let (code, stdout, _) = user.run(&["export", kind, "--format", "jsonl"]).await;
        let records = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!((code, records.count()), (Some(0), rows));
    }
    elsewhere.stop_server().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_exported_from_a_time_on_and_each_company_sees_its_own() {
    let world = World::new().await;
    let user = User::of(&world);
    for number in 0..250 {
        world.contact(&format!("Contact {number}"), &format!("+33200{number}")).await;
    }
    world.clock.advance(Duration::from_secs(3_600));
    world.contact("Late", "+33300").await;
    let (code, stdout, stderr) = user.run(&["export", "events", "--format", "jsonl"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 251);
    assert!(
        events
            .iter()
            .take(250)
            .enumerate()
            .all(|(number, event)| { event["data"]["name"] == format!("Contact {number}").as_str() })
    );
    let (code, stdout, _) = user.run(&["export", "events", "--since", "2024-11-08T11:00:00Z"]).await;
    assert_eq!((code, stdout.lines().count()), (Some(0), 2));
    assert!(stdout.starts_with("eventId,event,timestamp,source,recordId,data\nevent_"), "{stdout}");
    let other = world.add_company("Other").await;
    let stranger = User::at(world.root(), &world.add_key(other, Permission::ALL).await);
    assert_eq!(stranger.run(&["export", "events", "--format", "jsonl"]).await.1, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_complete_while_records_are_written() {
    let world = World::new().await;
    let user = User::of(&world);
    let rows: String = (0..1_500).map(|number| format!("Before {number},+33200{number}\n")).collect();
    let file = user.file("a.csv", format!("name,phone\n{rows}"));
    assert_eq!(user.run(&["import", "contacts", &file]).await.0, Some(0));
    let writing = async {
        for number in 0.. {
            let contact = world.contact(&format!("New {number}"), &format!("+33300{number}")).await;
            world.delete(&format!("/contacts/{}", contact["id"].as_str().unwrap())).await;
        }
    };
    let (code, stdout, stderr) = tokio::select! {
        ended = user.run(&["export", "contacts"]) => ended,
        () = writing => unreachable!(),
    };
    assert_eq!(code, Some(0), "{stderr}");
    let mut before: Vec<_> = stdout.lines().filter(|line| line.contains(",Before ")).collect();
    before.sort_unstable();
    before.dedup();
    assert_eq!(before.len(), 1_500);
}
