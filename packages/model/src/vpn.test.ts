import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRouteTarget } from './vpn.ts';

for (const text of ['65000:1', '0:0', '65535:4294967295', '4200000000:65535', '192.0.2.1:65535']) {
  test(`${text} is a route target`, () => assert.equal(isRouteTarget(text), true));
}

for (const text of [
  ...[
    '',
    ':',
    '65000',
    '65000:',
    ':1',
    '65000:-1',
    '65000:01',
    '065000:1',
    '65536:65536',
    '4294967296:1',
    '1:4294967296',
  ],
  ...[
    '192.0.2:1',
    '192.0.2.256:1',
    '192.0.2.1:65536',
    '65000:1 ',
    '65000:1\n',
    'rt 65000:1',
    '65000:1 65000:2',
    '1.2.3.4.5:1',
  ],
]) {
  test(`${JSON.stringify(text)} is none`, () => assert.equal(isRouteTarget(text), false));
}
