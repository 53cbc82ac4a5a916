/** How many addresses Subnets have given and have left, and by which node those leave that name some, in their status. Ports come and go by the thousand, so it is asked for many Subnets at once and once a minute, and never port by port. */
import type { Client } from '@cable/api';
import { type Logger, onAbort } from '@cable/kit';
import { isConflict, isNotFound, type KubeApi, keyOf, placeOf } from '@cable/kube';
import type { AnyObject } from '@cable/model';
import type { CableAccess } from '../cable-access.ts';
import { kubeKindOf, type Schema } from './definition.ts';
import { gatewayNodeOf } from './views.ts';
import type { CustomObject } from './work.ts';

/** Numbers of a Subnet’s addresses, of the versions of IP that it has. */
type ByVersion = { readonly ipv4?: number; readonly ipv6?: number };
export type Usage = { readonly usedIPs: ByVersion; readonly availableIPs: ByVersion };

const NUMBER = { type: 'integer', format: 'int64', minimum: 0 } as const;

/** `gatewayNode`: of a Subnet that names nodes. */
type Told = Usage & { readonly gatewayNode?: string };

/** What status has of it. */
export const USAGE_STATUS: Readonly<Record<keyof Usage, Schema>> = {
  usedIPs: {
    type: 'object',
    description: 'Addresses of it that ports have, the Vpc’s own among them. As of the last minute.',
    properties: {
      ipv4: { ...NUMBER, description: 'Of IPv4.' },
      ipv6: { ...NUMBER, description: 'Of IPv6.' },
    },
  },
  availableIPs: {
    type: 'object',
    description: 'Addresses that are free for whoever asks for none in particular. As of the last minute.',
    properties: {
      ipv4: { ...NUMBER, description: 'Of IPv4.' },
      ipv6: { ...NUMBER, description: `Of IPv6; of more than ${Number.MAX_SAFE_INTEGER} that number.` },
    },
  },
};

/** `status` without it: what a view is compared with. */
export function withoutUsage(status: CustomObject['status'] = {}): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(status).filter(([name]) => !(name in USAGE_STATUS)));
}

/** What the server says of a network, of the subnets of which a Subnet is; undefined: a server of before does not say it. */
export function usageOf(availability: AnyObject, subnetIds: readonly string[]): Usage | undefined {
  const used: Record<string, number> = {};
  const available: Record<string, number> = {};
  for (const subnet of availability['subnet_ip_availability'] as readonly Availability[]) {
    if (!subnetIds.includes(subnet.subnet_id)) continue;
    const { ip_availability_details: details, ip_version: version } = subnet;
    if (details === undefined) return undefined;
    const { total_ips_in_allocation_pool: pools, used_ips_in_allocation_pool: taken } = details;
    const name = `ipv${version}`;
    used[name] = details.used_ips_in_subnet;
    // Addresses that were given before the pools were made smaller are among those of the pools no more.
    available[name] = Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, pools - taken));
  }
  return { usedIPs: used, availableIPs: available };
}

/** Of one subnet, as far as it is needed. */
type Availability = {
  readonly subnet_id: string;
  readonly ip_version: 4 | 6;
  readonly ip_availability_details?: {
    readonly used_ips_in_subnet: number;
    readonly total_ips_in_allocation_pool: number;
    readonly used_ips_in_allocation_pool: number;
  };
};

/** A Subnet that Cable has. */
export type UsedSubnet = {
  readonly object: CustomObject;
  readonly networkId: string;
  readonly projectId: string;
  readonly subnetIds: readonly string[];
};

export type SubnetUsageDeps = {
  readonly cable: Pick<CableAccess, 'as'>;
  readonly kube: KubeApi;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Those that there are now; with `keys` of these alone. */
  readonly subnets: (keys?: ReadonlySet<string>) => readonly UsedSubnet[];
  /** The last work on this version of the object, if that has ended and no other has begun. */
  readonly workedOn: (object: CustomObject) => object | undefined;
};

/** How often all are looked at, and how soon one that was worked on. */
const EVERY_MS = 60_000;
const SOON_MS = 500;

/** Networks in one request: its line has some thousand characters. */
const AT_ONCE = 20;

const SUBNETS = kubeKindOf({ plural: 'subnets' });

