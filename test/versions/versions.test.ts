/** Agents and servers of this version and of the previous one (protocol 1 of the host stream) together, on the real kernel. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { PortView } from '@cable/model';
import type { BedHost, RunningPing } from './bed-host.ts';
import { addressOf, Cloud, linkOf } from './cloud.ts';
import {
  BEFORE_DISPATCHERS,
  BEFORE_UPLINKS,
  type BuiltVersion,
  buildOldVersion,
  CURRENT,
  PREVIOUS,
  type Version,
  whyNotBuildable,
} from './previous-version.ts';
import { eventually } from './program.ts';
import { VersionBed } from './version-bed.ts';

const skip = whyNotBuildable(PREVIOUS) ?? false;

/** When an agent is killed, of the time that its start takes: from before it loads anything until it has put its programs in place. */
const KILLED_AT = [0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95] as const;

/**
 * While an older build comes to the place of this one: what the ping may miss of what was sent meanwhile. That build carries no flows back into its own table, so that
 * what is under way is an answer to nothing; and the one that has dispatchers puts its programs in force before it has filled its maps, also if it is killed then.
 * (Maps of its layout are not kept for it: they would hold what has been revoked since.) How many packets that concerns is that build's affair and the machine's.
 */
type Downgrade = { readonly from: number; readonly to: number };

/** Puts an agent of an older build in the place of one of this version, after some that are killed in their start; traffic goes on when it is there. */
async function downgrade(host: BedHost, older: Version, ping: RunningPing): Promise<Downgrade> {
  const from = ping.answered;
  await host.killInStart(older, KILLED_AT);
  await host.replace(older);
  const back = ping.answered;
  await eventually('the ping is answered again', () => ping.answered >= back + 10);
  return { from, to: ping.answered };
}

/** What the ping has missed outside of all of these. */
function missedElsewhere(missing: readonly number[], downgrades: readonly Downgrade[]): readonly number[] {
  return missing.filter((n) => !downgrades.some(({ from, to }) => n > from && n <= to));
}

/**
 * Packets that the starts of an agent over an older build's programs may lose, one a start. None is the rule; on a machine that was busy with other things, one of
 * some 650 was seen lost in two of six runs, and it is not known where.
 */
const MAY_LOSE = KILLED_AT.length + 1;

/** One on each host. */
type Ports = readonly [p1: PortView, p2: PortView];

async function startBed(
  t: TestContext,
  label: string,
  server: Version,
  agents: readonly [Version, Version],
): Promise<VersionBed> {
  const bed = new VersionBed(label);
  t.after(() => bed.remove());
  await bed.start(server, ...agents);
  return bed;
}

/** A port on each host in one network, both ACTIVE. */
async function createPorts(bed: VersionBed, cloud: Cloud): Promise<Ports> {
  const network = await cloud.createNetwork();
  const ports = [await cloud.createPort(bed.h1, network), await cloud.createPort(bed.h2, network)] as const;
  await cloud.active(...ports);
  return ports;
}

async function assertPings(bed: VersionBed, [p1, p2]: Ports): Promise<void> {
  await eventually('ping is answered', () => bed.h1.answersFrom(addressOf(p2)) === 5);
  assert.equal(bed.h2.answersFrom(addressOf(p1)), 5);
}

async function assertNothingPasses(bed: VersionBed, [p1, p2]: Ports): Promise<void> {
  await eventually('no ping is answered', () => bed.h1.answersFrom(addressOf(p2), 0.3) === 0);
  await eventually('no ping is answered', () => bed.h2.answersFrom(addressOf(p1), 0.3) === 0);
  assert.equal(bed.h1.answersFrom(addressOf(p2), 0.3), 0);
}

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

describe('this version and the last one that put its programs on devices', {
  skip: whyNotBuildable(BEFORE_DISPATCHERS) ?? false,
  timeout: 240_000,
}, () => {
  let older: BuiltVersion;

  before(() => {
    older = buildOldVersion(BEFORE_DISPATCHERS);
  });
  after(() => older?.remove());

  test('agents of both take over from each other, killed at any time, with no loss but while the older one starts, and the host stays reached', async (t) => {
    const bed = await startBed(t, 'e', CURRENT, [older, older]);
    const cloud = await Cloud.create(bed.api);
    const rule = await cloud.allowPing();
    const ports = await createPorts(bed, cloud);
    await assertPings(bed, ports);
    const ping = bed.h1.startPing(addressOf(ports[1]));
    const underlay = bed.h1.startPing(bed.h2.underlay);
    const downgrades: Downgrade[] = [];

    assert.match(bed.h1.filtersOf('cablevx'), /cable:from_overlay/);
    for (const version of [CURRENT, older, CURRENT]) {
      if (version === older) downgrades.push(await downgrade(bed.h1, older, ping));
      else {
        await bed.h1.killInStart(version, KILLED_AT);
        await bed.h1.replace(version);
      }
      assert.match(
        bed.h1.filtersOf('cablevx'),
        version === CURRENT ? /cable:enter_overlay/ : /cable:from_overlay/,
        version.name,
      );
      assert.equal(bed.h1.filtersOf('eth0'), '', `the ${version.name} agent leaves the underlay alone`);
      assert.equal(bed.h1.answersFrom(addressOf(ports[1])), 5);
    }
    for (const [one, excused] of [[ping, downgrades] as const, [underlay, []] as const]) {
      const { sent, lost, missing } = await one.stop();
      t.diagnostic(`lost ${lost} of ${sent} packets`);
      assert.deepEqual(missedElsewhere(missing, excused), [], `of ${sent} packets`);
    }
    await cloud.revoke(rule);
    await assertNothingPasses(bed, ports);
  });
});

