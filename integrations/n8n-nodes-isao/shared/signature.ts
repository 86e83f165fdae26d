// Signatures by Standard Webhooks (https://www.standardwebhooks.com).
import { createHmac, timingSafeEqual } from 'node:crypto';

/** How far the timestamp of a delivery may be from the clock of n8n. */
const MAX_SKEW_SECONDS = 5 * 60;

const SECRET_PREFIX = 'whsec_';

type Headers = Record<string, string | string[] | undefined>;

/** Why a delivery was not signed with any of the secrets, or undefined if it was. */
export function signatureProblem(
  headers: Headers,
  body: Buffer | undefined,
  secrets: string[],
  now: Date,
): string | undefined {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (secrets.length === 0) {
    return 'the secret of the subscription is not known';
  }
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') {
    return 'its signature is missing';
  }
  if (!body) {
    return 'its body is not available as it was sent';
  }
  const skew = Math.abs(now.getTime() / 1000 - Number(timestamp));
  if (!/^\d+$/.test(timestamp) || skew > MAX_SKEW_SECONDS) {
    return 'its timestamp is too old or in the future';
  }
  const expected = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
    return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  });
  // While a secret is rotated, a delivery has the signatures of both secrets.
  const genuine = signatures.split(' ').some((signature) => {
    const [version, value] = signature.split(',', 2);
    const given = Buffer.from(value ?? '', 'base64');
    return (
      version === 'v1' && expected.some((digest) => given.length === digest.length && timingSafeEqual(given, digest))
    );
  });
  return genuine ? undefined : 'its signature is not that of this subscription';
}
