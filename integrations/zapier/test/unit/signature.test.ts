import { describe, expect, test } from 'vitest';
import type { Bundle } from 'zapier-platform-core';
import { signatureProblem } from '../../src/signature.js';

// The example of the Standard Webhooks specification's libraries.
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const TIMESTAMP = 1614265330;
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const BODY = '{"test": 2432232314}';

const at = (seconds: number) => new Date((TIMESTAMP + seconds) * 1000);

const bundle = (headers: Record<string, string> = {}, content: string | undefined = BODY) =>
  ({
    rawRequest: {
      headers: {
        'Http-Webhook-Id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
        'Http-Webhook-Timestamp': String(TIMESTAMP),
        'Http-Webhook-Signature': SIGNATURE,
        ...headers,
      },
      content,
    },
  }) as unknown as Bundle;

describe('a signature', () => {
  test('of the specification is right', () => {
    expect(signatureProblem(bundle(), SECRET, at(0))).toBeUndefined();
  });

  test('may be one of several', () => {
    const headers = { 'Http-Webhook-Signature': `v1,AAAA v1a,AAAA ${SIGNATURE}` };
    expect(signatureProblem(bundle(headers), SECRET, at(0))).toBeUndefined();
  });

  test.each(['v1,', 'v1', 'v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'v1,AAAA', ','])('%j is wrong', (value) => {
    const headers = { 'Http-Webhook-Signature': value };
    expect(signatureProblem(bundle(headers), SECRET, at(0))).toContain('not that of this subscription');
  });

  test('of another body, id, time or secret is wrong', () => {
    const wrong = 'not that of this subscription';
    expect(signatureProblem(bundle({}, `${BODY} `), SECRET, at(0))).toContain(wrong);
    expect(signatureProblem(bundle({ 'Http-Webhook-Id': 'msg_other' }), SECRET, at(0))).toContain(wrong);
    expect(signatureProblem(bundle({ 'Http-Webhook-Timestamp': String(TIMESTAMP + 1) }), SECRET, at(0))).toContain(wrong);
    expect(signatureProblem(bundle(), 'whsec_AAAA', at(0))).toContain(wrong);
  });

  test.each(['Http-Webhook-Id', 'Http-Webhook-Timestamp', 'Http-Webhook-Signature'])('without %s is missing', (name) => {
    expect(signatureProblem(bundle({ [name]: '' }), SECRET, at(0))).toContain('missing');
  });

  test('without the request is missing', () => {
    expect(signatureProblem({} as Bundle, SECRET, at(0))).toContain('missing');
  });

  test('holds for a day, which Zapier may take, and for clocks that differ', () => {
    expect(signatureProblem(bundle(), SECRET, at(24 * 3600))).toBeUndefined();
    expect(signatureProblem(bundle(), SECRET, at(24 * 3600 + 1))).toContain('too old');
    expect(signatureProblem(bundle(), SECRET, at(-300))).toBeUndefined();
    expect(signatureProblem(bundle(), SECRET, at(-301))).toContain('future');
    expect(signatureProblem(bundle({ 'Http-Webhook-Timestamp': 'NaN' }), SECRET, at(0))).toContain('timestamp');
  });

  test.each(['webhook-id', 'HTTP_WEBHOOK_ID', 'Webhook-Id'])('is found under a name such as %s', (name) => {
    const { rawRequest } = bundle();
    const { 'Http-Webhook-Id': id, ...others } = rawRequest!.headers!;
    const renamed = { rawRequest: { ...rawRequest, headers: { ...others, [name]: id! } } } as unknown as Bundle;
    expect(signatureProblem(renamed, SECRET, at(0))).toBeUndefined();
  });
});
