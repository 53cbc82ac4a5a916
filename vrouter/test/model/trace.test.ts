/** Traces of random packets through random clouds: what a trace says is what then becomes of the packet, and a trace changes nothing. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { removePins } from '../../../packages/agent/src/bpf/pin.ts';
import { caseText, type PacketStep } from './case.ts';
import { drawCase } from './draw-case.ts';
import { type Outcome, outcomeText } from './outcome.ts';
import { frameOf } from './packets.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';

const CASES = ofAll(120, 600);
/** Of so many the maps are looked at. */
const LOOKS = 6;
const PINS = `/sys/fs/bpf/cable-test-trace-${randomBytes(6).toString('hex')}`;

let rig: Rig;
let compare: (traced: Outcome, done: Outcome, frame: Buffer) => void = () => {};

before(() => {
  rig = new Rig('own', { pinnedMaps: `${PINS}/maps`, compare: (...told) => compare(...told) });
});

after(() => {
  rig.close();
  removePins(PINS);
});

test(`in ${CASES} cases a trace says what becomes of the packet`, (t) => {
  let compared = 0;
  const differences: string[] = [];
  compare = (traced, done, frame) => {
    if (isLeftOut(done, frame)) return;
    compared += 1;
    const [said, was] = [outcomeText(traced), outcomeText(done)];
    if (said !== was) differences.push(`${frame.toString('hex')}\n said ${said}\n was ${was}`);
  };
  const { text } = findDifference(rig, { seed: 5, cases: CASES, draw: drawCase });
  assert.equal(text, undefined, text);
  assert.deepEqual(differences.slice(0, 3), [], `${differences.length} of ${compared}`);
  t.diagnostic(`${compared} packets`);
  assert.ok(compared > 5 * CASES, `${compared} packets were compared`);
});

test('traces change no map', () => {
  compare = () => {};
  let looks = 0;
  for (let number = 0; looks < LOOKS; number++) {
    const { cloud, steps } = drawCase(6, number);
    const packets = steps.filter((step): step is PacketStep => step.kind === 'send' || step.kind === 'receive');
    if (packets.length === 0) continue;
    rig.begin(cloud);
    // Half of them first in earnest, so that there are flows.
    for (const [n, step] of packets.entries()) if (n % 2 === 0) run(rig, step);
    const before = rig.maps();
    for (const step of packets) rig.traceOnly(step);
    assert.deepEqual(rig.maps(), before, caseText({ cloud, steps }));
    looks += 1;
  }
});

/** What a trace does not know: fragments, which may wait for others, and what TCP's own state refuses. */
function isLeftOut(done: Outcome, frame: Buffer): boolean {
  const isIpv4 = frame.length >= 34 && frame.readUInt16BE(12) === 0x0800;
  const isFragment = isIpv4 && (frame.readUInt16BE(20) & 0x3fff) !== 0;
  return isFragment || (done.kind === 'drop' && done.reason === 'tcp_window');
}

function run(on: Rig, step: PacketStep): void {
  if (step.kind === 'send' && on.hasDevice(step.port)) on.send(step.port, frameOf(step.packet));
  if (step.kind === 'receive') on.receive(step.tunnel, frameOf(step.packet));
}
