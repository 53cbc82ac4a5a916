/** Groups of multicast between two hosts, with real agents and the kernel's sockets: who gets what is sent to a group, while agents come and go. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { sleep } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import type { PortView } from '@cable/model';
import type { BedHost } from '../versions/bed-host.ts';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { VersionBed } from '../versions/version-bed.ts';

const PROGRAM = new URL('group-party.ts', import.meta.url).pathname;
const GROUPS = { 4: '239.1.2.3', 6: 'ff15::1:2:3' } as const;
const VERSIONS = [4, 6] as const;
const PORT = 5000;
/** A guest that was not asked yet gets all: until then it takes two questions, a quarter of 125 s apart, and the time to answer. */
const KNOWN_MS = 120_000;
/** Some five seconds on a machine with nothing else to do; without a question it would be 260. */
const LEFT_MS = 60_000;

type Place = { readonly host: BedHost; readonly port: PortView };

class Party {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
  }

  static async start(
    t: TestContext,
    what: string,
    { host, port }: Place,
    version: 4 | 6,
    ...more: string[]
  ): Promise<Party> {
    const own = port.fixed_ips.find(({ ip_address: address }) => address.includes(':') === (version === 6));
    const from = version === 6 ? `::%${linkOf(port)}` : (own?.ip_address ?? '');
    const args = [...sourceProgram(PROGRAM), what, GROUPS[version], String(PORT), from, ...more];
    const enter = [`--net=/run/netns/${host.name}`, process.execPath, ...args];
    const child = spawn('nsenter', enter, { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    assert.ok(child.stdout);
    const party = new Party(child, createInterface({ input: child.stdout }));
    assert.equal(await party.#line(), 'ready');
    return party;
  }

  /** How many were sent, or which have come. */
  async told<T>(): Promise<T> {
    const line = this.#line();
    this.#child.stdin?.write('?\n');
    return JSON.parse(await line) as T;
  }

  /** Closes its socket: it leaves. */
  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await closed;
  }

  #line(): Promise<string> {
    return new Promise((resolve) => this.#lines.once('line', resolve));
  }
}

/** Frames that a machine's link gets in so many ms. */
async function frames({ host, port }: Place, ms: number): Promise<number> {
  const before = host.receivedBy(linkOf(port));
  await sleep(ms);
  return host.receivedBy(linkOf(port)) - before;
}

/** Waits until it gets no more than what is of the link itself. */
async function spared(what: string, place: Place, withinMs = KNOWN_MS): Promise<void> {
  const deadline = performance.now() + withinMs;
  let got = Number.POSITIVE_INFINITY;
  while (performance.now() < deadline) {
    got = await frames(place, 1000);
    if (got < 10) return;
  }
  assert.fail(`${what}: still ${got} frames a second`);
}

/** A packet each 10 ms; those that came between the first and the last that it has, and are missing. */
function missing(got: readonly number[]): readonly number[] {
  const all = new Set(got);
  const [first = 0, last = 0] = [Math.min(...got), Math.max(...got)];
  return Array.from({ length: last - first + 1 }, (_, n) => first + n).filter((n) => !all.has(n));
}

test('what is sent to a group goes to its members alone, and to them whatever becomes of agents', {
  timeout: 280_000,
}, async (t) => {
  const bed = new VersionBed('mc', 0);
  t.after(() => bed.remove());
  await bed.start(CURRENT, ...bed.hosts.map(() => CURRENT));
  const cloud = await Cloud.create(bed.api);
  await cloud.allow('udp');
  const [{ id: group } = { id: '' }] = await bed.api.list('security_group', { name: 'pinged' });
  const udp6 = { security_group_id: group, direction: 'ingress', ethertype: 'IPv6', protocol: 'udp' };
  await bed.api.create('security_group_rule', udp6);
  const network = await cloud.createNetwork();
  const place = async (host: BedHost): Promise<Place> => ({ host, port: await cloud.createPort(host, network) });
  const [near, spare, far, other] = [
    ...[await place(bed.h1), await place(bed.h1)],
    ...[await place(bed.h2), await place(bed.h2)],
  ] as const;
  await cloud.active(near.port, spare.port, far.port, other.port);

  const join = (one: Place): Promise<Party[]> =>
    Promise.all(VERSIONS.map((version) => Party.start(t, 'join', one, version)));
  const gaps = async (parties: readonly Party[]): Promise<unknown> =>
    await Promise.all(parties.map(async (party) => missing(await party.told<number[]>())));
  const members = [...(await join(near)), ...(await join(far))];
  for (const version of VERSIONS) await Party.start(t, 'send', other, version, '10');
  await spared('a guest that has not joined, on the member’s host', spare);
  assert.ok((await frames(near, 2000)) > 200, 'the member gets them');
  const { port, groups, gets_all: getsAll } = await groupsOf(near);
  assert.deepEqual([port, groups.sort(), getsAll], [near.port.id, Object.values(GROUPS).sort(), false]);
  assert.deepEqual((await groupsOf(spare)).groups, []);

  for (const [version, group] of Object.entries(GROUPS)) {
    const path = `/cable/v1/ports/${other.port.id}/trace?to=${group}&protocol=udp&dport=${PORT}`;
    const { verdict, there } = (await bed.api.request('GET', path)) as { verdict: string; there: unknown };
    assert.equal(verdict, 'arrives', `IPv${version}`);
    const said = JSON.stringify(there);
    for (const { port } of [near, far]) assert.match(said, new RegExp(`a copy to port[^"]*"[^}]*${port.id}`), said);
    assert.doesNotMatch(said, new RegExp(spare.port.id));
    assert.match(said, /1 port of this host gets no copy: not joined to the group/);
  }

  await bed.h1.end('SIGKILL');
  assert.ok((await frames(spare, 2000)) < 20, 'nothing changes at once when the agent is killed');
  await bed.h1.start(CURRENT);
  await bed.h1.inStep();
  await bed.h1.end('SIGTERM');
  await bed.h1.start(CURRENT);
  await bed.h1.inStep();
  await spared('nor after its restart', spare);

  const late = await join(spare);
  for (const party of late) {
    const heard = async (): Promise<boolean> => (await party.told<number[]>()).length > 50;
    for (let n = 0; n < 60 && !(await heard()); n++) await sleep(1000);
    assert.ok(await heard(), 'who joins gets them');
  }
  assert.deepEqual(await gaps([...members, ...late]), Array(6).fill([]), 'members lose none');

  for (const party of late) await party.end();
  await spared('who has left is out of it, and long before that would be out of date', spare, LEFT_MS);
  const { groups: left } = await groupsOf(spare);
  assert.deepEqual(left, []);

  await bed.h1.replace(CURRENT, '--no-igmp-snooping');
  await bed.h1.inStep();
  assert.ok((await frames(spare, 2000)) > 200, 'an agent that is told not to look gives them to all');
  assert.deepEqual(await gaps(members), Array(4).fill([]));
});

/** What its host's agent says that it has joined. */
async function groupsOf({ host, port }: Place): Promise<{ port: string; groups: string[]; gets_all: boolean }> {
  const row = (await host.maps('cb_joined_1')).find(({ port_id: id }) => id === port.id);
  assert.ok(row, `a row of port ${port.id}`);
  return {
    port: String(row['port_id']),
    groups: String(row['groups']).split(' ').filter(Boolean),
    gets_all: row['gets_all'] === true,
  };
}
