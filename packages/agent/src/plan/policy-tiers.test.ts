import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_DIR_INGRESS, CB_FAMILY_V4 } from '../bpf/abi.gen.ts';
import { ANY_PORT_BITS, ANY_PROTOCOL_BITS, PORT_BITS, type RuleMatch } from './policy-rules.ts';
import { decidersOn, flattenTiers, RuleIndex, type Verdict, verdictOn } from './policy-tiers.ts';
import { createRandom, type Random } from './testing/random.ts';

const BASE = { direction: CB_DIR_INGRESS, family: CB_FAMILY_V4 } as const;
const TCP = 6;
const ANYTHING = { ...BASE, prefixlen: ANY_PROTOCOL_BITS, protocol: 0, portBe: 0, rule: 1 } as const;
const HTTP = { ...BASE, prefixlen: PORT_BITS + 16, protocol: TCP, portBe: 80, rule: 2 } as const;

function flat(matches: readonly RuleMatch[], isIsolated: boolean): readonly RuleMatch[] {
  const work = flattenTiers(matches, BASE, isIsolated);
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** What the longest prefix says that a packet is in. */
function found(entries: readonly RuleMatch[], protocol: number, portBe: number): Verdict {
  const bits = (one: Pick<RuleMatch, 'protocol' | 'portBe'>): string =>
    one.protocol.toString(2).padStart(8, '0') + '0'.repeat(8) + one.portBe.toString(2).padStart(16, '0');
  const inIt = entries.filter(({ prefixlen, ...one }) => {
    const length = prefixlen - ANY_PROTOCOL_BITS;
    return bits(one).slice(0, length) === bits({ protocol, portBe }).slice(0, length);
  });
  const [longest] = inIt.sort((a, b) => b.prefixlen - a.prefixlen);
  return longest === undefined ? { isAllowed: false, by: 0 } : { isAllowed: true, by: longest.rule };
}

function randomMatch(random: Random): RuleMatch {
  const bits = random(17);
  const port = ((random(4) * 0x2100) >>> 0) & (0xffff << (16 - bits)) & 0xffff;
  const [prefixlen, protocol, portBe] = [
    [ANY_PROTOCOL_BITS, 0, 0],
    [ANY_PORT_BITS, random(2) === 0 ? TCP : 17, 0],
    [PORT_BITS + bits, random(2) === 0 ? TCP : 17, port],
    [PORT_BITS + 16, TCP, 79 + random(3)],
  ][random(4)] as [number, number, number];
  const action = (['allow', 'deny', 'pass'] as const)[random(3)] ?? 'deny';
  const step = { tier: random(2) === 0 ? 'admin' : 'baseline', order: String(random(6)), action } as const;
  return { ...BASE, prefixlen, protocol, portBe, rule: 1 + random(9), ...(random(4) === 0 ? {} : { step }) };
}

function randomRules(random: Random): readonly RuleMatch[] {
  const matches = Array.from({ length: 1 + random(8) }, () => randomMatch(random));
  // Two of one tier and order are one rule, and so of one policy that does one thing.
  return matches.filter(({ step }, at) => {
    const same = (one: RuleMatch): boolean => one.step?.tier === step?.tier && one.step?.order === step?.order;
    return step === undefined || matches.findIndex(same) === at;
  });
}

test('what is left of tiers says of each packet what the tiers say, and who says it', () => {
  let [allowed, denied] = [0, 0];
  for (let seed = 1; seed <= 100; seed += 1) {
    const random = createRandom(seed);
    const rules = randomRules(random);
    const isIsolated = random(2) === 0;
    const entries = flat(rules, isIsolated);
    for (const protocol of [1, TCP, 17, 132]) {
      for (const portBe of [0, 78, 79, 80, 81, 82, 0x20ff, 0x2100, 0x2101, 0x4200, 0x6300, 0x7fff, 0x8000, 0xffff]) {
        const expected = verdictOn({ ...BASE, protocol, portBe }, rules, isIsolated);
        const is = found(entries, protocol, portBe);
        assert.equal(is.isAllowed, expected.isAllowed, `seed ${seed} ${protocol} ${portBe}`);
        if (is.isAllowed) assert.equal(is.by, expected.by, `seed ${seed} ${protocol} ${portBe}`);
        if (is.isAllowed) allowed += 1;
        else denied += 1;
      }
    }
  }
  assert.ok(allowed > 1000 && denied > 1000, `${allowed} allowed, ${denied} denied`);
});

test('all but one port is some two dozen entries, and a denial that is allowed before is none', () => {
  const deny = { ...HTTP, step: { tier: 'admin', order: '1', action: 'deny' } } as const;
  const some = flat([ANYTHING, deny], true);
  assert.equal(some.length, 24);
  assert.deepEqual(found(some, TCP, 80), { isAllowed: false, by: 0 });
  assert.deepEqual(found(some, TCP, 81), { isAllowed: true, by: 1 });
  const allow = { ...ANYTHING, rule: 3, step: { tier: 'admin', order: '0', action: 'allow' } } as const;
  assert.deepEqual(flat([ANYTHING, deny, allow], true), [{ ...ANYTHING, rule: 3 }]);
});

test('pass leaves it to the next tier, and at the end all passes where nothing isolates', () => {
  const pass = { ...ANYTHING, rule: 4, step: { tier: 'admin', order: '1', action: 'pass' } } as const;
  const deny = { ...ANYTHING, rule: 5, step: { tier: 'admin', order: '2', action: 'deny' } } as const;
  const baseline = { ...ANYTHING, rule: 6, step: { tier: 'baseline', order: '1', action: 'deny' } } as const;
  assert.deepEqual(flat([pass, deny], false), [{ ...ANYTHING, rule: 0 }]);
  assert.deepEqual(flat([pass, deny], true), []);
  assert.deepEqual(flat([pass, deny, ANYTHING], true), [ANYTHING]);
  assert.deepEqual(flat([pass, baseline], false), []);
  assert.deepEqual(flat([pass, baseline, HTTP], true), [HTTP]);
});

test('who decided is found by an index as by all rules, and of NetworkPolicies all that allow it', () => {
  let several = 0;
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = createRandom(seed);
    const rules = randomRules(random).map((one, rule) => ({ ...one, rule }));
    const index = new RuleIndex([rules]);
    const isIsolated = random(2) === 0;
    for (const protocol of [1, TCP, 17]) {
      for (const portBe of [0, 79, 80, 81, 0x20ff, 0x2100, 0x4200, 0xffff]) {
        const packet = { ...BASE, protocol, portBe };
        const expected = verdictOn(packet, rules, isIsolated);
        const { isAllowed, by } = decidersOn(index.matching(packet), isIsolated);
        assert.equal(isAllowed, expected.isAllowed, `seed ${seed} ${protocol} ${portBe}`);
        if (expected.by !== 0 || by.length > 0) assert.ok(by.includes(expected.by), `seed ${seed} ${by}`);
        if (by.length > 1) several += 1;
        const alone = by.map((one) => rules[one]);
        assert.ok(by.length < 2 || alone.every((one) => one !== undefined && one.step === undefined));
      }
    }
  }
  assert.ok(several > 50, `${several}`);
});
