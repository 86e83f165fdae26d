curl -X POST \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"event": "contact.created",
"target_url": "https://hooks.zapier.com/hooks/catch/12345/abcdef",
"filters": {
"tags": ["lead", "enterprise"]
}
}' \
https://staging.isao.io/api/external/webhooks/subscribe
