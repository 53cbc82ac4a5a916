/** Controllers of protons: who is alive, and what they say of ports. */
import { randomBytes } from 'node:crypto';
import type { Attributes } from '@cable/api';
import { type AnyObject, CableError, type PortOwner, type ProtonController } from '@cable/model';
import { transact } from '../engine/commit.ts';
import { type ActionHandler, type Asked, asService, type EngineDeps, type Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { controllerKey } from '../keys.ts';
import { bound, claimed, failed, isHostLike, refusedBy } from './binding.ts';

const OWNER = 'port_owner';
const CONTROLLER = 'proton_controller';

/** How long a controller is alive without a heartbeat: so short that another one can bind what it had in time. */
const TTL_SECONDS = 4;

/** Bytes of what a controller may say of an interface. */
const DETAILS_MAX = 4096;

/** Those that are to plug a port on its host, the first ones first. */
export function controllersFor(
  { tables }: Pick<EngineDeps, 'tables'>,
  { proton, host_id }: Pick<PortOwner, 'proton' | 'host_id'>,
): readonly ProtonController[] {
  const all = tables.any(CONTROLLER).by('proton', proton) as unknown as readonly ProtonController[];
  const own = all.filter(({ hosts }) => hosts.some((one) => isHostLike(one, host_id)));
  return [...own].sort((a, b) => b.priority - a.priority || (a.id < b.id ? -1 : 1));
}

const heartbeat: ActionHandler = async (deps, name, body, asked) => {
  const { session, replace } = body as { readonly session?: string; readonly replace?: boolean };
  await transact(deps, asked, (planning) => void registered(planning, name));
  const alive = deps.tables.of('controller').get(name);
  if (alive !== undefined && session !== undefined && alive.session === session) {
    if (await deps.store.keepAlive(alive.lease)) return { session, ttl_seconds: TTL_SECONDS };
  } else if (alive !== undefined && replace !== true) {
    throw new CableError('HTTPConflict', `A controller ${name} is alive.`, {
      detail: 'Stop it, wait until it is not any more, or take its place (replace: true).',
    });
  }
  return { session: await begin(deps, name, alive), ttl_seconds: TTL_SECONDS };
};

async function begin(
  deps: EngineDeps,
  name: string,
  before: { readonly session: string; readonly lease: string } | undefined,
): Promise<string> {
  const session = randomBytes(16).toString('hex');
  const lease = await deps.store.grantLease(TTL_SECONDS);
  const key = controllerKey(name);
  const now = await deps.store.get(key);
  const isAnother = now !== undefined && now.value !== (before === undefined ? undefined : aliveText(before));
  const compare =
    now === undefined ? ({ kind: 'absent', key } as const) : ({ kind: 'value', key, value: now.value } as const);
  const put = { kind: 'put', key, value: aliveText({ session, lease }), lease } as const;
  const { ok, revision } = isAnother ? { ok: false, revision: 0 } : await deps.store.txn([compare], [put]);
  if (!ok) {
    await deps.store.revokeLease(lease);
    throw new CableError('HTTPConflict', `Another controller ${name} has begun at the same time.`, {
      detail: 'Give each a name of its own.',
    });
  }
  await deps.tables.waitFor(revision);
  return session;
}

function aliveText({ session, lease }: { readonly session: string; readonly lease: string }): string {
  return JSON.stringify({ session, lease });
}

/** The controller, as which the caller may speak. Throws `NotFound`, `PolicyNotAuthorized`. */
function registered(planning: Planning, name: string): ProtonController {
  const { deps, asked } = planning;
  const resource = deps.resources.named(CONTROLLER);
  const act = (before: AnyObject) => ({ verb: 'action', before, action: 'heartbeat' }) as const;
  const row = permittedRow(planning, resource, name, act) as unknown as ProtonController;
  planning.plan.rely(CONTROLLER, name);
  if (row.user_id !== null && row.user_id !== asked.credentials.userId && !isAdmin(planning)) {
    throw new CableError('NotAuthorized', `The controller ${name} asks as another user.`);
  }
  return row;
}

function isAdmin({ deps, asked }: Planning): boolean {
  return deps.permission.policy.for(asked.credentials).isAdmin;
}

/** Who says something of a port. */
type Said = { readonly controller: string; readonly session: string; readonly generation: number };

/** The port, and the controller that speaks, on whose session the transaction rests. Throws `HTTPConflict` for what is over. */
function spokenOf(
  planning: Planning,
  id: string,
  said: Said,
): { readonly row: PortOwner; readonly own: ProtonController } {
  const { deps, plan } = planning;
  const own = registered(planning, said.controller);
  const act = (before: AnyObject) => ({ verb: 'action', before, action: 'claim' }) as const;
  const row = permittedRow(planning, deps.resources.named(OWNER), id, act) as unknown as PortOwner;
  plan.rely(OWNER, id);
  const alive = deps.tables.of('controller').get(said.controller);
  if (alive?.session !== said.session)
    throw over(`The session of ${said.controller} is over`, 'Send a heartbeat, and look again.');
  plan.requireValue(controllerKey(said.controller), aliveText(alive));
  if (row.generation !== said.generation)
    throw over(`The binding ${said.generation} of port ${id} is over`, 'Look at the port again.');
  if (own.proton !== row.proton || !own.hosts.some((one) => isHostLike(one, row.host_id))) {
    throw new CableError(
      'NotAuthorized',
      `${own.name} plugs no ports of ${row.proton} on ${row.host_id || 'no host'}.`,
    );
  }
  return { row, own };
}

function over(what: string, remedy: string): CableError {
  return new CableError('HTTPConflict', `${what}.`, { detail: remedy });
}

const claim: ActionHandler = (deps, id, body, asked) =>
  speak(deps, id, asked, (planning) => {
    const { row, own } = spokenOf(planning, id, body as unknown as Said);
    const { session } = body as unknown as Said;
    if (row.controller === own.name && row.session === session) return;
    if (row.phase !== 'Pending') throw over(`Port ${id} is ${row.phase}`, 'Nothing is to be claimed.');
    if (row.controller !== null && isAlive(deps, row))
      throw over(`${row.controller} has port ${id}`, 'It is being bound.');
    const first = controllersFor(deps, row).find(
      (one) => deps.tables.of('controller').get(one.name) !== undefined && row.refused[one.name] === undefined,
    );
    if (row.refused[own.name] !== undefined) throw over(`${own.name} has refused port ${id}`, 'It is for another one.');
    if (first !== undefined && first.priority > own.priority)
      throw over(`${first.name} comes before ${own.name}`, 'It is alive: leave it to that.');
    planning.plan.replace(OWNER, { ...row, ...claimed(row, own.name, session) } as unknown as AnyObject);
  });

/** Whether who has the port is the process that claimed it, and may still speak. */
function isAlive({ tables }: EngineDeps, { controller, session }: PortOwner): boolean {
  if (controller === null || tables.any(CONTROLLER).get(controller) === undefined) return false;
  return tables.of('controller').get(controller)?.session === session;
}

const plugged: ActionHandler = (deps, id, body, asked) =>
  speak(deps, id, asked, (planning) => {
    const said = body as unknown as Said & {
      readonly vif_type: string;
      readonly vif_details?: Readonly<Record<string, unknown>>;
    };
    const { row, own } = spokenOf(planning, id, said);
    const { vif_type, vif_details = {} } = said;
    if (row.phase === 'Bound' && row.controller === own.name && row.vif_type === vif_type) return;
    if (row.controller !== own.name || row.session !== said.session)
      throw over(`${own.name} does not have port ${id}`, 'Claim it first.');
    if (row.phase !== 'Pending') throw over(`Port ${id} is ${row.phase}`, 'It is too late.');
    if (!own.vif_types.includes(vif_type)) throw invalid('vif_type', `${own.name} may say ${own.vif_types.join(', ')}`);
    if (JSON.stringify(vif_details).length > DETAILS_MAX)
      throw invalid('vif_details', `they have more than ${DETAILS_MAX} characters`);
    write(planning, row, bound(row, vif_type, vif_details));
  });

function invalid(name: string, reason: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: ${reason}.`, {
    fields: { attribute: name },
  });
}

const refuse: ActionHandler = (deps, id, body, asked) =>
  speak(deps, id, asked, (planning) => {
    const said = body as unknown as Said & { readonly reason: string };
    const { row, own } = spokenOf(planning, id, said);
    if (row.phase === 'Bound' && row.controller === own.name) {
      write(planning, row, failed(row, `${own.name}: ${said.reason}`));
      return;
    }
    if (row.refused[own.name] !== undefined || row.phase === 'Failed') return;
    if (row.phase !== 'Pending') throw over(`Port ${id} is ${row.phase}`, 'It is not yours to refuse.');
    if (row.controller !== null && row.controller !== own.name && isAlive(deps, row))
      throw over(`${row.controller} has port ${id}`, 'It is being bound.');
    const next = { ...row, ...refusedBy(row, own.name, said.reason) };
    // Nobody waits for those that are not there.
    const isLeft = controllersFor(deps, row).some(
      ({ name }) => next.refused[name] === undefined && deps.tables.of('controller').get(name) !== undefined,
    );
    if (isLeft) planning.plan.replace(OWNER, next as unknown as AnyObject);
    else write(planning, row, failed(next, next.reason ?? said.reason));
  });

async function speak(
  deps: EngineDeps,
  id: string,
  asked: Asked,
  build: (planning: Planning) => void,
): Promise<unknown> {
  await transact(deps, asked, build);
  return showOne(deps, deps.resources.named(OWNER), id, readerOf(deps, asked.credentials));
}

/** Writes the row, and what the port itself shows of it. */
export function write(planning: Planning, row: PortOwner, binding: Partial<PortOwner>): void {
  const { deps, plan } = planning;
  plan.replace(OWNER, { ...row, ...binding } as unknown as AnyObject);
  const port = plan.rely(row.type, row.id) as unknown as AnyObject | undefined;
  const shown = deps.modules.of(row.type).flatMap((one) => one.shownBinding ?? [])[0];
  if (port === undefined || shown === undefined) return;
  planUpdate(
    asService(planning),
    deps.resources.named(row.type),
    port,
    shown({ ...row, ...binding } as PortOwner) as Attributes,
  );
}

/** Controllers. */
export const protonControllerModule: Contribution<AnyObject> = contribute<AnyObject>({
  present: (tables, row) => ({ alive: tables.of('controller').get(row.id) !== undefined }),
  actions: { heartbeat },
});

/** Ports among all ports. */
export const portOwnerModule: Contribution<AnyObject> = contribute<AnyObject>({
  actions: { claim, bound: plugged, refuse },
});
