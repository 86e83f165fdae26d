import type {
  IAuthenticateGeneric,
  Icon,
  ICredentialTestRequest,
  ICredentialType,
  INodeProperties,
} from 'n8n-workflow';

export class IsaoApi implements ICredentialType {
  name = 'isaoApi';

  displayName = 'ISAO API';

  icon: Icon = { light: 'file:../icons/isao.svg', dark: 'file:../icons/isao.dark.svg' };

  documentationUrl = 'https://isao.example.com/integrations/n8n';

  properties: INodeProperties[] = [
    {
      displayName: 'Base URL',
      name: 'baseUrl',
      type: 'string',
      default: '',
      required: true,
      placeholder: 'https://isao.example.com',
      description: 'The address of your ISAO server, with https:// or http:// in front',
    },
    {
      displayName: 'API Key',
      name: 'apiKey',
      type: 'string',
      typeOptions: { password: true },
      default: '',
      required: true,
      description:
        'A key with the permissions webhooks:write, contacts:write and deals:write. Create one in the dashboard of your server, under Settings, API keys.',
    },
  ];

  authenticate: IAuthenticateGeneric = {
    type: 'generic',
    properties: {
      headers: {
        Authorization: '=Bearer {{$credentials.apiKey.trim()}}',
      },
    },
  };

  test: ICredentialTestRequest = {
    request: {
      // The same address as `apiUrl` makes.
      baseURL:
        '={{$credentials.baseUrl.trim().replace(/\\/+$/, "").replace(/\\/api\\/external$/, "")}}/api/external',
      url: '/test',
    },
  };
}
