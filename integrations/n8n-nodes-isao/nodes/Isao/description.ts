// The forms of the actions.
import type { IDisplayOptions, INodeProperties, INodePropertyOptions } from 'n8n-workflow';
import { events, inputs, queries, records, type Field } from '../../shared/catalogue';
import { clearable, collectionOf, locator, optionsOf, property } from '../../shared/fields';

export type Resource = 'contact' | 'deal' | 'webhook';

/** The resource's route, and what its ids are called in the forms. */
export const RESOURCES: Record<Resource, { route: string; id: string; noun: string }> = {
  contact: { route: '/contacts', id: 'contactId', noun: 'Contact' },
  deal: { route: '/deals', id: 'dealId', noun: 'Deal' },
  webhook: { route: '/webhooks', id: 'subscriptionId', noun: 'Webhook' },
};

const shown = (resource: Resource, ...operation: string[]): IDisplayOptions => ({
  show: { resource: [resource], operation },
});

const operation = (name: string, value: string, action: string, description: string): INodePropertyOptions => ({
  name,
  value,
  action,
  description,
});

const operations = (resource: Resource, options: INodePropertyOptions[]): INodeProperties => ({
  displayName: 'Operation',
  name: 'operation',
  type: 'options',
  noDataExpression: true,
  displayOptions: { show: { resource: [resource] } },
  options,
  default: 'getAll',
});

const idField = (resource: Resource, ...shownFor: string[]): INodeProperties => {
  const { id, noun } = RESOURCES[resource];
  return { ...locator(id, id, noun), required: true, displayOptions: shown(resource, ...shownFor) };
};

const collection = (
  displayName: string,
  name: string,
  displayOptions: IDisplayOptions,
  options: INodeProperties[],
): INodeProperties => ({
  displayName,
  name,
  type: 'collection',
  placeholder: 'Add Field',
  default: {},
  displayOptions,
  options,
});

/** The fields without which a record cannot be created, each with its place in the form. */
const requiredFields = (resource: Resource, fields: Field[], ...shownFor: string[]): INodeProperties[] =>
  fields
    .filter(({ required }) => required)
    .map((field) => ({
      ...property(field, 'create'),
      required: true,
      displayOptions: shown(resource, ...shownFor),
    }));

const optional = (fields: Field[]) => fields.filter(({ required }) => !required);

const clearField = (resource: Resource, fields: Field[], record: Field[]): INodeProperties => ({
  displayName: 'Fields to Clear',
  name: 'clear',
  type: 'multiOptions',
  displayOptions: shown(resource, 'update'),
  options: optionsOf(clearable(fields, record)),
  default: [],
  description: 'These fields lose their value',
});

const paging = (resource: Resource): INodeProperties[] => [
  {
    displayName: 'Return All',
    name: 'returnAll',
    type: 'boolean',
    displayOptions: shown(resource, 'getAll'),
    default: false,
    description: 'Whether to return all results or only up to a given limit',
  },
  {
    displayName: 'Limit',
    name: 'limit',
    type: 'number',
    typeOptions: { minValue: 1 },
    displayOptions: { show: { resource: [resource], operation: ['getAll'], returnAll: [false] } },
    default: 50,
    description: 'Max number of results to return',
  },
];

const contact: INodeProperties[] = [
  operations('contact', [
    operation('Create', 'create', 'Create a contact', 'Create a contact'),
    operation(
      'Create or Update',
      'upsert',
      'Create or update a contact',
      'Create a new record, or update the current one if it already exists (upsert)',
    ),
    operation('Delete', 'delete', 'Delete a contact', 'Delete a contact; deals with it stay, without a contact'),
    operation('Get', 'get', 'Get a contact', 'Get a contact'),
    operation('Get Many', 'getAll', 'Get many contacts', 'Get many contacts, the newest first'),
    operation('Update', 'update', 'Update a contact', 'Update some fields of a contact'),
  ]),
  idField('contact', 'get', 'update', 'delete'),
  ...requiredFields('contact', inputs.createContact, 'create', 'upsert'),
  {
    displayName: 'Match By',
    name: 'matchBy',
    type: 'multiOptions',
    displayOptions: shown('contact', 'upsert'),
    options: optionsOf(['phoneNumber', 'email']),
    default: ['phoneNumber', 'email'],
    description: 'The fields by which a contact is recognized. If they lead to several contacts, nothing is written.',
  },
  collection(
    'Additional Fields',
    'additionalFields',
    shown('contact', 'create', 'upsert'),
    collectionOf(optional(inputs.createContact), 'create'),
  ),
  collection(
    'Update Fields',
    'updateFields',
    shown('contact', 'update'),
    collectionOf(inputs.createContact, 'update'),
  ),
  clearField('contact', inputs.createContact, records.Contact),
  ...paging('contact'),
  collection('Filters', 'filters', shown('contact', 'getAll'), collectionOf(queries.listContacts, 'update')),
];

