curl -H "Authorization: Bearer YOUR_API_KEY" \
"https://staging.isao.io/api/external/triggers/contact.created/recent?limit=10"
