/** Agents of this version and of the last one that put its programs on devices, not in dispatchers, take over from each other on the real kernel. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { addressOf, Cloud } from './cloud.ts';
import {
  BEFORE_DISPATCHERS,
  type BuiltVersion,
  buildOldVersion,
  CURRENT,
  whyNotBuildable,
} from './previous-version.ts';
import {
  assertNothingPasses,
  assertPings,
  createPorts,
  type Downgrade,
  downgrade,
  KILLED_AT,
  missedElsewhere,
  startBed,
} from './upgrade-bed.ts';

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
