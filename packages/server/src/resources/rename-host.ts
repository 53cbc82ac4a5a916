/** `rename` of a host: the machine is the same, so are its underlay address and its ports. */
import type { Attributes } from '@cable/api';
import { type AnyObject, CableError, type Host } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { RENAMED_FROM } from '../engine/hidden.ts';
import type { Contribution } from '../engine/module.ts';
import { notFound, showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { parseHostName } from '../hosts/parse.ts';
import { aliveKey, objectKey, vifPrefix } from '../keys.ts';
import { isAlive } from './host.ts';

/** Ports of one transaction. */
const PORTS = 256;

/** The action of hosts. */
export const renameHostModule: Contribution<AnyObject> = { actions: { rename: renameHost } };

/**
 * Answers the host under its new name. One that failed in the middle is simply repeated. The old name keeps the underlay address to the end: an agent of the new one is
 * let in when all ports are there, and other hosts send to the same address all along.
 */
async function renameHost(deps: EngineDeps, id: string, body: Attributes, asked: Asked): Promise<unknown> {
  const resource = deps.resources.named('host');
  const given = body['name'];
  if (typeof given !== 'string') throw new CableError('InvalidInput', 'Invalid input for name: give the new name.');
  const name = parseHostName(given);
  if (name === id) throw new CableError('InvalidInput', `Invalid input for name: host ${id} has this name.`);
  await deps.lock.run([objectKey('host', id), objectKey('host', name)], asked, async () => {
    const step = <T>(act: (planning: Planning, old: Host) => T): Promise<T> => {
      const build = (planning: Planning): T => {
        permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action: 'rename' }));
        return act(planning, deadHost(planning, id));
      };
      return transact(deps, asked, build, { isService: true });
    };
    await step((planning, old) => planNewHost(planning, old, name));
    while ((await step((planning) => planPorts(planning, id, name))) > 0);
    await step((planning, old) => planEnd(planning, old, name));
  });
  return showOne(deps, resource, name, readerOf(deps, asked.credentials));
}

/** The host, which stays without an agent while the plan commits. */
function deadHost({ deps, plan }: Planning, id: string): Host {
  const host = plan.rely('host', id);
  if (host === undefined) throw notFound(deps.resources.named('host'), id);
  if (deps.tables.of('alive').get(id) !== undefined) throw isAlive(id);
  plan.requireAbsent(aliveKey(id));
  return host;
}

function planNewHost({ plan }: Planning, old: Host, name: string): void {
  const known = plan.rely('host', name);
  if (known === undefined) {
    const host: AnyObject = { ...old, id: name, updated_at: plan.timestamp, [RENAMED_FROM]: old.id };
    plan.create('host', host);
  } else if (known.underlay !== old.underlay) {
    throw new CableError('HostNameInUse', `There is a host ${name} already, with underlay address ${known.underlay}.`, {
      detail: 'Choose another name, or delete that host.',
    });
  }
}

/** How many ports of the host are moved. */
function planPorts(planning: Planning, id: string, name: string): number {
  const { deps, plan } = planning;
  const ports = plan.by('port', 'binding:host_id', id).slice(0, PORTS);
  for (const port of ports) {
    planUpdate(planning, deps.resources.named('port'), port as AnyObject, { 'binding:host_id': name });
  }
  return ports.length;
}

/** The old host goes, and the new one has its underlay address. */
function planEnd({ plan }: Planning, old: Host, name: string): void {
  const { [RENAMED_FROM]: _from, ...host } = { ...plan.rely('host', name) } as AnyObject;
  plan.deletePrefix(vifPrefix(old.id));
  plan.delete('host', old.id);
  plan.replace('host', host as AnyObject);
}
