// Fields of the catalogue as Zapier shows them.
import type { PlainInputField, PlainOutputField } from 'zapier-platform-core';
import type { Field } from './catalogue.js';

const LABELS: Record<string, string> = {
  id: 'ID',
  contactId: 'Contact',
  assignedToId: 'Assigned To',
};

/** `phoneNumber` as "Phone Number". */
export const labelOf = (key: string): string =>
  LABELS[key] ?? key.replace(/^./, (letter) => letter.toUpperCase()).replace(/[A-Z]/g, ' $&').trim();

const choicesOf = (values: string[]) => Object.fromEntries(values.map((value) => [value, labelOf(value)]));

/** The fields that together tell two items of a trigger apart. */
export type PrimaryKey = 'id' | 'updatedAt';

/** The fields of a record; those of an object within it are named as `contact__name`. */
export function outputFields(fields: Field[], primary: PrimaryKey[] = ['id']): PlainOutputField[] {
  return fields.flatMap((field) => {
    if (field.fields) {
      const label = labelOf(field.key);
      return outputFields(field.fields, []).map((inner) => ({
        ...inner,
        key: `${field.key}__${inner.key}`,
        label: `${label} ${inner.label}`,
      }));
    }
    return [
      {
        key: field.key,
        label: labelOf(field.key),
        type: field.type as PlainOutputField['type'],
        ...(field.list && { list: true }),
        ...((primary as string[]).includes(field.key) && { primary: true }),
      },
    ];
  });
}

/** The parts of a description that hold for this use of the field. */
function helpOf(field: Field, purpose: 'create' | 'update'): string | undefined {
  const dropped = purpose === 'create' ? /^Required when/ : /^Required when|when absent|the present when/;
  const kept = field.description.split(/(?<=[.;])\s+/).filter((part) => !dropped.test(part));
  const text = kept
    .join(' ')
    .replace(/;$/, '.')
    .replace(/^(`\w+`) when absent/, 'Becomes $1 when absent')
    .replaceAll('when absent', 'when left empty')
    .replace(/^./, (letter) => letter.toUpperCase());
  // Help that only repeats the label helps nobody.
  const repeats = text.replace(/^The /, '').toLowerCase() === `${labelOf(field.key)}.`.toLowerCase();
  return text === '' || repeats ? undefined : text;
}

/** What an action adds to the fields of the catalogue, by key. */
export type Additions = Record<string, Partial<PlainInputField>>;

/** The fields of a form. When a record is updated, every field may be left empty. */
export function inputFields(
  fields: Field[],
  purpose: 'create' | 'update',
  additions: Additions = {},
): PlainInputField[] {
  return fields.map((field) => {
    const helpText = helpOf(field, purpose);
    return {
      key: field.key,
      label: labelOf(field.key),
      type: field.type as PlainInputField['type'],
      required: purpose === 'create' && field.required === true,
      ...(helpText && { helpText }),
      ...(field.list && { list: true }),
      ...(field.choices && { choices: choicesOf(field.choices) }),
      ...additions[field.key],
    } as PlainInputField;
  });
}

/** Where a Zap finds the ids and stages that it can choose from. */
export const CHOICES: Additions = {
  contactId: { dynamic: 'contact_list.id.name', search: 'find_contact.id' },
  assignedToId: { dynamic: 'member_list.id.name' },
  stage: { dynamic: 'stage_list.id.stage' },
};

/** The choice of fields that an update empties: those that a record may be without. */
export function clearField(fields: Field[], record: Field[]): PlainInputField {
  const clearable = fields.map(({ key }) => key).filter((key) =>
    // `contactId` sets `contact`.
    record.some((field) => field.key === key.replace(/Id$/, '') && (field.nullable || field.list)),
  );
  return {
    key: CLEAR,
    label: 'Fields to Clear',
    type: 'string',
    list: true,
    choices: choicesOf(clearable),
    helpText: 'These fields lose their value. A field that is left empty above stays as it is.',
  };
}

const CLEAR = 'clear';

/** Whether the user filled this field in. */
const filled = (value: unknown) =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== '';

/** The body of a request: the fields that were filled in, and null for those to clear. */
export function bodyOf(fields: Field[], inputData: Record<string, unknown>): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const clear = [inputData[CLEAR] ?? []].flat();
  for (const { key } of fields) {
    if (filled(inputData[key])) body[key] = inputData[key];
    else if (clear.includes(key)) body[key] = null;
  }
  return body;
}