export class SubnetUsage {
  readonly #deps: SubnetUsageDeps;
  /** By key, the version that this has made of one that was worked on to its end. */
  readonly #written = new Map<string, string>();
  #due = new Set<string>();
  #soon: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(deps: SubnetUsageDeps) {
    this.#deps = deps;
    const every = setInterval(() => this.#look(), EVERY_MS);
    onAbort(deps.signal, () => {
      clearInterval(every);
      clearTimeout(this.#soon);
    });
  }

  /** It was worked on. */
  changed(key: string): void {
    if (this.#deps.signal.aborted) return;
    this.#due.add(key);
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      const keys = this.#due;
      this.#due = new Set();
      this.#look(keys);
    }, SOON_MS);
  }

  /** True once of what this has written of an object that nothing else is to be done about. */
  isOwnWrite({ metadata }: CustomObject): boolean {
    const key = keyOf({ metadata });
    const { resourceVersion } = metadata;
    return resourceVersion !== undefined && this.#written.get(key) === resourceVersion && this.#written.delete(key);
  }

  /** One round after the other. */
  #look(keys?: ReadonlySet<string>): void {
    this.#work = this.#work.then(() => this.#round(keys));
  }

  async #round(keys: ReadonlySet<string> | undefined): Promise<void> {
    const { cable, log, signal, subnets } = this.#deps;
    const byProject = new Map<string, UsedSubnet[]>();
    for (const one of subnets(keys)) byProject.set(one.projectId, [...(byProject.get(one.projectId) ?? []), one]);
    for (const [projectId, all] of byProject) {
      for (let at = 0; at < all.length && !signal.aborted; at += AT_ONCE) {
        const some = all.slice(at, at + AT_ONCE);
        try {
          const client = cable.as(projectId);
          const query = { network_id: some.map(({ networkId }) => networkId) };
          const found = (await client.list('network_ip_availability', query)) as readonly AnyObject[];
          const nodes = await gatewayNodesOf(client, some);
          for (const one of some) {
            const row = found.find((network) => network['network_id'] === one.networkId);
            const usage = row === undefined ? undefined : usageOf(row, one.subnetIds);
            const gatewayNode = nodes.get(one.subnetIds[0] ?? '');
            if (usage !== undefined)
              await this.#tell(one.object, { ...usage, ...(gatewayNode === undefined ? {} : { gatewayNode }) });
          }
        } catch (err) {
          log.warn({ projectId, err }, 'how many addresses Subnets have left is not told as it is');
        }
      }
    }
  }

  async #tell(object: CustomObject, told: Told): Promise<void> {
    const { kube, workedOn } = this.#deps;
    const { status = {}, metadata } = object;
    const { resourceVersion } = metadata;
    const same = (name: keyof Usage): boolean => isSame(status[name] as ByVersion | undefined, told[name]);
    const { gatewayNode = status['gatewayNode'] } = told;
    if (same('usedIPs') && same('availableIPs') && gatewayNode === status['gatewayNode']) return;
    const key = keyOf(object);
    // Of a version that it has no more nothing is left to say.
    const none = { ipv4: null, ipv6: null };
    const change = {
      usedIPs: { ...none, ...told.usedIPs },
      availableIPs: { ...none, ...told.availableIPs },
      ...(gatewayNode === undefined ? {} : { gatewayNode }),
    };
    try {
      // Who works on it meanwhile finds his own write refused, and has to be told of this one.
      const work = workedOn(object);
      const patch = { metadata: { resourceVersion }, status: change };
      const { metadata: now } = await kube.patch<CustomObject>(SUBNETS, placeOf(key), patch, 'status');
      this.#written.delete(key);
      if (work !== undefined && work === workedOn(object)) this.#written.set(key, now.resourceVersion ?? '');
    } catch (err) {
      // Somebody wrote first: the next round has it as it is then.
      if (!isNotFound(err) && !isConflict(err)) throw err;
    }
  }
}

/** By subnet, the node by which it leaves now, of Subnets that name some: it changes when one dies, of which nobody tells. */
async function gatewayNodesOf(
  client: Pick<Client, 'list'>,
  subnets: readonly UsedSubnet[],
): Promise<ReadonlyMap<string, string>> {
  const central = subnets.filter(({ object }) => object.spec?.['gatewayType'] === 'centralized');
  if (central.length === 0) return new Map();
  const query = { network_id: central.map(({ networkId }) => networkId), fields: ['id', 'cable:gateway_node'] };
  const found = (await client.list('subnet', query)) as readonly AnyObject[];
  return new Map(found.map((one) => [one.id, gatewayNodeOf(one)]));
}

function isSame(is: ByVersion = {}, wanted: ByVersion): boolean {
  return is.ipv4 === wanted.ipv4 && is.ipv6 === wanted.ipv6;
}
