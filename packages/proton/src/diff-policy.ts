/** Which of two policies lets more through, as far as their texts tell. */

export type PolicyChange = 'same' | 'tightened' | 'loosened' | 'unknown';

/** From those who are let through least; rules of the same rank let the same through. */
const RANKS: Readonly<Record<string, number>> = {
  '!': 0,
  'rule:context_is_admin': 1,
  'rule:admin_only': 1,
  'role:admin': 1,
  'rule:admin_or_owner': 3,
  'rule:regular_user': 4,
  '@': 5,
  '': 5,
};

/** Neutral words: Gluon's `rule:admin` is a rule that nobody had defined, so the one for all that has none. */
const SAME_AS: Readonly<Record<string, string>> = {
  'rule:admin': 'rule:admin_or_owner',
  'rule:default': 'rule:admin_or_owner',
};

export function comparePolicies(older: string, newer: string): PolicyChange {
  const [a, b] = [normal(older), normal(newer)];
  if (a === b) return 'same';
  const [rank, rankNow] = [RANKS[a], RANKS[b]];
  if (rank !== undefined && rankNow !== undefined) {
    if (rank === rankNow) return 'same';
    return rankNow < rank ? 'tightened' : 'loosened';
  }
  if (rank === 5 || rankNow === 0) return 'tightened';
  if (rank === 0 || rankNow === 5) return 'loosened';
  return compareParts(a, b);
}

function normal(policy: string): string {
  const text = policy.trim().replaceAll(/\s+/g, ' ');
  return SAME_AS[text] ?? text;
}

/** One more `or` lets more through, one more `and` less. */
function compareParts(a: string, b: string): PolicyChange {
  if (/[()]|\bnot\b/.test(a + b)) return 'unknown';
  const isOr = !/ and /.test(a + b);
  const isAnd = !/ or /.test(a + b);
  if (!isOr && !isAnd) return 'unknown';
  const [older, newer] = [partsOf(a, isOr), partsOf(b, isOr)];
  const gained = newer.some((part) => !older.includes(part));
  const lost = older.some((part) => !newer.includes(part));
  if (gained && lost) return 'unknown';
  if (gained) return isOr ? 'loosened' : 'tightened';
  return lost ? (isOr ? 'tightened' : 'loosened') : 'same';
}

function partsOf(policy: string, isOr: boolean): readonly string[] {
  return policy.split(isOr ? ' or ' : ' and ').map((part) => SAME_AS[part] ?? part);
}
