import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomProblem } from './policy-room.ts';

const namespaces = new Map(
  Array.from({ length: 64 }, (_, at) => [`n${at}`, { uid: `u${at}`, labels: [`half=${at % 2}`] }] as const),
);
const peers = (count: number, selector: string | null) =>
  Array.from({ length: count }, (_, at) => ({ pods: `app=a${at}`, namespaces: selector, cidr: null }));
const problem = (...rules: (readonly ReturnType<typeof peers>[number][])[]) =>
  roomProblem(
    rules.map((one) => ({ peers: one })),
    namespaces,
  );

test('a policy has room for so many selectors times namespaces, each once', () => {
  const all = 'half in (0,1)';
  assert.equal(problem(peers(64, all), peers(64, all)), undefined);
  assert.equal(problem(peers(128, 'half=0')), undefined);
  assert.match(problem(peers(64, all), peers(65, 'half=0')) ?? '', /more than 4096 slices of pods/);
  // All namespaces are one, and so is the policy's own.
  assert.equal(problem(peers(4000, '')), undefined);
  assert.equal(problem(peers(4000, null)), undefined);
  assert.match(problem(peers(4000, ''), peers(97, null)) ?? '', /more than 4096/);
  assert.equal(
    roomProblem([{ peers: null }, { peers: [{ pods: null, namespaces: null, cidr: '10.0.0.0/8' }] }], namespaces),
    undefined,
  );
});
