/** Answers whoever looks after the process, as kubelet does, whether it lives and whether it can do what it is there for. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { ExpectedError } from './expected.ts';

/** Where it is asked. */
export type ProbePlace = { readonly host: string; readonly port: number };

/** What it says. `unready`: why it cannot do what it is there for; null where nothing is known against it. `metrics`: as Prometheus reads them; absent: it has none. */
export type ProbeAnswers = { readonly unready: () => string | null; readonly metrics?: () => string };

/** The loopback address and port of a text such as 127.0.0.1:9699 or [::1]:9699; undefined: it is none. Nobody else on the network learns from it how the machine is. */
export function parseProbePlace(text: string): ProbePlace | undefined {
  const [, six, four, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? four;
  const isLoopback = host === '::1' || /^127(\.\d{1,3}){3}$/.test(host ?? '');
  if (host === undefined || !isLoopback || Number(port) < 1 || Number(port) > 65_535) return undefined;
  return { host, port: Number(port) };
}

/**
 * `GET /livez`: 200. `GET /readyz`: 200, or 503 with why not. `GET /metrics`: 200, where there are some. Until the signal aborts. Throws `ExpectedError` when it cannot listen: who asks there would
 * take somebody else's answers for those of this process.
 */
export async function startProbeListener(
  { host, port }: ProbePlace,
  { unready, metrics }: ProbeAnswers,
  signal: AbortSignal,
): Promise<void> {
  const server = createServer((request, response) => {
    const say = (status: number, text: string, type = 'text/plain'): void => {
      response.writeHead(status, { 'content-type': type, connection: 'close' });
      response.end(`${text}\n`);
    };
    if (request.method !== 'GET') return say(405, 'GET alone is served');
    if (request.url === '/livez') return say(200, 'ok');
    if (request.url === '/metrics' && metrics !== undefined) return say(200, metrics(), METRICS_TYPE);
    if (request.url !== '/readyz')
      return say(404, `there are ${metrics === undefined ? '' : '/metrics, '}/livez and /readyz`);
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

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
