/** Ports of gateways and floating IPs of before form 7: they were of the project that has their network, and in its quota. */
import type { AnyObject } from '@cable/model';
import type { Op } from '@cable/store';
import { putObject } from '../object-text.ts';
import { isExternalOwner } from '../resources/device-owners.ts';
import type { EngineDeps } from './context.ts';
import { SLOT } from './hidden.ts';
import { NO_PROJECT } from './slots.ts';

/** Those ports as of no project, without a slot. */
export function* ownedOutside({
  tables,
  resources,
}: Pick<EngineDeps, 'tables' | 'resources'>): Iterable<readonly Op[]> {
  if (resources.find('port') === undefined) return;
  for (const { [SLOT]: _slot, ...port } of [...tables.any('port').values()]) {
    if (!isExternalOwner(String(port['device_owner'])) || port['project_id'] === NO_PROJECT) continue;
    yield [putObject('port', { ...port, project_id: NO_PROJECT } as AnyObject)];
  }
}
