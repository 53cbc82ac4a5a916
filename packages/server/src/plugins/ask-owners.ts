/** Asks the plug-ins of an object, before it is written, whether they take it (`verify`), and of a port how it is plugged (`bind`). */

import { type AnyObject, CableError, type Plugin } from '@cable/model';
import {
  createPluginClient,
  isFields,
  type PluginAnswer,
  type PluginClient,
  PluginUnreachable,
  parsePlug,
  type ResourceName,
  textOr,
} from '@cable/plugin';
import type { Planning } from '../engine/context.ts';
import { PLUG } from '../engine/hidden.ts';
import { type Plug, plugsOf } from '../resources/vif.ts';
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

/**
 * False: it is what the plug-in knows already, as when only its status is another, or the change only takes away, which like a delete is told later: what is let go must not
 * wait for a plug-in that is away. A rule is a part of its group.
 */
function isTold({ deps, plan }: Planning, type: string, object: AnyObject, before: AnyObject | undefined): boolean {
  if (before === undefined || type === 'security_group_rule') return true;
  const [is, was] = [
    toldObject(deps, plan, type as ResourceName, object),
    toldObject(deps, plan, type as ResourceName, before),
  ];
  return Object.keys(is).some((name) => !OWN_COURSE.has(name) && isMore(is[name], was[name]));
}

/** What becomes another without anybody’s wish. */
const OWN_COURSE: ReadonlySet<string> = new Set(['status', 'updated_at', 'revision_number']);

/** Whether the value says something that the one before it did not. */
function isMore(is: unknown, was: unknown): boolean {
  if (JSON.stringify(is) === JSON.stringify(was) || is === null || is === undefined || is === '') return false;
  if (isFields(is)) return Object.keys(is).length > 0;
  if (!Array.isArray(is) || !Array.isArray(was)) return true;
  const known = new Set(was.map((one) => JSON.stringify(one)));
  return is.some((one) => !known.has(JSON.stringify(one)));
}

type Asked = { readonly resource: ResourceName; readonly row: AnyObject; readonly verb: 'create' | 'update' };

/** A rule is asked about as its group, and of a port the groups that it comes into, too. */
function* questionsOf(
  { deps, plan }: Planning,
  type: string,
  object: AnyObject,
  before: AnyObject | undefined,
): Iterable<Asked> {
  const verb = before === undefined ? 'create' : 'update';
  const groupAsked = (id: string): readonly Asked[] => {
    const row = plan.get('security_group', id) as AnyObject | undefined;
    const isNew = deps.tables.of('security_group').get(id) === undefined;
    return row === undefined ? [] : [{ resource: 'security_group', row, verb: isNew ? 'create' : 'update' }];
  };
  if (type === 'security_group_rule') return yield* groupAsked(String(object['security_group_id']));
  if (type === 'port') {
    const known = (before?.['security_groups'] ?? []) as readonly string[];
    const groups = (object['security_groups'] ?? []) as readonly string[];
    for (const id of groups) if (!known.includes(id)) yield* groupAsked(id);
  }
  yield { resource: type as ResourceName, row: object, verb };
}

/** Of each plan: what was asked, and what came of it. A group comes with each of its rules and ports. */
const answered = new WeakMap<Planning['plan'], Map<string, Promise<void>>>();

/** Each question once a plan. */
function verify(planning: Planning, plugin: Plugin, { resource, row, verb }: Asked): Promise<void> {
  if (backendOf(plugin)?.capabilities.resources[resource] === undefined) return Promise.resolve();
  const body = { verb, resource, object: toldObject(planning.deps, planning.plan, resource, row) };
  const known = answered.get(planning.plan) ?? new Map<string, Promise<void>>();
  answered.set(planning.plan, known);
  const key = JSON.stringify([plugin.name, body]);
  const answer = known.get(key) ?? verifyNow(planning, plugin, body);
  known.set(key, answer);
  return answer;
}

type VerifyBody = Pick<Asked, 'resource' | 'verb'> & { readonly object: AnyObject };

async function verifyNow(planning: Planning, plugin: Plugin, asked: VerifyBody): Promise<void> {
  const { resource } = asked;
  const answer = await ask(planning, plugin, 'verify', asked);
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

/**
 * The port with how it is plugged on the hosts that it is bound to, the active one first. Where it was plugged before it stays as it was; of the active host a refusal is
 * asked about again. Throws `PortBindingError` when it is refused on a host that it may move to.
 */
async function bound(planning: Planning, plugin: Plugin, port: AnyObject): Promise<AnyObject> {
  const host = String(port['binding:host_id'] ?? '');
  const inactive = (port['inactive_bindings'] ?? []) as readonly { readonly host: string }[];
  const hosts = host === '' ? [] : [host, ...inactive.map((one) => one.host)];
  const known = plugsOf(port);
  const isKept = (one: Plug): boolean => one.host !== host || one.vif_type !== FAILED;
  const kept = hosts.map((name) => known.find((one) => one.host === name && isKept(one)));
  if (kept.length === known.length && kept.every((one, at) => one === known[at])) return port;
  const plugs: Plug[] = [];
  for (const [at, name] of hosts.entries()) plugs.push(kept[at] ?? (await plugOf(planning, plugin, port, name)));
  const [active, ...others] = plugs;
  const refused = others.find((one) => one.vif_type === FAILED && !known.includes(one));
  if (refused !== undefined) throw notThere(plugin, port, refused);
  const plug = active === undefined || others.length === 0 ? active : { ...active, others };
  return planning.plan.replace('port', { ...port, [PLUG]: plug });
}

const FAILED = 'binding_failed';

function notThere({ name }: Plugin, { id }: AnyObject, { host, reason }: Plug): CableError {
  const message = `Binding for port ${id} on host ${host.slice(0, 300)} could not be created or updated.`;
  return new CableError('PortBindingError', message, {
    detail: `The plug-in ${name}, which realises the port, does not plug it there: ${reason}`,
  });
}

async function plugOf(planning: Planning, plugin: Plugin, port: AnyObject, host: string): Promise<Plug> {
  const object = toldObject(planning.deps, planning.plan, 'port', port);
  const answer = await ask(planning, plugin, 'bind', { port: object, host });
  const said =
    answer.status < 300
      ? parsePlug(answer.body, backendOf(plugin)?.capabilities.vifTypes ?? [])
      : { refused: answer.problem };
  if (said.vif_type !== undefined) return { host, vif_type: said.vif_type, vif_details: said.vif_details };
  return { host, vif_type: FAILED, vif_details: {}, reason: said.refused };
}

async function ask({ deps, asked }: Planning, plugin: Plugin, verb: string, body: object): Promise<PluginAnswer> {
  const timeoutMs = Math.min(VERIFY_MS, asked.deadlineMs - deps.monotonicMs() - LATE_MS);
  if (timeoutMs <= 0) throw unavailable(plugin.name, 'the time of the request is over');
  try {
    const answer = await clientOf(deps.tables, plugin).call(verb, body, { timeoutMs });
    if (answer.status < 300 || REFUSALS.has(answer.status)) return answer;
    throw unavailable(plugin.name, `${verb}: status ${answer.status}, ${answer.problem}`);
  } catch (err) {
    if (err instanceof PluginUnreachable) throw unavailable(plugin.name, err.message);
    throw err;
  }
}

/** Statuses that say something of the object. Any other is about how the plug-in is asked, as a token that is not the one: not for who asks to mend. */
const REFUSALS: ReadonlySet<number> = new Set([400, 409, 422]);

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
