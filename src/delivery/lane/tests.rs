use uuid::Uuid;

use super::*;
use crate::model::events::{EventType, Filters, Include, SOURCE_API};
use crate::model::ids::EventId;
use crate::outbound::retry::MAX_ATTEMPTS;
use crate::outbound::signature::{Secret, Secrets};
use crate::subscription::Health;
use crate::subscription::Ordering;
use crate::subscription::Owed;
use crate::subscription::ReadAhead;
use crate::subscription::Status;

pub(super) const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
const PAUSE: Degraded = Degraded(Duration::from_secs(30));

/// Event `seq` of the record with that number modulo ten.
pub(super) fn event(seq: i64) -> Arc<Event> {
    Arc::new(Event {
        seq,
        company: CompanyId(Uuid::nil()),
        event_type: EventType::ContactCreated,
        id: EventId(Uuid::from_u128(seq.unsigned_abs().into())),
        record: Uuid::from_u128((seq % 10).unsigned_abs().into()),
        source: SOURCE_API.into(),
        at: NOW,
        data: "{}".into(),
        actor: None,
        previous: None,
    })
}

pub(super) fn subscription(active: bool, version: i64) -> Subscription {
    Subscription {
        company: CompanyId(Uuid::nil()),
        id: SubscriptionId(Uuid::nil()),
        earlier_filters: Vec::new(),
        include: Include::default(),
        ignored_actor: None,
        events: EventType::ContactCreated.into(),
        target: "https://example.com/".parse().unwrap(),
        filters: Filters::default(),
        headers: Default::default(),
        secrets: Secrets::new(Secret::generate([1; 32])),
        status: if active { Status::Active } else { Status::Paused },
        status_reason: None,
        loopback: false,
        ordering: Ordering::Subscription,
        skip_to: 0,
        resumed_at: None,
        version,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn per_record(concurrency: u8) -> Subscription {
    Subscription { ordering: Ordering::Record { concurrency }, ..subscription(true, 1) }
}

/// Progress whose cursor alone says how far it is.
pub(super) fn at(cursor: i64) -> Progress {
    Progress { done: cursor, cursor, lagging: true, ..Progress::default() }
}

pub(super) fn endpoint(offered: i64) -> Arc<Endpoint> {
    Endpoint::new(CompanyId(Uuid::nil()), Shard::new(0, 1, offered))
}

fn lane_with(subscription: Subscription, progress: Progress, offered: i64) -> Arc<Lane> {
    lane_at(&endpoint(offered), subscription, progress)
}

pub(super) fn lane_at(endpoint: &Arc<Endpoint>, subscription: Subscription, progress: Progress) -> Arc<Lane> {
    Lane::new(Stored { subscription, progress, shard: 0 }, endpoint)
}

pub(super) fn lane(read: i64, offered: i64) -> Arc<Lane> {
    lane_with(subscription(true, 1), at(read), offered)
}

pub(super) fn offer(lane: &Lane, seq: i64) -> bool {
    lane.offer(&Outgoing::new(event(seq)))
}

/// Begins the next attempt: the number of its event, and its own.
pub(super) fn start(lane: &Lane) -> Option<(i64, u8)> {
    matches!(lane.endpoint.next(NOW), Next::Attempt(_)).then_some(())?;
    let started = lane.endpoint.start(NOW)?;
    Some((started.outgoing.event.seq, started.attempt))
}

pub(super) fn delivered(lane: &Lane, seq: i64) {
    assert_eq!(lane.attempted(seq, 1, &Outcome::Delivered, (NOW, Duration::ZERO), PAUSE), None);
}

/// The attempt fails; another one is due then.
fn failed(lane: &Lane, seq: i64, attempt: u8, due: DateTime<Utc>) -> Option<i32> {
    let outcome = Outcome::Failed { error: "answered 500".into(), next_attempt_at: Some(due) };
    lane.attempted(seq, attempt, &outcome, (NOW, Duration::ZERO), PAUSE)
}

fn page(seqs: impl IntoIterator<Item = i64>, to: i64) -> Backlogged {
    Backlogged { events: seqs.into_iter().map(|seq| Outgoing::new(event(seq))).collect(), read_to: to }
}

#[test]
fn the_cursor_stands_before_the_head_until_the_event_is_done() {
    let lane = lane(10, 10);
    assert!(offer(&lane, 11) && offer(&lane, 13));
    assert!(!offer(&lane, 11), "offered twice, taken once");
    assert_eq!((lane.snapshot().progress.cursor, lane.snapshot().progress.lagging), (10, true));
    for attempt in 1..MAX_ATTEMPTS {
        assert_eq!(start(&lane), Some((11, attempt)));
        assert!(matches!(lane.endpoint.next(NOW), Next::Wait(None)), "one at a time");
        assert_eq!(failed(&lane, 11, attempt, NOW), None);
        assert_eq!(lane.snapshot().progress.head_attempts, attempt);
    }
    assert_eq!(start(&lane), Some((11, 4)));
    assert_eq!(failed(&lane, 11, 4, NOW), Some(1), "given up after the last attempt");
    let hold = NOW + Duration::from_secs(30);
    assert!(matches!(lane.endpoint.next(NOW), Next::Wait(Some(until)) if until == hold), "it is degraded");
    let snapshot = lane.snapshot();
    assert_eq!((snapshot.progress.cursor, snapshot.progress.next_attempt_at), (12, Some(hold)));
    let Next::Attempt(_) = lane.endpoint.next(hold) else { panic!("it goes on") };
    assert_eq!(
        lane.endpoint.start(hold).map(|started| (started.outgoing.event.seq, started.attempt)),
        Some((13, 1))
    );
    delivered(&lane, 13);
    let snapshot = lane.snapshot();
    assert_eq!(
        (snapshot.progress.cursor, snapshot.progress.lagging, snapshot.progress.next_attempt_at),
        (13, false, None)
    );
    assert!(snapshot.progress.read_ahead.is_none());
}

#[test]
fn what_another_process_had_begun_goes_on() {
    let due = NOW + Duration::from_secs(2);
    let position = Progress { head_attempts: 2, next_attempt_at: Some(due), ..at(10) };
    let lane = lane_with(subscription(true, 1), position, 12);
    assert!(matches!(lane.endpoint.next(NOW), Next::Backlog(_, 10, _)));
    lane.took_backlog(page([11, 12], 12));
    assert!(matches!(lane.endpoint.next(NOW), Next::Wait(Some(until)) if until == due));
    assert_eq!(
        lane.endpoint.start(due).map(|started| (started.outgoing.event.seq, started.attempt)),
        Some((11, 3))
    );
}

#[test]
fn attempts_of_an_event_that_the_retention_dropped_count_for_no_other() {
    let position = Progress { head_attempts: 2, next_attempt_at: Some(NOW), ..at(10) };
    let lane = lane_with(subscription(true, 1), position, 12);
    assert!(matches!(lane.endpoint.next(NOW), Next::Backlog(_, 10, _)));
    lane.took_backlog(page([12], 12));
    assert_eq!(start(&lane), Some((12, 1)));
    assert_eq!(lane.snapshot().progress.head_attempts, 0);

    let position = Progress { head_attempts: 2, next_attempt_at: Some(NOW), ..at(10) };
    let lane = lane_with(subscription(true, 1), position, 12);
    assert_eq!(lane.snapshot().progress.head_attempts, 2, "nothing is known yet");
    lane.took_backlog(page([], 12));
    let progress = lane.snapshot().progress;
    assert_eq!((progress.cursor, progress.head_attempts, progress.next_attempt_at), (12, 0, None));
}

#[test]
fn a_full_lane_falls_behind_and_goes_live_when_it_meets_the_tail() {
    let lane = lane(0, 0);
    let full = i64::try_from(endpoint::LANE_QUEUE).unwrap();
    assert!((1..=full).all(|seq| offer(&lane, seq)));
    assert!(offer(&lane, full + 1), "it notes that it fell behind");
    lane.shard.will_offer(full + 2);
    assert!(!offer(&lane, full + 2), "the tail passes it by");
    assert_eq!(lane.endpoint.claim(), Claim::Claimed);
    let mut order = Vec::new();
    loop {
        match lane.endpoint.next(NOW) {
            Next::Attempt(_) => {
                let (seq, _) = start(&lane).unwrap();
                delivered(&lane, seq);
                order.push(seq);
            }
            Next::Backlog(_, read, _) if read < full + 2 => {
                let to = (read + 1).min(full + 2);
                lane.took_backlog(page([to], to));
            }
            Next::Backlog(..) => panic!("it has met the tail"),
            Next::Wait(_) | Next::Recall(..) | Next::Rest => break,
        }
    }
    assert!(offer(&lane, full + 3), "live again");
    order.extend(start(&lane).map(|(seq, _)| seq));
    assert_eq!(order, (1..=full + 3).collect::<Vec<_>>());
}

#[test]
fn a_paused_lane_keeps_its_place() {
    let lane = lane(10, 10);
    lane.shard.will_offer(20);
    lane.shard.has_offered(20);
    lane.update(subscription(false, 2));
    assert!(!offer(&lane, 21) && lane.endpoint.claim() == Claim::Nothing);
    assert_eq!((lane.snapshot().progress.cursor, lane.snapshot().progress.lagging), (20, true));
    lane.shard.will_offer(21);
    lane.update(subscription(true, 3));
    assert_eq!(lane.endpoint.claim(), Claim::Claimed);
    assert!(matches!(lane.endpoint.next(NOW), Next::Backlog(_, 20, _)));
    lane.not_read();
    lane.update(subscription(false, 2));
    assert!(matches!(lane.endpoint.next(NOW), Next::Backlog(_, 20, _)), "what is older changes nothing");
}

#[test]
fn an_event_is_either_read_or_offered() {
    let lane = lane(0, 3);
    assert!(!offer(&lane, 3), "it is behind");
    // The tail goes on while the lane reads.
    lane.shard.will_offer(4);
    lane.took_backlog(page([2], 3));
    assert!(!offer(&lane, 4), "it is behind still");
    lane.took_backlog(page([4], 4));
    assert!(!offer(&lane, 4), "it was read");
    assert!(offer(&lane, 5));
    assert_eq!((lane.snapshot().progress.cursor, lane.snapshot().progress.lagging), (1, true));
}

#[test]
fn order_per_record_lets_others_pass() {
    let lane = lane_with(per_record(3), at(0), 0);
    // 1, 11 and 21 are of one record.
    for seq in [1, 2, 11, 3, 12, 4].into_iter().collect::<std::collections::BTreeSet<_>>() {
        assert!(offer(&lane, seq));
    }
    let begun: Vec<_> = std::iter::from_fn(|| start(&lane).map(|(seq, _)| seq)).collect();
    assert_eq!(begun, [1, 2, 3], "three at a time");
    delivered(&lane, 2);
    let due = NOW + Duration::from_secs(2);
    assert_eq!(failed(&lane, 1, 1, due), None);
    delivered(&lane, 3);
    // 11 waits for 1, which waits for its next attempt; 12 does not.
    let begun: Vec<_> = std::iter::from_fn(|| start(&lane).map(|(seq, _)| seq)).collect();
    assert_eq!(begun, [4, 12]);
    delivered(&lane, 12);
    let owed = |seq, attempts, due| Owed { seq, attempts, due };
    let snapshot = lane.snapshot();
    assert_eq!(snapshot.progress.cursor, 0);
    let expected = vec![owed(1, 1, Some(due)), owed(4, 0, None), owed(11, 0, None)];
    assert_eq!(snapshot.progress.read_ahead, Some(ReadAhead { read: 12, owed: expected.clone() }));

    // Another process goes on from there.
    let position =
        Progress { read_ahead: Some(ReadAhead { read: 12, owed: expected }), head_attempts: 1, ..at(0) };
    let lane = lane_with(per_record(3), position, 12);
    assert!(!offer(&lane, 13), "first what it owes");
    assert_eq!(lane.snapshot().progress.cursor, 0);
    assert!(matches!(lane.endpoint.next(NOW), Next::Recall(_, seqs) if seqs == [1, 4, 11]));
    lane.recalled(vec![event(1), event(4), event(11)]);
    assert!(matches!(lane.endpoint.next(NOW), Next::Backlog(_, 12, _)));
    lane.took_backlog(page([], 12));
    assert!(offer(&lane, 13));
    assert_eq!(start(&lane), Some((4, 1)));
    assert_eq!(start(&lane), Some((13, 1)));
    assert_eq!(
        lane.endpoint.start(due).map(|started| (started.outgoing.event.seq, started.attempt)),
        Some((1, 2))
    );
    for seq in [1, 4, 13] {
        delivered(&lane, seq);
    }
    assert_eq!(start(&lane), Some((11, 1)));
    delivered(&lane, 11);
    let snapshot = lane.snapshot();
    assert_eq!(
        (snapshot.progress.cursor, snapshot.progress.lagging, snapshot.progress.read_ahead),
        (13, false, None)
    );
}

#[test]
fn what_is_to_be_skipped_is_not_attempted() {
    let lane = lane(0, 0);
    assert!((1..=3).all(|seq| offer(&lane, seq)));
    assert_eq!(start(&lane), Some((1, 1)));
    lane.update(Subscription { skip_to: 2, ..subscription(true, 2) });
    assert_eq!(lane.snapshot().progress.cursor, 2);
    assert_eq!(failed(&lane, 1, 1, NOW), None, "the attempt under way ends");
    assert_eq!(start(&lane), Some((3, 1)));
    lane.update(Subscription { skip_to: 9, ..subscription(true, 3) });
    delivered(&lane, 3);
    assert!(!offer(&lane, 9) && offer(&lane, 10));
}

#[test]
fn a_resumed_lane_begins_at_once_with_a_clean_slate() {
    let health = Health { undelivered_in_row: 19, ..Health::default() };
    let hold = NOW + Duration::from_secs(900);
    let position = Progress { next_attempt_at: Some(hold), health, ..at(1) };
    let lane = lane_with(subscription(false, 1), position, 1);
    lane.update(subscription(true, 2));
    lane.took_backlog(page([2], 2));
    assert_eq!(start(&lane), Some((2, 1)));
    assert_eq!(failed(&lane, 2, 4, NOW), Some(1));
}

/// Lanes of subscriptions 1, 2, … at one endpoint.
fn lanes<const N: usize>(offered: i64, subscriptions: [Subscription; N]) -> [Arc<Lane>; N] {
    let (endpoint, mut number) = (endpoint(offered), 0);
    subscriptions.map(|subscription| {
        number += 1;
        let id = SubscriptionId(Uuid::from_u128(number));
        lane_at(&endpoint, Subscription { id, ..subscription }, Progress { lagging: false, ..at(offered) })
    })
}

/// Begins all attempts that can begin: subscription and event of each.
fn begun(lane: &Lane) -> Vec<(u128, i64)> {
    let begin = || {
        matches!(lane.endpoint.next(NOW), Next::Attempt(_)).then_some(())?;
        let started = lane.endpoint.start(NOW)?;
        Some((started.lane.id.0.as_u128(), started.outgoing.event.seq))
    };
    std::iter::from_fn(begin).collect()
}

#[test]
fn an_endpoint_keeps_the_order_of_the_log_among_its_lanes() {
    let [one, two, three] = lanes(0, [subscription(true, 1), subscription(true, 1), subscription(true, 1)]);
    assert!(offer(&two, 1) && offer(&one, 2) && offer(&three, 2) && offer(&two, 3));
    assert_eq!(begun(&one), [(2, 1)]);
    assert_eq!(begun(&one), [], "the rest waits, whatever lane it is in");
    let due = NOW + Duration::from_secs(2);
    assert_eq!(failed(&two, 1, 1, due), None);
    assert!(matches!(one.endpoint.next(NOW), Next::Wait(Some(until)) if until == due));
    assert_eq!(one.endpoint.start(due).map(|started| started.attempt), Some(2));
    delivered(&two, 1);
    assert_eq!(begun(&one), [(1, 2)]);
    delivered(&one, 2);
    assert_eq!(begun(&one), [(3, 2)], "one event for two subscriptions, one after the other");
    delivered(&three, 2);
    assert_eq!(begun(&one), [(2, 3)]);
    assert_eq!(two.snapshot().progress.cursor, 2);
    assert_eq!((one.snapshot().progress.cursor, one.snapshot().progress.lagging), (2, false));
}

#[test]
fn nothing_passes_what_a_lane_that_is_behind_may_still_read() {
    let [one, two] = lanes(0, [subscription(true, 1), subscription(false, 1)]);
    one.shard.will_offer(5);
    assert!(offer(&one, 5));
    // Two missed something, and is resumed.
    two.update(Subscription { id: two.id, ..subscription(true, 2) });
    assert!(matches!(one.endpoint.next(NOW), Next::Backlog(lane, 0, _) if lane.id == two.id));
    assert!(matches!(one.endpoint.next(NOW), Next::Wait(None)), "it may read something older than 5");
    two.took_backlog(page([3], 4));
    assert!(matches!(one.endpoint.next(NOW), Next::Backlog(_, 4, _)), "it is behind still");
    assert_eq!(begun(&one), [(2, 3)], "nothing older than 3 can come");
    delivered(&two, 3);
    assert_eq!(begun(&one), [], "it may still read something older than 5");
    two.took_backlog(page([], 5));
    assert_eq!(begun(&one), [(1, 5)]);
}

#[test]
fn what_does_not_wait_for_a_paused_subscription_goes_on() {
    let [one, two] = lanes(0, [subscription(true, 1), subscription(true, 1)]);
    assert!(offer(&two, 1) && offer(&one, 2));
    two.update(Subscription { id: two.id, ..subscription(false, 2) });
    assert_eq!(begun(&one), [(1, 2)]);
    delivered(&one, 2);
    two.update(Subscription { id: two.id, ..subscription(true, 3) });
    assert!(matches!(one.endpoint.next(NOW), Next::Backlog(..)));
    two.took_backlog(page([], 0));
    assert_eq!(begun(&one), [(2, 1)]);
}

#[test]
fn an_endpoint_is_strict_if_one_of_its_subscriptions_is() {
    let [one, two, three] = lanes(0, [per_record(8), per_record(2), subscription(false, 1)]);
    // 1 and 11 are of one record.
    assert!(offer(&one, 1) && offer(&two, 2) && offer(&two, 3) && offer(&two, 11));
    assert_eq!(begun(&one), [(1, 1), (2, 2)], "no more at a time than each allows");
    delivered(&two, 2);
    assert_eq!(begun(&one), [(2, 3)]);
    delivered(&two, 3);
    assert_eq!(begun(&one), [], "11 waits for 1, which is in another lane");
    delivered(&one, 1);
    assert_eq!(begun(&one), [(2, 11)]);
    delivered(&two, 11);
    three.update(Subscription { id: three.id, ..subscription(true, 2) });
    assert!(matches!(one.endpoint.next(NOW), Next::Backlog(..)));
    three.took_backlog(page([], 11));
    assert!(offer(&one, 12) && offer(&two, 13));
    assert_eq!(begun(&one), [(1, 12)], "one after the other");
}

#[test]
fn a_pause_after_an_undelivered_event_is_the_endpoints() {
    let [one, two] = lanes(0, [subscription(true, 1), subscription(true, 1)]);
    assert!(offer(&one, 1) && offer(&two, 2));
    assert_eq!(begun(&one), [(1, 1)]);
    assert_eq!(failed(&one, 1, MAX_ATTEMPTS, NOW), Some(1));
    let hold = NOW + Duration::from_secs(30);
    assert!(matches!(one.endpoint.next(NOW), Next::Wait(Some(until)) if until == hold));
    assert_eq!(one.endpoint.start(hold).map(|started| started.lane.id), Some(two.id));
    assert_eq!(failed(&two, 2, MAX_ATTEMPTS, NOW), Some(1), "in a row are those of the subscription");
    assert!(offer(&one, 3));
    let hold = NOW + Duration::from_secs(60);
    assert!(
        matches!(one.endpoint.next(NOW), Next::Wait(Some(until)) if until == hold),
        "and the pause doubles"
    );
}

#[test]
fn a_lane_that_leaves_is_done_with_all_that_it_was_offered() {
    let lane = lane(10, 10);
    lane.shard.will_offer(20);
    lane.shard.has_offered(20);
    assert_eq!(lane.leave().unwrap().cursor, 20, "nothing up to there matched");
}

#[test]
fn a_lane_that_leaves_tells_how_far_it_was() {
    let [one, two] = lanes(0, [subscription(true, 1), subscription(true, 1)]);
    assert!(offer(&one, 1) && offer(&two, 2) && offer(&two, 3));
    assert_eq!(begun(&one), [(1, 1)]);
    let left = one.leave().unwrap();
    assert_eq!((left.cursor, left.lagging), (0, true));
    assert_eq!(one.snapshot().progress, left, "the recorder may still ask");
    assert!(one.subscription().is_none() && !offer(&one, 4));
    assert_eq!(begun(&two), [], "the attempt under way may end");
    delivered(&one, 1);
    assert_eq!(begun(&two), [(2, 2)]);
}
