use uuid::Uuid;

use super::endpoint::LANE_BYTES;
use super::tests::{NOW, at, delivered, endpoint, event, lane, lane_at, start, subscription};
use super::*;
use crate::delivery::outgoing::Size;

/// An event that takes this part of what a lane may keep.
fn large(seq: i64, part: usize) -> Arc<Outgoing> {
    let mut event = Arc::unwrap_or_clone(event(seq));
    event.data = "x".repeat(LANE_BYTES / part / 2 - 512);
    Outgoing::new(Arc::new(event))
}

fn large_page(seqs: impl IntoIterator<Item = i64>, part: usize, to: i64) -> Backlogged {
    Backlogged { events: seqs.into_iter().map(|seq| large(seq, part)).collect(), read_to: to }
}

/// The room with which the lane reads its backlog, if it does.
fn reads(lane: &Lane) -> Option<Size> {
    match lane.endpoint.next(NOW) {
        Next::Backlog(_, _, room) => Some(room),
        _ => None,
    }
}

#[test]
fn a_lane_that_is_full_of_bytes_falls_behind_and_catches_up() {
    let lane = lane(0, 0);
    for seq in 1..=4 {
        assert!(lane.offer(&large(seq, 4)));
    }
    assert!(lane.offer(&large(5, 4)), "it falls behind");
    assert!(!lane.offer(&large(6, 4)), "it is behind");
    assert!(lane.snapshot().progress.lagging);
    lane.shard.will_offer(6);
    for seq in 1..=2 {
        assert_eq!(reads(&lane), None, "it is more than half full");
        assert_eq!(start(&lane), Some((seq, 1)));
        delivered(&lane, seq);
    }
    let room = reads(&lane).unwrap();
    assert!((LANE_BYTES / 2..LANE_BYTES).contains(&room.bytes), "{room:?}");
    lane.took_backlog(large_page([5, 6], 4, 6));
    for seq in 3..=6 {
        assert_eq!(start(&lane), Some((seq, 1)));
        delivered(&lane, seq);
    }
    assert_eq!(lane.snapshot().progress.cursor, 6);
    assert!(lane.offer(&large(7, 4)), "it is live again");
    assert_eq!(start(&lane), Some((7, 1)));
}

#[test]
fn an_event_that_is_larger_than_a_lane_is_admitted_alone() {
    let lane = lane(0, 0);
    let event = |seq| {
        let mut event = Arc::unwrap_or_clone(event(seq));
        event.data = "x".repeat(2 * LANE_BYTES);
        Outgoing::new(Arc::new(event))
    };
    assert!(lane.offer(&event(1)) && lane.offer(&event(2)));
    lane.shard.will_offer(2);
    assert_eq!(reads(&lane), None, "it is full");
    assert_eq!(start(&lane), Some((1, 1)));
    delivered(&lane, 1);
    assert!(reads(&lane).is_some());
    lane.took_backlog(Backlogged { events: vec![event(2)], read_to: 2 });
    assert_eq!(start(&lane), Some((2, 1)));
}

#[test]
fn what_is_skipped_takes_no_room() {
    let lane = lane(0, 0);
    for seq in 1..=4 {
        assert!(lane.offer(&large(seq, 4)));
    }
    lane.update(Subscription { skip_to: 4, ..subscription(true, 2) });
    for seq in 5..=8 {
        assert!(lane.offer(&large(seq, 4)));
    }
    assert_eq!(start(&lane), Some((5, 1)));
    assert_eq!(reads(&lane), None, "it is live");
}

#[test]
fn many_lanes_of_an_endpoint_share_its_bytes() {
    let endpoint = endpoint(0);
    let lanes: Vec<_> = (0..64)
        .map(|number| {
            let id = SubscriptionId(Uuid::from_u128(number));
            lane_at(&endpoint, Subscription { id, ..subscription(true, 1) }, at(0))
        })
        .collect();
    // Each may keep a quarter of what one alone may.
    for lane in &lanes {
        assert!(lane.offer(&large(1, 8)) && lane.offer(&large(2, 8)));
        assert!(lane.offer(&large(3, 8)), "it falls behind");
        assert!(!lane.offer(&large(4, 8)), "it is behind");
    }
}
