/** Asks the plug-ins of an object, before it is written, whether they take it (`verify`), and of a port how it is plugged (`bind`). */

import { type AnyObject, CableError, type Plugin } from '@cable/model';
import {
  createPluginClient,
  isFields,
  type PluginAnswer,
  type PluginClient,
  PluginUnreachable,
  type ResourceName,
  textOr,
} from '@cable/plugin';
import type { Planning } from '../engine/context.ts';
import { PLUG } from '../engine/hidden.ts';
import type { Tables } from '../tables.ts';
import { backendOf } from './backends.ts';
import { toldObject, unavailable } from './told-objects.ts';

/** How long a plug-in may think. */
const VERIFY_MS = 2000;

/** With less time than this left nothing is asked any more. */
const LATE_MS = 300;

type Question = {
  readonly type: string;
  /** Names of plug-ins. */
  readonly owners: readonly string[];
  readonly object: AnyObject;
  readonly before: AnyObject | undefined;
};

/** The object as it is written then. Throws what they say. */
export async function askOwners(planning: Planning, { type, owners, object, before }: Question): Promise<AnyObject> {
  let now = object;
  for (const name of owners) {
    const plugin = planning.plan.get('plugin', name);
    if (plugin === undefined) throw unavailable(name, 'it is not registered any more');
    if (isTold(planning, type, now, before))
      for (const asked of questionsOf(planning, type, now, before)) await verify(planning, plugin, asked);
    if (type === 'port') now = await bound(planning, plugin, now);
  }
  return now;
}

/** False: it is what the plug-in knows already, as when only its status is another. A rule is a part of its group. */
function isTold({ deps, plan }: Planning, type: string, object: AnyObject, before: AnyObject | undefined): boolean {
  if (before === undefined || type === 'security_group_rule') return true;
  const [is, was] = [object, before].map((row) => {
    const {
      status: _,
      updated_at: _at,
      revision_number: _number,
      ...rest
    } = toldObject(deps, plan, type as ResourceName, row);
    return JSON.stringify(rest);
  });
  return is !== was;
}

type Asked = { readonly resource: ResourceName; readonly row: AnyObject; readonly verb: 'create' | 'update' };

/** A rule is asked about as its group, and of a port the groups that it comes into, too. */
function* questionsOf(
  { plan }: Planning,
  type: string,
  object: AnyObject,
  before: AnyObject | undefined,
): Iterable<Asked> {
  const verb = before === undefined ? 'create' : 'update';
  const groupAsked = (id: string): readonly Asked[] => {
    const row = plan.get('security_group', id) as AnyObject | undefined;
    return row === undefined ? [] : [{ resource: 'security_group', row, verb: 'update' }];
  };
  if (type === 'security_group_rule') return yield* groupAsked(String(object['security_group_id']));
  if (type === 'port') {
    const known = (before?.['security_groups'] ?? []) as readonly string[];
    const groups = (object['security_groups'] ?? []) as readonly string[];
    for (const id of groups) if (!known.includes(id)) yield* groupAsked(id);
  }
  yield { resource: type as ResourceName, row: object, verb };
}

async function verify(planning: Planning, plugin: Plugin, { resource, row, verb }: Asked): Promise<void> {
  if (backendOf(plugin)?.capabilities.resources[resource] === undefined) return;
  const object = toldObject(planning.deps, planning.plan, resource, row);
  const answer = await ask(planning, plugin, 'verify', { verb, resource, object });
  const body = isFields(answer.body) ? answer.body : {};
  if (answer.status < 300 && body['ok'] === true) return;
  if (answer.status < 300 && body['ok'] !== false) throw unavailable(plugin.name, 'verify answers neither yes nor no');
  const reason = answer.status < 300 ? textOr(body['reason'], 'it gives no reason') : answer.problem;
  const isConflict = answer.status === 409 || body['conflict'] === true;
  throw new CableError(
    isConflict ? 'BackendConflict' : 'BackendRefused',
    `The plug-in ${plugin.name} does not take the ${resource.replaceAll('_', ' ')}: ${reason}`,
    { fields: { plugin: plugin.name, resource } },
  );
}

/** The port with how it is plugged on its host. One that was bound there before stays as it was, and one that was refused is asked about again. */
async function bound(planning: Planning, plugin: Plugin, port: AnyObject): Promise<AnyObject> {
  const host = String(port['binding:host_id'] ?? '');
  const known = port[PLUG];
  const isFailed = isFields(known) && known['vif_type'] === 'binding_failed';
  if (isFields(known) ? known['host'] === host && !isFailed : host === '') return port;
  const plug = host === '' ? undefined : await plugOf(planning, plugin, port, host);
  return planning.plan.replace('port', { ...port, [PLUG]: plug });
}

async function plugOf(planning: Planning, plugin: Plugin, port: AnyObject, host: string): Promise<object> {
  const object = toldObject(planning.deps, planning.plan, 'port', port);
  const answer = await ask(planning, plugin, 'bind', { port: object, host });
  const { vif_type: type, vif_details: details, refused } = isFields(answer.body) ? answer.body : {};
  if (answer.status < 300 && typeof type === 'string' && type !== '' && refused === undefined)
    return { host, vif_type: textOr(type, ''), vif_details: isFields(details) ? details : {} };
  const reason = answer.status < 300 ? textOr(refused, 'it gives no reason') : answer.problem;
  return { host, vif_type: 'binding_failed', vif_details: {}, reason };
}

async function ask({ deps, asked }: Planning, plugin: Plugin, verb: string, body: object): Promise<PluginAnswer> {
  const timeoutMs = Math.min(VERIFY_MS, asked.deadlineMs - deps.monotonicMs() - LATE_MS);
  if (timeoutMs <= 0) throw unavailable(plugin.name, 'the time of the request is over');
  try {
    const answer = await clientOf(deps.tables, plugin).call(verb, body, { timeoutMs });
    if (answer.status < 500) return answer;
    throw unavailable(plugin.name, answer.problem);
  } catch (err) {
    if (err instanceof PluginUnreachable) throw unavailable(plugin.name, err.message);
    throw err;
  }
}

type Known = { readonly plugin: Plugin; readonly client: PluginClient };

/** Of each server: its connections to plug-ins, by name. */
const clients = new WeakMap<Tables, Map<string, Known>>();

function clientOf(tables: Tables, plugin: Plugin): PluginClient {
  const known = clients.get(tables) ?? new Map<string, Known>();
  clients.set(tables, known);
  const own = known.get(plugin.name);
  const isSame = (['endpoint', 'secret', 'authorities'] as const).every((name) => own?.plugin[name] === plugin[name]);
  if (own !== undefined && isSame) return own.client;
  own?.client.close();
  const client = createPluginClient(plugin);
  known.set(plugin.name, { plugin, client });
  return client;
}
