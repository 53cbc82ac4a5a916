import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertDiskRoom, NoRoomError } from './disk-room.ts';

test('a file system with room is passed, one with less than is needed and a path that is not there are refused', (t) => {
  const dir = mkdtempSync(join(tmpdir(), `cable-room-${process.pid}-`));
  t.after(() => rmSync(dir, { recursive: true }));
  const { blocks, bsize } = statfsSync(dir);
  assertDiskRoom(dir, 1);
  assert.throws(
    () => assertDiskRoom(dir, blocks * bsize + 1),
    (err) => err instanceof NoRoomError && /^No space left: \d+ KiB are free, \d+ KiB are needed$/.test(err.message),
  );
  assert.throws(() => assertDiskRoom(join(dir, 'nothing'), 1), /ENOENT/);
});
