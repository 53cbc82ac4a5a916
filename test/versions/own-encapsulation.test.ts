/** Agents of this version with own encapsulation, and of builds that know none, take over from each other on the real kernel. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { BedHost } from './bed-host.ts';
import { addressOf, Cloud } from './cloud.ts';
import {
  BEFORE_DISPATCHERS,
  BEFORE_UPLINKS,
  type BuiltVersion,
  buildOldVersion,
  CURRENT,
  whyNotBuildable,
} from './previous-version.ts';
import { eventually } from './program.ts';
import {
  assertNothingPasses,
  assertPings,
  createPorts,
  downgrade,
  KILLED_AT,
  missedElsewhere,
  startBed,
} from './upgrade-bed.ts';

/**
 * Packets that the starts of an agent over an older build's programs may lose, one a start. None is the rule; on a machine that was busy with other things, one of
 * some 650 was seen lost in two of six runs, and it is not known where.
 */
const MAY_LOSE = KILLED_AT.length + 1;

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
