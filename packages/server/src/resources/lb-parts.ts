/** What the parts of a load balancer have in common: they are of its project, and who may change it makes them. */
import { type AnyObject, CableError, type Listener, type Member } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import type { Broken } from '../engine/module.ts';
import { notFound } from '../engine/read.ts';
import type { Look, View } from '../engine/view.ts';
import { permittedRow } from '../engine/write.ts';
import type { TableTypes } from '../rows.ts';

type Whole = 'loadbalancer' | 'listener' | 'pool';

/** The object that a new part belongs to, which the caller may change. Throws `NotFound` and `PolicyNotAuthorized`. */
export function wholeOf<T extends Whole>(planning: Planning, type: T, id: string): TableTypes[T] {
  const resource = planning.deps.resources.named(type);
  permittedRow(planning, resource, id, (before) => ({ verb: 'update', before, changes: {} }));
  const whole = planning.plan.get<string>(type, id);
  if (whole === undefined) throw notFound(resource, id);
  return whole as unknown as TableTypes[T];
}

type Part = { readonly project_id: string };

/** What is broken when a part is of another project than its whole. */
export function* brokenOwner(look: Look, whole: Whole, id: string, { project_id: own }: Part): Iterable<Broken> {
  const owner = (look.get<string>(whole, id) as Part | undefined)?.project_id ?? own;
  if (owner === own) return;
  yield {
    rule: 'a part of a load balancer is of its project',
    detail: `${whole} ${id} is ${owner}’s, and this ${own}’s`,
  };
}

/** What is broken when `check` refuses what is stored. */
export function* brokenUnlessTaken(check: () => void): Iterable<Broken> {
  try {
    check();
  } catch (err) {
    if (!(err instanceof CableError)) throw err;
    yield { rule: 'nothing is kept that no host does', detail: err.message };
  }
}

/** Most listeners, and most pools, of a load balancer. */
const PARTS_MAX = 256;
/** Most members of a pool: what a table of slots has room for. */
const MEMBERS_MAX = 1000;

/** Throws `HTTPConflict` when a whole has more parts of a type than it may have. */
export function checkCount(view: View, whole: Whole, id: string, part: 'listener' | 'pool' | 'member'): void {
  const most = part === 'member' ? MEMBERS_MAX : PARTS_MAX;
  const others = view.parts<AnyObject>(whole, id, (look) => look.by<string>(part, `${whole}_id`, id));
  if (others.length < most) return;
  throw new CableError('HTTPConflict', `The ${whole} ${id} has ${most} ${part}s, which is the most.`);
}

/** The error for a value that contradicts another. */
export function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}

/**
 * Why a member cannot serve behind a listener; undefined: it can. The checksum of SCTP covers the whole packet, so its ports stay. What is compared never changes; each of the two is written
 * with the other's whole as it is.
 */
export function portProblem(
  { protocol, protocol_port: port, id }: Pick<Listener, 'id' | 'protocol' | 'protocol_port'>,
  member: Pick<Member, 'protocol_port' | 'address'>,
): string | undefined {
  if (protocol !== 'SCTP' || port === member.protocol_port) return undefined;
  return `with SCTP a member serves at the port of its listener: listener ${id} has protocol_port ${port}, member ${member.address} has ${member.protocol_port}`;
}
