import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pattern, parsePattern } from './pattern.ts';

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  assert.ok(parsed.ok, `${text}: ${parsed.ok ? '' : parsed.reason}`);
  return parsed.pattern;
}

test('a pattern matches at the start of a text what the engine’s own expressions match there', () => {
  const patterns = [
    '^network:',
    'network:(dhcp|router_interface)$',
    '(?:compute|kubernetes):.*',
    'a*b',
    'a+?b{2}',
    '[a-c]{1,3}$',
    '[^:]+:[\\w.-]+$',
    '(a|b)*c',
    '(ab?)+$',
    '\\d+\\s\\S',
    'x{0}y',
    'a{2,}',
    '[]a]+$',
    '()*a',
    '^$',
    '',
    'a|^b|c$',
    '\\.\\*',
  ];
  const texts = [
    '',
    'a',
    'ab',
    'aab',
    'abab',
    'b',
    'c',
    'cab',
    'abc',
    'aaa',
    ']a',
    'y',
    '.*',
    'abb',
    'aabb',
    '1 x',
    'x:y',
  ];
  texts.push(
    'network:dhcp',
    'network:',
    'xnetwork:',
    'network:router_interface',
    'compute:nova',
    'compute:\nnova',
    'a\nb',
  );
  for (const one of patterns) {
    const own = pattern(one);
    // In Python a bracket that comes first in a set is one of its characters.
    const engine = new RegExp(one.replace('[]', '[\\]'), 'y');
    for (const text of texts) {
      engine.lastIndex = 0;
      assert.equal(own.test(text), engine.test(text), `/${one}/ on ${JSON.stringify(text)}`);
    }
  }
});

test('a pattern that cannot be understood is refused with its place', () => {
  for (const [text, position, reason] of [
    ['a(b', 3, /not closed/],
    ['a)b', 1, /no group/],
    ['*a', 0, /nothing to repeat/],
    ['^*', 0, /nothing to repeat/],
    ['[ab', 3, /not closed/],
    ['(?=a)', 1, /groups/],
    ['(?i)a', 1, /groups/],
    ['(a)\\1', 4, /not known/],
    ['a\\b', 2, /not known/],
    ['a\\', 2, /not known/],
    ['[z-a]', 4, /range/],
    ['a{3,2}', 1, /repeat/],
    ['a**', 3, /repeat/],
    ['('.repeat(1000), 21, /in one another/],
    ['(a{100}){100}', 0, /steps/],
    ['((a{999}){999}){999}', 0, /steps/],
  ] as const) {
    const parsed = parsePattern(text);
    assert.ok(!parsed.ok, text);
    assert.match(parsed.reason, reason, text);
    assert.equal(parsed.position, position, `${text.slice(0, 40)}: ${parsed.reason}`);
  }
});

test('patterns that take other engines for ever take time that is linear in the text', () => {
  const before = process.cpuUsage();
  const text = `${'a'.repeat(20_000)}!`;
  for (const one of [
    '(a+)+$',
    '(a|a)*$',
    '(a*)*$',
    '(a|aa)+$',
    '(.*)*(.*)*(.*)*x$',
    'a*a*a*a*a*a*a*a*b',
    '(a?){20}b',
  ]) {
    assert.equal(pattern(one).test(text), false, one);
  }
  pattern('(((((){999}){999}){999}){999}){999}a');
  const { user } = process.cpuUsage(before);
  assert.ok(user < 5_000_000, `${user} µs`);
});
