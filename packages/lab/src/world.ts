import type { DhcpClient } from './guests/vm.ts';

/** What the servers keep their objects in. */
export type StoreKind = 'lmdb' | 'etcd';

/**
 * A story's world, as data: what is there before its checks begin. Keys are names, unique over hosts and guests; those that stand as values name a key of
 * another part.
 */
export type World = {
  /** The stores that the story can run on; the first unless the user names another. */
  readonly stores: readonly [StoreKind, ...StoreKind[]];
  /** How many; several need etcd, and agents and users reach them through a balancer. */
  readonly servers: number;
  readonly hosts: Readonly<Record<string, HostSpec>>;
  /** Further options of all agents. */
  readonly agentOptions?: readonly string[];
  readonly projects: readonly string[];
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  readonly routers?: Readonly<Record<string, RouterSpec>>;
  readonly groups: Readonly<Record<string, GroupSpec>>;
  readonly guests: Readonly<Record<string, GuestSpec>>;
  /** Under QEMU; left out with --no-qemu. */
  readonly realMachines?: Readonly<Record<string, RealMachineSpec>>;
  /** Numbers that the user may set. */
  readonly settings?: Readonly<Record<string, SettingSpec>>;
};

/** A network namespace with an uplink, in which an agent runs. */
export type HostSpec = {
  /**
   * Its agent is given that host's name. Such a machine has file systems of its own where agents keep things, and its agent is not started with the
   * world, but by a check.
   */
  readonly posesAs?: string;
};

/** A network with one subnet of the same name. */
export type NetworkSpec = { readonly project: string; readonly cidr: string };

export type RouterSpec = { readonly project: string; readonly networks: readonly string[] };

/** A security group, and what its ingress rules allow from anywhere. */
export type GroupSpec = { readonly project: string; readonly allow: readonly AllowSpec[] };

/** `service`, `datagrams`: TCP, UDP to the lab's small server, which listens in every guest. */
export type AllowSpec = 'ping' | 'service' | 'datagrams';

type Placed = { readonly host: string; readonly network: string; readonly group: string };

/** A VM behind a tap, a pod by cable-cni, or the port of the host itself: a physical machine. */
export type GuestSpec = Placed & (VmSpec | { readonly kind: 'pod' } | { readonly kind: 'machine' });

export type VmSpec = {
  readonly kind: 'vm';
  readonly dhcp: DhcpClient;
  /** It gets the address of that guest, which is in another project. */
  readonly sameAddressAs?: string;
  readonly userData?: string;
};

export type RealMachineSpec = Placed & { readonly userData?: string };

export type SettingSpec = { readonly standard: number; readonly least: number; readonly what: string };

/** What a world says that cannot be; empty: it can be built. */
export function findFaults(world: World): readonly string[] {
  const guests = { ...world.guests, ...world.realMachines };
  return [
    ...serverFaults(world),
    ...nameFaults([...Object.keys(world.hosts), ...Object.keys(guests)]),
    ...Object.entries(world.hosts).flatMap(([name, { posesAs }]) =>
      posesAs === undefined ? [] : missing(`host ${name}`, 'host', posesAs, world.hosts),
    ),
    ...ownerFaults(world),
    ...Object.entries(world.routers ?? {}).flatMap(([name, router]) =>
      router.networks.flatMap((network) => missing(`router ${name}`, 'network', network, world.networks)),
    ),
    ...Object.entries(guests).flatMap(([name, guest]) => guestFaults(world, `guest ${name}`, guest)),
  ];
}

function serverFaults({ servers, stores }: World): readonly string[] {
  if (!Number.isInteger(servers) || servers < 1) return [`servers: ${servers} is not a number of servers`];
  return servers > 1 && stores.includes('lmdb') ? ['servers: LMDB is for one server'] : [];
}

/** `net` is the underlay's namespace, `ctl` the control plane's. */
function nameFaults(names: readonly string[]): readonly string[] {
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  const unfit = names.filter((name) => !/^[a-z][a-z0-9-]{0,10}$/.test(name) || ['net', 'ctl'].includes(name));
  return [...twice.map((name) => `${name}: named twice`), ...unfit.map((name) => `${name}: not fit for a name`)];
}

function ownerFaults(world: World): readonly string[] {
  const owned = [world.networks, world.groups, world.routers ?? {}];
  return owned
    .flatMap((part): readonly (readonly [string, { readonly project: string }])[] => Object.entries(part))
    .filter(([, { project }]) => !world.projects.includes(project))
    .map(([name, { project }]) => `${name}: there is no project ${project}`);
}

function guestFaults(world: World, where: string, guest: GuestSpec | RealMachineSpec): readonly string[] {
  const { host, network, group } = guest;
  const like = 'sameAddressAs' in guest ? guest.sameAddressAs : undefined;
  return [
    ...missing(where, 'host', host, world.hosts),
    ...missing(where, 'network', network, world.networks),
    ...missing(where, 'group', group, world.groups),
    ...(like === undefined ? [] : missing(where, 'guest', like, world.guests)),
    ...(world.networks[network]?.project === world.groups[group]?.project
      ? []
      : [`${where}: network ${network} and group ${group} are of two projects`]),
  ];
}

function missing(
  where: string,
  kind: string,
  name: string,
  among: Readonly<Record<string, unknown>>,
): readonly string[] {
  return Object.hasOwn(among, name) ? [] : [`${where}: there is no ${kind} ${name}`];
}
