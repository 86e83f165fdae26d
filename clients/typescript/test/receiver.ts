import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What was received, as it was received. */
export interface Delivery {
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Starts an HTTP server that keeps what is delivered to it. */
export async function startReceiver() {
  const received: Delivery[] = [];
  const waiting: ((delivery: Delivery) => void)[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.end();
      const delivery = { headers: request.headers, body: Buffer.concat(chunks) };
      const next = waiting.shift();
      if (next) next(delivery);
      else received.push(delivery);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    /** Returns the next delivery, when it has come. */
    async next(): Promise<Delivery> {
      return received.shift() ?? (await new Promise((resolve) => waiting.push(resolve)));
    },
    stop: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}
