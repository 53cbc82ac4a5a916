import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, Table } from '@cable/kit';
import type { Port } from '@cable/model';
import type { Op } from '@cable/store';
import { objectKey, vifKey } from '../keys.ts';
import type { VifRow } from '../rows.ts';
import { testNetwork, testPort, uuid } from '../slices/rows.fixture.ts';
import { type StatusWriterDeps, startStatusWriter } from './status-writer.ts';

const NET = testNetwork(1);
const keyOf = (op: Op): string => ('key' in op ? op.key : '');

/** A writer whose store takes what it is sent, when it is let; `refuses`: it takes none of several at once. */
function openWriter(rows: { readonly ports: readonly Port[]; readonly vifs: readonly VifRow[] }, refuses = false) {
  const ports = new Table<Port>('port', {});
  for (const port of rows.ports) ports.put(port.id, port);
  const vifs = new Table<VifRow, 'port_id'>('vif', { port_id: (row) => [row.port_id] });
  for (const vif of rows.vifs) vifs.put(vif.id, vif);
  const byKey = new Map(rows.vifs.map((vif) => [vifKey(vif.host, vif.port_id), vif.id]));
  const own = (value: string): Port => JSON.parse(value) as Port;
  const written: string[][] = [];
  const store = {
    txn: async (_compares: unknown, ops: readonly Op[]) => {
      await new Promise(setImmediate);
      if (refuses && ops.length > 1) return { ok: false, revision: 1 };
      written.push(ops.map(keyOf));
      for (const op of ops) {
        const key = keyOf(op);
        if (op.kind === 'put') ports.put(own(op.value).id, own(op.value));
        else vifs.delete(byKey.get(key) ?? '');
      }
      return { ok: true, revision: 1 };
    },
  };
  const tables = {
    of: (type: string) => (type === 'port' ? ports : vifs),
    modRevision: () => 1,
    waitFor: async () => true,
  };
  const stop = new AbortController();
  const writer = startStatusWriter({
    store: store as unknown as StatusWriterDeps['store'],
    tables: tables as unknown as StatusWriterDeps['tables'],
    evidence: () => ({ vifUp: true, hostAlive: true, proven: true }),
    now: () => new Date(0),
    log: silentLogger(),
    signal: stop.signal,
  });
  return { writer, written, vifs, stop };
}

for (const refuses of [false, true]) {
  const how = refuses ? 'also where others write the same' : 'one after the other';
  test(`what a host tells of ports that are none of its holds no port's status up, ${how}`, async (t) => {
    const own = { ...testPort(1, NET, 'h2'), status: 'DOWN' } as Port;
    const vifs = Array.from({ length: 4096 }, (_, n): VifRow => {
      const portId = uuid(0x1000 + n);
      return { id: `h1/${portId}`, host: 'h1', port_id: portId, state: 'up', reason: null, hasFlows: false } as VifRow;
    });
    const { writer, written, vifs: left, stop } = openWriter({ ports: [own], vifs }, refuses);
    t.after(() => stop.abort());
    for (const { port_id: portId } of vifs) writer.mark(portId);
    await new Promise(setImmediate);
    writer.mark(own.id);
    while (left.size > 0) await new Promise(setImmediate);
    const at = written.findIndex((keys) => keys.includes(objectKey('port', own.id)));
    assert.ok(at >= 0 && at < 40, `the port's status was write ${at} of ${written.length}`);
  });
}
