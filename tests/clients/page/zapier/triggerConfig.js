// Example Zapier trigger configuration
const triggerConfig = {
  "key": "new_contact",
  "noun": "Contact",
  "display": {
    "label": "New Contact",
    "description": "Triggers when a new contact is added to ISAO."
  },
  "operation": {
    "type": "hook",
    "performSubscribe": {
      "url": "https://staging.isao.io/api/external/webhooks/subscribe",
      "method": "POST",
      "headers": {
        "Authorization": "Bearer {{bundle.authData.api_key}}"
      },
      "body": {
        "event": "contact.created",
        "target_url": "{{bundle.targetUrl}}"
      }
    },
    "performUnsubscribe": {
      "url": "https://staging.isao.io/api/external/webhooks/unsubscribe",
      "method": "DELETE",
      "headers": {
        "Authorization": "Bearer {{bundle.authData.api_key}}"
      },
      "body": {
        "subscription_id": "{{bundle.subscribeData.subscription_id}}"
      }
    },
    "performList": {
      "url": "https://staging.isao.io/api/external/triggers/contact.created/recent",
      "method": "GET",
      "headers": {
        "Authorization": "Bearer {{bundle.authData.api_key}}"
      }
    }
  }
}
