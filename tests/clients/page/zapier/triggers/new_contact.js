// triggers/new_contact.js
const perform = (z, bundle) => {
  // Return recent contacts for initial poll
  const options = {
    url: 'https://staging.isao.io/api/external/triggers/contact.created/recent',
    method: 'GET',
    headers: {
      'Authorization': `Bearer ${bundle.authData.api_key}`
    },
    params: {
      limit: bundle.meta.limit || 100
    }
  };

  return z.request(options).then((response) => {
    return response.json;
  });
};

const performSubscribe = (z, bundle) => {
  // Subscribe to webhook
  const options = {
    url: 'https://staging.isao.io/api/external/webhooks/subscribe',
    method: 'POST',
    headers: {
      'Authorization': `Bearer ${bundle.authData.api_key}`,
      'Content-Type': 'application/json'
    },
    body: {
      event: 'contact.created',
      target_url: bundle.targetUrl
    }
  };

  return z.request(options).then((response) => {
    return response.json.data;
  });
};

const performUnsubscribe = (z, bundle) => {
  // Unsubscribe from webhook
  const options = {
    url: 'https://staging.isao.io/api/external/webhooks/unsubscribe',
    method: 'DELETE',
    headers: {
      'Authorization': `Bearer ${bundle.authData.api_key}`,
      'Content-Type': 'application/json'
    },
    body: {
      subscription_id: bundle.subscribeData.subscription_id
    }
  };

  return z.request(options);
};

module.exports = {
  key: 'new_contact',
  noun: 'Contact',
  display: {
    label: 'New Contact',
    description: 'Triggers when a new contact is added to ISAO.'
  },
  operation: {
    type: 'hook',
    performSubscribe,
    performUnsubscribe,
    perform,
    sample: {
      id: 'contact_123',
      name: 'John Doe',
      email: 'john@example.com',
      phoneNumber: '+33123456789'
    }
  }
};
