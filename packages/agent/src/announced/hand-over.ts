import { join } from 'node:path';
import { type Logger, sleep } from '@cable/kit';
import { CB_ANNOUNCED_F_HERE, cbAnnounced, cbBeacon } from '../bpf/abi.gen.ts';
import { arrayIndex, textBytes } from '../bpf/codec.ts';
import { type BpfMap, openPinnedMap } from '../bpf/map.ts';

/** Other nodes hear of it with their next probes, ask the link, and tell it. */
const TAKEN_MS = 2000;

/**
 * Gives up addresses of Services before this host goes for good: others take them while it still forwards what comes for them. Resolves when they have had the time to; at once
 * where it announces none. `pinDir`: of the maps of this host.
 */
export async function handAnnouncedOver(pinDir: string, log: Logger): Promise<void> {
  const announced = openPinnedMap(join(pinDir, 'maps', 'cb_announced_1'));
  const beacon = openPinnedMap(join(pinDir, 'maps', 'cb_beacon_1'));
  try {
    if (announced === undefined || beacon === undefined || giveUp(announced, beacon) === 0) return;
    log.info({}, 'other nodes are to announce what this one has announced');
    await sleep(TAKEN_MS, new AbortController().signal);
  } finally {
    announced?.close();
    beacon?.close();
  }
}

/** How many there were. */
function giveUp(announced: BpfMap, beacon: BpfMap): number {
  const said = beacon.lookup(arrayIndex.encode(0));
  if (said !== undefined) {
    const row = cbBeacon.decode(said);
    beacon.update(arrayIndex.encode(0), cbBeacon.encode({ ...row, announces: row.announces.map(() => 0) }));
  }
  const here = [...announced.texts()].flat().filter(({ value }) => {
    return (cbAnnounced.decode(textBytes(value)).flags & CB_ANNOUNCED_F_HERE) !== 0;
  });
  for (const { key, value } of here) {
    const row = cbAnnounced.decode(textBytes(value));
    announced.update(textBytes(key), cbAnnounced.encode({ ...row, flags: row.flags & ~CB_ANNOUNCED_F_HERE }));
  }
  return here.length;
}
