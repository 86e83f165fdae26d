// The subscription of a trigger: what it asks for, and what n8n keeps of it.
import type { IDataObject, IHookFunctions, IWebhookFunctions } from 'n8n-workflow';

/** What n8n keeps of a subscription until the next call. */
export interface Kept {
  id: string;
  secret: string;
  /** The URL of the webhook. */
  url: string;
  /** What was asked for. */
  settings: Settings;
  /** What the server made of that, in its own notation. */
  made: IDataObject;
}

export interface Settings extends IDataObject {
  events: string[];
  filters: IDataObject;
  include: string[];
  ignore_own: boolean;
  ordering: string;
}

interface FilterRow {
  field: string;
  value: string;
}

/** The fields of a subscription that say which events it delivers, and how. */
const COMPARED = ['events', 'filters', 'include', 'ignore_own', 'ordering'];

/** These fields of an answer about a subscription. */
export const made = (subscription: IDataObject): IDataObject =>
  Object.fromEntries(COMPARED.map((key) => [key, subscription[key]]));

/** What the parameters of the node ask for. */
export function settingsOf(context: IHookFunctions): Settings {
  const rows = context.getNodeParameter('filters.row', []) as FilterRow[];
  const options = context.getNodeParameter('options', {}) as {
    changed?: string[];
    ignoreOwn?: boolean;
    include?: string[];
    ordering?: string;
  };
  const filters: Record<string, string[]> = {};
  for (const { field, value } of rows) {
    if (!field || value === '') continue;
    filters[field] ??= [];
    filters[field].push(value);
  }
  if (options.changed?.length) filters.changed = options.changed;
  return {
    events: [...(context.getNodeParameter('events') as string[])].sort(),
    filters,
    include: [...(options.include ?? [])].sort(),
    ignore_own: options.ignoreOwn ?? false,
    ordering: options.ordering ?? 'subscription',
  };
}

/**
 * Where n8n keeps the subscription. A test run has a URL of its own beside the production URL, so
 * both can be subscribed at the same time, and neither may touch the other's subscription.
 */
const slotOf = (context: IHookFunctions | IWebhookFunctions) =>
  context.getMode() === 'manual' ? 'test' : 'production';

export const keptIn = (context: IHookFunctions | IWebhookFunctions): Kept | undefined =>
  context.getWorkflowStaticData('node')[slotOf(context)] as Kept | undefined;

export function keep(context: IHookFunctions, kept: Kept): void {
  context.getWorkflowStaticData('node')[slotOf(context)] = kept as unknown as IDataObject;
}

export function forget(context: IHookFunctions): void {
  delete context.getWorkflowStaticData('node')[slotOf(context)];
}

/** JSON with the keys of objects in order, so that equal values have equal text. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a.localeCompare(b)))
      : inner,
  );

/** Whether two values are equal as JSON, which is how n8n keeps them. */
export const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);
