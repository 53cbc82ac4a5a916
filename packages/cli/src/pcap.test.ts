import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CliError } from './errors.ts';
import { openPcap } from './pcap.ts';

test('a file that cannot be made, or not be written, is told by its name', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cable-pcap-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const [path, why] of [
    [join(directory, 'nowhere', 'x.pcap'), /no such file or directory/],
    [directory, /illegal operation on a directory/],
    ['/dev/full', /no space left/],
  ] as const)
    await assert.rejects(openPcap(path, 64).begin(), (err) => {
      assert(err instanceof CliError, String(err));
      assert.match(err.message, why);
      return err.message.startsWith(`cannot write ${path}: `) && err.remedy !== '';
    });
});
