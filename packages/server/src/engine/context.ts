import type { Attributes } from '@cable/api';
import type { Logger } from '@cable/kit';
import type { AnyObject, OverlayIpVersion, ResourceModel } from '@cable/model';
import type { Op, Store } from '@cable/store';
import type { Loadout } from '../extensions/loadout.ts';
import type { History } from '../history/history.ts';
import type { Joining } from '../pki/joining.ts';
import type { Credentials } from '../policy/credentials.ts';
import type { ChangeRings } from '../protons/change-rings.ts';
import type { AddressBook } from '../resources/address-book.ts';
import type { MacCursor } from '../resources/mac-cursor.ts';
import type { SubnetPoolBook } from '../resources/subnet-pool-book.ts';
import type { Tables } from '../tables.ts';
import type { Arbiter } from './arbiter.ts';
import type { CatchUp } from './catch-up.ts';
import type { Changeover } from './changeover.ts';
import type { Fences } from './fences.ts';
import type { KeyedLock } from './keyed-lock.ts';
import type { KeyMaker } from './keys-of.ts';
import type { Modules } from './module.ts';
import type { Permission } from './permission.ts';
import type { Plan } from './plan.ts';
import type { LoadedResources, ResourceRegistry } from './registry.ts';
import type { SlotBook } from './slot-book.ts';
import type { Sweeper } from './tombstones.ts';

/** Numbers of which those of new networks are chosen: VNIs, or VLANs of a physical network. */
export type DefaultRanges = readonly {
  readonly type: 'vxlan' | 'vlan';
  readonly physical: string | null;
  readonly minimum: number;
  readonly maximum: number;
}[];

/** What the operator chose. */
export type Settings = {
  /** Largest packet the underlay carries; a network's default MTU is less by the tunnel header. */
  readonly underlayMtuBytes: number;
  /** Of the addresses that hosts tunnel to: a tunnel's header is longer over IPv6. Absent: 4. */
  readonly overlayIpVersion?: OverlayIpVersion;
  /** Limits, by type, of projects whose quota does not say another. Absent: as `tenants` has it; -1: none. */
  readonly quotas?: Readonly<Record<string, number>>;
  /** True: projects belong to tenants who do not know each other, so that Neutron's limits hold where `quotas` says nothing. Absent: none. */
  readonly tenants?: boolean;
  /** Absent: every VNI, and no VLAN. */
  readonly segmentRanges?: DefaultRanges;
  /**
   * When a port is ACTIVE for the Contrail plug-in. `attached`: as soon as it has a device, whatever hosts have programmed, as that plug-in's own server has it:
   * for a Nova that waits for events that nobody sends. Absent: as for everybody.
   */
  readonly pluginPorts?: 'attached';
  /** Autonomous system of this cloud, as which hosts speak BGP. Absent: they speak with nobody. */
  readonly bgpAs?: number;
  /** True: hosts come by certificates, so those of one that is deleted are to be refused. */
  readonly hostsHaveCertificates?: boolean;
  /** For how long a host's certificate is good. Absent: 30 days. */
  readonly hostCertificateMs?: number;
};

/** What the engine needs. One value a process. */
export type EngineDeps = {
  readonly store: Pick<Store, 'get' | 'txn' | 'listPages' | 'grantLease' | 'keepAlive' | 'revokeLease'>;
  readonly tables: Tables;
  readonly resources: ResourceRegistry;
  readonly modules: Modules;
  readonly keys: KeyMaker;
  readonly permission: Permission;
  readonly addresses: AddressBook;
  readonly macs: MacCursor;
  readonly subnetPools: SubnetPoolBook;
  readonly slots: SlotBook;
  /** Keys that a transaction under way on this server is about to claim. */
  readonly reservations: Set<string>;
  readonly lock: KeyedLock;
  readonly catchUp: CatchUp;
  readonly changeover: Changeover;
  /** Absent: no protons. */
  readonly fences?: Fences;
  /** What would be loaded if these were the rows of protons. Absent: there are no protons. */
  readonly composeProtons?: (rows: Iterable<AnyObject>) => Promise<Loadout>;
  /** Ports that came by protons, as Neutron's; `current` undefined: there is no proton. */
  readonly arbiter?: { readonly current: Arbiter | undefined };
  /** The last changes of objects of protons; `current` undefined: there is no proton. */
  readonly rings?: { readonly current: ChangeRings | undefined; readonly history: Pick<History, 'current' | 'knows'> };
  readonly sweeper: Pick<Sweeper, 'deleted' | 'wait'>;
  readonly settings: Settings;
  /** What lets hosts join; absent: they join elsewhere, or need not. */
  readonly joining?: Joining;
  readonly log: Logger;
  readonly now: () => Date;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  /** 0..1. */
  readonly random: () => number;
  readonly newId: () => string;
  /** The store's: ids of requests with a key are made of it. */
  readonly idSecret: Buffer;
};

/** One request, as far as the engine is concerned. */
export type Asked = {
  /** Who asks. The same value for the same caller: what the rules come to is kept with it. */
  readonly credentials: Credentials;
  /** Aborts when nobody waits for the answer any more. Making it costs something: to be looked at only by what waits. */
  readonly signal: AbortSignal;
  /** True: it has aborted, or would have. */
  readonly isGone: boolean;
  /** When the client is answered at the latest, in the time of `monotonicMs`. */
  readonly deadlineMs: number;
  /** The client's name for a create that it may repeat; null: none. */
  readonly idempotencyKey: string | null;
  /** True: the query sets the parameter, as `?cascade=true` does. */
  readonly isSet: (parameter: string) => boolean;
  /** What the query gives the parameter; absent: there is no query. */
  readonly values?: (parameter: string) => readonly string[];
  /** Of an action: the object that it is asked of, and the revision that this must have when the first transaction is written. Absent: any. */
  readonly ifMatch?: IfMatch;
  /** What was loaded when the request was parsed. */
  readonly loaded: LoadedResources;
  /** True: everything is looked at, and nothing written. Absent: it is written. */
  readonly isDryRun?: boolean;
  /** Told of each transaction of the request that was written. Absent: nobody is. */
  readonly wrote?: (ops: readonly Op[]) => void;
};

/** `isMet`: it has been, by a transaction that was written, which may have revised the object. */
export type IfMatch = {
  readonly type: string;
  readonly id: string;
  readonly revision: number;
  isMet: boolean;
};

/** What one attempt of a transaction is planned with. */
export type Planning = {
  readonly deps: EngineDeps;
  readonly plan: Plan;
  readonly asked: Asked;
  /** 0 for the first; later ones choose at random, so that servers that fight over one value part. */
  readonly attempt: number;
  /** True: the owner of a service's objects acts (a router on its interfaces), not a client on the generic routes. */
  readonly isService: boolean;
};

/** The same, for what the server does by itself to ports of its own. */
export function asService(planning: Planning): Planning {
  return planning.isService ? planning : { ...planning, isService: true };
}

/** What an action does: answers the body. */
export type ActionHandler = (
  deps: EngineDeps,
  /** Empty for an action on the collection. */
  id: string,
  body: Attributes,
  asked: Asked,
  /** What the path of the request has in its places, by name. */
  parameters: Readonly<Record<string, string | undefined>>,
  /** Of the object: several types may have the action. */
  resource: ResourceModel,
) => Promise<unknown>;
