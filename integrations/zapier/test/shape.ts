// Compares records with the output fields that a definition promises.

type Item = Record<string, any>;

/** The values of a record by the keys of output fields: `contact__name`, `openValue[]currency`. */
export function flattened(item: Item, prefix = ''): Item {
  const flat: Item = {};
  for (const [key, value] of Object.entries(item)) {
    if (Array.isArray(value) && value[0] && typeof value[0] === 'object') {
      Object.assign(flat, flattened(value[0], `${prefix}${key}[]`));
    } else if (value && typeof value === 'object' && !Array.isArray(value)) {
      Object.assign(flat, flattened(value, `${prefix}${key}__`));
    } else {
      flat[prefix + key] = value;
    }
  }
  return flat;
}

const ISO_WITH_ZONE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function fits(value: unknown, type: string): boolean {
  if (type === 'number') return typeof value === 'number';
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'datetime') return typeof value === 'string' && ISO_WITH_ZONE.test(value);
  return typeof value === 'string';
}

/** What in `item` is not as `outputFields` say: missing and unknown keys, and values of other types. */
export function differences(item: Item, outputFields: Item[]): string[] {
  const flat = flattened(item);
  const found: string[] = [];
  for (const { key, type, list } of outputFields) {
    const value = flat[key];
    delete flat[key];
    if (value === undefined) {
      // The fields of an object that is null are not there.
      const parent = key.split('__')[0];
      if (!(key.includes('__') && item[parent] === null)) found.push(`${key} is missing`);
    } else if (list) {
      if (!Array.isArray(value) || !value.every((one) => fits(one, type))) found.push(`${key} is not a list of ${type}`);
    } else if (value !== null && !fits(value, type)) {
      found.push(`${key} is not of type ${type}: ${JSON.stringify(value)}`);
    }
  }
  const objects = new Set(outputFields.map(({ key }) => key.split('__')[0]));
  for (const [key, value] of Object.entries(flat)) {
    if (!(value === null && objects.has(key))) found.push(`${key} has no output field`);
  }
  return found;
}