const OWN = ['--encapsulation', 'own'] as const;

/** Starts this version with own encapsulation; packets of the other host are taken on the uplink when this resolves. */
async function startOwn(host: BedHost): Promise<void> {
  await host.replace(CURRENT, ...OWN);
  await eventually(`${host.name} encapsulates itself`, async () => {
    const path = (await host.status())?.underlay_path;
    return path?.peers === 1 && path.devices.length === 1;
  });
}

/** How many of what 20 pings of the other host send comes in by the overlay device. */
async function comesByDevice(from: BedHost, to: BedHost, address: string): Promise<number> {
  const before = to.receivedBy('cablevx');
  for (let i = 0; i < 4; i++) assert.equal(from.answersFrom(address), 5);
  return to.receivedBy('cablevx') - before;
}

for (const old of [BEFORE_DISPATCHERS, BEFORE_UPLINKS]) {
  describe(`this version with own encapsulation, and ${old.name}`, {
    skip: whyNotBuildable(old) ?? false,
    timeout: 240_000,
  }, () => {
    let older: BuiltVersion;

    before(() => {
      older = buildOldVersion(old);
    });
    after(() => older?.remove());

    test('an older agent finds the underlay untouched, has all packets of the overlay, and what is revoked under it is', async (t) => {
      const bed = await startBed(t, old === BEFORE_UPLINKS ? 'u' : 'o', CURRENT, [CURRENT, CURRENT]);
      const { h1, h2 } = bed;
      const cloud = await Cloud.create(bed.api);
      let rule = await cloud.allowPing();
      const ports = await createPorts(bed, cloud);
      for (const host of [h1, h2]) await startOwn(host);
      await assertPings(bed, ports);
      const address = addressOf(ports[1]);
      const quiet = await comesByDevice(h1, h2, address);
      assert.ok(quiet < 5, `${quiet} packets came by the device`);
      const underlay = h1.startPing(h2.underlay);
      for (let round = 0; round < 2; round++) {
        const ping = h1.startPing(address);
        const started = await downgrade(h2, older, ping);
        assert.ok(h2.hasUplinkProgram('eth0'), 'it is not known to that build');
        assert.equal(h2.filtersOf('eth0'), '');
        const came = await comesByDevice(h1, h2, address);
        assert.ok(came >= 20, `${came} of 20 packets came by the device`);
        const { sent, lost, missing } = await ping.stop();
        t.diagnostic(`lost ${lost} of ${sent} packets`);
        assert.deepEqual(missedElsewhere(missing, [started]), [], `of ${sent} packets`);

        await cloud.revoke(rule);
        await assertNothingPasses(bed, ports);
        rule = await cloud.allowPing();
        await assertPings(bed, ports);
        const back = h1.startPing(address);
        await h2.killInStart(CURRENT, KILLED_AT, ...OWN);
        await startOwn(h2);
        const own = await comesByDevice(h1, h2, address);
        assert.ok(own < 5, `${own} packets came by the device`);
        const after = await back.stop();
        t.diagnostic(`starts of this version lost ${after.lost} of ${after.sent} packets`);
        assert.ok(after.lost <= MAY_LOSE, `${after.lost} of ${after.sent} packets`);
      }

      await h2.replace(older);
      await h2.end('SIGTERM');
      h2.teardown(older);
      assert.ok(h2.hasUplinkProgram('eth0'));
      await h2.start(CURRENT, '--encapsulation', 'kernel');
      await h2.inStep();
      await eventually('the program is off the uplink', () => !h2.hasUplinkProgram('eth0'));
      await assertPings(bed, ports);
      const { sent, lost } = await underlay.stop();
      t.diagnostic(`the hosts themselves lost ${lost} of ${sent} packets`);
      assert.equal(lost, 0, `of ${sent} packets of the hosts themselves`);
    });
  });
}

type Contents = Awaited<ReturnType<Cloud['contents']>>;

/** The objects with the attributes that `known` has of them: a newer server tells of more. */
function onlyOf(contents: Contents, known: Contents): Contents {
  return Object.fromEntries(
    Object.entries(contents).map(([id, object]) => {
      const attributes = Object.entries(object).filter(([name]) => known[id] === undefined || name in known[id]);
      return [id, Object.fromEntries(attributes)];
    }),
  );
}
