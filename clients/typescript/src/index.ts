export { ApiError, unwrap } from './answer.js';
export type { ErrorBody, ErrorCode } from './answer.js';
export { createClient } from './client.js';
export type { Client, ClientOptions } from './client.js';
export { verify, WebhookVerificationError } from './webhooks.js';
export type { EventOf, EventType, WebhookEvent, WebhookHeaders } from './webhooks.js';
export type { components, operations, paths } from './schema.js';
