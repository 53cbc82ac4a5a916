import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomProblem } from './policy-room.ts';

const namespaces = new Map(
  Array.from({ length: 64 }, (_, at) => [`n${at}`, { uid: `u${at}`, labels: [`half=${at % 2}`] }] as const),
);
const peers = (count: number, selector: string | null) =>
  Array.from({ length: count }, (_, at) => ({ pods: `app=a${at}`, namespaces: selector, cidr: null }));
/** For prefixes. */
const ROOM = 16_384;
const problem = (...rules: (readonly ReturnType<typeof peers>[number][])[]) =>
  roomProblem(
    rules.map((one) => ({ peers: one })),
    namespaces,
    ROOM,
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
    roomProblem([{ peers: null }, { peers: [{ pods: null, namespaces: null, cidr: '10.0.0.0/8' }] }], namespaces, ROOM),
    undefined,
  );
});

test('a policy has room for so many prefixes, of which an exception is as many as it cuts', () => {
  const block = (cidr: string, except: readonly string[] = []) => ({ pods: null, namespaces: null, cidr, except });
  const told = (...all: (readonly ReturnType<typeof block>[])[]) =>
    roomProblem(
      all.map((one) => ({ peers: one })),
      namespaces,
      ROOM,
    );
  const wide = (count: number) => Array.from({ length: count }, (_, at) => `2001:db8::${(at + 1).toString(16)}/128`);
  assert.equal(told([block('::/0', wide(127))], [block('10.0.0.0/8')]), undefined);
  assert.match(told([block('::/0', wide(128))]) ?? '', /name 16385 prefixes .* room for 16384/);
  assert.match(told([block('::/0', wide(64))], [block('::/0', wide(64))]) ?? '', /name 16386 prefixes/);
  const both = told([...peers(4097, null).map((one) => ({ ...one, except: [] })), block('::/0', wide(128))] as never);
  assert.match(both ?? '', /slices of pods.*; its rules name/s);
});
