/** Makes a failing case small: leaves out whatever it can do without. */
import { type Case, isSound } from './case.ts';

/** Parts of a case that may be left out; a part that is not named here is left out only as one of a list. */
const OPTIONAL: ReadonlySet<string> = new Set([
  ...[
    'ttl',
    'id',
    'fragmentOffset',
    'moreFragments',
    'dontFragment',
    'options',
    'padding',
    'mangle',
    'cut',
    'code',
    'bytes',
    'tha',
  ],
  ...['gateway', 'portRange', 'icmp', 'remoteGroup', 'remoteCidr', 'label', 'quoted', 'snat', 'tag'],
]);
/** Lists of which one must be left; `isSound` says so too, but knows no changes. */
const NEVER_EMPTY: ReadonlySet<string> = new Set(['subnets', 'addresses']);
const MOST_TRIES = 3000;

/** The smallest sound case found for which `fails` is true, beginning with one that fails. */
export function shrink(first: Case, fails: (candidate: Case) => boolean): Case {
  let best = first;
  let tries = 0;
  for (let found = true; found; ) {
    found = false;
    for (const candidate of smaller(best)) {
      tries += 1;
      if (tries > MOST_TRIES) return best;
      if (!isSound(candidate) || !fails(candidate)) continue;
      best = candidate;
      found = true;
      break;
    }
  }
  return best;
}

/** Everything that the case is with one part left out: the largest first. */
function* smaller(of: Case): Generator<Case> {
  for (const steps of shorter(of.steps)) yield { ...of, steps };
  for (const cloud of without(of.cloud)) yield { ...of, cloud };
  for (const [index, step] of of.steps.entries()) {
    for (const one of without(step)) yield { ...of, steps: of.steps.with(index, one) };
  }
}

function* shorter<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let size = Math.ceil(list.length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
    for (let at = list.length - size; at >= 0; at -= size) yield [...list.slice(0, at), ...list.slice(at + size)];
  }
}

function* without<T>(value: T, name = ''): Generator<T> {
  if (Array.isArray(value)) {
    for (const list of shorter(value)) if (list.length > 0 || !NEVER_EMPTY.has(name)) yield list as T;
    for (const [index, part] of value.entries()) for (const one of without(part)) yield value.with(index, one) as T;
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) {
      if (OPTIONAL.has(key)) {
        const { [key]: _left, ...rest } = value as Record<string, unknown>;
        yield rest as T;
      }
      for (const one of without(part, key)) yield { ...value, [key]: one };
    }
  }
}
