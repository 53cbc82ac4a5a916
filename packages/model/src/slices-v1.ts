/**
 * Protocol 1 of the host stream (`HOST_PROTOCOLS`): each slice travels whole. A server still speaks it to agents of that age, and an agent to servers.
 * What is current is in `slices.ts` and `host-protocol.ts`.
 */
import type { Endpoint, GroupMember, LocalPort, PolicyRule, RouterInterface, SubnetState } from './slices.ts';

/** A slice's name: `host:<name>`, `network:<id>`, `router:<id>`, `policy:<sg ids sorted, joined by +>`, `group:<security group id>`. */
export type SliceKeyV1 = `${SliceKindV1}:${string}`;

/** The kinds of slices: parts of the desired state that change, and travel to hosts, on their own. */
export type SliceKindV1 = 'host' | 'network' | 'router' | 'policy' | 'group';

/** One slice; `kind` tells which. */
export type SliceV1 = HostSliceV1 | NetworkSliceV1 | RouterSliceV1 | PolicySliceV1 | GroupSliceV1;

/** What one host carries itself. Its ports' networks, policies, and what those reach, are slices of their own. */
export type HostSliceV1 = {
  readonly kind: 'host';
  readonly host: string;
  /** Sorted by id. */
  readonly ports: readonly LocalPort[];
};

/** One network as every host with a port in or near it sees it: who is where. */
export type NetworkSliceV1 = {
  readonly kind: 'network';
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  /** 1..16777215. */
  readonly vni: number;
  readonly mtuBytes: number;
  /** Sorted by id. */
  readonly subnets: readonly SubnetState[];
  /** Every bound port of the network, sorted by port id; router interfaces are not endpoints. */
  readonly endpoints: readonly Endpoint[];
  /** Routers with an interface in this network, sorted. */
  readonly routers: readonly string[];
};

/** One router: every host that needs it routes by itself. */
export type RouterSliceV1 = {
  readonly kind: 'router';
  readonly id: string;
  readonly name: string;
  readonly adminStateUp: boolean;
  /** Sorted by port id. */
  readonly interfaces: readonly RouterInterface[];
  /** Extra routes. */
  readonly routes: readonly { readonly destination: string; readonly nexthop: string }[];
};

/** The rules of one set of security groups (the set a port has). */
export type PolicySliceV1 = {
  readonly kind: 'policy';
  /** The part of the key after `policy:`. */
  readonly id: string;
  /** Sorted by id. */
  readonly rules: readonly PolicyRule[];
};

/** The addresses behind a security group that some rule names as its remote. */
export type GroupSliceV1 = {
  readonly kind: 'group';
  readonly id: string;
  /** Sorted by port id. `addresses`: fixed IPs and allowed address pairs, as addresses or CIDRs. */
  readonly members: readonly GroupMember[];
};

/**
 * One line of `GET /cable/v1/hosts/{host}/watch?since=REV` (NDJSON).
 *
 * A stream opens with puts of every slice the host needs (with `since`, only of those newer than it), then `sync`.
 * After it come puts and deletes; a `bookmark` says that everything up to its revision has been sent. A client acknowledges
 * only revisions of `sync` and `bookmark` lines. Puts may repeat; revisions of `sync` and `bookmark` never fall.
 */
export type WatchLineV1 =
  | { readonly type: 'put'; readonly key: SliceKeyV1; readonly revision: number; readonly slice: SliceV1 }
  | { readonly type: 'delete'; readonly key: SliceKeyV1; readonly revision: number }
  /** All keys the host has as of `revision`: any other that the client holds is gone. */
  | { readonly type: 'sync'; readonly revision: number; readonly keys: readonly SliceKeyV1[] }
  | { readonly type: 'bookmark'; readonly revision: number };
