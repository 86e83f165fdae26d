import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';
import type {
  IDataObject,
  IHookFunctions,
  INodeType,
  INodeTypeDescription,
  IWebhookFunctions,
  IWebhookResponseData,
} from 'n8n-workflow';
import { events } from '../../shared/catalogue';
import { getChangedFields, getFilterFields } from '../../shared/lists';
import { refusal, request, segment, send } from '../../shared/server';
import { signatureProblem } from '../../shared/signature';
import { allKept, forget, keep, made, ownKept, same, settingsOf, type Kept } from './subscription';

/** Unsubscribes `id`. If the subscription is gone already, there is nothing left to do. */
async function unsubscribe(context: IHookFunctions, id: string): Promise<void> {
  const response = await send(context, { method: 'DELETE', path: `/webhooks/${segment(id)}` });
  if (response.status >= 300 && response.status !== 404) throw refusal(context, response);
}

/** The subscription as the server has it, or undefined if it is gone. */
async function lookUp(context: IHookFunctions, { id }: Kept): Promise<IDataObject | undefined> {
  const response = await send(context, { path: `/webhooks/${segment(id)}` });
  if (response.status === 404) return undefined;
  if (response.status >= 300) throw refusal(context, response);
  return response.body.data as IDataObject;
}

export class IsaoTrigger implements INodeType {
  description: INodeTypeDescription = {
    displayName: 'ISAO Trigger',
    name: 'isaoTrigger',
    icon: { light: 'file:../../icons/isao.svg', dark: 'file:../../icons/isao.dark.svg' },
    group: ['trigger'],
    version: 1,
    subtitle: '={{$parameter["events"].join(", ")}}',
    description: 'Starts the workflow when contacts or deals change in ISAO',
    eventTriggerDescription: 'Waiting for an event of ISAO',
    activationMessage: 'The workflow is subscribed: it starts with each of these events.',
    defaults: {
      name: 'ISAO Trigger',
    },
    inputs: [],
    outputs: [NodeConnectionTypes.Main],
    credentials: [{ name: 'isaoApi', required: true }],
    webhooks: [
      {
        name: 'default',
        httpMethod: 'POST',
        responseMode: 'onReceived',
        path: 'webhook',
      },
    ],
    properties: [
      {
        displayName: 'Events',
        name: 'events',
        type: 'multiOptions',
        required: true,
        default: [],
        options: events.map(({ event, summary }) => ({ name: summary, value: event, description: event })),
        description: 'The events that start the workflow',
      },
      {
        displayName: 'Filters',
        name: 'filters',
        type: 'fixedCollection',
        typeOptions: { multipleValues: true },
        placeholder: 'Add Filter',
        default: {},
        description:
          'Start only when the record has these values. Of several values for one field, any may match; several fields must all match.',
        options: [
          {
            displayName: 'Filter',
            name: 'row',
            values: [
              {
                displayName: 'Field Name or ID',
                name: 'field',
                type: 'options',
                typeOptions: { loadOptionsMethod: 'getFilterFields', loadOptionsDependsOn: ['events'] },
                default: '',
                description:
                  'A field that all of the events have. Choose from the list, or specify an ID using an <a href="https://docs.n8n.io/code/expressions/">expression</a>.',
              },
              {
                displayName: 'Value',
                name: 'value',
                type: 'string',
                default: '',
                description: 'The whole value. Of several tags, one has to match.',
              },
            ],
          },
        ],
      },
      {
        displayName: 'Options',
        name: 'options',
        type: 'collection',
        placeholder: 'Add Option',
        default: {},
        options: [
          {
            displayName: 'Changed Field Names or IDs',
            name: 'changed',
            type: 'multiOptions',
            typeOptions: { loadOptionsMethod: 'getChangedFields', loadOptionsDependsOn: ['events'] },
            default: [],
            description:
              'Start only when one of these fields changed. For events about changes only. Choose from the list, or specify IDs using an <a href="https://docs.n8n.io/code/expressions/">expression</a>.',
          },
          {
            displayName: 'Ignore Own Changes',
            name: 'ignoreOwn',
            type: 'boolean',
            default: false,
            description:
              'Whether to leave out changes that are made with the API key of the credential. This prevents workflows that start themselves.',
          },
          {
            displayName: 'Include',
            name: 'include',
            type: 'multiOptions',
            options: [
              {
                name: 'Actor',
                value: 'actor',
                description: 'Who caused the event, in metadata.actor',
              },
              {
                name: 'Previous Values',
                value: 'previous',
                description: 'The values before the change, in previous; for events about changes',
              },
            ],
            default: [],
            description: 'What an event carries beyond the usual',
          },
          {
            displayName: 'Ordering',
            name: 'ordering',
            type: 'options',
            options: [
              {
                name: 'One After the Other',
                value: 'subscription',
                description: 'Each event waits until n8n has accepted the one before it',
              },
              {
                name: 'Per Record',
                value: 'record',
                description:
                  'An event waits only for those before it of the same contact or deal; events of different records may overtake each other',
              },
            ],
            default: 'subscription',
            description: 'The order in which events arrive',
          },
        ],
      },
    ],
  };

  methods = {
    loadOptions: { getChangedFields, getFilterFields },
  };

  webhookMethods = {
    default: {
      async checkExists(this: IHookFunctions): Promise<boolean> {
        let exists = false;
        for (const kept of ownKept(this)) {
          const subscription = await lookUp(this, kept);
          const fits =
            subscription?.target_url === kept.url &&
            kept.url === this.getNodeWebhookUrl('default') &&
            same(kept.settings, settingsOf(this)) &&
            same(kept.made, made(subscription));
          if (fits && subscription.status !== 'deactivated') {
            // One that somebody paused stays paused.
            exists = true;
          } else if (fits) {
            // Subscribing again resumes a subscription that was deactivated after an outage.
            forget(this, kept);
          } else {
            // This subscription is the trigger's own, from before something was changed. It would go
            // on delivering beside the new one.
            if (subscription) await unsubscribe(this, kept.id);
            forget(this, kept);
          }
        }
        return exists;
      },

      async create(this: IHookFunctions): Promise<boolean> {
        const url = this.getNodeWebhookUrl('default');
        const settings = settingsOf(this);
        if (!url || settings.events.length === 0) {
          throw new NodeOperationError(this.getNode(), 'Choose at least one event');
        }
        const { data } = await request(this, {
          method: 'POST',
          path: '/webhooks/subscribe',
          body: { ...settings, target_url: url },
        });
        const subscription = data as IDataObject;
        keep(this, {
          id: subscription.subscription_id as string,
          secret: subscription.secret as string,
          url,
          settings,
          made: made(subscription),
        });
        return true;
      },

      async delete(this: IHookFunctions): Promise<boolean> {
        // n8n ends a test run in another mode than it began it, but with its URL.
        const url = this.getNodeWebhookUrl('default');
        for (const kept of allKept(this).filter((one) => one.url === url)) {
          await unsubscribe(this, kept.id);
          forget(this, kept);
        }
        return true;
      },
    },
  };

  async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
    const { rawBody } = this.getRequestObject();
    const secrets = allKept(this).map(({ secret }) => secret);
    const problem = signatureProblem(this.getHeaderData(), rawBody, secrets, new Date());
    if (problem) {
      this.getResponseObject()
        .status(403)
        .json({
          message: `The delivery was refused because ${problem}. If the signing secret was rotated, deactivate the workflow and activate it again.`,
        });
      return { noWebhookResponse: true };
    }
    return { workflowData: [this.helpers.returnJsonArray(this.getBodyData())] };
  }
}
