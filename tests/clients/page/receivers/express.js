const express = require('express');
const crypto = require('crypto');
const app = express();

app.use(express.json());

// Webhook endpoint
app.post('/webhook/isao', (req, res) => {
  const event = req.body;

  console.log('Received event:', event.event);
  console.log('Event data:', event.data);

  // Process the event based on type
  switch (event.event) {
    case 'contact.created':
      handleNewContact(event.data);
      break;
    case 'deal.won':
      handleDealWon(event.data);
      break;
    default:
      console.log('Unknown event type:', event.event);
  }

  // Respond with 200 to acknowledge receipt
  res.status(200).json({ received: true });
});

function handleNewContact(contact) {
  console.log('New contact:', contact.name);
  // Add your business logic here
  // e.g., send welcome email, add to CRM, etc.
}

function handleDealWon(deal) {
  console.log('Deal won:', deal.title, deal.value);
  // Add your business logic here
  // e.g., generate invoice, send congratulations, etc.
}

app.listen(3000, () => {
  console.log('Webhook server listening on port 3000');
});
