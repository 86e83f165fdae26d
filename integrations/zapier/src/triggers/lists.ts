// Hidden triggers: what the dropdowns of the forms choose from.
import type { Bundle, PlainOutputField, Trigger, ZObject } from 'zapier-platform-core';
import { events, records } from '../catalogue.js';
import { outputFields } from '../fields.js';
import { apiUrl } from '../server.js';

/** As many records as a dropdown shows before "Load more". */
const PAGE_SIZE = 100;

interface Definition {
  key: string;
  noun: string;
  label: string;
  route: string;
  /** Whether the route has pages. */
  pages: boolean;
  /** Makes the item of a dropdown from what the route lists. */
  item?: (listed: Record<string, unknown>) => Record<string, unknown>;
  sample: Record<string, unknown>;
  fields: PlainOutputField[];
}

const sampleOf = (event: string) => events.find((one) => one.event === event)!.sample;

const definitions: Definition[] = [
  {
    key: 'contact_list',
    noun: 'Contact',
    label: 'List of Contacts',
    route: '/contacts',
    pages: true,
    sample: sampleOf('contact.created'),
    fields: outputFields(records.Contact),
  },
  {
    key: 'deal_list',
    noun: 'Deal',
    label: 'List of Deals',
    route: '/deals',
    pages: true,
    sample: sampleOf('deal.created'),
    fields: outputFields(records.Deal),
  },
  {
    key: 'member_list',
    noun: 'Member',
    label: 'List of Members',
    route: '/members',
    pages: false,
    sample: { id: 'member_sample', name: 'Alice Martin', email: 'alice.martin@example.com' },
    fields: [
      { key: 'id', label: 'ID', type: 'string', primary: true },
      { key: 'name', label: 'Name', type: 'string' },
      { key: 'email', label: 'Email', type: 'string' },
    ],
  },
  {
    key: 'stage_list',
    noun: 'Stage',
    label: 'List of Stages',
    route: '/deals/stages',
    pages: false,
    // A stage has no id but its name, and Zapier wants every item to have one.
    item: (listed) => ({ id: listed.stage, ...listed }),
    sample: {
      id: 'negotiation',
      stage: 'negotiation',
      deals: 3,
      openDeals: 2,
      openValue: [{ currency: 'EUR', value: 25000 }],
    },
    fields: [
      { key: 'id', label: 'ID', type: 'string', primary: true },
      { key: 'stage', label: 'Stage', type: 'string' },
      { key: 'deals', label: 'Deals', type: 'integer' },
      { key: 'openDeals', label: 'Open Deals', type: 'integer' },
      { key: 'openValue[]currency', label: 'Open Value Currency', type: 'string' },
      { key: 'openValue[]value', label: 'Open Value', type: 'number' },
    ],
  },
];

function list({ key, noun, label, route, pages, item, sample, fields }: Definition): Trigger {
  const perform = async (z: ZObject, bundle: Bundle) => {
    const response = await z.request(apiUrl(bundle, route), {
      // Zapier counts pages from 0, the server from 1.
      params: pages ? { limit: PAGE_SIZE, page: (bundle.meta?.page ?? 0) + 1 } : {},
    });
    return item ? response.data.data.map(item) : response.data.data;
  };
  return {
    key,
    noun,
    display: {
      label,
      description: `Triggers when a ${noun.toLowerCase()} can be chosen from a dropdown.`,
      hidden: true,
    },
    operation: { type: 'polling', canPaginate: pages, perform, sample, outputFields: fields },
  };
}

export const listTriggers: Trigger[] = definitions.map(list);
