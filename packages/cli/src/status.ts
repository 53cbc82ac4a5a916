import { ApiError } from '@cable/api';
import type { CliContext } from './context.ts';
import { type Row, renderJson, renderObject } from './render.ts';

type Status = {
  readonly server: string;
  readonly ready: boolean;
  /** Checks that fail, as `name: reason`. */
  readonly unready: readonly string[];
  /** Of the store, as far as the server has read it; null: unknown. */
  readonly revision: number | null;
  readonly hosts: {
    readonly alive: readonly string[];
    readonly dead: readonly string[];
    /** Those whose kernels have refused entries, with how many and why. */
    readonly refusing: readonly { readonly host: string; readonly entries: number; readonly reason: string | null }[];
    /** Those whose underlay carries smaller packets than some of their networks need, with the bytes and how many networks. */
    readonly narrow: readonly { readonly host: string; readonly underlay_mtu: number; readonly networks: number }[];
  };
  /** Options that other servers on the store have otherwise. */
  readonly other_options: readonly {
    readonly server: string;
    readonly option: string;
    readonly here: string;
    readonly there: string;
  }[];
  /** Number of ports by status. */
  readonly ports: Readonly<Record<string, number>>;
};

/** `cable status`: whether the server answers, where it stands, which hosts report, how many ports are in which state. */
export async function showStatus(context: CliContext): Promise<void> {
  const status = await readStatus(context);
  if (context.json) return context.print(renderJson(status));
  const { alive, dead, refusing, narrow } = status.hosts;
  const ports = Object.entries(status.ports).map(([name, count]) => `${name} ${count}`);
  context.print(
    renderObject({
      server: `${status.server} (${status.ready ? 'ready' : 'not ready'})`,
      ...(status.ready ? {} : { 'not ready': status.unready }),
      revision: status.revision ?? 'unknown',
      'hosts alive': `${alive.length} of ${alive.length + dead.length}`,
      'hosts dead': dead,
      ...(refusing.length === 0
        ? {}
        : {
            'hosts without room': refusing.map(
              ({ host, entries, reason }) => `${host}: ${entries} entries are missing: ${reason}`,
            ),
          }),
      ...(narrow.length === 0
        ? {}
        : {
            'hosts with a small MTU': narrow.map(
              ({ host, underlay_mtu: bytes, networks }) =>
                `${host}: packets of ${bytes} bytes, too small for ${networks} of its networks`,
            ),
          }),
      ...(status.other_options.length === 0
        ? {}
        : {
            'other options': status.other_options.map(
              ({ server, option, here, there }) => `${server}: ${option} ${there}, here ${here}`,
            ),
          }),
      ports: ports.length === 0 ? 'none' : ports,
    }),
  );
}

async function readStatus(context: CliContext): Promise<Status> {
  const client = context.client();
  const [unready, counts, hosts] = await Promise.all([
    readUnready(context),
    client.request('GET', '/cable/v1/status'),
    client.list('host', {
      fields: ['id', 'alive', 'underlay_mtu', 'networks_too_large', 'refused_entries', 'refused_reason'],
    }),
  ]);
  const { revision, ports, other_options } = parseCounts(counts);
  const names = (alive: boolean): readonly string[] =>
    hosts.filter((host) => host.alive === alive).map((host) => host.id);
  const refusing = hosts
    .filter((host) => host.refused_entries > 0)
    .map((host) => ({ host: host.id, entries: host.refused_entries, reason: host.refused_reason }));
  const narrow = hosts
    .filter((host) => host.networks_too_large > 0)
    .map((host) => ({ host: host.id, underlay_mtu: host.underlay_mtu ?? 0, networks: host.networks_too_large }));
  return {
    server: context.server,
    ready: unready === undefined,
    unready: unready ?? [],
    revision,
    hosts: { alive: names(true), dead: names(false), refusing, narrow },
    other_options,
    ports,
  };
}

/** Why the server is not ready; undefined: it is. */
async function readUnready(context: CliContext): Promise<readonly string[] | undefined> {
  try {
    await context.client().request('GET', '/readyz');
    return undefined;
  } catch (err) {
    if (!(err instanceof ApiError) || err.status !== 503) throw err;
    return [err.message.replace(/^The server is not ready: /, '')];
  }
}

/** The parts of `GET /cable/v1/status` that are shown. */
function parseCounts(answer: unknown): Pick<Status, 'revision' | 'ports' | 'other_options'> {
  const { revision, ports, other_options: others } = recordOf(answer);
  const byStatus = Object.entries(recordOf(recordOf(ports)['by_status']));
  return {
    revision: typeof revision === 'number' ? revision : null,
    other_options: (Array.isArray(others) ? others : []).map(recordOf).map((one) => ({
      server: String(one['server']),
      option: String(one['option']),
      here: String(one['here']),
      there: String(one['there']),
    })),
    ports: Object.fromEntries(byStatus.map(([name, count]) => [name, Number(count)])),
  };
}

function recordOf(value: unknown): Row {
  return typeof value === 'object' && value !== null ? (value as Row) : {};
}
