/**
 * A process that is made to be killed: writes to the LMDB store in the directory given, with eight writers at once, and prints
 * `<key>` for each write that was answered.
 */
import { writeSync } from 'node:fs';
import { silentLogger } from '@cable/kit';
import { openLmdb } from '../lmdb/lmdb-store.ts';

const store = openLmdb({ path: process.argv[2] ?? '', log: silentLogger() });
const lease = await store.grantLease(3);
await store.txn([], [{ kind: 'put', key: '/leased', value: '', lease }]);
await Promise.all(
  Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; ; i += 1) {
      const key = `/acknowledged/${process.pid}/${writer}/${i}`;
      const value = 'v'.repeat(500);
      const result = await store.txn(
        [{ kind: 'absent', key }],
        [
          { kind: 'put', key, value },
          { kind: 'put', key: `/twin${key}`, value },
        ],
      );
      if (result.ok) writeSync(1, `${key}\n`);
    }
  }),
);
