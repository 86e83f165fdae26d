// The actions: each turns the parameters of one item into requests, and returns the records.
import { NodeOperationError } from 'n8n-workflow';
import type { IDataObject, IExecuteFunctions } from 'n8n-workflow';
import { inputs, type Field } from '../../shared/catalogue';
import { filled, valueOf } from '../../shared/fields';
import { list, refusal, request, segment, send, type Query } from '../../shared/server';
import { RESOURCES, type Resource } from './description';

/** Reads the parameters of one item. */
class Form {
  constructor(
    readonly context: IExecuteFunctions,
    readonly itemIndex: number,
  ) {}

  get(name: string, fallback?: unknown): unknown {
    return valueOf(this.context.getNodeParameter(name, this.itemIndex, fallback));
  }

  collection(name: string): IDataObject {
    return filled(this.get(name, {}) as IDataObject);
  }

  required(fields: Field[]): IDataObject {
    const names = fields.filter(({ required }) => required).map(({ key }) => key);
    return Object.fromEntries(names.map((name) => [name, this.get(name) as string]));
  }

  fail(message: string): never {
    throw new NodeOperationError(this.context.getNode(), message, { itemIndex: this.itemIndex });
  }
}

type Action = (form: Form) => Promise<IDataObject[]>;

/** A request for one record; the record of the answer. */
async function one(form: Form, method: 'GET' | 'POST' | 'PUT' | 'PATCH', path: string, body?: IDataObject) {
  const { context, itemIndex } = form;
  const { data } = await request(context, { method, path, body, itemIndex });
  return [data as IDataObject];
}

const pathOf = (resource: Resource, form: Form): string => {
  const { route, id, noun } = RESOURCES[resource];
  const value = form.get(id);
  if (value === '' || value === undefined || value === null) form.fail(`Choose a ${noun.toLowerCase()}, or enter its ID`);
  return `${route}/${segment(value)}`;
};

const get =
  (resource: Resource): Action =>
  async (form) =>
    await one(form, 'GET', pathOf(resource, form));

const getAll =
  (resource: Resource): Action =>
  async (form) => {
    const { context, itemIndex } = form;
    const limit = form.get('returnAll', false) ? Infinity : (form.get('limit', 50) as number);
    const query = form.collection('filters') as Query;
    return await list(context, { path: RESOURCES[resource].route, query, itemIndex }, limit);
  };

const remove =
  (resource: Resource): Action =>
  async (form) => {
    const { context, itemIndex } = form;
    await request(context, { method: 'DELETE', path: pathOf(resource, form), itemIndex });
    return [{ deleted: true }];
  };

const create =
  (resource: Resource, fields: Field[]): Action =>
  async (form) =>
    await one(form, 'POST', RESOURCES[resource].route, {
      ...form.collection('additionalFields'),
      ...form.required(fields),
    });

const update =
  (resource: Resource): Action =>
  async (form) => {
    const body = form.collection('updateFields');
    for (const field of form.get('clear', []) as string[]) {
      if (!(field in body)) body[field] = null;
    }
    return await one(form, 'PUT', pathOf(resource, form), body);
  };

/** Creates the contact, or updates the one that has its phone number or e-mail address. */
const upsertContact: Action = async (form) => {
  const { context, itemIndex } = form;
  const { route } = RESOURCES.contact;
  const body = { ...form.collection('additionalFields'), ...form.required(inputs.createContact) };

  const found = new Set<string>();
  for (const field of form.get('matchBy') as string[]) {
    const value = (body as IDataObject)[field];
    if (value === undefined) continue;
    const matching = await list(context, { path: route, query: { [field]: String(value) }, itemIndex });
    for (const { id } of matching) found.add(id as string);
  }
  if (found.size > 1) {
    form.fail(`Several contacts match, and nothing was written: ${[...found].join(', ')}`);
  }
  const [id] = found;
  if (id) return await one(form, 'PUT', `${route}/${segment(id)}`, body);

  const response = await send(context, { method: 'POST', path: route, body, itemIndex });
  // Somebody else created the contact since the search.
  const twin = response.status === 409 ? response.body.details?.existingId : undefined;
  if (twin && (form.get('matchBy') as string[]).includes('phoneNumber')) {
    return await one(form, 'PUT', `${route}/${segment(twin)}`, body);
  }
  if (response.status >= 300) throw refusal(context, response, itemIndex);
  return [response.body.data as IDataObject];
};

const setStatus: Action = async (form) =>
  await one(form, 'PUT', `${pathOf('deal', form)}/status`, {
    ...form.collection('additionalFields'),
    status: form.get('status') as string,
  });

/** The settings of a subscription, with the filters as an object. */
function settingsIn(form: Form, name: string): IDataObject {
  const settings = form.collection(name);
  if (typeof settings.filters === 'string') {
    try {
      settings.filters = JSON.parse(settings.filters) as IDataObject;
    } catch {
      form.fail('The filters are not a JSON object');
    }
  }
  return settings;
}

const createWebhook: Action = async (form) =>
  await one(form, 'POST', '/webhooks/subscribe', {
    ...settingsIn(form, 'additionalFields'),
    events: form.get('events') as string[],
    target_url: form.get('target_url') as string,
  });

const updateWebhook: Action = async (form) =>
  await one(form, 'PATCH', pathOf('webhook', form), settingsIn(form, 'updateFields'));

const replay: Action = async (form) =>
  await one(form, 'POST', `${pathOf('webhook', form)}/replay`, {
    ...form.collection('additionalFields'),
    since: form.get('since') as string,
    only: form.get('only') as string,
  });

const actions: Record<Resource, Record<string, Action>> = {
  contact: {
    create: create('contact', inputs.createContact),
    delete: remove('contact'),
    get: get('contact'),
    getAll: getAll('contact'),
    update: update('contact'),
    upsert: upsertContact,
  },
  deal: {
    create: create('deal', inputs.createDeal),
    delete: remove('deal'),
    get: get('deal'),
    getAll: getAll('deal'),
    setStatus,
    update: update('deal'),
  },
  webhook: {
    create: createWebhook,
    delete: remove('webhook'),
    get: get('webhook'),
    getAll: getAll('webhook'),
    replay,
    update: updateWebhook,
  },
};

/** Runs the action that the parameters of one item name. */
export async function run(context: IExecuteFunctions, itemIndex: number): Promise<IDataObject[]> {
  const form = new Form(context, itemIndex);
  const resource = form.get('resource') as Resource;
  const operation = form.get('operation') as string;
  const action = actions[resource]?.[operation];
  if (!action) return form.fail(`There is no operation ${operation} of ${resource}`);
  return await action(form);
}
