/** What a server is told of tokens by a real Keystone: the suite that the fake one passes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { keystoneSuite } from '@cable/keystone/testing';
import { type Keystone, startKeystone } from './keystone.ts';

const directory = mkdtempSync(join(tmpdir(), `cable-identity-${process.pid}-`));
let keystone: Keystone;

before(async () => {
  keystone = await startKeystone(directory);
});

after(async () => {
  await keystone?.close();
  rmSync(directory, { recursive: true, force: true });
});

keystoneSuite('real Keystone', () => keystone);
