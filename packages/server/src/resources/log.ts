/** Logs: what of ports hosts write down. Which ports that are, the hosts find by their groups and projects. */
import { type AnyObject, CableError, type Log } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { isServiceOwner } from './device-owners.ts';

/** Logs: of one group of one port only if the port has it. */
export const logModule: Contribution<AnyObject> = contribute<Log>({
  check: (view, log, before) => {
    if (log.target_id === null || before !== undefined) return;
    const port = view.rely('port', log.target_id);
    if (port === undefined) return;
    if (isServiceOwner(port.device_owner)) {
      throw new CableError(
        'LoggingTypeNotSupported',
        `Logging type ${log.resource_type} is not supported on port ${port.id}.`,
      );
    }
    if (log.resource_id === null || port.security_groups.includes(log.resource_id)) return;
    throw new CableError(
      'InvalidResourceConstraint',
      `Invalid resource constraint between resource (${log.resource_type} ${log.resource_id}) and target resource (port ${port.id}).`,
    );
  },
});

/** What can be logged. */
export const loggableResourceModule: Contribution<AnyObject> = {
  rows: () => [{ id: 'security_group', type: 'security_group' }],
};
