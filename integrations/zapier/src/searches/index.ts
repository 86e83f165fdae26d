// The searches: what matches, the best first. Zapier takes the first.
import { errors } from 'zapier-platform-core';
import type { Bundle, PlainInputField, Search, ZObject } from 'zapier-platform-core';
import { events, inputs, records } from '../catalogue.js';
import { CHOICES, inputFields, outputFields } from '../fields.js';
import { apiUrl } from '../server.js';

/** The most records that the server lists at once. */
const MAX_LISTED = 200;

/** Text for a comparison without regard to upper and lower case. */
const folded = (text: unknown) => String(text).normalize('NFKC').trim().toLowerCase();

/** The records whose `field` contains `text`, those that are exactly `text` first. */
function withText<T extends Record<string, unknown>>(found: T[], field: string, text: unknown): T[] {
  const matching = found.filter((record) => folded(record[field]).includes(folded(text)));
  const exact = matching.filter((record) => folded(record[field]) === folded(text));
  return [...exact, ...matching.filter((record) => !exact.includes(record))];
}

interface Definition {
  key: string;
  noun: string;
  description: string;
  route: string;
  record: 'Contact' | 'Deal';
  event: string;
  /** The field that the server searches among others, so that its hits have to be looked at. */
  text: string;
  /** The fields by which the server itself filters. */
  filters: string[];
  form: PlainInputField[];
}

const definitions: Definition[] = [
  {
    key: 'find_contact',
    noun: 'Contact',
    description: 'Finds a contact by phone number, email or name.',
    route: '/contacts',
    record: 'Contact',
    event: 'contact.created',
    text: 'name',
    filters: ['phoneNumber', 'email'],
    form: [
      {
        key: 'phoneNumber',
        label: 'Phone Number',
        type: 'string',
        helpText: 'The whole number, however it is punctuated.',
      },
      { key: 'email', label: 'Email', type: 'string', helpText: 'The whole address, in upper or lower case.' },
      { key: 'name', label: 'Name', type: 'string', helpText: 'The name or a part of it.' },
    ],
  },
  {
    key: 'find_deal',
    noun: 'Deal',
    description: 'Finds a deal by title, contact, status or stage.',
    route: '/deals',
    record: 'Deal',
    event: 'deal.created',
    text: 'title',
    filters: ['contactId', 'status', 'stage'],
    form: [
      { key: 'title', label: 'Title', type: 'string', helpText: 'The title or a part of it.' },
      ...inputFields(
        inputs.createDeal.filter(({ key }) => ['contactId', 'status', 'stage'].includes(key)),
        'update',
        {
          ...CHOICES,
          stage: { ...CHOICES.stage, helpText: 'The exact stage.' },
          contactId: { ...CHOICES.contactId, helpText: 'The contact of the deal.' },
        },
      ),
    ],
  },
];

function search({ key, noun, description, route, record, event, text, filters, form }: Definition): Search {
  const perform = async (z: ZObject, bundle: Bundle) => {
    const params: Record<string, unknown> = {};
    for (const filter of filters) {
      if (bundle.inputData[filter]) params[filter] = bundle.inputData[filter];
    }
    const wanted = bundle.inputData[text];
    if (wanted) params.search = wanted;
    if (Object.keys(params).length === 0) {
      const labels = form.map((field) => field.label).join(', ');
      throw new errors.Error(`Fill in at least one of these fields: ${labels}.`, 'NOTHING_TO_FIND', 400);
    }
    const response = await z.request(apiUrl(bundle, route), { params: { ...params, limit: MAX_LISTED } });
    const found = response.data.data;
    return wanted ? withText(found, text, wanted) : found;
  };
  return {
    key,
    noun,
    display: { label: `Find ${noun}`, description },
    operation: {
      perform,
      inputFields: form,
      sample: events.find((one) => one.event === event)!.sample,
      outputFields: outputFields(records[record]),
    },
  };
}

export const searches: Search[] = definitions.map(search);
