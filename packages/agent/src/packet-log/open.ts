import { join } from 'node:path';
import type { Logger } from '@cable/kit';
import type { FlowExport } from '../flow-export/flow-export.ts';
import type { ChosenOptions } from '../options.ts';
import type { ListedSlices } from '../show/names.ts';
import { LogFile } from './log-file.ts';
import { type PacketLogCounters, PacketLogger } from './packet-log.ts';

/** Name of the file in the directory of the agent's state, and of the former one. */
export const LOG_FILES = ['security-groups.log', 'security-groups.log.1'] as const;

/** Writes down what logs of security groups ask for, from now on. */
export function openPacketLog(
  { host, stateDir }: Pick<ChosenOptions, 'host' | 'stateDir'>,
  { flows, slices }: { readonly flows: Pick<FlowExport, 'listen'>; readonly slices: ListedSlices },
  log: Logger,
): { readonly counters: PacketLogCounters; close(): Promise<void> } {
  const file = new LogFile({ path: join(stateDir, LOG_FILES[0]), log: log.child('packet-log') });
  const logger = new PacketLogger({
    host,
    slices,
    write: (line) => file.write(line),
    nowMs: () => performance.now(),
  });
  const unlisten = flows.listen((record) => logger.take(record));
  return {
    get counters() {
      return logger.counters;
    },
    close: () => {
      unlisten();
      return file.flushed();
    },
  };
}
