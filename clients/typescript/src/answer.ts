import type { components } from './schema.js';

/** The body of every error. */
export type ErrorBody = components['schemas']['Error'];
/** The closed list of `code` values. */
export type ErrorCode = components['schemas']['Code'];

/** An answer of the server other than 2xx. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** The HTTP status. */
  readonly status: number;
  /** The kind of error; absent if the answer is not one of isao's, such as that of a proxy. */
  readonly code: ErrorCode | undefined;
  /** The whole error; absent likewise. */
  readonly body: ErrorBody | undefined;
  /** `X-Request-Id`, to quote when asking for help. */
  readonly requestId: string | undefined;

  constructor(response: Response, error: unknown) {
    const body = isErrorBody(error) ? error : undefined;
    super(body ? `${body.error}: ${body.message}` : `The server answered ${response.status}`);
    this.status = response.status;
    this.code = body?.code;
    this.body = body;
    this.requestId = response.headers.get('x-request-id') ?? undefined;
  }
}

function isErrorBody(error: unknown): error is ErrorBody {
  return typeof error === 'object' && error !== null && 'code' in error && 'message' in error;
}

/** What a method of the client returns. */
interface Answer {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** Returns the body of a successful answer; throws an {@link ApiError} for any other. */
export async function unwrap<A extends Answer>(answer: A | Promise<A>): Promise<Exclude<A['data'], undefined>> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new ApiError(response, error);
  return data as Exclude<A['data'], undefined>;
}
