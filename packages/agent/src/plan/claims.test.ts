/** Claims of units on the keys of maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Claims } from './claims.ts';
import { Unit, type UnitHome } from './units.ts';

const MANY = 20_000;
const ENTRY = { map: 'cb_backend_1', key: 'k', value: 'v' } as const;

function units(count: number): readonly Unit[] {
  const home = { rank: 1, scope: 's' } as UnitHome;
  return Array.from({ length: count }, (_, n) => new Unit(home, String(n).padStart(6, '0')));
}

test('thousands may claim one key, come in any order and go in any: the first of them stands', () => {
  const all = units(MANY);
  const claims = new Claims();
  // The last first, so that each later one stands; then one that belongs behind all of them.
  const [last, ...others] = [...all].reverse();
  for (const unit of others) claims.replace(unit, [], [ENTRY]);
  assert.ok(last !== undefined);
  claims.replace(last, [], [ENTRY]);
  assert.equal(claims.get('cb_backend_1', 'k')?.unit, all[0]);
  claims.remove(last, 'cb_backend_1', 'k');
  for (const unit of all.slice(0, -2)) claims.remove(unit, 'cb_backend_1', 'k');
  assert.equal(claims.get('cb_backend_1', 'k')?.unit, all.at(-2));
  for (const unit of all) claims.remove(unit, 'cb_backend_1', 'k');
  assert.equal(claims.get('cb_backend_1', 'k'), undefined);
});
