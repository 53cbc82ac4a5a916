import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './nearest.ts';

test('a name means the project’s own, and what others share where there is none, but no security group of theirs', () => {
  const [own, others] = [
    { id: '1', project_id: 'p' },
    { id: '2', project_id: 'q' },
  ];
  assert.deepEqual(nearest('network', [others, own], 'p'), [own]);
  assert.deepEqual(nearest('network', [others], 'p'), [others]);
  assert.deepEqual(nearest('security_group', [others, own], 'p'), [own]);
  assert.deepEqual(nearest('security_group', [others], 'p'), []);
});
