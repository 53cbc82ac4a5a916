import type { LocalPort, PacketLog } from '@cable/model';
import { idOf, kindOf } from '../plan/inputs.ts';

/** Id of the slice `logs`, of which there is one. */
export const CLOUD = 'cloud';

/** The logs that are about the port. One without port security has no security groups, so nothing of it is logged. */
export function logsOf(
  port: Pick<LocalPort, 'id' | 'projectId' | 'policy'>,
  logs: readonly PacketLog[],
): readonly PacketLog[] {
  const { id, projectId, policy } = port;
  if (logs.length === 0 || policy === null || kindOf(policy) !== 'policy') return [];
  const groups = idOf(policy).split('+');
  return logs.filter(
    (log) =>
      (log.portId === null || log.portId === id) &&
      (log.groupId === null || groups.includes(log.groupId)) &&
      (log.portId !== null || log.groupId !== null || log.projectId === projectId),
  );
}
