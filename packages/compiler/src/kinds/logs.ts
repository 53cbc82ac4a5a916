import { defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** The only slice of its kind: hosts find by themselves which of their ports a log is about, so that a port costs nothing for it. */
export const LOGS: NodeKey = 'logs:cloud';

const ENABLED = 'true';

/** The logs that are enabled. */
export const logsKind: Kind = defineKind({
  name: 'logs',
  header: (reader) => (hasLogs(reader) ? { value: { of: 'cloud' }, refs: [] } : undefined),
  items: {
    table: 'log',
    index: 'enabled',
    sourceKeys: () => [ENABLED],
    compute: (_reader, { id, project_id: projectId, resource_id: groupId, target_id: portId, event }) => {
      const value = { id, projectId, groupId, portId, accepts: event !== 'DROP', drops: event !== 'ACCEPT' };
      return [{ key: id, value, refs: [] }];
    },
  },
});

/** Whether anything is logged anywhere. */
export function hasLogs(reader: Reader): boolean {
  return reader.by('log', 'enabled', ENABLED).length > 0;
}
