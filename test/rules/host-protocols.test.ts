/** The log of the host stream's protocols is in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOST_PROTOCOL, HOST_PROTOCOLS, HOST_UPGRADE } from '@cable/model';

test('the protocol that is spoken is the newest of the log, and the token of the upgrade names it', () => {
  assert.equal(HOST_PROTOCOLS.at(-1)?.number, HOST_PROTOCOL);
  assert.equal(HOST_UPGRADE, `cable-host/${HOST_PROTOCOL}`);
});

test('numbers rise one by one from 1, dates are days that do not fall, and each entry says what changed', () => {
  assert.deepEqual(
    HOST_PROTOCOLS.map(({ number }) => number),
    HOST_PROTOCOLS.map((_, index) => index + 1),
  );
  const changes = HOST_PROTOCOLS.flatMap((protocol) => [protocol, ...(protocol.additions ?? [])]);
  const dates = changes.map(({ date }) => date);
  assert.deepEqual(dates, [...dates].sort());
  for (const { date, change } of changes) {
    assert.equal(new Date(date).toISOString().slice(0, 10), date);
    assert.match(change, /\.$/);
  }
});
