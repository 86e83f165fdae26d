//! The tag of a subscription. It tells the states of its definition apart, and stays the same while
//! its deliveries go well or badly.

use crate::http::error::ApiError;
use crate::model::etag::ETag;
use crate::subscription::Subscription;
use crate::writer::Answer;

/// The tag of a subscription.
///
/// The values of its headers count, although nobody is shown them: with the secret, which nobody can
/// guess, they cannot be found out from the tag. Secrets of before do not count, because they end by
/// themselves.
pub(super) fn etag(subscription: &Subscription) -> ETag {
    let Subscription { id, events, target, filters, secrets, headers, status, ordering, .. } = subscription;
    let include: Vec<_> = subscription.include.words().into_iter().map(|word| word.word()).collect();
    let ignored = subscription.ignored_actor.map(|actor| actor.to_string()).unwrap_or_default();
    ETag::of(&[
        &id.to_string(),
        secrets.current.reveal(),
        &events.to_string(),
        target.as_str(),
        &filters.canonical(),
        &headers.to_json(),
        &include.join(","),
        &ignored,
        status.word(),
        subscription.status_reason.as_deref().unwrap_or_default(),
        ordering.word().word(),
        &ordering.concurrency().to_string(),
        &subscription.updated_at.timestamp_millis().to_string(),
    ])
}

/// An answer that shows the subscription as it is now, with its tag.
pub(super) fn tagged(
    answer: Result<Answer, ApiError>,
    subscription: &Subscription,
) -> Result<Answer, ApiError> {
    Ok(Answer { etag: Some(etag(subscription)), ..answer? })
}
