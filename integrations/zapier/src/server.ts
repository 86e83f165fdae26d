// The way to the server: its address, the key of each request, and what its errors become in a Zap.
import { errors } from 'zapier-platform-core';
import type {
  AfterResponseMiddleware,
  BeforeRequestMiddleware,
  Bundle,
  HttpResponse,
} from 'zapier-platform-core';

const API_PATH = '/api/external';

/** The address of a server, from what the user entered: no path of the API, no trailing slash. */
export function serverUrl(entered: string | undefined): string {
  const text = (entered ?? '').trim();
  const invalid = (why: string) =>
    new errors.Error(
      `The Base URL "${text}" ${why}. Enter the address of your ISAO server, such as https://isao.example.com.`,
      'INVALID_BASE_URL',
      400,
    );
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid('is not a complete address with https:// or http://');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw invalid('does not begin with https:// or http://');
  }
  if (url.username || url.password) {
    throw invalid('must not contain a user name or password');
  }
  if (url.search || url.hash) {
    throw invalid('must end with the path: no "?" and no "#"');
  }
  const path = url.pathname.replace(/\/+$/, '');
  return url.origin + (path.endsWith(API_PATH) ? path.slice(0, -API_PATH.length) : path);
}

/** The URL of a route of the API. Each `parameter` is one part of the path. */
export function apiUrl(bundle: Bundle<any>, route: string, ...parameters: unknown[]): string {
  const path = [route, ...parameters.map((parameter) => encodeURIComponent(String(parameter)))].join('/');
  return serverUrl(bundle.authData.base_url) + API_PATH + path;
}

/** Adds the API key to every request. */
export const addApiKey: BeforeRequestMiddleware = (request, _z, bundle) => {
  if (bundle.authData?.api_key) {
    request.headers = { ...request.headers, Authorization: `Bearer ${bundle.authData.api_key.trim()}` };
  }
  // A redirected POST would become a GET, and the Zap would go on without its record.
  request.redirect = 'manual';
  return request;
};

interface ErrorBody {
  error?: string;
  message?: string;
  code?: string;
  details?: { fields?: Record<string, unknown>; [detail: string]: unknown };
}

/** What the server says about its refusal, with every bad field. */
function explanation(response: HttpResponse): string {
  const body: ErrorBody = response.data && typeof response.data === 'object' ? response.data : {};
  const lines = [body.message ?? body.error ?? `The server answered with status ${response.status}.`];
  for (const [field, problem] of Object.entries(body.details?.fields ?? {})) {
    const line = `${field}: ${[problem].flat().join(' ')}`;
    if (!lines[0]!.includes(line)) lines.push(line);
  }
  const requestId = response.getHeader('x-request-id');
  if (response.status >= 500 && requestId) lines.push(`Request id: ${requestId}`);
  return lines.join('\n');
}

/** Throws an error that a user understands if the answer is not a success. */
export function throwIfRefused(response: HttpResponse): void {
  const { status } = response;
  if (status < 300) return;
  if (status < 400) {
    const location = response.getHeader('location');
    throw new errors.Error(
      `The server redirects to ${location ?? 'another address'}. Enter the address without redirects as Base URL.`,
      'REDIRECTED',
      status,
    );
  }
  const text = explanation(response);
  const code = response.data?.code;
  if (status === 401) throw new errors.ExpiredAuthError(text);
  // Twins are to be expected. A Zap that meets many is stopped for that run, not turned off.
  if (code === 'ALREADY_EXISTS') throw new errors.HaltedError(text);
  // A request that the server was too busy to begin can be sent again.
  if (code === 'OVERLOADED') {
    throw new errors.ThrottledError(text, Number(response.getHeader('retry-after')) || undefined);
  }
  throw new errors.Error(text, code ?? 'SERVER_ERROR', status);
}

/** Explains refusals, unless the caller looks at the status. Zapier itself handles 429. */
export const explainErrors: AfterResponseMiddleware = (response) => {
  if (!response.skipThrowForStatus) throwIfRefused(response);
  return response;
};
