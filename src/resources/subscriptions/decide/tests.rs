use super::*;
use crate::model::events::EventType;
use crate::subscription::Ordering;
use uuid::Uuid;

const COMPANY: CompanyId = CompanyId(Uuid::from_u128(1));

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_731_061_800 + second, 0).unwrap()
}

fn id(id: u128) -> SubscriptionId {
    SubscriptionId(Uuid::from_u128(id))
}

fn subscribe_to(number: u128, url: &str) -> Command {
    let new = NewSubscription {
        events: EventType::ContactCreated.into(),
        target: url.parse().unwrap(),
        filters: Filters::default(),
        headers: None,
        include: None,
        ignored_actor: None,
        secret: None,
        made: crate::outbound::signature::Secret::generate([7; 32]),
        loopback: false,
        ordering: Ordering::default(),
        asked_ordering: (None, None),
        resume: None,
        start: None,
    };
    Command::Subscribe(id(number), Box::new(new))
}

fn active(number: u128, active: bool) -> Command {
    Command::Change(id(number), Changes { active: Some(active), ..Changes::default() })
}

fn decide(subscriptions: &mut Subscriptions, command: &Command) -> (u16, String) {
    match run(subscriptions, COMPANY, command, at(0)).unwrap() {
        Ok((answer, events)) => {
            assert!(events.is_empty());
            (answer.status, answer.body)
        }
        Err(error) => (error.code.status().as_u16(), error.body(at(0))),
    }
}

#[test]
fn a_twin_is_returned_also_when_it_is_paused() {
    let mut subscriptions = Subscriptions::default();
    let (status, first) = decide(&mut subscriptions, &subscribe_to(1, "https://a.example/"));
    assert_eq!(status, 201);
    assert_eq!(decide(&mut subscriptions, &subscribe_to(2, "https://a.example/")), (200, first));
    decide(&mut subscriptions, &active(1, false));
    let (status, twin) = decide(&mut subscriptions, &subscribe_to(3, "https://a.example/"));
    assert_eq!(status, 200);
    assert!(twin.contains(&id(1).to_string()));
    decide(&mut subscriptions, &Command::Unsubscribe(id(1)));
    assert_eq!(decide(&mut subscriptions, &subscribe_to(4, "https://a.example/")).0, 201);
}

#[test]
fn a_change_into_a_twin_is_refused() {
    let mut subscriptions = Subscriptions::default();
    decide(&mut subscriptions, &subscribe_to(1, "https://a.example/"));
    decide(&mut subscriptions, &subscribe_to(2, "https://b.example/"));
    let target = Some(("https://a.example/".parse().unwrap(), false));
    let change = Command::Change(id(2), Changes { target, ..Changes::default() });
    assert_eq!(decide(&mut subscriptions, &change).0, 409);
}

#[test]
fn what_is_gone_is_404() {
    let mut subscriptions = Subscriptions::default();
    decide(&mut subscriptions, &subscribe_to(1, "https://a.example/"));
    assert_eq!(decide(&mut subscriptions, &Command::Unsubscribe(id(1))).0, 200);
    assert_eq!(decide(&mut subscriptions, &Command::Unsubscribe(id(1))).0, 404);
    assert_eq!(decide(&mut subscriptions, &active(1, true)).0, 404);
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let mut subscriptions = Subscriptions::default();
    decide(&mut subscriptions, &subscribe_to(1, "https://a.example/"));
    let secret = crate::outbound::signature::Secret::generate([8; 32]);
    decide(&mut subscriptions, &Command::Rotate(id(1), Rotation { secret, overlap: Duration::from_secs(1) }));
    let subscription = subscriptions.find(COMPANY, id(1)).unwrap().unwrap();
    let (previous, _) = subscription.secrets.previous.first().unwrap();
    let printed = format!("{subscription:?}");
    for secret in [&subscription.secrets.current, previous] {
        assert!(!printed.contains(secret.reveal().trim_start_matches("whsec_")), "{printed}");
    }
    assert!(printed.contains("whsec_…"), "{printed}");
}
