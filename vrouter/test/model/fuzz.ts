/**
 * Compares the real programs with the reference model over random cases: `npm run fuzz:vrouter -- --cases 100000 --seed 7`. Ends with 1 at the
 * first difference, which it prints as a small case. `--only N` runs case N of the seed alone; `--world outside` draws clouds that lead outside, `--world balancers` such with load balancers;
 * `--frames` draws frames that nobody should send; `--encapsulation own` lets the vrouter put VXLAN on and take it off.
 */
import { parseArgs } from 'node:util';
import { drawBalanced } from './draw-balanced.ts';
import { drawCase } from './draw-case.ts';
import { drawFrames } from './draw-frames.ts';
import { drawOutside } from './draw-outside.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string' },
    frames: { type: 'boolean', default: false },
    world: { type: 'string', default: 'inside' },
    encapsulation: { type: 'string', default: 'kernel' },
  },
});
const WORLDS = new Map([
  ['inside', drawCase],
  ['outside', drawOutside],
  ['balancers', drawBalanced],
]);
const EVERY = 10_000;
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const seed = Number(values.seed);
const first = values.only === undefined ? 0 : Number(values.only);
const cases = values.only === undefined ? Number(values.cases) : 1;
if (![seed, first, cases].every(Number.isInteger)) throw new Error('--cases, --seed and --only are whole numbers');
if (values.encapsulation !== 'kernel' && values.encapsulation !== 'own')
  throw new Error('--encapsulation is kernel or own');
const drawn = WORLDS.get(values.world);
if (drawn === undefined) throw new Error(`--world is one of ${[...WORLDS.keys()].join(', ')}`);
const rig = new Rig(values.encapsulation);
try {
  const began = performance.now();
  say(`${cases} cases of seed ${seed}`);
  const found = findDifference(rig, {
    ...{ seed, first, cases, draw: values.frames ? drawFrames : drawn },
    onCase: (number) => {
      const done = number - first + 1;
      if (done % EVERY === 0) say(`${done} cases, ${((performance.now() - began) / 1000).toFixed(0)} s`);
    },
  });
  say(
    found.text ??
      `no difference in ${cases} cases, ${found.packets} packets; ${found.uncertain} cases left early\n${found.outcomes}`,
  );
  if (found.text !== undefined) process.exitCode = 1;
} finally {
  rig.close();
}
