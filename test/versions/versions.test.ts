/** Agents and servers of this version and of the previous one (protocol 1 of the host stream) together, on the real kernel. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { addressOf, Cloud, linkOf } from './cloud.ts';
import {
  type BuiltVersion,
  buildOldVersion,
  CURRENT,
  PREVIOUS,
  type Version,
  whyNotBuildable,
} from './previous-version.ts';
import { eventually } from './program.ts';
import { assertNothingPasses, assertPings, createPorts, type Ports, startBed } from './upgrade-bed.ts';
import type { VersionBed } from './version-bed.ts';

const skip = whyNotBuildable(PREVIOUS) ?? false;

function assertLeases(bed: VersionBed, [p1, p2]: Ports): void {
  assert.deepEqual([bed.h1.getsLease(linkOf(p1)), bed.h2.getsLease(linkOf(p2))], [true, true]);
}

/** What servers and agents do for each other, whatever their versions. Gives the cloud that it made. */
async function assertWorksTogether(bed: VersionBed, server: Version, agent1: Version): Promise<Cloud> {
  const cloud = await Cloud.create(bed.api);
  const rule = await cloud.allowPing();
  const ports = await createPorts(bed, cloud);
  await assertPings(bed, ports);

  const ping = bed.h1.startPing(addressOf(ports[1]));
  await bed.replaceServer(server);
  const third = await cloud.createPort(bed.h2, await cloud.createNetwork());
  await cloud.active(third);
  assert.ok(bed.h2.links().includes(linkOf(third)));
  await bed.h1.end('SIGKILL');
  await bed.h1.start(agent1);
  await bed.h1.inStep();
  const { sent, lost } = await ping.stop();
  assert.equal(lost, 0, `of ${sent} packets`);
  await cloud.active(...ports, third);

  await cloud.deletePort(third);
  await eventually('the link is gone', () => !bed.h2.links().includes(linkOf(third)));
  await cloud.revoke(rule);
  await assertNothingPasses(bed, ports);
  await cloud.allowPing();
  await assertPings(bed, ports);
  await cloud.active(...ports);
  return cloud;
}

describe('this version and the previous one', { skip, concurrency: 2, timeout: 240_000 }, () => {
  let previous: BuiltVersion;

  before(() => {
    previous = buildOldVersion(PREVIOUS);
  });
  after(() => previous?.remove());

  test('old agents follow a new server', async (t) => {
    const bed = await startBed(t, 'a', CURRENT, [previous, previous]);
    const cloud = await assertWorksTogether(bed, CURRENT, previous);
    const ports = Object.entries(await cloud.contents()).filter(([key]) => key.startsWith('port '));
    const withIpv6 = ports.filter(([, port]) => JSON.stringify(port['fixed_ips']).includes('2001:db8:'));
    assert.ok(withIpv6.length > 1, 'addresses that the agents have not met before');
  });

  test('new agents follow an old server, and go on when it is replaced by a new one', async (t) => {
    const bed = await startBed(t, 'b', previous, [CURRENT, CURRENT]);
    await assertWorksTogether(bed, previous, CURRENT);
    assert.equal((await bed.h1.inStep()).server.protocol, 1);
    await bed.replaceServer(CURRENT);
    for (const host of [bed.h1, bed.h2]) {
      await eventually(`${host.name} speaks protocol 2`, async () => (await host.status())?.server.protocol === 2);
      await host.inStep();
    }
  });

  test('an old and a new agent work together at a new server, and go on at an old one on its store', async (t) => {
    const bed = await startBed(t, 'c', CURRENT, [previous, CURRENT]);
    const cloud = await assertWorksTogether(bed, CURRENT, previous);
    await bed.replaceServer(previous);
    const network = await cloud.createNetwork();
    await cloud.active(await cloud.createPort(bed.h1, network), await cloud.createPort(bed.h2, network));
    assert.equal((await bed.h2.inStep()).server.protocol, 1);
  });

  test('server, then agents are upgraded in place, and agents downgraded, without a port down; an upgrade loses no packet', async (t) => {
    const bed = await startBed(t, 'd', previous, [previous, previous]);
    const cloud = await Cloud.create(bed.api);
    const rule = await cloud.allowPing();
    const ports = await createPorts(bed, cloud);
    await assertPings(bed, ports);
    const before = await cloud.contents();
    const ping = bed.h1.startPing(addressOf(ports[1]));

    await bed.replaceServer(CURRENT);
    assert.deepEqual(
      onlyOf(await cloud.contents(), before),
      before,
      'the store of the old server, status of ports included',
    );
    assertLeases(bed, ports);
    for (const host of [bed.h1, bed.h2]) assert.equal((await host.replace(CURRENT)).server.protocol, 2);
    assert.deepEqual(onlyOf(await cloud.contents(), before), before);
    assertLeases(bed, ports);
    assert.ok(!bed.h1.links().includes('cable0'), "the service link is not in the host's namespace any more");
    const { sent, lost } = await ping.stop();
    t.diagnostic(`the upgrade lost ${lost} of ${sent} packets`);
    assert.equal(lost, 0, `of ${sent} packets`);

    // The old agent puts its programs over maps that it fills then: its own are not kept, since they would hold what has been revoked. It does not know of a program on the
    // uplink, nor that it could remove what that needs.
    for (const host of [bed.h1, bed.h2]) {
      await host.replace(CURRENT, '--encapsulation', 'kernel');
      await eventually('the program is off the uplink', () => !host.hasUplinkProgram('eth0'));
    }
    for (const host of [bed.h1, bed.h2]) await host.replace(previous);
    await assertPings(bed, ports);
    assert.deepEqual(onlyOf(await cloud.contents(), before), before);
    assertLeases(bed, ports);

    await cloud.revoke(rule);
    await assertNothingPasses(bed, ports);
    await bed.stopServer();
    for (const host of [bed.h1, bed.h2]) {
      await host.end('SIGTERM');
      await host.start(CURRENT);
    }
    await assertNothingPasses(bed, ports);
    assertLeases(bed, ports);
    for (const host of [bed.h1, bed.h2]) {
      await host.end('SIGTERM');
      host.teardown(CURRENT);
      assert.deepEqual([host.links(), existsSync(host.pins)], [['lo', 'eth0'], false]);
    }
  });
});

type Contents = Awaited<ReturnType<Cloud['contents']>>;

/** The objects with the attributes that `known` has of them: a newer server tells of more. */
function onlyOf(contents: Contents, known: Contents): Contents {
  return Object.fromEntries(
    Object.entries(contents).map(([id, object]) => {
      return [id, known[id] === undefined ? object : (knownOf(object, known[id]) as typeof object)];
    }),
  );
}

/** What `known` has of the value: attributes of objects, also of those in lists. */
function knownOf(value: unknown, known: unknown): unknown {
  if (Array.isArray(value) && Array.isArray(known)) return value.map((one, at) => knownOf(one, partOf(one, at, known)));
  if (!isFields(value) || !isFields(known)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]) => (name in known ? [[name, knownOf(one, known[name])]] : [])),
  );
}

/** The object of the list with the same id, or what stands at the same place. */
function partOf(one: unknown, at: number, list: readonly unknown[]): unknown {
  return isFields(one) && 'id' in one ? list.find((other) => isFields(other) && other['id'] === one['id']) : list[at];
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
