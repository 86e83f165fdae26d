curl -X POST \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"event": "contact.created",
"target_url": "https://hook.eu1.make.com/12345abcdef"
}' \
https://staging.isao.io/api/external/webhooks/subscribe
