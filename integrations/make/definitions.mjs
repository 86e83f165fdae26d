// The Make app: what it consists of. integrations/generate.mjs writes its files in app/ from this and
// from the catalogue.

const CONNECTION = 'isao';

/** The most records that the server lists at once. */
const PAGE_SIZE = 200;

const LABELS = {
  id: 'ID',
  contactId: 'Contact',
  assignedToId: 'Assigned To',
};

/** `phoneNumber` as "Phone Number". */
const labelOf = (key) =>
  LABELS[key] ?? key.replace(/^./, (letter) => letter.toUpperCase()).replace(/[A-Z]/g, ' $&').trim();

const TYPES = {
  string: { type: 'text' },
  text: { type: 'text', multiline: true },
  number: { type: 'number' },
  integer: { type: 'integer' },
  boolean: { type: 'boolean' },
  datetime: { type: 'date' },
};

// --- what steps of a scenario get ---

/** The fields of a record, as the steps of a scenario see them. */
const interfaceOf = (fields) =>
  fields.map((field) => {
    const named = { name: field.key, label: labelOf(field.key) };
    if (field.fields) return { ...named, type: 'collection', spec: interfaceOf(field.fields) };
    if (field.list) return { ...named, type: 'array', spec: { type: 'text' } };
    return { ...named, ...TYPES[field.type] };
  });

// --- forms ---

/** The parts of a description that hold for this use of the field. */
function helpOf(field, purpose) {
  const dropped = purpose === 'create' ? /^Required when/ : /^Required when|when absent|the present when/;
  const text = field.description
    .split(/(?<=[.;])\s+/)
    .filter((part) => !dropped.test(part))
    .join(' ')
    .replace(/;$/, '.')
    .replaceAll('when absent', 'when left empty');
  return text && { help: text };
}

/** Fields that name something the server has: a list of it stands beside them. */
const PICKERS = {
  contactId: {
    type: 'text',
    rpc: {
      label: 'Search Contacts',
      url: 'rpc://searchContacts',
      parameters: [{ name: 'search', label: 'Name, Email or Phone Number', type: 'text' }],
    },
  },
  dealId: {
    type: 'text',
    rpc: {
      label: 'Search Deals',
      url: 'rpc://searchDeals',
      parameters: [{ name: 'search', label: 'Title or Description', type: 'text' }],
    },
  },
  assignedToId: { type: 'select', options: { store: 'rpc://listMembers' }, editable: true },
  stage: { type: 'text', rpc: { label: 'Choose a Stage', url: 'rpc://listStages' } },
};

/** The fields of a form. When a record is updated, every field may be left empty. */
const formOf = (fields, purpose) =>
  fields.map((field) => {
    const base = {
      name: field.key,
      label: labelOf(field.key),
      ...(PICKERS[field.key] ?? TYPES[field.type]),
      ...helpOf(field, purpose),
    };
    if (purpose === 'create' && field.required) base.required = true;
    if (field.choices) {
      return { ...base, type: 'select', options: field.choices.map((value) => ({ label: labelOf(value), value })) };
    }
    return field.list ? { ...base, type: 'array', spec: { type: 'text' } } : base;
  });

const recordId = (noun) => ({
  name: 'id',
  label: noun,
  ...PICKERS[`${noun.toLowerCase()}Id`],
  required: true,
  help: `The ${noun.toLowerCase()} to change. Choose one, or map the ID from an earlier step.`,
});

const limit = {
  name: 'limit',
  label: 'Limit',
  type: 'uinteger',
  required: true,
  default: 10,
  help: 'The most records to return.',
};

const ignoreOwn = {
  name: 'ignoreOwn',
  label: 'Ignore Changes by This Connection',
  type: 'boolean',
  default: false,
  help: 'Leaves out changes that are made with the API key of this connection. This prevents scenarios that trigger themselves.',
};

// --- the modules ---

const TRIGGERS = [
  ['newContact', 'contact.created', 'Watch New Contacts', 'Triggers when a new contact is added.'],
  ['updatedContact', 'contact.updated', 'Watch Updated Contacts', 'Triggers when the data of a contact changes.'],
  ['newDeal', 'deal.created', 'Watch New Deals', 'Triggers when a new deal is added.'],
  ['updatedDeal', 'deal.updated', 'Watch Updated Deals', 'Triggers when the data of a deal changes.'],
  ['stageChanged', 'deal.stage_changed', 'Watch Deal Stages', 'Triggers when a deal moves to another stage.'],
  ['dealWon', 'deal.won', 'Watch Won Deals', 'Triggers when a deal is marked as won.'],
  ['dealLost', 'deal.lost', 'Watch Lost Deals', 'Triggers when a deal is marked as lost.'],
];

const stageFilter = {
  name: 'stage',
  label: 'Stage',
  ...PICKERS.stage,
  help: 'Triggers only when a deal moves to this stage. Leave empty for all stages.',
};

/** A request that writes one record and returns it. */
const writing = (method, url, body) => ({ url, method, body, response: { output: '{{body.data}}' } });

