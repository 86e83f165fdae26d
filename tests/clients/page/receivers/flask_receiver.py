from flask import Flask, request, jsonify
import logging

app = Flask(__name__)
logging.basicConfig(level=logging.INFO)

@app.route('/webhook/isao', methods=['POST'])
def handle_webhook():
    event_data = request.json
    event_type = event_data.get('event')
    data = event_data.get('data', {})

    logging.info(f"Received event: {event_type}")

    if event_type == 'contact.created':
        handle_new_contact(data)
    elif event_type == 'deal.won':
        handle_deal_won(data)
    else:
        logging.warning(f"Unknown event type: {event_type}")

    return jsonify({'received': True}), 200

def handle_new_contact(contact):
    logging.info(f"New contact: {contact.get('name')}")
    # Add your business logic here

def handle_deal_won(deal):
    logging.info(f"Deal won: {deal.get('title')} - {deal.get('value')}")
    # Add your business logic here

if __name__ == '__main__':
    app.run(debug=True, port=3000)
