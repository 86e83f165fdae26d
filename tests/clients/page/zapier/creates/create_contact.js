// creates/create_contact.js
const perform = (z, bundle) => {
  const options = {
    url: 'https://staging.isao.io/api/external/contacts',
    method: 'POST',
    headers: {
      'Authorization': `Bearer ${bundle.authData.api_key}`,
      'Content-Type': 'application/json'
    },
    body: {
      name: bundle.inputData.name,
      phoneNumber: bundle.inputData.phoneNumber,
      email: bundle.inputData.email,
      position: bundle.inputData.position,
      currentCompany: bundle.inputData.currentCompany,
      tags: bundle.inputData.tags ? bundle.inputData.tags.split(',') : []
    }
  };

  return z.request(options).then((response) => {
    return response.json.data;
  });
};

module.exports = {
  key: 'create_contact',
  noun: 'Contact',
  display: {
    label: 'Create Contact',
    description: 'Creates a new contact in ISAO.'
  },
  operation: {
    inputFields: [
      {
        key: 'name',
        label: 'Name',
        type: 'string',
        required: true
      },
      {
        key: 'phoneNumber',
        label: 'Phone Number',
        type: 'string',
        required: true
      },
      {
        key: 'email',
        label: 'Email',
        type: 'string',
        required: false
      },
      {
        key: 'position',
        label: 'Position',
        type: 'string',
        required: false
      },
      {
        key: 'currentCompany',
        label: 'Company',
        type: 'string',
        required: false
      },
      {
        key: 'tags',
        label: 'Tags',
        type: 'string',
        helpText: 'Comma-separated list of tags',
        required: false
      }
    ],
    perform,
    sample: {
      id: 'contact_123',
      name: 'John Doe',
      email: 'john@example.com'
    }
  }
};
