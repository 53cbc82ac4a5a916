/**
 * One agent a network namespace: a second would change the first's devices. The lock is an abstract Unix socket: it belongs to the
 * namespace in which it was bound, and goes with the process, however that ends.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Whose the lock is. */
export type LockHolder = { readonly host: string; readonly pid: number };

/** As long as an address can be: runtimes differ in whether they fill up a shorter one. */
const ADDRESS = `\0${'cable-agent'.padEnd(107, '.')}`;
const ANSWER_MS = 1_000;
const ANSWER_BYTES = 1_024;

/** The lock is held from now on until the process ends: undefined. Otherwise the answer says who holds it. */
export async function lockNamespace(holder: LockHolder): Promise<string | undefined> {
  const server = createServer((caller: Socket) => {
    caller.on('error', () => caller.destroy());
    caller.end(JSON.stringify(holder));
  });
  server.maxConnections = 16;
  server.unref();
  server.listen(ADDRESS);
  try {
    await once(server, 'listening');
    server.on('error', () => undefined);
    return undefined;
  } catch (err) {
    if (!(err instanceof Error && 'code' in err && err.code === 'EADDRINUSE')) throw err;
    return refusal(await askHolder());
  }
}

function refusal(holder: LockHolder | undefined): string {
  if (holder === undefined) {
    return 'something holds the lock of the agents of this network namespace and does not say what it is: find it with "ss -xlp | grep cable-agent"';
  }
  return `an agent for host ${holder.host} runs in this network namespace already (process ${holder.pid}): stop it first`;
}

/** undefined: no answer that makes sense. */
async function askHolder(): Promise<LockHolder | undefined> {
  const socket = connect(ADDRESS);
  const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
  try {
    let text = '';
    for await (const chunk of socket) {
      text += chunk;
      if (text.length > ANSWER_BYTES) return undefined;
    }
    return parseHolder(text);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** Throws on what is not JSON. */
function parseHolder(text: string): LockHolder | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('host' in value) || !('pid' in value)) return undefined;
  const { host, pid } = value;
  return typeof host === 'string' && /^[\w.-]+$/.test(host) && typeof pid === 'number' ? { host, pid } : undefined;
}
