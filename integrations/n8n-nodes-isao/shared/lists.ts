// What the dropdowns of the nodes choose from.
import type {
  IDataObject,
  ILoadOptionsFunctions,
  INodeListSearchResult,
  INodePropertyOptions,
} from 'n8n-workflow';
import { events } from './catalogue';
import { labelOf } from './fields';
import { request, type Query } from './server';

/** As many records as a dropdown shows before it loads more. */
const PAGE_SIZE = 100;

/** A page of records whose texts contain `filter`. */
async function page(
  context: ILoadOptionsFunctions,
  path: string,
  item: (record: IDataObject) => INodePropertyOptions,
  filter: string | undefined,
  cursor: string | undefined,
): Promise<INodeListSearchResult> {
  const query: Query = { limit: PAGE_SIZE };
  if (filter) query.search = filter;
  if (cursor) query.cursor = cursor;
  const { data, meta } = await request(context, { path, query });
  return { results: (data as IDataObject[]).map(item), paginationToken: meta?.nextCursor };
}

const text = (value: unknown) => String(value ?? '');

/** The items whose name contains `filter`, for lists that the server does not search. */
const containing = (items: INodePropertyOptions[], filter = ''): INodeListSearchResult => ({
  results: items.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase())),
});

export async function searchContacts(this: ILoadOptionsFunctions, filter?: string, cursor?: string) {
  const item = ({ id, name, phoneNumber }: IDataObject) => ({
    name: `${text(name)} (${text(phoneNumber)})`,
    value: text(id),
  });
  return await page(this, '/contacts', item, filter, cursor);
}

export async function searchDeals(this: ILoadOptionsFunctions, filter?: string, cursor?: string) {
  const item = ({ id, title }: IDataObject) => ({ name: text(title), value: text(id) });
  return await page(this, '/deals', item, filter, cursor);
}

export async function searchMembers(this: ILoadOptionsFunctions, filter?: string) {
  const { data } = await request(this, { path: '/members' });
  const members = (data as IDataObject[]).map(({ id, name, email }) => ({
    name: `${text(name)} (${text(email)})`,
    value: text(id),
  }));
  return containing(members, filter);
}

export async function searchStages(this: ILoadOptionsFunctions, filter?: string) {
  const { data } = await request(this, { path: '/deals/stages' });
  const stages = (data as IDataObject[]).map(({ stage }) => ({ name: text(stage), value: text(stage) }));
  return containing(stages, filter);
}

export async function searchWebhooks(
  this: ILoadOptionsFunctions,
  filter?: string,
  cursor?: string,
): Promise<INodeListSearchResult> {
  const query: Query = { status: 'all', limit: PAGE_SIZE };
  if (cursor) query.cursor = cursor;
  const { data, meta } = await request(this, { path: '/webhooks', query });
  const items = (data as IDataObject[]).map(({ subscription_id, event_type, target_url }) => ({
    name: `${text(event_type)} → ${text(target_url)}`,
    value: text(subscription_id),
  }));
  return { ...containing(items, filter), paginationToken: meta?.nextCursor };
}

/** The fields that all of these events have. */
export function commonFields(chosen: string[], kind: 'filters' | 'changed'): string[] {
  const lists = chosen.map((name) => events.find(({ event }) => event === name)?.[kind] ?? []);
  return (lists[0] ?? []).filter((field) => lists.every((list) => list.includes(field)));
}

const fieldOptions = (context: ILoadOptionsFunctions, kind: 'filters' | 'changed') =>
  commonFields((context.getCurrentNodeParameter('events') ?? []) as string[], kind).map((field) => ({
    name: labelOf(field),
    value: field,
  }));

export async function getFilterFields(this: ILoadOptionsFunctions): Promise<INodePropertyOptions[]> {
  return fieldOptions(this, 'filters');
}

export async function getChangedFields(this: ILoadOptionsFunctions): Promise<INodePropertyOptions[]> {
  return fieldOptions(this, 'changed');
}
