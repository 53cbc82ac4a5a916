/** The clients: each sends one request after the other, of what the mix draws, until it is told to end. */
import type { Bed, BedServer } from './bed.ts';
import { type Call, type Caller, type Client, createClient } from './client.ts';
import { type Deed, type Entry, TYPES } from './history.ts';
import { drawWish } from './mix.ts';
import { type Random, randomFrom } from './random.ts';
import { World } from './world.ts';

export type HammerOptions = {
  readonly clients: number;
  readonly seed: number;
  /** Begins the names of what is made. */
  readonly prefix: string;
  /** Clients send nothing new when it has aborted. */
  readonly signal: AbortSignal;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
};

type Hammering = HammerOptions & {
  readonly bed: Bed;
  readonly client: Client;
  readonly world: World;
  readonly entries: Entry[];
};

/** Resolves with all that was asked and answered, when each request that was sent has its answer. */
export async function hammer(bed: Bed, options: HammerOptions): Promise<readonly Entry[]> {
  const client = createClient();
  const run: Hammering = { ...options, bed, client, world: new World(options.prefix), entries: [] };
  try {
    const randoms = Array.from({ length: options.clients }, (_, n) => randomFrom(options.seed * 1000 + n));
    await Promise.all(randoms.map((random) => work(run, random)));
    return run.entries;
  } finally {
    client.close();
  }
}

async function work(run: Hammering, random: Random): Promise<void> {
  while (!run.signal.aborted) {
    const wish = drawWish(run.world, random);
    if (wish === undefined) continue;
    // What the seed decides is decided here, before anything depends on time.
    const sends = wish.deeds.map((deed) => ({
      deed,
      server: random.below(run.bed.servers.length),
      headers: { 'request-timeout': String(random.one([1, 2, 3, 5])) },
      leavesAfterMs: random.chance(0.02) ? random.below(60) : undefined,
    }));
    await Promise.all(sends.map((one) => perform(run, wish.caller, one)));
  }
}

type How = {
  readonly deed: Deed;
  readonly server: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly leavesAfterMs: number | undefined;
};

async function perform(run: Hammering, caller: Caller, how: How): Promise<void> {
  const { deed } = how;
  const server = await upServer(run, how.server);
  const ifRevision = 'ifRevision' in deed ? deed.ifRevision : null;
  const headers = {
    ...how.headers,
    ...(deed.kind === 'create' && deed.key !== null ? { 'idempotency-key': deed.key } : {}),
    ...(ifRevision === null ? {} : { 'if-match': `revision_number=${ifRevision}` }),
  };
  const via = server.program.run;
  const startedAt = run.monotonicMs();
  const call = { ...callOf(deed), port: server.port, caller, headers, leavesAfterMs: how.leavesAfterMs };
  const answer = await run.client.send(call);
  const isAdmin = caller.roles === undefined;
  const entry = { ...answer, deed, isAdmin, via, startedAt, endedAt: run.monotonicMs() };
  run.entries.push(entry);
  run.world.learn(entry);
}

/** The server that was drawn, or another while that one is down. */
async function upServer({ bed }: Hammering, drawn: number): Promise<BedServer> {
  const all = [...bed.servers.slice(drawn), ...bed.servers.slice(0, drawn)];
  const [first] = all;
  if (first === undefined) throw new Error('a bed has servers');
  const up = all.find(({ program }) => program.isUp);
  if (up === undefined) await first.program.whenUp();
  return up ?? first;
}

const RBAC = '/v2.0/rbac-policies';

function callOf(deed: Deed): Pick<Call, 'method' | 'path' | 'body'> {
  const { body: single, plural, path } = TYPES[deed.type];
  if (deed.kind === 'create') {
    const [first] = deed.given;
    const body = deed.given.length === 1 ? { [single]: first } : { [plural]: deed.given };
    return { method: 'POST', path: `/v2.0/${path}`, body };
  }
  const one = `/v2.0/${path}/${deed.id}`;
  if ('tag' in deed) {
    return { method: deed.kind === 'tag' ? 'PUT' : 'DELETE', path: `${one}/tags/${deed.tag}` };
  }
  if (deed.kind === 'grant') {
    const policy = { object_type: deed.type, object_id: deed.id, action: 'access_as_shared' };
    return { method: 'POST', path: RBAC, body: { rbac_policy: { ...policy, target_tenant: deed.project } } };
  }
  if (deed.kind === 'regrant') {
    return { method: 'PUT', path: `${RBAC}/${deed.policyId}`, body: { rbac_policy: { target_tenant: deed.project } } };
  }
  if (deed.kind === 'revoke') return { method: 'DELETE', path: `${RBAC}/${deed.policyId}` };
  if (deed.kind === 'read') return { method: 'GET', path: one };
  if (deed.kind === 'delete') return { method: 'DELETE', path: one };
  if (deed.kind === 'update') {
    return { method: 'PUT', path: one, body: { [single]: { ...deed.sets, description: deed.token } } };
  }
  return {
    method: 'PUT',
    path: `${one}/${deed.kind === 'attach' ? 'add' : 'remove'}_router_interface`,
    body: deed.body,
  };
}
