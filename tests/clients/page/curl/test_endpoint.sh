curl -X POST \
-H "Content-Type: application/json" \
-d '{"event":"test","data":{"test":true}}' \
https://your-webhook-url.com/webhook
