/**
 * Attributes of stored objects that are of no declaration: no client gives or sees them. They say what a rule needs and the object would not tell otherwise. Each
 * name begins with an underscore, which no declared one does.
 */
import type { AnyObject } from '@cable/model';

/** Of a port that an admin brought into a network that the port's project does not see. True, or absent. */
export const PLACED = '_placed';

/** Of a router's leg that was attached by a subnet, or moved, and has the gateway's address of each of its subnets: those keep it. True, or absent. */
export const GATEWAY = '_gateway';

/** Of a router that was made of a flavor: name of its provider, whatever the flavor comes to say. Absent: it was made of none. */
export const PROVIDER = '_provider';

/** Of a port that has a load balancer's virtual address: id of the load balancer. Null, or absent: it has none. */
export const VIP_OF = '_vip_of';

/** Of a load balancer whose port was there before it, and stays when it goes. True, or absent. */
export const VIP_GIVEN = '_vip_given';

/** Of a host that is being renamed: the name that it is to have. */
export const RENAMED_TO = '_renamed_to';

/** Of a host that another one is being renamed to: the name of that one, which has the underlay address still. */
export const RENAMED_FROM = '_renamed_from';

/** Of an object that was created with an `Idempotency-Key`: SHA-256 of what was asked for. */
export const REQUEST = '_request';

/** Of an object that was created while its project had a limit for its type: the number of the slot that it takes of it. */
export const SLOT = '_slot';

/**
 * Of a subnet of SLAAC in a network of more ports than one transaction changes. `gives`: ports that were there before it are still being given its addresses;
 * `takes`: it is deleted as soon as no port has one of its addresses any more. Absent: neither.
 */
export const FOLLOWED = '_followed';

/** Of a security group rule that says the same as an older one of its group, which was not known to be the same when it was made. True, or absent. */
export const REPEATS = '_repeats';

/** Of a network whose number is one of a range that an administrator made: id of the range. Absent: none. */
export const SEGMENT_RANGE_ID = '_segment_range';

/** Of a network: name and description of its segment. Absent: it has none. */
export const SEGMENT_TEXTS = '_segment_texts';

/** Of what a plug-in owns that takes so many: the number that the object takes of it, and of its network. Absent: the plug-in takes any number. */
export const BACKEND_SLOT = '_backend_slot';
export const NETWORK_SLOT = '_network_slot';

/** Of a port that a plug-in owns and that is bound: `host`, and how the plug-in says that it is plugged there (`vif_type`, `vif_details`, `reason` of a refusal); `others`: the same of hosts that it may move to. */
export const PLUG = '_plug';

/** Names of the attributes above that the object has. */
export function hiddenOf(object: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.keys(object).filter((name) => name.startsWith('_'));
}

/** The object as its declaration knows it, for answers that show it whole. */
export function withoutHidden(object: AnyObject): AnyObject {
  if (hiddenOf(object).length === 0) return object;
  return Object.fromEntries(Object.entries(object).filter(([name]) => !name.startsWith('_'))) as AnyObject;
}
