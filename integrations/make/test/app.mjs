// The app as its files are, and a stand-in for Make that runs it.
import { readFileSync } from 'node:fs';
import { evaluate } from './iml.mjs';

const APP = new URL('../app/', import.meta.url);

export const text = (path) => readFileSync(new URL(path, APP), 'utf8');
export const read = (path) => JSON.parse(text(path));

export const manifest = read('makecomapp.json');
export const base = read(manifest.generalCodeFiles.base);

/** A code of a component, as the attach of a webhook. */
export const code = (type, id, name) => read(manifest.components[type][id].codeFiles[name]);

/** What a scenario's log shows of a refused request. */
export class MakeError extends Error {
  constructor(type, message, status) {
    super(message);
    Object.assign(this, { type, status });
  }
}

/** Sends one request of the app; the answer, in the context of the rest of its evaluation. */
async function send(request, context) {
  const url = evaluate(request.url, context);
  const target = new URL(url.startsWith('/') ? evaluate(base.baseUrl, context) + url : url);
  for (const [key, value] of Object.entries(evaluate(request.qs ?? {}, context))) {
    if (value !== undefined && value !== null) target.searchParams.set(key, value);
  }
  const ofBase = url.startsWith('/') ? base : {};
  const body = request.body && evaluate(request.body, context);
  const response = await fetch(target, {
    method: request.method ?? 'GET',
    headers: { ...evaluate({ ...ofBase.headers, ...request.headers }, context), 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    redirect: 'manual',
  });
  const answer = { ...context, body: await response.json(), statusCode: response.status };
  if (!response.ok) {
    const error = request.response?.error ?? ofBase.response?.error;
    const { type = error.type, message } = error[response.status] ?? error;
    throw new MakeError(type, evaluate(message, answer), response.status);
  }
  return answer;
}

/** Runs a request of the app: its output, or its outputs if it iterates. */
export async function run(request, context) {
  const { iterate, output, limit } = request.response ?? {};
  if (!iterate) {
    const answer = await send(request, context);
    return { output: evaluate(output, answer), data: evaluate(request.response?.data ?? {}, answer), answer };
  }
  const items = [];
  const most = limit === undefined ? Infinity : evaluate(limit, context);
  let page = request;
  for (;;) {
    const answer = await send(page, context);
    for (const item of evaluate(iterate, answer)) items.push(evaluate(output, { ...answer, item }));
    const { condition, qs } = request.pagination ?? {};
    if (items.length >= most || !condition || !evaluate(condition, answer)) return { output: items.slice(0, most) };
    page = { ...request, qs: { ...request.qs, ...evaluate(qs, answer) } };
  }
}
