import { NodeApiError, NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';
import type {
  IExecuteFunctions,
  INodeExecutionData,
  INodeType,
  INodeTypeDescription,
  JsonObject,
} from 'n8n-workflow';
import { searchContacts, searchDeals, searchMembers, searchStages, searchWebhooks } from '../../shared/lists';
import { properties } from './description';
import { run } from './operations';

export class Isao implements INodeType {
  description: INodeTypeDescription = {
    displayName: 'ISAO',
    name: 'isao',
    icon: { light: 'file:../../icons/isao.svg', dark: 'file:../../icons/isao.dark.svg' },
    group: ['output'],
    version: 1,
    subtitle: '={{$parameter["operation"] + ": " + $parameter["resource"]}}',
    description: 'Read and write contacts, deals and webhook subscriptions of ISAO',
    defaults: {
      name: 'ISAO',
    },
    usableAsTool: true,
    inputs: [NodeConnectionTypes.Main],
    outputs: [NodeConnectionTypes.Main],
    credentials: [{ name: 'isaoApi', required: true }],
    properties,
  };

  methods = {
    listSearch: { searchContacts, searchDeals, searchMembers, searchStages, searchWebhooks },
  };

  async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
    const returned: INodeExecutionData[] = [];
    for (let item = 0; item < this.getInputData().length; item++) {
      try {
        for (const json of await run(this, item)) returned.push({ json, pairedItem: { item } });
      } catch (error) {
        if (!this.continueOnFail()) {
          // Both constructors return an error of their own kind as it is.
          if (error instanceof NodeOperationError) {
            throw new NodeOperationError(this.getNode(), error, { itemIndex: item });
          }
          throw new NodeApiError(this.getNode(), error as JsonObject, { itemIndex: item });
        }
        const { message, description } = error as NodeApiError;
        returned.push({ json: { error: message, ...(description && { description }) }, pairedItem: { item } });
      }
    }
    return [returned];
  }
}
