import { ApiError } from '@cable/api';
import type { CliContext } from './context.ts';
import { renderJson, renderObject } from './render.ts';

type Status = {
  readonly server: string;
  readonly ready: boolean;
  /** Of the store, as far as the server has read it; null: unknown. */
  readonly revision: number | null;
  readonly hosts: { readonly alive: readonly string[]; readonly dead: readonly string[] };
  /** Number of ports by status. */
  readonly ports: Readonly<Record<string, number>>;
};

/** `cable status`: whether the server answers, where it stands, which hosts report, how many ports are in which state. */
export async function showStatus(context: CliContext): Promise<void> {
  const status = await readStatus(context);
  if (context.json) return context.print(renderJson(status));
  const { alive, dead } = status.hosts;
  const ports = Object.entries(status.ports).map(([name, count]) => `${name} ${count}`);
  context.print(
    renderObject({
      server: `${status.server} (${status.ready ? 'ready' : 'not ready'})`,
      revision: status.revision ?? 'unknown',
      'hosts alive': `${alive.length} of ${alive.length + dead.length}`,
      'hosts dead': dead,
      ports: ports.length === 0 ? 'none' : ports,
    }),
  );
}

async function readStatus(context: CliContext): Promise<Status> {
  const client = context.client();
  const [ready, revision, hosts, ports] = await Promise.all([
    isReady(context),
    readRevision(context),
    client.list('host', { fields: ['id', 'alive'] }),
    client.list('port', { fields: ['status'] }),
  ]);
  const counts: Record<string, number> = {};
  for (const port of ports) counts[port.status] = (counts[port.status] ?? 0) + 1;
  const names = (alive: boolean): readonly string[] =>
    hosts.filter((host) => host.alive === alive).map((host) => host.id);
  return { server: context.server, ready, revision, hosts: { alive: names(true), dead: names(false) }, ports: counts };
}

async function isReady(context: CliContext): Promise<boolean> {
  try {
    await context.client().request('GET', '/readyz');
    return true;
  } catch (err) {
    if (err instanceof ApiError && err.status === 503) return false;
    throw err;
  }
}

/** From the server's metrics. */
async function readRevision(context: CliContext): Promise<number | null> {
  const transport = context.connect(context.server);
  try {
    const { body } = await transport.request({ method: 'GET', path: '/metrics' });
    const found = /^cable_objects\{type="revision"\} (\d+)$/m.exec(body)?.[1];
    return found === undefined ? null : Number(found);
  } finally {
    transport.close();
  }
}
