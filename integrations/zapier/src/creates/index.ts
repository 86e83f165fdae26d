// The actions: each writes one record and returns it as it is now.
import type { Bundle, Create, PlainInputField, ZObject } from 'zapier-platform-core';
import { events, inputs, records, type Field } from '../catalogue.js';
import { CHOICES, bodyOf, clearField, inputFields, outputFields } from '../fields.js';
import { apiUrl } from '../server.js';

const CONTACT = {
  noun: 'Contact',
  route: '/contacts',
  fields: records.Contact,
  sample: events.find(({ event }) => event === 'contact.created')!.sample,
};
const DEAL = {
  noun: 'Deal',
  route: '/deals',
  fields: records.Deal,
  sample: events.find(({ event }) => event === 'deal.created')!.sample,
};

/** The field that says which record an action changes. */
const idField = (noun: string): PlainInputField => ({
  key: 'id',
  label: noun,
  type: 'string',
  required: true,
  dynamic: `${noun.toLowerCase()}_list.id.${noun === 'Contact' ? 'name' : 'title'}`,
  search: `find_${noun.toLowerCase()}.id`,
  helpText: `The ${noun.toLowerCase()} to change. Choose one, or map the ID from an earlier step.`,
});

interface Definition {
  key: string;
  label: string;
  description: string;
  record: typeof CONTACT;
  method: 'POST' | 'PUT';
  /** The part of the path after the id. */
  under?: string;
  /** The fields of the request's body. */
  body: Field[];
  form: PlainInputField[];
}

const definitions: Definition[] = [
  {
    key: 'create_contact',
    label: 'Create Contact',
    description: 'Creates a new contact in ISAO.',
    record: CONTACT,
    method: 'POST',
    body: inputs.createContact,
    form: inputFields(inputs.createContact, 'create', CHOICES),
  },
  {
    key: 'update_contact',
    label: 'Update Contact',
    description: 'Updates the data of an existing contact.',
    record: CONTACT,
    method: 'PUT',
    body: inputs.createContact,
    form: [
      idField('Contact'),
      ...inputFields(inputs.createContact, 'update', CHOICES),
      clearField(inputs.createContact, records.Contact),
    ],
  },
  {
    key: 'create_deal',
    label: 'Create Deal',
    description: 'Creates a new deal in ISAO.',
    record: DEAL,
    method: 'POST',
    body: inputs.createDeal,
    form: inputFields(inputs.createDeal, 'create', CHOICES),
  },
  {
    key: 'update_deal',
    label: 'Update Deal',
    description: 'Updates the data of an existing deal.',
    record: DEAL,
    method: 'PUT',
    body: inputs.createDeal,
    form: [
      idField('Deal'),
      ...inputFields(inputs.createDeal, 'update', CHOICES),
      clearField(inputs.createDeal, records.Deal),
    ],
  },
  {
    key: 'set_deal_status',
    label: 'Set Deal Status',
    description: 'Marks a deal as open, won or lost.',
    record: DEAL,
    method: 'PUT',
    under: 'status',
    body: inputs.updateDealStatus,
    form: [
      idField('Deal'),
      ...inputFields(inputs.updateDealStatus, 'update', { ...CHOICES, status: { required: true } }),
    ],
  },
];

function create({ key, label, description, record, method, under, body, form }: Definition): Create {
  const perform = async (z: ZObject, bundle: Bundle) => {
    const path = [...(method === 'PUT' ? [bundle.inputData.id] : []), ...(under ? [under] : [])];
    const response = await z.request(apiUrl(bundle, record.route, ...path), {
      method,
      body: bodyOf(body, bundle.inputData),
    });
    return response.data.data;
  };
  return {
    key,
    noun: record.noun,
    display: { label, description },
    operation: {
      perform,
      inputFields: form,
      sample: record.sample,
      outputFields: outputFields(record.fields),
    },
  };
}

export const creates: Create[] = definitions.map(create);
