import { Webhook } from 'standardwebhooks';

import type { components } from './schema.js';

/** An event as it is delivered. `event` is its type and decides what `data` is. */
export type WebhookEvent = components['schemas']['Event'];
/** What can happen to a record. */
export type EventType = WebhookEvent['event'];
/** The event of one type: `EventOf<'deal.won'>`. */
export type EventOf<T extends EventType> = Extract<WebhookEvent, { event: T }>;

/** The headers of a request: those of `fetch`, or those of Node.js. */
export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>;

/** The request is not a delivery of somebody who knows the secret, or is too old. Answer with 400. */
export class WebhookVerificationError extends Error {
  override readonly name = 'WebhookVerificationError';
}

/**
 * Returns the event of a delivery once its signature is verified.
 *
 * `body` must be the bytes of the request as they were received: JSON that was parsed and written again
 * has another signature. `secret` is the `whsec_…` of the subscription. A delivery whose timestamp differs
 * by more than five minutes from the clock is refused.
 *
 * @throws {WebhookVerificationError} if the delivery cannot be trusted
 */
export function verify(body: string | Uint8Array, headers: WebhookHeaders, secret: string): WebhookEvent {
  const webhook = new Webhook(secret);
  const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { ignoreBOM: true }).decode(body);
  let event: unknown;
  try {
    event = webhook.verify(text, plain(headers));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new WebhookVerificationError(`The delivery is not authentic: ${reason}`, { cause: error });
  }
  if (!isEvent(event)) throw new WebhookVerificationError('The body is not an event');
  return event;
}

function plain(headers: WebhookHeaders): Record<string, string> {
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers);
  return Object.fromEntries(
    entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, [value].flat().join(' ')]])),
  );
}

function isEvent(value: unknown): value is WebhookEvent {
  return typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string' && 'data' in value;
}
