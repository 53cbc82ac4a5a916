import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openPinnedMap } from '../bpf/map.ts';
import { RingBuffer } from '../bpf/ring.ts';
import type { AgentDeps } from '../deps.ts';
import type { ChosenOptions } from '../options.ts';
import { FlowCollector, openCollector } from './collector.ts';
import { FlowExport, type FlowExportDeps } from './flow-export.ts';
import { FlowNames, type FlowNamesDeps } from './flow-names.ts';

export type OpenFlowExport = Pick<FlowExport, 'start' | 'listen' | 'counters'> & { close(): void };

/** Opens the ring that the programs, which must have been loaded, tell into, and the collector if one was given. */
export function openFlowExport(
  { host, pinDir, flowCollector }: Pick<ChosenOptions, 'host' | 'pinDir' | 'flowCollector'>,
  parts: {
    readonly plane: FlowExportDeps['plane'];
    readonly state: Pick<FlowNamesDeps, 'slices'>;
    readonly host: Pick<FlowNamesDeps, 'planner'>;
  },
  deps: AgentDeps,
): OpenFlowExport {
  const log = deps.log.child('flows');
  const path = join(pinDir, 'maps', 'cb_told_1');
  const map = openPinnedMap(path);
  if (map === undefined) throw new Error(`${path} is not there`);
  const ring = new RingBuffer(map);
  const names = new FlowNames({
    host,
    slices: parts.state.slices,
    planner: parts.host.planner,
    now: () => performance.now(),
  });
  const socket = flowCollector === null ? undefined : openCollector(flowCollector);
  let lost = (): number => 0;
  const collector =
    socket === undefined
      ? undefined
      : new FlowCollector({
          host,
          domain: domainOf(host),
          send: socket.send,
          lost: () => lost(),
          after: (ms, call) => {
            const timer = setTimeout(call, ms);
            return () => clearTimeout(timer);
          },
          nowMs: Date.now,
          log,
        });
  const flows = new FlowExport({ ring, plane: parts.plane, names, collector, log, signal: deps.signal });
  lost = () => flows.counters.flow_records_lost;
  return {
    start: () => flows.start(),
    listen: (listener) => flows.listen(listener),
    get counters() {
      return flows.counters;
    },
    close: () => {
      collector?.flush();
      ring.close();
      map.close();
      socket?.close();
    },
  };
}

/** Observation domain: the first 32 bits of the SHA-256 of the host's name, never 0. */
function domainOf(host: string): number {
  return createHash('sha256').update(host).digest().readUInt32BE(0) || 1;
}
