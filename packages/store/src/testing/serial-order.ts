import type { Compare, Op } from '../contract.ts';

/** A transaction that was done at once with others, and whether it was done. */
export type Tried = { readonly compares: readonly Compare[]; readonly ops: readonly Op[]; readonly ok: boolean };

type State = ReadonlyMap<string, string>;

/** True when some order of the transactions, one after the other, has these outcomes and leads from one state to the other. */
export function hasSerialOrder(before: State, tried: readonly Tried[], after: State): boolean {
  if (tried.length === 0) return isSame(before, after);
  return tried.some((one, index) => {
    if (one.compares.every((compare) => holds(before, compare)) !== one.ok) return false;
    return hasSerialOrder(one.ok ? apply(before, one.ops) : before, tried.toSpliced(index, 1), after);
  });
}

function holds(state: State, compare: Compare): boolean {
  switch (compare.kind) {
    case 'exists':
      return state.has(compare.key);
    case 'absent':
      return !state.has(compare.key);
    case 'value':
      return state.get(compare.key) === compare.value;
    case 'prefixEmpty':
      return ![...state.keys()].some((key) => key.startsWith(compare.prefix) && !compare.except?.includes(key));
    case 'rangeEmpty':
      return ![...state.keys()].some((key) => key >= compare.from && key < compare.to);
    case 'modRevision':
      throw new Error('values say as much');
  }
}

function apply(before: State, ops: readonly Op[]): State {
  const state = new Map(before);
  for (const op of ops) {
    if (op.kind === 'put') state.set(op.key, op.value);
    else if (op.kind === 'delete') state.delete(op.key);
    else for (const key of before.keys()) if (key.startsWith(op.prefix)) state.delete(key);
  }
  return state;
}

function isSame(one: State, other: State): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}
