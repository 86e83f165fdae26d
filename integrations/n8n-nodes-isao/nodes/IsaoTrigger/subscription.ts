// The subscription of a trigger: what it asks for, and what n8n keeps of it.
import type { IDataObject, IHookFunctions, IWebhookFunctions } from 'n8n-workflow';

/** What n8n keeps of a subscription until the next call. */
export interface Kept {
  id: string;
  secret: string;
  /** The URL of the webhook. */
  url: string;
  /** Whether it is for test runs. */
  test: boolean;
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

/** Whether this is for a test run, which has a URL of its own beside the production URL. */
const isTest = (context: IHookFunctions) => context.getMode() === 'manual';

/** All that is kept for this node. Test runs and production may or may not share it. */
export const allKept = (context: IHookFunctions | IWebhookFunctions): Kept[] =>
  (context.getWorkflowStaticData('node').subscriptions ?? []) as unknown as Kept[];

function store(context: IHookFunctions, all: Kept[]): void {
  context.getWorkflowStaticData('node').subscriptions = all as unknown as IDataObject[];
}

/** What is kept for the test runs, if this is one, or else for production; whatever its URL is. */
export const ownKept = (context: IHookFunctions): Kept[] =>
  allKept(context).filter(({ test }) => test === isTest(context));

export function keep(context: IHookFunctions, kept: Omit<Kept, 'test'>): void {
  store(context, [...allKept(context), { ...kept, test: isTest(context) }]);
}

export function forget(context: IHookFunctions, { id }: Kept): void {
  store(
    context,
    allKept(context).filter((kept) => kept.id !== id),
  );
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