/** A request that lists records, page by page. */
const listing = (url, filters) => ({
  url,
  method: 'GET',
  qs: { ...Object.fromEntries(filters.map((name) => [name, `{{parameters.${name}}}`])), limit: PAGE_SIZE },
  pagination: { condition: '{{body.meta.nextCursor}}', qs: { cursor: '{{body.meta.nextCursor}}' } },
  response: { iterate: '{{body.data}}', output: '{{item}}', limit: '{{parameters.limit}}' },
});

const FILTERS = { contact: ['phoneNumber', 'email', 'search'], deal: ['search', 'contactId', 'status', 'stage'] };

const actions = ({ inputs, queries }) => [
  {
    id: 'createContact',
    label: 'Create a Contact',
    description: 'Creates a new contact.',
    record: 'Contact',
    crud: 'create',
    communication: writing('POST', '/contacts', '{{parameters}}'),
    form: formOf(inputs.createContact, 'create'),
  },
  {
    id: 'updateContact',
    label: 'Update a Contact',
    description: 'Updates the data of a contact. Fields that are left empty stay as they are; "erase" empties one.',
    record: 'Contact',
    crud: 'update',
    communication: writing('PUT', '/contacts/{{parameters.id}}', '{{omit(parameters, "id")}}'),
    form: [recordId('Contact'), ...formOf(inputs.createContact, 'update')],
  },
  {
    id: 'findContacts',
    label: 'Search Contacts',
    description: 'Finds contacts by phone number, email or name.',
    record: 'Contact',
    communication: listing('/contacts', FILTERS.contact),
    form: [...formOf(FILTERS.contact.map((name) => queries.listContacts.find(({ key }) => key === name)), 'update'), limit],
  },
  {
    id: 'createDeal',
    label: 'Create a Deal',
    description: 'Creates a new deal.',
    record: 'Deal',
    crud: 'create',
    communication: writing('POST', '/deals', '{{parameters}}'),
    form: formOf(inputs.createDeal, 'create'),
  },
  {
    id: 'updateDeal',
    label: 'Update a Deal',
    description: 'Updates the data of a deal. Fields that are left empty stay as they are; "erase" empties one.',
    record: 'Deal',
    crud: 'update',
    communication: writing('PUT', '/deals/{{parameters.id}}', '{{omit(parameters, "id")}}'),
    form: [recordId('Deal'), ...formOf(inputs.createDeal, 'update')],
  },
  {
    id: 'setDealStatus',
    label: 'Set the Status of a Deal',
    description: 'Marks a deal as open, won or lost.',
    record: 'Deal',
    crud: 'update',
    communication: writing('PUT', '/deals/{{parameters.id}}/status', '{{omit(parameters, "id")}}'),
    form: [
      recordId('Deal'),
      ...formOf(inputs.updateDealStatus, 'update').map((field) =>
        field.name === 'status' ? { ...field, required: true } : field,
      ),
    ],
  },
  {
    id: 'findDeals',
    label: 'Search Deals',
    description: 'Finds deals by text, contact, status or stage.',
    record: 'Deal',
    communication: listing('/deals', FILTERS.deal),
    form: [...formOf(FILTERS.deal.map((name) => queries.listDeals.find(({ key }) => key === name)), 'update'), limit],
  },
];

/** A list of choices: what is shown, and what is used. */
const choices = (url, label, value, qs) => ({
  url,
  method: 'GET',
  ...(qs && { qs }),
  response: { iterate: '{{body.data}}', output: { label, value } },
});

const RPCS = [
  ['listMembers', 'List Members', choices('/members', '{{item.name}} ({{item.email}})', '{{item.id}}')],
  ['listStages', 'List Stages', choices('/deals/stages', '{{item.stage}}', '{{item.stage}}')],
  [
    'searchContacts',
    'Search Contacts',
    choices('/contacts', '{{item.name}} ({{item.phoneNumber}})', '{{item.id}}', { search: '{{parameters.search}}', limit: 100 }),
  ],
  [
    'searchDeals',
    'Search Deals',
    choices('/deals', '{{item.title}}', '{{item.id}}', { search: '{{parameters.search}}', limit: 100 }),
  ],
];

// --- the files ---

/** What is kept out of the logs of scenarios. */
const SANITIZED = { sanitize: ['request.headers.authorization'] };

const FIELD_ERRORS = '{{join(map(toArray(body.details.fields), "value"), " ")}}';

const ERRORS = {
  type: 'RuntimeError',
  message: '[{{statusCode}}] {{body.message}}',
  400: { type: 'DataError', message: '[400] {{body.message}}' },
  401: { type: 'InvalidAccessTokenError', message: '[401] {{body.message}}' },
  403: { type: 'InvalidConfigurationError', message: '[403] {{body.message}}' },
  409: { type: 'DuplicateDataError', message: '[409] {{body.message}}' },
  422: { type: 'DataError', message: `[422] {{body.message}}: ${FIELD_ERRORS}` },
  429: { type: 'RateLimitError', message: '[429] {{body.message}}' },
  503: { type: 'ConnectionError', message: '[503] {{body.message}}' },
};

