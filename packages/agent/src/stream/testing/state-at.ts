import type { ContentLine } from '../staged-lines.ts';

/** Items of the slice that every tenth revision writes anew. */
const MANY = 1500;

/** For tests: lines that make revision `n` of revision `n - 1`. */
export function linesAt(n: number): readonly ContentLine[] {
  const held = { hash: n, value: { revision: n } };
  if (n % 10 !== 0) {
    return [
      { type: 'header', key: 'network:a', held },
      { type: 'put', key: 'endpoints:a', item: `i${n % 7}`, held },
      { type: 'delete', key: 'endpoints:a', item: `i${(n + 3) % 7}` },
    ];
  }
  const key = `group:${n}`;
  const items = Array.from({ length: MANY }, (_, i): ContentLine => ({ type: 'put', key, item: `m${i}`, held }));
  return [
    { type: 'header', key: 'network:a', held },
    { type: 'header', key, held },
    ...items,
    { type: 'drop', key: `group:${n - 10}` },
  ];
}
