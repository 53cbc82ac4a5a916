/** Answers whoever looks after the process, as kubelet does, whether it lives and whether it can plug what comes. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { ExpectedError } from '@cable/kit';

/**
 * `GET /livez`: 200. `GET /readyz`: 200, or 503 with why not. Until the signal aborts. `unready`: null where nothing is known against it. Throws `ExpectedError` when it cannot listen:
 * who asks there would take somebody else's answers for the agent's.
 */
export async function startProbeListener(
  { host, port }: { readonly host: string; readonly port: number },
  unready: () => string | null,
  signal: AbortSignal,
): Promise<void> {
  const server = createServer((request, response) => {
    const say = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' });
      response.end(`${text}\n`);
    };
    if (request.method !== 'GET') return say(405, 'GET alone is served');
    if (request.url === '/livez') return say(200, 'ok');
    if (request.url !== '/readyz') return say(404, 'there are /livez and /readyz');
    const reason = unready();
    return reason === null ? say(200, 'ok') : say(503, reason);
  });
  server.headersTimeout = 5000;
  server.maxConnections = 32;
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new ExpectedError(`cannot listen on ${host} port ${port}: choose another with --probe-listen`, { cause });
  }
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}