const kebab = (id) => id.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const README = `# ISAO

The CRM events, contacts and deals of your own ISAO server.

Create an API key with the permissions \`webhooks:write\`, \`contacts:write\` and \`deals:write\` in the dashboard of
your server, under Settings, API keys, and a connection with it. Make must be able to reach the server.
`;

/** The files of the app, each with its text. */
export function app(catalogue) {
  const files = {};
  const components = { connection: {}, webhook: {}, module: {}, rpc: {}, function: {}, endpoint: {} };
  const json = (value) => `${JSON.stringify(value, null, 2)}\n`;

  /** Adds a component with its code files, each with its name in Make's local format. */
  const add = (type, id, metadata, codes) => {
    const codeFiles = {};
    for (const [code, value] of Object.entries(codes)) {
      const path = `${type}s/${kebab(id)}/${kebab(id)}.${kebab(code)}.iml.json`;
      codeFiles[code] = path;
      files[path] = json(value);
    }
    components[type][id] = { ...metadata, codeFiles };
  };

  add('connection', CONNECTION, { label: 'ISAO', connectionType: 'basic' }, {
    communication: {
      url: '{{parameters.baseUrl}}/api/external/test',
      method: 'GET',
      headers: { authorization: 'Bearer {{parameters.apiKey}}' },
      followRedirects: false,
      response: {
        error: { message: '[{{statusCode}}] {{body.message}}' },
        metadata: { type: 'text', value: '{{body.company_name}}' },
      },
      log: SANITIZED,
    },
    params: [
      {
        name: 'baseUrl',
        label: 'Base URL',
        type: 'text',
        required: true,
        help: 'The address of your ISAO server, such as `https://isao.example.com`, without a slash at the end.',
        validate: { pattern: '^https?://[^\\s?#]*[^\\s?#/]$' },
      },
      {
        name: 'apiKey',
        label: 'API Key',
        type: 'password',
        required: true,
        editable: true,
        help: 'A key with the permissions `webhooks:write`, `contacts:write` and `deals:write`. Create one in the dashboard of your server, under Settings, API keys.',
      },
    ],
  });

  for (const [id, event, label, description] of TRIGGERS) {
    const { record, sample } = catalogue.events.find((one) => one.event === event);
    const filters = event === 'deal.stage_changed' ? [stageFilter] : [];
    add('webhook', id, { label, connection: CONNECTION, webhookType: 'web' }, {
      communication: { output: '{{body.data}}' },
      params: [...filters, ignoreOwn],
      attach: {
        url: '/webhooks/subscribe',
        method: 'POST',
        body: {
          event,
          target_url: '{{webhook.url}}',
          ignore_own: '{{parameters.ignoreOwn}}',
          ...(filters.length > 0 && { filters: '{{if(parameters.stage, omit(parameters, "ignoreOwn"), null)}}' }),
        },
        response: { data: { externalHookId: '{{body.data.subscription_id}}' } },
      },
      detach: {
        url: '/webhooks/unsubscribe',
        method: 'DELETE',
        qs: { subscription_id: '{{webhook.externalHookId}}' },
      },
    });
    add('module', `watch${id[0].toUpperCase()}${id.slice(1)}`, {
      label,
      description,
      moduleType: 'instant_trigger',
      webhook: id,
    }, {
      communication: {},
      staticParams: [],
      interface: interfaceOf(catalogue.records[record]),
      samples: sample,
    });
  }

  for (const { id, label, description, record, crud, communication, form } of actions(catalogue)) {
    const { sample } = catalogue.events.find(({ event }) => event === `${record.toLowerCase()}.created`);
    add('module', id, {
      label,
      description,
      connection: CONNECTION,
      ...(crud ? { moduleType: 'action', actionCrud: crud } : { moduleType: 'search' }),
    }, {
      communication,
      staticParams: [],
      mappableParams: form,
      interface: interfaceOf(catalogue.records[record]),
      samples: sample,
    });
  }

  for (const [id, label, communication] of RPCS) {
    const params = communication.qs ? [{ name: 'search', label: 'Search', type: 'text' }] : [];
    add('rpc', id, { label, connection: CONNECTION }, { communication, params });
  }

  files['general/base.iml.json'] = json({
    baseUrl: '{{connection.baseUrl}}/api/external',
    headers: { authorization: 'Bearer {{connection.apiKey}}' },
    // A redirected POST would become a GET.
    followRedirects: false,
    followAllRedirects: false,
    response: { error: ERRORS },
    log: SANITIZED,
  });
  files['general/common.json'] = json({});
  const modulesOf = (noun) => Object.keys(components.module).filter((id) => /deal|stage/i.test(id) === (noun === 'Deals'));
  files['modules/groups.json'] = json(['Contacts', 'Deals'].map((label) => ({ label, modules: modulesOf(label) })));
  files['README.md'] = README;
  files['makecomapp.json'] = json({
    fileVersion: 1,
    generalCodeFiles: {
      base: 'general/base.iml.json',
      common: 'general/common.json',
      readme: 'README.md',
      groups: 'modules/groups.json',
    },
    components,
    origins: [],
  });
  return files;
}
