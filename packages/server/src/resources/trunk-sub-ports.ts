/** `add_subports`, `remove_subports` and `get_subports`. */
import { type Attributes, showObject } from '@cable/api';
import { type AnyObject, CableError, type Trunk } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Asked, EngineDeps, Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { permitRead } from '../engine/permission.ts';
import { currentRow, notFound, present } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { refuseDisabled, releaseSubPort, type SubPort, takeSubPorts, withTags } from './trunk.ts';

/** What becomes of the trunk's sub-ports. */
type Change = (planning: Planning, trunk: Trunk, given: readonly SubPort[]) => readonly SubPort[];

const getSubPorts: ActionHandler = async (deps, id, _body, asked) => {
  const resource = deps.resources.named('trunk');
  const { credentials } = asked;
  const reader = readerOf(deps, credentials);
  const trunk = await currentRow(deps, resource, id, reader);
  permitRead(deps, { credentials, row: reader.row }, { type: 'trunk', action: 'get_subports', before: trunk });
  return { sub_ports: trunk['sub_ports'] };
};

export const trunkSubPortsModule: Contribution<AnyObject> = {
  actions: {
    add_subports: (deps, id, body, asked) => onTrunk(deps, id, { action: 'add_subports', body, change: added }, asked),
    remove_subports: (deps, id, body, asked) =>
      onTrunk(deps, id, { action: 'remove_subports', body, change: removed }, asked),
    get_subports: getSubPorts,
  },
};

/** Changes the sub-ports; answers the trunk, as Neutron does without a key. */
async function onTrunk(
  deps: EngineDeps,
  id: string,
  { action, body, change }: { readonly action: string; readonly body: Attributes; readonly change: Change },
  asked: Asked,
): Promise<unknown> {
  const resource = deps.resources.named('trunk');
  const given = (body['sub_ports'] ?? []) as readonly SubPort[];
  const build = (planning: Planning): AnyObject => {
    permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action }));
    const trunk = planning.plan.get('trunk', id);
    if (trunk === undefined) throw notFound(resource, id);
    refuseDisabled(trunk);
    return planUpdate(planning, resource, trunk, { sub_ports: change(planning, trunk, given) });
  };
  const written = await deps.lock.run([objectKey('trunk', id)], asked, () => transact(deps, asked, build));
  const shown = present(deps, resource, written, readerOf(deps, asked.credentials));
  return showObject(resource, shown, new Set());
}

function added(planning: Planning, trunk: Trunk, asked: readonly SubPort[]): readonly SubPort[] {
  const parent = planning.plan.get('port', trunk.port_id);
  if (parent === undefined) throw notFound(planning.deps.resources.named('port'), trunk.port_id);
  const given = withTags(planning, asked, trunk);
  takeSubPorts(planning, parent, given, trunk.sub_ports);
  return [...trunk.sub_ports, ...given];
}

function removed(planning: Planning, trunk: Trunk, given: readonly SubPort[]): readonly SubPort[] {
  const gone = new Set(given.map((one) => one.port_id));
  for (const portId of gone) {
    if (!trunk.sub_ports.some((one) => one.port_id === portId)) {
      const message = `SubPort ${portId} on trunk ${trunk.id} could not be found.`;
      throw new CableError('SubPortNotFound', message);
    }
    releaseSubPort(planning, portId);
  }
  return trunk.sub_ports.filter((one) => !gone.has(one.port_id));
}
