/** What a stock neutron-server passes of Tempest, and in what Cable differs from it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { reasonOf } from './skips.ts';
import type { Result } from './tempest.ts';

const FILE = new URL('./stock-passes.txt', import.meta.url);

/** Names of tests, without the attributes that Tempest puts behind them. */
export function readStockPasses(): ReadonlySet<string> {
  return new Set(readFileSync(FILE, 'utf8').split('\n').filter(Boolean));
}

export function writeStockPasses(results: readonly Result[]): void {
  const passed = results.filter(({ status }) => status === 'success').map(({ id }) => nameOf(id));
  writeFileSync(
    FILE,
    [...new Set(passed)]
      .sort()
      .map((name) => `${name}\n`)
      .join(''),
  );
}

/** Tests that the stock server passes, and which failed, were skipped or did not run here for no reason that skips.ts has. `stockPasses`: of those that were asked for. */
export function differencesOf(
  results: readonly Result[],
  stockPasses: ReadonlySet<string>,
): readonly { readonly id: string; readonly why: string }[] {
  const classes = new Set([...stockPasses].map(classOf));
  // A class that was not set up stands for its tests.
  const told = new Set(results.flatMap(({ id }) => [nameOf(id), setUpOf(nameOf(id)) ?? '']));
  const differences = [...stockPasses]
    .filter((name) => !told.has(name) && !told.has(classOf(name)))
    .map((name) => ({ id: name, why: 'it did not run' }));
  for (const { id, status, why } of results) {
    const name = nameOf(id);
    const inClass = setUpOf(name);
    const isOfStock = inClass === undefined ? stockPasses.has(name) : classes.has(inClass);
    if (!isOfStock || status === 'success') continue;
    const isExplained = reasonOf(name, status === 'skip' ? why : undefined) !== undefined;
    if (!isExplained) differences.push({ id: name, why: why.trim().split('\n').at(-1) ?? status });
  }
  return differences;
}

/** The class of which this is the set-up or the end; undefined: it is a test. */
function setUpOf(name: string): string | undefined {
  return /^(?:setUp|tearDown)Class \((.*)\)$/.exec(name)?.[1];
}

function classOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.'));
}

function nameOf(id: string): string {
  return id.replace(/\[.*/, '');
}
