curl -X DELETE \
-H "Authorization: Bearer YOUR_API_KEY" \
-H "Content-Type: application/json" \
-d '{
"subscription_id": "sub_abc123"
}' \
https://staging.isao.io/api/external/webhooks/unsubscribe
