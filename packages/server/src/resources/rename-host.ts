/** `rename` of a host: the machine is the same, so are its underlay address and its ports. */
import type { Attributes, Caller } from '@cable/api';
import { type AnyObject, CableError, type Host } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ServiceDeps, WriteContext } from '../engine/context.ts';
import { notFound, showOne } from '../engine/read.ts';
import { contextOf, planUpdate, writableRow } from '../engine/write.ts';
import { parseHostName } from '../hosts/parse.ts';
import { aliveKey, objectKey, underlayKey, vifPrefix } from '../keys.ts';
import { isAlive } from './host.ts';

/** Ports of one transaction. */
const PORTS = 16;

/**
 * Answers the host under its new name. One that failed in the middle is simply repeated. The old name keeps the underlay address to the end: an agent of the new one is
 * let in when all ports are there, and other hosts send to the same address all along.
 */
export async function renameHost(deps: ServiceDeps, id: string, body: Attributes, caller: Caller): Promise<unknown> {
  const resource = deps.resources.named('host');
  const given = body['name'];
  if (typeof given !== 'string') throw new CableError('InvalidInput', 'Invalid input for name: give the new name.');
  const name = parseHostName(given);
  if (name === id) throw new CableError('InvalidInput', `Invalid input for name: host ${id} has this name.`);
  await deps.lock.run([objectKey('host', id), objectKey('host', name)], async () => {
    const step = <T>(act: (context: WriteContext, old: Host) => T): Promise<T> =>
      transact(deps, (plan, attempt) => {
        const context = { ...contextOf(deps, plan, attempt, caller), isService: true };
        writableRow(deps, resource, id, caller, 'update');
        return act(context, deadHost(context, id));
      });
    await step((context, old) => planNewHost(context, old, name));
    while ((await step((context) => planPorts(context, id, name))) > 0);
    await step((context, old) => planEnd(context, old, name));
  });
  return showOne(deps, resource, name, caller);
}

/** The host, which stays without an agent while the plan commits. */
function deadHost({ deps, plan, tables }: WriteContext, id: string): Host {
  const host = tables.of('host').get(id);
  if (host === undefined) throw notFound(deps.resources.named('host'), id);
  if (tables.of('alive').get(id) !== undefined) throw isAlive(id);
  plan.requireAbsent(aliveKey(id));
  return host;
}

function planNewHost({ plan, tables, timestamp }: WriteContext, old: Host, name: string): void {
  const known = tables.of('host').get(name);
  if (known === undefined) {
    plan.requireAbsent(objectKey('host', name));
    plan.create('host', { ...old, id: name, updated_at: timestamp });
  } else if (known.underlay !== old.underlay) {
    throw new CableError('HostNameInUse', `There is a host ${name} already, with underlay address ${known.underlay}.`, {
      detail: 'Choose another name, or delete that host.',
    });
  }
}

/** How many ports of the host are moved. */
function planPorts(context: WriteContext, id: string, name: string): number {
  const { deps, tables } = context;
  const ports = tables.of('port').by('binding:host_id', id).slice(0, PORTS);
  for (const port of ports) {
    planUpdate(context, deps.resources.named('port'), port as AnyObject, { 'binding:host_id': name });
  }
  return ports.length;
}

function planEnd({ plan }: WriteContext, old: Host, name: string): void {
  plan.pass(underlayKey(old.underlay), old.id, name);
  plan.deletePrefix(vifPrefix(old.id));
  plan.delete('host', old.id);
}
