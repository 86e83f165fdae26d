// The way to the server: its address, the requests, and what its refusals become in n8n.
import { NodeApiError, NodeOperationError } from 'n8n-workflow';
import type {
  IDataObject,
  IExecuteFunctions,
  IHookFunctions,
  IHttpRequestMethods,
  ILoadOptionsFunctions,
  JsonObject,
} from 'n8n-workflow';

export const CREDENTIAL = 'isaoApi';

const API_PATH = '/api/external';

/** The most records that the server lists at once. */
const PAGE_SIZE = 200;

export type Context = IExecuteFunctions | IHookFunctions | ILoadOptionsFunctions;

export interface Query {
  [parameter: string]: string | number | boolean;
}

export interface Call {
  method?: IHttpRequestMethods;
  path: string;
  query?: Query;
  body?: IDataObject;
  itemIndex?: number;
}

/** The body of an answer. */
export interface Answer {
  data?: unknown;
  meta?: { nextCursor?: string; hasMore?: boolean };
  message?: string;
  error?: string;
  code?: string;
  details?: { fields?: Record<string, unknown>; existingId?: string };
}

export interface Response {
  status: number;
  headers: Record<string, string>;
  body: Answer;
}

/** The URL of a route, from the Base URL as the user entered it. */
export function apiUrl(baseUrl: string, path: string): string {
  const base = baseUrl.trim().replace(/\/+$/, '');
  return (base.endsWith(API_PATH) ? base.slice(0, -API_PATH.length) : base) + API_PATH + path;
}

/** One part of a path. */
export const segment = (value: unknown) => encodeURIComponent(String(value));

/** Sends a request and returns the answer, whatever its status is. */
export async function send(context: Context, call: Call): Promise<Response> {
  const { method = 'GET', path, query, body, itemIndex } = call;
  const { baseUrl } = await context.getCredentials<{ baseUrl: string }>(CREDENTIAL, itemIndex);
  let response;
  try {
    response = await context.helpers.httpRequestWithAuthentication.call(context, CREDENTIAL, {
      method,
      url: apiUrl(baseUrl, path),
      qs: query,
      body,
      json: true,
      // A redirected POST would become a GET.
      disableFollowRedirect: true,
      ignoreHttpStatusErrors: true,
      returnFullResponse: true,
    });
  } catch (error) {
    throw new NodeApiError(context.getNode(), error as JsonObject, { itemIndex });
  }
  const answer = response.body && typeof response.body === 'object' ? response.body : {};
  return { status: response.statusCode, headers: response.headers, body: answer };
}

/** The error that says why the server refused: its message, and every bad field. */
export function refusal(context: Context, { status, headers, body }: Response, itemIndex?: number): NodeApiError {
  if (status >= 300 && status < 400) {
    return new NodeApiError(context.getNode(), body as JsonObject, {
      message: `The server redirects to ${headers.location ?? 'another address'}`,
      description: 'Enter the address without redirects as Base URL of the credential.',
      httpCode: String(status),
      itemIndex,
    });
  }
  const fields = Object.entries(body.details?.fields ?? {}).map(
    ([field, problem]) => `${field}: ${[problem].flat().join(' ')}`,
  );
  const requestId = headers['x-request-id'];
  if (status >= 500 && requestId) fields.push(`Request id: ${requestId}`);
  return new NodeApiError(context.getNode(), body as JsonObject, {
    message: body.message ?? body.error ?? `The server answered with status ${status}`,
    description: fields.join('\n') || body.error,
    httpCode: String(status),
    itemIndex,
  });
}

/** Sends a request that must succeed. */
export async function request(context: Context, call: Call): Promise<Answer> {
  const response = await send(context, call);
  if (response.status >= 300) throw refusal(context, response, call.itemIndex);
  return response.body;
}

/** Lists up to `limit` records, page by page. */
export async function list(context: Context, call: Call, limit = Infinity): Promise<IDataObject[]> {
  const found: IDataObject[] = [];
  let cursor: string | undefined;
  do {
    const query: Query = { ...call.query, limit: Math.min(PAGE_SIZE, limit - found.length) };
    if (cursor) query.cursor = cursor;
    const answer = await request(context, { ...call, query });
    found.push(...(answer.data as IDataObject[]));
    if (answer.meta?.nextCursor !== undefined && answer.meta.nextCursor === cursor) {
      throw new NodeOperationError(context.getNode(), 'The server gave the same page twice', call);
    }
    cursor = answer.meta?.nextCursor;
  } while (cursor && found.length < limit);
  return found;
}
