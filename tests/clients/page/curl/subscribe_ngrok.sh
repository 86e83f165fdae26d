curl -X POST \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"event": "contact.created",
"target_url": "https://abc123.ngrok.io/webhook/isao"
}' \
https://staging.isao.io/api/external/webhooks/subscribe
