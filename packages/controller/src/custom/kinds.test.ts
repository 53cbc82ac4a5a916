/** What the API server would refuse of a definition, or what would be of no use to users. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Schema } from './definition.ts';
import { hostPolicyDeclaration } from './host-policy.ts';
import { CUSTOM_KINDS } from './kinds.ts';

const DECLARED = [...CUSTOM_KINDS.map(({ declared }) => declared), hostPolicyDeclaration];

function* partsOf(schema: Schema, path: string): Iterable<readonly [path: string, schema: Schema]> {
  yield [path, schema];
  for (const [name, one] of Object.entries(schema.properties ?? {})) yield* partsOf(one, `${path}.${name}`);
  if (schema.items !== undefined) yield* partsOf(schema.items, `${path}[]`);
}

test('what users give is described, and bounded: CEL of Kubernetes reckons with the most that it may be', () => {
  for (const declared of DECLARED) {
    for (const [path, one] of partsOf(declared.spec, `${declared.kind}.spec`)) {
      assert.match(one.description, /\S.*\.$/, path);
      if (one.type === 'array') assert.ok(one.maxItems !== undefined && one.items !== undefined, path);
      if (one.type === 'string') assert.ok(one.maxLength !== undefined || one.enum !== undefined, path);
      if (one.type === 'integer') assert.ok(one.minimum !== undefined && one.maximum !== undefined, path);
      for (const name of one.required ?? []) assert.ok(one.properties?.[name] !== undefined, `${path}.${name}`);
      for (const { rule, message } of one['x-kubernetes-validations'] ?? []) {
        assert.notEqual(message, '', path);
        for (const [, name = ''] of rule.matchAll(/(?:self|oldSelf)\.(\w+)/g))
          assert.ok(one.properties?.[name] !== undefined, `${path}: ${rule} speaks of ${name}`);
      }
    }
  }
});

test('names of kinds are each one’s own', () => {
  const names = DECLARED.flatMap(({ plural, singular, shortNames }) => [...new Set([plural, singular, ...shortNames])]);
  assert.equal(new Set(names).size, names.length);
});
