/**
 * Programs of others that a device's packets meet before ours: they may take, change or redirect what ours is to judge. They are reported, not
 * removed. XDP and tcx always come before a clsact filter; a clsact filter does by its priority.
 */
import { type Logger, startLoop, startTurns } from '@cable/kit';
import { programName } from '../bpf/program.ts';
import { tcxIngressPrograms } from '../bpf/tcx.ts';
import { filtersBeforeOurs } from '../net/filter.ts';
import { xdpPrograms } from '../net/link.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { WIRE_PROGRAMS } from '../pseudowires/pseudowire-programs.ts';
import type { ObservedLink } from './link-rows.ts';
import type { Links } from './link-table.ts';

export type ForeignProgram = {
  readonly device: string;
  readonly hook: 'xdp' | 'tcx' | 'tc';
  /** The program's name; of a filter that is no program, its kind. Empty: it has none. */
  readonly program: string;
  /** Its id, as `bpftool prog` shows it; null: it is no program. */
  readonly id: number | null;
};

/** Of one device of the process's namespace, in the order in which packets meet them. */
export function foreignPrograms(
  socket: NetlinkSocket,
  { name, ifindex }: Pick<ObservedLink, 'name' | 'ifindex'>,
): readonly ForeignProgram[] {
  const of = (hook: ForeignProgram['hook'], ids: readonly number[]): readonly ForeignProgram[] =>
    ids.map((id) => ({ device: name, hook, program: programName(id) ?? '', id }));
  const filters = filtersBeforeOurs(socket, ifindex).map(({ kind, programId, ...filter }) => ({
    device: name,
    hook: 'tc' as const,
    program: (programName(programId) ?? filter.name) || kind,
    id: programId === 0 ? null : programId,
  }));
  // Those of pseudowires are the agent's own.
  const tcx = of('tcx', tcxIngressPrograms(ifindex)).filter(({ program }) => program !== WIRE_PROGRAMS.sent);
  return [...of('xdp', xdpPrograms(socket, ifindex)), ...tcx, ...filters];
}

export type ForeignProgramWatchOptions = {
  readonly socket: NetlinkSocket;
  readonly links: Pick<Links, 'get' | 'values'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Time between looks at all devices: of most programs that come nothing is told. Default one minute. */
  readonly everyMs?: number;
};

export type ForeignProgramWatch = {
  /** Asks for a look at devices that have changed. */
  check(ifindexes: Iterable<number>): void;
  /** What the last looks found. */
  found(): readonly ForeignProgram[];
  readonly done: Promise<void>;
};

const EVERY_MS = 60_000;

/** Looks for such programs on the devices that have one of ours, and says in the log when there is a new one. */
export function watchForeignPrograms(options: ForeignProgramWatchOptions): ForeignProgramWatch {
  const { socket, links, log, signal, everyMs = EVERY_MS } = options;
  const found = new Map<number, readonly ForeignProgram[]>();
  const waiting = new Set<number>();
  let allAt = 0;
  const look = (ifindex: number): void => {
    const link = links.get(ifindex);
    const before = found.get(ifindex) ?? [];
    const now = link?.programId === undefined ? [] : foreignPrograms(socket, link);
    if (now.length === 0) found.delete(ifindex);
    else found.set(ifindex, now);
    for (const one of now) {
      if (before.some(({ hook, id, program }) => hook === one.hook && id === one.id && program === one.program))
        continue;
      log.warn({ ...one }, "a program of another's comes before the vrouter's on a device");
    }
  };
  const run = async (): Promise<void> => {
    if (performance.now() >= allAt) {
      for (const { ifindex } of links.values()) waiting.add(ifindex);
      for (const ifindex of found.keys()) waiting.add(ifindex);
      allAt = performance.now() + everyMs;
    }
    const turns = startTurns();
    for (const ifindex of waiting) {
      waiting.delete(ifindex);
      look(ifindex);
      if (turns.due()) await turns.next();
      if (signal.aborted) return;
    }
  };
  const loop = startLoop({ name: 'foreign programs', log, signal, run, everyMs });
  return {
    check: (ifindexes) => {
      for (const ifindex of ifindexes) waiting.add(ifindex);
      loop.trigger();
    },
    found: () => [...found.values()].flat(),
    done: loop.done,
  };
}
