import { MAPS } from '../../bpf/abi.gen.ts';
import { type ByteText, textBytes } from '../../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap, type MapEntry } from '../../desired.ts';
import { BpfError, NetlinkError } from '../../ffi/errno.ts';
import type { DataPlane, Programmed } from '../data-plane.ts';

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
 * A data plane in memory. It refuses what would be wrong for packets in flight: a class before its rules, a VIF before its slot, its
 * counters or its program; and the removal of any of these while the other stands.
 */
export function createFakeDataPlane(): FakeDataPlane {
  const maps = Object.fromEntries(AGENT_MAPS.map((map) => [map, new Map()])) as Maps;
  const limits = new Map<AgentMap, number>();
  const failing = new Map<AgentMap, { readonly code: string; times: number }>();
  const stats = new Set<number>();
  const attached = new Set<number>();
  const devices = new Set<number>();
  let commands: string[] = [];
  let epoch = 0;
  let programmed: Programmed = { revision: 0, state: 0n, commit: 0 };
  const check = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(`wrong order: ${what}`);
  };
  const vifs = (): { ifindex: number; slot: number }[] =>
    [...maps.cb_vif_1.values()].map(({ key, value }) => ({
      ifindex: MAPS.cb_vif_1.key.decode(textBytes(key)).ifindex,
      slot: MAPS.cb_vif_1.value.decode(textBytes(value)).slot,
    }));
  const uses = new Map<string, ClassUse>();
  const useOf = (map: 'cb_rule_1' | 'cb_class_1', entry: MapEntry): ClassUse => {
    const key = textBytes(entry.key);
    const { policy, classId } =
      map === 'cb_rule_1'
        ? MAPS.cb_rule_1.key.decode(key)
        : { ...MAPS.cb_class_1.key.decode(key), ...MAPS.cb_class_1.value.decode(textBytes(entry.value)) };
    const name = `${policy} ${classId}`;
    const use = uses.get(name) ?? { rules: 0, addresses: 0 };
    uses.set(name, use);
    return use;
  };
  const count = (map: AgentMap, key: ByteText, by: 1 | -1): void => {
    const entry = maps[map].get(key);
    if (entry === undefined) return;
    if (map === 'cb_rule_1') useOf(map, entry).rules += by;
    if (map === 'cb_class_1') useOf(map, entry).addresses += by;
  };
  const checkPut = (map: AgentMap, entry: MapEntry): void => {
    const key = textBytes(entry.key);
    const value = textBytes(entry.value);
    if (map === 'cb_class_1') {
      const { classId } = MAPS.cb_class_1.value.decode(value);
      check(useOf(map, entry).rules > 0, `class ${classId} before its rules`);
    }
    if (map !== 'cb_vif_1') return;
    const { ifindex } = MAPS.cb_vif_1.key.decode(key);
    const { slot } = MAPS.cb_vif_1.value.decode(value);
    check(maps.cb_slot_1.has(MAPS.cb_slot_1.key.text({ slot })), `VIF ${ifindex} before its slot ${slot}`);
    check(stats.has(ifindex), `VIF ${ifindex} before its counters`);
    check(attached.has(ifindex), `VIF ${ifindex} before its program`);
  };
  const checkDelete = (map: AgentMap, entry: MapEntry): void => {
    const key = textBytes(entry.key);
    if (map === 'cb_slot_1') {
      const { slot } = MAPS.cb_slot_1.key.decode(key);
      check(!vifs().some((vif) => vif.slot === slot), `slot ${slot} removed under its VIF`);
    }
    if (map === 'cb_rule_1' && maps.cb_rule_1.has(entry.key)) {
      const { rules, addresses } = useOf(map, entry);
      check(
        rules > 1 || addresses === 0,
        `last rule of class ${MAPS.cb_rule_1.key.decode(key).classId} removed under its addresses`,
      );
    }
  };
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
      checkPut(map, entry);
      count(map, entry.key, -1);
      maps[map].set(entry.key, { key: entry.key, value: entry.value });
      count(map, entry.key, 1);
      commands.push(`bpftool map update ${map} key ${hexOf(entry.key)} value ${hexOf(entry.value)}`);
    },
    deleteEntry: (map, entry) => {
      checkDelete(map, entry);
      count(map, entry.key, -1);
      maps[map].delete(entry.key);
      commands.push(`bpftool map delete ${map} key ${hexOf(entry.key)}`);
    },
    readEpoch: () => epoch,
    writeEpoch: (value) => {
      epoch = value;
      commands.push(`bpftool map update cb_conf_1 epoch ${value}`);
    },
    readProgrammed: () => programmed,
    writeProgrammed: (state) => {
      programmed = state;
      commands.push(`bpftool map update cb_prog_1 revision ${state.revision} commit ${state.commit}`);
    },
    takeOver: () => undefined,
    listStats: () => stats,
    createStat: (ifindex) => {
      stats.add(ifindex);
      commands.push(`bpftool map update cb_stat_1 key ${ifindex}`);
    },
    deleteStat: (ifindex) => {
      check(!vifs().some((vif) => vif.ifindex === ifindex), `counters of ${ifindex} removed under its VIF`);
      stats.delete(ifindex);
      commands.push(`bpftool map delete cb_stat_1 key ${ifindex}`);
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
    deleteFlows: (ifindexes) => {
      commands.push(`delete flows of ${[...ifindexes].sort((a, b) => a - b).join(' ')}`);
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

type Maps = Record<AgentMap, Map<string, MapEntry>>;

/** How many rules a class has, and how many addresses point at it, so that a check costs nothing that grows. */
type ClassUse = { rules: number; addresses: number };
