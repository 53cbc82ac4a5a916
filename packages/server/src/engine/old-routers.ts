/** Routers of before `ha` and `distributed` were anything: they have been what is the default now, and did not say it. */
import type { Op } from '@cable/store';
import { objectKey } from '../keys.ts';
import type { EngineDeps } from './context.ts';

const TYPE = 'router';
const NAMES = ['ha', 'distributed'] as const;
const AT_ONCE = 1000;

/** Those that lack one, with both, as operations for transactions one after the other. */
export function* silentRouters({
  tables,
  resources,
}: Pick<EngineDeps, 'tables' | 'resources'>): Iterable<readonly Op[]> {
  const model = resources.find(TYPE);
  const names = NAMES.filter((name) => model?.storedAttributes[name] !== undefined);
  if (model === undefined || names.length === 0) return;
  const standard = Object.fromEntries(names.map((name) => [name, true]));
  const silent = [...tables.any(TYPE).values()].filter((router) => names.some((name) => router[name] === undefined));
  for (let at = 0; at < silent.length; at += AT_ONCE) {
    yield silent.slice(at, at + AT_ONCE).map((router): Op => {
      return { kind: 'put', key: objectKey(TYPE, router.id), value: JSON.stringify({ ...standard, ...router }) };
    });
  }
}
