// A small evaluator of Make's IML, as far as this app uses it: references, text, numbers and a few
// functions. What it does not know is an error, so that the app stays within it.

const FUNCTIONS = {
  if: (condition, yes, no) => (condition ? yes : no),
  join: (list, separator) => list.join(separator),
  map: (list, key) => list.map((item) => item[key]),
  omit: (collection, ...keys) => Object.fromEntries(Object.entries(collection).filter(([key]) => !keys.includes(key))),
  toArray: (collection) => Object.entries(collection ?? {}).map(([key, value]) => ({ key, value })),
};

const TOKEN = /\s*(?:"([^"]*)"|(\d+(?:\.\d+)?)|([A-Za-z_][\w.]*)|([(),]))/y;

function tokens(source) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (!match) throw new Error(`cannot read "${source.slice(at)}" in {{${source}}}`);
    const [, text, number, name, mark] = match;
    if (text !== undefined) found.push({ value: text });
    else if (number !== undefined) found.push({ value: Number(number) });
    else found.push(name !== undefined ? { name } : { mark });
  }
  return found;
}

/** The value of an expression: what stands between the braces. */
export function expression(source, context) {
  const rest = tokens(source);
  const next = (mark) => {
    if (rest[0]?.mark !== mark) return false;
    rest.shift();
    return true;
  };
  const value = () => {
    const token = rest.shift();
    if (!token || token.mark) throw new Error(`a value is missing in {{${source}}}`);
    if (!token.name) return token.value;
    if (next('(')) {
      const implementation = FUNCTIONS[token.name];
      if (!implementation) throw new Error(`the evaluator has no function ${token.name}`);
      const parameters = [];
      while (!next(')')) {
        if (parameters.length > 0 && !next(',')) throw new Error(`a comma is missing in {{${source}}}`);
        parameters.push(value());
      }
      return implementation(...parameters);
    }
    if (['true', 'false', 'null'].includes(token.name)) return JSON.parse(token.name);
    const [root, ...path] = token.name.split('.');
    if (!(root in context)) throw new Error(`there is no ${root} here: {{${source}}}`);
    return path.reduce((at, key) => at?.[key], context[root]);
  };
  const result = value();
  if (rest.length > 0) throw new Error(`too much in {{${source}}}`);
  return result;
}

/** All expressions in a value, however deep. */
export const expressionsIn = (value) =>
  typeof value === 'string'
    ? [...value.matchAll(/\{\{(.*?)\}\}/g)].map(([, source]) => source)
    : value && typeof value === 'object'
      ? Object.values(value).flatMap(expressionsIn)
      : [];

/** A value with its expressions evaluated. Text that is one expression becomes its value. */
export function evaluate(value, context) {
  if (typeof value === 'string') {
    const whole = /^\{\{(.*?)\}\}$/.exec(value);
    if (whole) return expression(whole[1], context);
    return value.replace(/\{\{(.*?)\}\}/g, (_match, source) => String(expression(source, context) ?? ''));
  }
  if (Array.isArray(value)) return value.map((item) => evaluate(item, context));
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, evaluate(item, context)]));
  }
  return value;
}
