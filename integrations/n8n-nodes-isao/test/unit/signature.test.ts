import { describe, expect, test } from 'vitest';
import { signatureProblem } from '../../shared/signature';

// The example of the Standard Webhooks specification's libraries.
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const TIMESTAMP = 1614265330;
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const BODY = '{"test": 2432232314}';

function problem({ headers = {}, body = Buffer.from(BODY) as Buffer | undefined, secrets = [SECRET], seconds = 0 } = {}) {
  return signatureProblem(
    {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': String(TIMESTAMP),
      'webhook-signature': SIGNATURE,
      ...headers,
    },
    body,
    secrets,
    new Date((TIMESTAMP + seconds) * 1000),
  );
}

describe('a signature', () => {
  test('of the specification is right', () => {
    expect(problem()).toBeUndefined();
  });

  test('may be one of several, with one of several secrets', () => {
    const headers = { 'webhook-signature': `v1,AAAA v1a,AAAA ${SIGNATURE}` };
    expect(problem({ headers, secrets: ['whsec_AAAA', SECRET] })).toBeUndefined();
  });

  test.each(['v1,', 'v1', 'v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'v1,AAAA', ','])('%j is wrong', (value) => {
    expect(problem({ headers: { 'webhook-signature': value } })).toContain('not that of this subscription');
  });

  test('of another body, id, time or secret is wrong', () => {
    const wrong = 'not that of this subscription';
    expect(problem({ body: Buffer.from(`${BODY} `) })).toContain(wrong);
    expect(problem({ headers: { 'webhook-id': 'msg_other' } })).toContain(wrong);
    expect(problem({ headers: { 'webhook-timestamp': String(TIMESTAMP + 1) } })).toContain(wrong);
    expect(problem({ secrets: ['whsec_AAAA'] })).toContain(wrong);
  });

  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('without %s is missing', (name) => {
    expect(problem({ headers: { [name]: undefined } })).toContain('missing');
  });

  test('is refused where no secret is known', () => {
    expect(problem({ secrets: [] })).toContain('not known');
  });

  test('is refused where the body is not there as it was sent', () => {
    const headers = { 'webhook-id': 'x', 'webhook-timestamp': '1', 'webhook-signature': 'x' };
    expect(signatureProblem(headers, undefined, [SECRET], new Date(1000))).toContain('body');
  });

  test('holds for five minutes either way', () => {
    expect(problem({ seconds: 300 })).toBeUndefined();
    expect(problem({ seconds: -300 })).toBeUndefined();
    expect(problem({ seconds: 301 })).toContain('too old');
    expect(problem({ seconds: -301 })).toContain('future');
    expect(problem({ headers: { 'webhook-timestamp': 'NaN' } })).toContain('timestamp');
  });
});
