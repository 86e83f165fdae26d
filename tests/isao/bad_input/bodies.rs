//! Bodies that are wrong in one field, and bodies that are wrong as a whole.

use super::*;
use crate::support::schema::Values;

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_kind_is_named() {
    let fixture = &Fixture::new().await;
    let world = &fixture.world;
    let before = world.everything_written().await;
    for (operation, _) in with_bodies() {
        let (path, body) = (fixture.path(&operation), fixture.body(&operation));
        for field in &operation.body.as_ref().unwrap().fields {
            for raw in wrong::in_a_body(field) {
                let what = format!("{} {path} {}: {raw:.60}", operation.method, field.name);
                let text = with(&body, &field.name, &raw);
                let answer = world.send_text(operation.method.clone(), &path, text).await;
                assert_eq!(answer.status, 422, "{what}: {}", answer.text);
                let told = answer.bad_fields();
                assert!(told[&field.name].is_string(), "{what}: {told}");
                assert_eq!(told.as_object().unwrap().len(), 1, "{what}: {told}");
            }
        }
        assert_eq!(world.everything_written().await, before, "{} {path} has written", operation.method);
    }
}

/// Otherwise the values above might be refused for another reason than their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_right_kind_is_taken() {
    let fixture = &Fixture::new().await;
    let world = &fixture.world;
    let member = world.add_member(world.company, "Alice").await;
    let contact = fixture.ids[3].1.clone();
    let mut values = Values::default();
    values.ids.insert("contact-id", vec![contact.clone()]);
    values.ids.insert("record-id", vec![contact]);
    values.ids.insert("member-id", vec![member]);
    values.ids.insert("subscription-id", vec!["sub_0192f3a4b5c67d8e9f0a1b2c3d4e5f60".to_owned()]);
    for (operation, _) in with_bodies() {
        let (path, body) = (fixture.path(&operation), fixture.body(&operation));
        for field in &operation.body.as_ref().unwrap().fields {
            let mut right = vec![match field.kind() {
                "object" => json!({}),
                _ => values.of(std::slice::from_ref(field))[&field.name].clone(),
            }];
            right.extend(["minimum", "maximum"].iter().filter_map(|bound| field.schema.get(bound).cloned()));
            // What has a default cannot be cleared afterwards, which is checked with the fields.
            right.extend(Some(Value::Null).filter(|_| field.nullable && operation.path != "/deals/{id}"));
            for value in right {
                let text = with(&body, &field.name, &value.to_string());
                let answer = world.send_text(operation.method.clone(), &path, text).await;
                // It may be there already, or name nothing.
                let taken = answer.status < 300 || [404, 409].contains(&answer.status);
                let what = format!("{} {path} {}: {value:.60}", operation.method, field.name);
                assert!(taken, "{what}: {}", answer.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_object_is_refused() {
    let fixture = &Fixture::new().await;
    let world = &fixture.world;
    let before = world.everything_written().await;
    let deep = |field: &str, open: &str, close: &str| {
        format!("{{\"{field}\":{}1{}}}", open.repeat(10_000), close.repeat(10_000))
    };
    for (operation, known) in with_bodies() {
        let (method, path) = (&operation.method, &fixture.path(&operation));
        let (body, known) = (&fixture.body(&operation), &known);
        let good = json!(body).to_string();
        let mut bodies: Vec<Vec<u8>> = vec![
            deep(known, "[", "]").into(),
            deep(known, "{\"a\":", "}").into(),
            deep("unknown", "[", "]").into(),
            deep("unknown", "{\"a\":", "}").into(),
            "[".repeat(10_000).into(),
            format!("[{good}]").into(),
            format!("{good},").into(),
            format!("{good}{good}").into(),
            good.replace('"', "'").into(),
            with(body, known, "01").into(),
            with(body, known, "NaN").into(),
            with(body, known, "\"\u{1}\"").into(),
            with(body, known, "\"a\nb\"").into(),
            with(body, known, r#""\x""#).into(),
            with(body, known, r#""\ud8""#).into(),
            with(body, known, "undefined").into(),
            r#"{"\ud800":1}"#.into(),
            "\"text\"".into(),
            "null".into(),
            "1".into(),
            vec![b'{', 0xff, b'}'],
            vec![0; 100],
        ];
        let mut invalid = with(body, known, "\"?\"").into_bytes();
        let at = invalid.iter().position(|byte| *byte == b'?').unwrap();
        invalid[at] = 0xc3;
        bodies.push(invalid);
        for body in bodies {
            let what = format!("{method} {path} {:.60}", String::from_utf8_lossy(&body));
            let answer = world.send_text(method.clone(), path, body).await;
            assert_refused(&answer, &what);
            assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        }
        let huge = with(body, known, &format!("\"{}\"", "x".repeat(2 * 1024 * 1024)));
        world.send_text(method.clone(), path, huge).await.assert_error(413, "PAYLOAD_TOO_LARGE");
    }
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_there_twice_is_refused() {
    let fixture = &Fixture::new().await;
    let world = &fixture.world;
    let before = world.everything_written().await;
    for (operation, _) in with_bodies() {
        let (path, body) = (fixture.path(&operation), json!(fixture.body(&operation)).to_string());
        for (field, value) in fixture.body(&operation) {
            let twice = format!("{{{field:?}:{value},{}", &body[1..]);
            let answer = world.send_text(operation.method.clone(), &path, twice).await;
            answer.assert_error(400, "INVALID_JSON");
        }
    }
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_an_inner_object_has_twice_is_named() {
    let fixture = &Fixture::new().await;
    let world = &fixture.world;
    let before = world.everything_written().await;
    let mut objects = 0;
    for (operation, _) in with_bodies() {
        let (path, body) = (fixture.path(&operation), fixture.body(&operation));
        let fields = operation.body.as_ref().unwrap().fields.iter();
        let fields: Vec<_> =
            fields.filter(|field| field.kind() == "object").map(|field| &*field.name).collect();
        objects += fields.len();
        for field in fields.into_iter().chain(["unknown"]) {
            for (raw, key) in [
                (r#"{"city":"Rome","city":"Oslo"}"#, format!("{field}.city")),
                (r#"{"city":1,"c\u0069ty":2}"#, format!("{field}.city")),
                (r#"[[{"a":{"b":1,"b":1}}]]"#, format!("{field}.a.b")),
                (r#"{"a":1,"a":1}"#, format!("{field}.a")),
            ] {
                let text = with(&body, field, raw);
                let answer = world.send_text(operation.method.clone(), &path, text).await;
                let message = answer.assert_error(400, "INVALID_JSON")["message"].to_string();
                assert!(message.contains(&format!("`{key}`")), "{path} {field} {raw}: {message}");
            }
        }
        let twice = format!("{{\"unknown\":1,{}", &with(&body, "unknown", "2")[1..]);
        let answer = world.send_text(operation.method.clone(), &path, twice).await;
        let message = answer.assert_error(400, "INVALID_JSON")["message"].to_string();
        assert!(message.contains("`unknown`"), "{path}: {message}");
    }
    assert!(objects > 0);
    assert_eq!(world.everything_written().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_may_hold_anything_that_is_json() {
    let fixture = &Fixture::new().await;
    for (operation, _) in with_bodies() {
        let (path, body) = (fixture.path(&operation), fixture.body(&operation));
        for raw in ["\"\\u0000\"", "\"\\ud800\"", "1e400", "[[[]]]", "null", "\"\u{10ffff}\""] {
            let text = with(&body, "unknown", raw);
            let answer = fixture.world.send_text(operation.method.clone(), &path, text).await;
            // Contacts are there already, and nobody has the subscription of the example.
            let fits = answer.status < 300
                || answer.status == 409 && operation.path.starts_with("/contacts")
                || answer.status == 404 && operation.path == "/webhooks/unsubscribe";
            assert!(fits, "{} {path} {raw}: {}", operation.method, answer.text);
        }
    }
}
