import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimKey, claimUnderKey, markKey, markPrefix, prefixOfTarget, referenceKey, referencePrefix } from './keys.ts';

const IDS = ['a', 'a b', 'x/y', '=', '%2F', 'é', '😀'.repeat(255), 'n'.repeat(300)];

test('a key stands under the prefix of what it is about, whatever the text of the id', () => {
  for (const id of IDS) {
    for (const key of [referenceKey('host', id, 'port', id), claimUnderKey('host', id, 'ip', id)]) {
      assert.ok(key.startsWith(referencePrefix('host', id)));
      assert.equal(prefixOfTarget(key), referencePrefix('host', id));
    }
    assert.equal(prefixOfTarget(markKey('foreign', id, id, id)), markPrefix('foreign', id));
    const claim = prefixOfTarget(claimKey('vni', id));
    assert.ok(IDS.every((other) => claim !== referencePrefix('host', other) && claim !== markPrefix('vni', other)));
  }
  assert.equal(new Set(IDS.map((id) => referencePrefix('host', id))).size, IDS.length);
});
