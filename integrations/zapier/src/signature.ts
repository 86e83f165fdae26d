// Signatures by Standard Webhooks (https://www.standardwebhooks.com).
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Bundle } from 'zapier-platform-core';

/** Zapier queues deliveries while it is busy, so it may look at one long after it arrived. */
const MAX_AGE_SECONDS = 24 * 60 * 60;
/** How far the clock of the server may be ahead. */
const MAX_AHEAD_SECONDS = 5 * 60;

const SECRET_PREFIX = 'whsec_';

/** A header of the delivery; Zapier writes its name as `Http-Webhook-Id`. */
function header(bundle: Bundle, name: string): string | undefined {
  for (const [key, value] of Object.entries(bundle.rawRequest?.headers ?? {})) {
    if (key.toLowerCase().replace(/_/g, '-').replace(/^http-/, '') === name) return value;
  }
  return undefined;
}

/** Why the delivery in `bundle` was not signed with `secret`, or undefined if it was. */
export function signatureProblem(bundle: Bundle, secret: string, now: Date): string | undefined {
  const id = header(bundle, 'webhook-id');
  const timestamp = header(bundle, 'webhook-timestamp');
  const signatures = header(bundle, 'webhook-signature');
  const body = bundle.rawRequest?.content;
  if (!id || !timestamp || !signatures || typeof body !== 'string') {
    return 'its signature is missing';
  }
  const age = Math.floor(now.getTime() / 1000) - Number(timestamp);
  if (!/^\d+$/.test(timestamp) || age > MAX_AGE_SECONDS || age < -MAX_AHEAD_SECONDS) {
    return 'its timestamp is too old or in the future';
  }
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest();
  // While a secret is rotated, a delivery has the signatures of both secrets.
  const genuine = signatures.split(' ').some((signature) => {
    const [version, value] = signature.split(',', 2);
    const given = Buffer.from(value ?? '', 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
  return genuine ? undefined : 'its signature is not that of this subscription';
}
