// authentication.js
module.exports = {
  type: 'custom',
  fields: [
    {
      computed: false,
      key: 'api_key',
      required: true,
      label: 'API Key',
      type: 'password',
      helpText: 'Your ISAO API key from the dashboard'
    }
  ],
  test: {
    url: 'https://staging.isao.io/api/external/test',
    method: 'GET',
    headers: {
      'Authorization': 'Bearer {{bundle.authData.api_key}}'
    }
  },
  connectionLabel: 'Connected to ISAO ({{bundle.authData.company_name}})'
};
