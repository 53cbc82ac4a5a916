import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { silentLogger } from '@cable/kit';
import { contractSuite } from '../testing/contract-suite.ts';
import { openLmdb } from './lmdb-store.ts';

const dir = mkdtempSync(join(tmpdir(), 'cable-store-'));
after(() => rmSync(dir, { recursive: true }));
contractSuite('lmdb', async () => openLmdb({ path: join(dir, 'suite'), log: silentLogger() }));
