import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { HostStatusReport, Slice, SliceKey, VifStatus, WatchLine } from '@cable/model';
import { sliceKey } from '../plan/sample.ts';

/** For tests: the host stream half of a server, on a Unix socket. It holds slices and tells every agent all of them. */
export type FakeServer = {
  /** Replaces the slices; agents that watch get the difference, then a bookmark. Returns the new revision. */
  set(slices: readonly Slice[]): number;
  /** VIFs as last reported, and the acknowledged revision. */
  readonly status: { revision: number; vifs: ReadonlyMap<string, VifStatus> };
  /** `since` of each watch that was opened. */
  readonly watches: readonly number[];
  stop(): Promise<void>;
};

export async function startFakeServer(path: string): Promise<FakeServer> {
  let slices = new Map<SliceKey, Slice>();
  let revision = 1;
  const open = new Set<ServerResponse>();
  const watches: number[] = [];
  const status = { revision: 0, vifs: new Map<string, VifStatus>() };
  const write = (out: ServerResponse, line: WatchLine): void => {
    out.write(`${JSON.stringify(line)}\n`);
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://server');
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      if (url.pathname.endsWith('/watch')) {
        watches.push(Number(url.searchParams.get('since') ?? 0));
        response.writeHead(200, { 'content-type': 'application/x-ndjson' });
        for (const [key, slice] of slices) write(response, { type: 'put', key, revision, slice });
        write(response, { type: 'sync', revision, keys: [...slices.keys()] });
        open.add(response);
        response.on('close', () => open.delete(response));
        return;
      }
      if (url.pathname.endsWith('/status')) takeReport(status, JSON.parse(body) as HostStatusReport);
      response.writeHead(204).end();
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    status,
    watches,
    set: (next) => {
      const before = slices;
      slices = new Map(next.map((slice) => [sliceKey(slice), slice]));
      revision += 1;
      for (const out of open) {
        for (const [key, slice] of slices)
          if (before.get(key) !== slice) write(out, { type: 'put', key, revision, slice });
        for (const key of before.keys()) if (!slices.has(key)) write(out, { type: 'delete', key, revision });
        write(out, { type: 'bookmark', revision });
      }
      return revision;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function takeReport(status: { revision: number; vifs: Map<string, VifStatus> }, report: HostStatusReport): void {
  if (report.full) status.vifs.clear();
  for (const vif of report.vifs) status.vifs.set(vif.portId, vif);
  status.revision = report.revision;
}