const deal: INodeProperties[] = [
  operations('deal', [
    operation('Create', 'create', 'Create a deal', 'Create a deal'),
    operation('Delete', 'delete', 'Delete a deal', 'Delete a deal'),
    operation('Get', 'get', 'Get a deal', 'Get a deal'),
    operation('Get Many', 'getAll', 'Get many deals', 'Get many deals, the newest first'),
    operation('Set Status', 'setStatus', 'Set the status of a deal', 'Mark a deal as open, won or lost'),
    operation('Update', 'update', 'Update a deal', 'Update some fields of a deal'),
  ]),
  idField('deal', 'get', 'update', 'delete', 'setStatus'),
  ...requiredFields('deal', inputs.createDeal, 'create'),
  collection(
    'Additional Fields',
    'additionalFields',
    shown('deal', 'create'),
    collectionOf(optional(inputs.createDeal), 'create'),
  ),
  collection('Update Fields', 'updateFields', shown('deal', 'update'), collectionOf(inputs.createDeal, 'update')),
  clearField('deal', inputs.createDeal, records.Deal),
  ...inputs.updateDealStatus
    .filter(({ key }) => key === 'status')
    .map((field) => ({
      ...property(field, 'update'),
      required: true,
      displayOptions: shown('deal', 'setStatus'),
    })),
  collection(
    'Additional Fields',
    'additionalFields',
    shown('deal', 'setStatus'),
    collectionOf(
      inputs.updateDealStatus.filter(({ key }) => key !== 'status'),
      'update',
    ),
  ),
  ...paging('deal'),
  collection('Filters', 'filters', shown('deal', 'getAll'), collectionOf(queries.listDeals, 'update')),
];

const settings: INodeProperties[] = [
  {
    displayName: 'Filters',
    name: 'filters',
    type: 'json',
    default: '{}',
    description: 'An object of record fields, each with a value or a list of values, as {"tags": ["lead"]}',
  },
  {
    displayName: 'Ignore Own Changes',
    name: 'ignore_own',
    type: 'boolean',
    default: false,
    description: 'Whether to leave out changes that are made with the API key of the credential',
  },
  {
    displayName: 'Include',
    name: 'include',
    type: 'multiOptions',
    options: optionsOf(['actor', 'previous']),
    default: [],
    description: 'What an event carries beyond the usual',
  },
  {
    displayName: 'Ordering',
    name: 'ordering',
    type: 'options',
    options: [
      { name: 'One After the Other', value: 'subscription' },
      { name: 'Per Record', value: 'record' },
    ],
    default: 'subscription',
    description: 'The order in which events are delivered',
  },
];

const targetUrl: INodeProperties = {
  displayName: 'Target URL',
  name: 'target_url',
  type: 'string',
  default: '',
  placeholder: 'https://example.com/webhook',
  description: 'The URL to which events are posted',
};

const webhook: INodeProperties[] = [
  operations('webhook', [
    operation('Create', 'create', 'Create a webhook', 'Subscribe a URL to events'),
    operation('Delete', 'delete', 'Delete a webhook', 'Unsubscribe a URL'),
    operation('Get', 'get', 'Get a webhook', 'Get a subscription and how its deliveries go'),
    operation('Get Many', 'getAll', 'Get many webhooks', 'Get many subscriptions'),
    operation('Replay', 'replay', 'Replay events to a webhook', 'Send the events of a period again'),
    operation('Update', 'update', 'Update a webhook', 'Pause, resume or change a subscription'),
  ]),
  idField('webhook', 'get', 'update', 'delete', 'replay'),
  {
    displayName: 'Events',
    name: 'events',
    type: 'multiOptions',
    required: true,
    displayOptions: shown('webhook', 'create'),
    options: events.map(({ event, summary }) => ({ name: summary, value: event, description: event })),
    default: [],
    description: 'The events to deliver',
  },
  { ...targetUrl, required: true, displayOptions: shown('webhook', 'create') },
  collection('Additional Fields', 'additionalFields', shown('webhook', 'create'), settings),
  collection('Update Fields', 'updateFields', shown('webhook', 'update'), [
    {
      displayName: 'Active',
      name: 'is_active',
      type: 'boolean',
      default: true,
      description: 'Whether events are delivered. Turn off to pause the subscription, on to resume it.',
    },
    ...settings,
    targetUrl,
  ]),
  {
    displayName: 'Since',
    name: 'since',
    type: 'dateTime',
    required: true,
    displayOptions: shown('webhook', 'replay'),
    default: '',
    description: 'The time of the first events to send, as far back as they are kept',
  },
  {
    displayName: 'Events to Send',
    name: 'only',
    type: 'options',
    displayOptions: shown('webhook', 'replay'),
    options: [
      {
        name: 'All',
        value: 'all',
        description: 'Every event that matches the filters as they are now',
      },
      {
        name: 'Undelivered',
        value: 'undelivered',
        description: 'The events that were given up and not delivered since',
      },
    ],
    default: 'undelivered',
    description: 'Which events of the period are sent again',
  },
  collection('Additional Fields', 'additionalFields', shown('webhook', 'replay'), [
    {
      displayName: 'Dry Run',
      name: 'dryRun',
      type: 'boolean',
      default: false,
      description: 'Whether to count and list the events without sending them',
    },
    {
      displayName: 'Per Second',
      name: 'perSecond',
      type: 'number',
      typeOptions: { minValue: 1, maxValue: 1000 },
      default: 50,
      description: 'The most events per second',
    },
    {
      displayName: 'Until',
      name: 'until',
      type: 'dateTime',
      default: '',
      description: 'Send only events before this time',
    },
  ]),
  ...paging('webhook'),
  collection('Filters', 'filters', shown('webhook', 'getAll'), [
    {
      displayName: 'Status',
      name: 'status',
      type: 'options',
      options: optionsOf(['active', 'all', 'deactivated', 'paused']),
      default: 'active',
      description: 'Return only subscriptions with this status',
    },
  ]),
];

export const properties: INodeProperties[] = [
  {
    displayName: 'Resource',
    name: 'resource',
    type: 'options',
    noDataExpression: true,
    options: [
      { name: 'Contact', value: 'contact' },
      { name: 'Deal', value: 'deal' },
      { name: 'Webhook', value: 'webhook' },
    ],
    default: 'contact',
  },
  ...contact,
  ...deal,
  ...webhook,
];
