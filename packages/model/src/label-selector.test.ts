import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatLabelSelector, parseLabelSelector, parseLabels, selects } from './label-selector.ts';

const CASES: readonly (readonly [selector: string, labels: readonly string[], selected: boolean])[] = [
  ['', [], true],
  ['', ['a=b'], true],
  ['a=b', ['a=b', 'c=d'], true],
  ['a=b', ['a=c'], false],
  ['a=b', [], false],
  ['a=', ['a='], true],
  ['a=', [], false],
  ['a', ['a='], true],
  ['a', [], false],
  ['!a', [], true],
  ['!a', ['a='], false],
  // A label that is not there is not in a set.
  ['a!=b', [], true],
  ['a!=b', ['a=c'], true],
  ['a!=b', ['a=b'], false],
  ['a in (b,c)', ['a=c'], true],
  ['a in (b,c)', [], false],
  ['a in (,c)', ['a='], true],
  ['a notin (b,c)', [], true],
  ['a notin (b,c)', ['a=c'], false],
  ['a notin (b,c)', ['a=d'], true],
  ['a=b,c!=d', ['a=b', 'c=d'], false],
  ['x.example.org/a=b', ['x.example.org/a=b'], true],
];

test('a selector selects as Kubernetes does', () => {
  for (const [text, labels, selected] of CASES) {
    const selector = parseLabelSelector(text);
    assert(selector !== undefined, text);
    assert.equal(selects(selector, parseLabels(labels)), selected, `${text} of ${labels.join()}`);
  }
});

test('what says the same has one text', () => {
  const same = (...texts: readonly string[]): void => {
    const all = texts.map((text) => formatLabelSelector(parseLabelSelector(text) ?? []));
    assert.equal(new Set(all).size, 1, all.join(' | '));
  };
  same('a=b', 'a==b', 'a in (b)', 'a in (b,b)', 'a=b,a=b');
  same('a!=b', 'a notin (b)');
  same('a in (c,b),d', 'd,a in (b,c)', 'd,a in (b, c)');
  same('a=', 'a in ()');
  for (const [text] of CASES) {
    const selector = parseLabelSelector(text) ?? [];
    const again = parseLabelSelector(formatLabelSelector(selector));
    assert.equal(formatLabelSelector(again ?? []), formatLabelSelector(selector), text);
  }
});

test('what is no selector is none', () => {
  const bad = ['=', '=b', 'a=b=c', 'a in b', 'a in (b', 'a b', '!', '-a', 'a=-', ',', 'a,', 'a in (b) c', '!a=b'];
  for (const text of [...bad, `${'a'.repeat(64)}=b`, 'A.b/c/d', 'a/']) {
    assert.equal(parseLabelSelector(text), undefined, text);
  }
});
