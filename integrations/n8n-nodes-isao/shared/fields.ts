// Fields of the catalogue as n8n shows them.
import type { Field } from './catalogue';
import type { IDataObject, INodeProperties, INodePropertyOptions } from 'n8n-workflow';

const LABELS: Record<string, string> = {
  id: 'ID',
  contactId: 'Contact',
  assignedToId: 'Assigned To',
};

/** `phoneNumber` as "Phone Number". */
export const labelOf = (key: string): string =>
  LABELS[key] ?? key.replace(/^./, (letter) => letter.toUpperCase()).replace(/[A-Z]/g, ' $&').trim();

export const optionsOf = (values: string[]): INodePropertyOptions[] =>
  values.map((value) => ({ name: labelOf(value), value })).sort((a, b) => a.name.localeCompare(b.name));

/** The dropdowns of fields that name something the server has. */
const LISTS: Record<string, { search: string; byValue: string; placeholder: string }> = {
  contactId: { search: 'searchContacts', byValue: 'By ID', placeholder: 'contact_…' },
  dealId: { search: 'searchDeals', byValue: 'By ID', placeholder: 'deal_…' },
  subscriptionId: { search: 'searchWebhooks', byValue: 'By ID', placeholder: 'sub_…' },
  assignedToId: { search: 'searchMembers', byValue: 'By ID', placeholder: 'member_…' },
  stage: { search: 'searchStages', byValue: 'By Name', placeholder: 'negotiation' },
};

/** A field whose value is chosen from a list of the server, or entered. */
export function locator(name: string, list: string, displayName: string): INodeProperties {
  const { search, byValue, placeholder } = LISTS[list]!;
  return {
    displayName,
    name,
    type: 'resourceLocator',
    default: { mode: 'list', value: '' },
    modes: [
      {
        displayName: 'From List',
        name: 'list',
        type: 'list',
        typeOptions: { searchListMethod: search, searchable: true },
      },
      { displayName: byValue, name: 'id', type: 'string', placeholder },
    ],
  };
}

const TYPES: Record<Field['type'], Partial<INodeProperties>> = {
  string: { type: 'string', default: '' },
  text: { type: 'string', default: '', typeOptions: { rows: 4 } },
  number: { type: 'number', default: 0, typeOptions: { numberPrecision: 6 } },
  integer: { type: 'number', default: 0 },
  boolean: { type: 'boolean', default: false },
  datetime: { type: 'dateTime', default: '' },
  object: { type: 'json', default: '{}' },
};

/** The parts of a description that hold for this use of the field. */
export function descriptionOf(field: Field, purpose: 'create' | 'update'): string {
  const dropped = purpose === 'create' ? /^Required when/ : /^Required when|when absent|the present when/;
  return field.description
    .split(/(?<=[.;])\s+/)
    .filter((part) => !dropped.test(part))
    .join(' ')
    .replace(/[;.]$/, '')
    .replace(/^Derived from `(\w+)` when absent/, 'Derived from `$1` when left empty')
    .replaceAll('when absent', 'when left out')
    .replaceAll('`', '"');
}

/** The field of a form. */
export function property(field: Field, purpose: 'create' | 'update'): INodeProperties {
  const displayName = labelOf(field.key);
  const description = descriptionOf(field, purpose);
  if (LISTS[field.key]) return { ...locator(field.key, field.key, displayName), description };
  if (field.choices) {
    return {
      displayName,
      name: field.key,
      type: 'options',
      options: optionsOf(field.choices),
      default: field.choices[0]!,
      description,
    };
  }
  const base = { ...TYPES[field.type], displayName, name: field.key } as INodeProperties;
  if (field.list) {
    return { ...base, description: `${description}${description && '. '}Separate several with commas` };
  }
  return description ? { ...base, description } : base;
}

const byLabel = (a: INodeProperties, b: INodeProperties) => a.displayName.localeCompare(b.displayName);

/** The fields of a collection, of which the user adds those that they need. */
export const collectionOf = (fields: Field[], purpose: 'create' | 'update'): INodeProperties[] =>
  fields.map((field) => property(field, purpose)).sort(byLabel);

/** The fields that an update can empty: those that a record may be without. */
export const clearable = (fields: Field[], record: Field[]): string[] =>
  fields
    .map(({ key }) => key)
    // `contactId` sets `contact`.
    .filter((key) =>
      record.some((field) => field.key === key.replace(/Id$/, '') && (field.nullable || field.list)),
    );

/** The value of a field: what was chosen from a list or entered. */
export const valueOf = (value: unknown): unknown =>
  value && typeof value === 'object' && '__rl' in value ? (value as unknown as { value: unknown }).value : value;

/** The values of a form that were filled in. */
export function filled(values: IDataObject): IDataObject {
  const result: IDataObject = {};
  for (const [key, given] of Object.entries(values)) {
    const value = valueOf(given);
    if (value !== undefined && value !== null && value !== '') result[key] = value as IDataObject[string];
  }
  return result;
}

