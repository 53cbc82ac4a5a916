import { join } from 'node:path';
import type { Logger } from '@cable/kit';
import type { FlowExport } from '../flow-export/flow-export.ts';
import type { ChosenOptions } from '../options.ts';
import type { Planner } from '../plan/planner.ts';
import type { ListedSlices } from '../show/names.ts';
import { LogFile } from './log-file.ts';
import { type PacketLogCounters, PacketLogger } from './packet-log.ts';
import { type PolicyLogCounters, PolicyLogger } from './policy-log.ts';

const GROUPS = 'security-groups.log';
const POLICIES = 'network-policies.log';

/** Names of the files in the directory of the agent's state, and of the former ones. */
export const LOG_FILES: readonly string[] = [GROUPS, POLICIES].flatMap((name) => [name, `${name}.1`]);

/** Writes down what logs of security groups, and network policies, ask for, from now on. */
export function openPacketLog(
  { host, stateDir }: Pick<ChosenOptions, 'host' | 'stateDir'>,
  parts: {
    readonly flows: Pick<FlowExport, 'listen'>;
    readonly slices: ListedSlices;
    readonly planner: Pick<Planner, 'decidersOf'>;
  },
  log: Logger,
): { readonly counters: PacketLogCounters & PolicyLogCounters; close(): Promise<void> } {
  const { flows, slices, planner } = parts;
  const nowMs = (): number => performance.now();
  const fileOf = (name: string, what: string): LogFile =>
    new LogFile({ path: join(stateDir, name), what, log: log.child('packet-log') });
  const [groupsFile, policiesFile] = [
    fileOf(GROUPS, 'logs of security groups'),
    fileOf(POLICIES, 'logs of network policies'),
  ];
  const groups = new PacketLogger({ host, slices, write: (line) => groupsFile.write(line), nowMs });
  const policies = new PolicyLogger({ host, slices, planner, write: (line) => policiesFile.write(line), nowMs });
  const unlisten = flows.listen((record) => {
    groups.take(record);
    policies.take(record);
  });
  return {
    get counters() {
      return { ...groups.counters, ...policies.counters };
    },
    close: async () => {
      unlisten();
      await Promise.all([groupsFile.flushed(), policiesFile.flushed()]);
    },
  };
}
