import type { ByteText } from '../../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap, type MapEntry } from '../../desired.ts';
import { BpfError, NetlinkError } from '../../ffi/errno.ts';
import type { DataPlane, Programmed } from '../data-plane.ts';
import { type Maps, OrderCheck } from './order-check.ts';

export type FakeDataPlane = DataPlane & {
  /** What was done since the last call, as an operator would type it. */
  takeCommands(): readonly string[];
  /** The device appears or disappears. */
  setDevice(ifindex: number, exists: boolean): void;
  /** The map holds so many entries at the most. */
  limit(map: AgentMap, entries: number): void;
  /** The next so many puts to the map fail with the code. */
  failPuts(map: AgentMap, code: string, times: number): void;
  entries(map: AgentMap): ReadonlyMap<string, MapEntry>;
};

/**
 * A data plane in memory. It refuses what would be wrong for packets in flight: a class before its rules, a VIF before its network or its
 * program, a way in before what it leads to; a row of which epoch and fields change at once, or that goes from one owner to another; a number that is
 * given out again before the flows that name it were ended. `mayDeny`: of which policies (numbers) classes may have no rule at all; default: of none.
 */
export function createFakeDataPlane(mayDeny: (policy: number) => boolean = () => false): FakeDataPlane {
  const maps = Object.fromEntries(AGENT_MAPS.map((map) => [map, new Map()])) as Maps;
  const limits = new Map<AgentMap, number>();
  const failing = new Map<AgentMap, { readonly code: string; times: number }>();
  const attached = new Set<number>();
  const devices = new Set<number>();
  const order = new OrderCheck(maps, attached, mayDeny);
  let commands: string[] = [];
  let programmed: Programmed = { revision: 0, state: 0n, commit: 0 };
  return {
    readMap: (map) => [[...maps[map].values()]],
    entries: (map) => maps[map],
    putEntry: (map, entry) => {
      const failure = failing.get(map);
      if (failure !== undefined && failure.times > 0) {
        failure.times -= 1;
        throw new BpfError(`write to map ${map}`, failure.code);
      }
      const full = maps[map].size >= (limits.get(map) ?? Number.POSITIVE_INFINITY);
      if (full && !maps[map].has(entry.key)) throw new BpfError(`write to map ${map}`, 'E2BIG');
      order.checkPut(map, entry);
      order.count(map, entry.key, -1);
      maps[map].set(entry.key, { key: entry.key, value: entry.value });
      order.count(map, entry.key, 1);
      commands.push(`bpftool map update ${map} key ${hexOf(entry.key)} value ${hexOf(entry.value)}`);
    },
    deleteEntry: (map, entry) => {
      order.checkDelete(map, entry);
      order.count(map, entry.key, -1);
      maps[map].delete(entry.key);
      commands.push(`bpftool map delete ${map} key ${hexOf(entry.key)}`);
    },
    readProgrammed: () => programmed,
    writeProgrammed: (state) => {
      programmed = state;
      commands.push(`bpftool map update cb_prog_2 revision ${state.revision} commit ${state.commit}`);
    },
    takeOver: () => undefined,
    purge: (kind, id) => {
      order.purge(kind, id);
      commands.push(`end flows of ${kind} ${id}`);
    },
    resetCounters: (vif) => {
      commands.push(`reset counters of vif ${vif}`);
    },
    listAttached: () => attached,
    attach: (ifindex) => {
      if (!devices.has(ifindex)) throw new NetlinkError(`attach enter_vif to device ${ifindex}`, 'ENODEV');
      if (attached.has(ifindex)) return;
      attached.add(ifindex);
      commands.push(`tc filter replace dev ${ifindex} ingress bpf da enter_vif`);
    },
    restore: (ifindex) => {
      attached.delete(ifindex);
    },
    forget: (ifindex) => {
      attached.delete(ifindex);
    },
    takeCommands: () => {
      const taken = commands;
      commands = [];
      return taken;
    },
    setDevice: (ifindex, exists) => {
      if (exists) devices.add(ifindex);
      else devices.delete(ifindex);
    },
    limit: (map, entries) => {
      limits.set(map, entries);
    },
    failPuts: (map, code, times) => {
      failing.set(map, { code, times });
    },
  };
}

function hexOf(text: ByteText): string {
  return Buffer.from(text, 'latin1').toString('hex');
}
