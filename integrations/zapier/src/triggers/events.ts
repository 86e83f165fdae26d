// One trigger for each event. Zapier subscribes a URL of its own when a Zap is turned on, and
// runs `perform` for each delivery.
import { errors } from 'zapier-platform-core';
import type { Bundle, PlainInputField, Trigger, ZObject } from 'zapier-platform-core';
import { events, records } from '../catalogue.js';
import { CHOICES, outputFields, type PrimaryKey } from '../fields.js';
import { apiUrl, throwIfRefused } from '../server.js';
import { signatureProblem } from '../signature.js';

/** The most records that one answer of `/triggers/…/recent` has. */
const MAX_RECENT = 100;

interface Definition {
  key: string;
  event: string;
  noun: string;
  label: string;
  description: string;
  primary: PrimaryKey[];
  /** Record fields by which the user can narrow the trigger. */
  filters?: PlainInputField[];
}

/** What `performSubscribe` returned, as far as it is used. */
interface SubscribeData {
  subscription_id?: string;
  secret?: string;
}

const CREATED: PrimaryKey[] = ['id'];
// A record can change, or be won, more than once.
const CHANGED: PrimaryKey[] = ['id', 'updatedAt'];

const definitions: Definition[] = [
  {
    key: 'new_contact',
    event: 'contact.created',
    noun: 'Contact',
    label: 'New Contact',
    description: 'Triggers when a new contact is added to ISAO.',
    primary: CREATED,
  },
  {
    key: 'updated_contact',
    event: 'contact.updated',
    noun: 'Contact',
    label: 'Updated Contact',
    description: 'Triggers when the data of a contact changes.',
    primary: CHANGED,
  },
  {
    key: 'new_deal',
    event: 'deal.created',
    noun: 'Deal',
    label: 'New Deal',
    description: 'Triggers when a new deal is added to ISAO.',
    primary: CREATED,
  },
  {
    key: 'updated_deal',
    event: 'deal.updated',
    noun: 'Deal',
    label: 'Updated Deal',
    description: 'Triggers when the data of a deal changes.',
    primary: CHANGED,
  },
  {
    key: 'deal_stage_changed',
    event: 'deal.stage_changed',
    noun: 'Deal',
    label: 'Deal Stage Changed',
    description: 'Triggers when a deal moves to another stage.',
    primary: CHANGED,
    filters: [
      {
        ...CHOICES.stage,
        key: 'stage',
        label: 'Stage',
        type: 'string',
        helpText: 'Trigger only when a deal moves to this stage. Leave empty for all stages.',
      },
    ],
  },
  {
    key: 'deal_won',
    event: 'deal.won',
    noun: 'Deal',
    label: 'Deal Won',
    description: 'Triggers when a deal is marked as won.',
    primary: CHANGED,
  },
  {
    key: 'deal_lost',
    event: 'deal.lost',
    noun: 'Deal',
    label: 'Deal Lost',
    description: 'Triggers when a deal is marked as lost.',
    primary: CHANGED,
  },
];

const ignoreOwn: PlainInputField = {
  key: 'ignoreOwn',
  label: 'Ignore Changes by This Connection',
  type: 'boolean',
  required: false,
  helpText:
    'Yes: changes that are made with the API key of this connection do not trigger the Zap. This prevents Zaps that trigger themselves.',
};

function trigger({ key, event, noun, label, description, primary, filters = [] }: Definition): Trigger {
  const entry = events.find((one) => one.event === event);
  if (!entry) throw new Error(`the catalogue has no event ${event}`);

  /** The filters that the user set. */
  const chosen = (bundle: Bundle) =>
    filters.map((field) => [field.key, bundle.inputData[field.key]] as const).filter(([, value]) => value);

  const performSubscribe = async (z: ZObject, bundle: Bundle) => {
    const response = await z.request(apiUrl(bundle, '/webhooks/subscribe'), {
      method: 'POST',
      body: {
        event,
        target_url: bundle.targetUrl,
        filters: Object.fromEntries(chosen(bundle)),
        ignore_own: bundle.inputData.ignoreOwn || false,
      },
    });
    return response.data.data;
  };

  const performUnsubscribe = async (z: ZObject, bundle: Bundle) => {
    const { subscription_id } = bundle.subscribeData as SubscribeData;
    const response = await z.request(apiUrl(bundle, '/webhooks/unsubscribe'), {
      method: 'DELETE',
      body: { subscription_id },
      skipThrowForStatus: true,
    });
    // If the subscription is gone already, there is nothing left to do.
    if (response.status !== 404) throwIfRefused(response);
    return response.data;
  };

  const perform = (_z: ZObject, bundle: Bundle) => {
    const { secret } = (bundle.subscribeData ?? {}) as SubscribeData;
    const problem = secret && signatureProblem(bundle, secret, new Date());
    if (problem) {
      throw new errors.Error(
        `The delivery was refused because ${problem}. If the signing secret was rotated, turn the Zap off and on again.`,
        'INVALID_SIGNATURE',
        403,
      );
    }
    return [bundle.cleanedRequest.data];
  };

  const performList = async (z: ZObject, bundle: Bundle) => {
    const limit = bundle.meta?.limit;
    const response = await z.request(apiUrl(bundle, '/triggers', event, 'recent'), {
      params: { limit: limit >= 1 && limit <= MAX_RECENT ? limit : MAX_RECENT },
    });
    const wanted = chosen(bundle);
    return response.data.filter((item: Record<string, unknown>) =>
      wanted.every(([field, value]) => item[field] === value),
    );
  };

  return {
    key,
    noun,
    display: { label, description },
    operation: {
      type: 'hook',
      inputFields: [...filters, ignoreOwn],
      performSubscribe,
      performUnsubscribe,
      perform,
      performList,
      sample: entry.sample,
      outputFields: outputFields(records[entry.record], primary),
    },
  };
}

/** The event of each trigger, by the key of the trigger. */
export const eventOf: Record<string, string> = Object.fromEntries(
  definitions.map(({ key, event }) => [key, event]),
);

export const eventTriggers: Trigger[] = definitions.map(trigger);
