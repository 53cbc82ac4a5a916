import { type Logger, startTurns } from '@cable/kit';
import { VPC_INTERFACE } from '@cable/model';
import { podOf } from './cluster.ts';
import type { LocalFacts } from './local-facts.ts';
import type { NetworkWays } from './network-ways.ts';
import { type HeldLink, isDefault, type LinkWays, type PodLinks } from './pod-link.ts';
import { LEG_OWNER } from './pod-port.ts';
import type { Attachment } from './result.ts';
import { vpcAttachments } from './vpc-pod.ts';

export type WayKeeperDeps = {
  readonly links: Pick<PodLinks, 'held' | 'open' | 'follow'>;
  readonly localFacts: Pick<LocalFacts, 'port' | 'portsByDeviceId' | 'network' | 'ways'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Changes that come together are looked at once. */
const SOON_MS = 200;

/** When what could not be made is tried again. */
const AGAIN_MS = 30_000;

/**
 * Routes of pods that run, in VPCs of their own: they follow what the VPC leads to, and which Services have members there besides pods (docs/design/pod-vpc.md). Default routes go to the VPC when it
 * leads outside, and back to the leg, where they are by one of the two. What an agent of before plugged, it does not find: that pod keeps what it has.
 */
export class WayKeeper {
  readonly #deps: WayKeeperDeps;
  /** What was made, by the host's end of the link. */
  readonly #made = new Map<number, string>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(deps: WayKeeperDeps) {
    this.#deps = deps;
    deps.signal.addEventListener('abort', () => clearTimeout(this.#timer), { once: true });
  }

  /** What this host was sent of routers, networks or Services has changed, or a pod was plugged: all are looked at soon. */
  changed(): void {
    if (this.#timer !== undefined || this.#deps.signal.aborted) return;
    this.#in(SOON_MS);
  }

  /** One look after the other, in turns: a pod's routes are hundreds of requests at worst. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look()).catch((err: unknown) => this.#failed(err));
    return this.#looking;
  }

  /** As where the kernel's list of links has changed all the time. */
  #failed(err: unknown): void {
    const { log, signal } = this.#deps;
    log.warn({ err }, 'routes of pods were not looked at, is tried again');
    if (this.#timer === undefined && !signal.aborted) this.#in(AGAIN_MS);
  }

  #in(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.look();
    }, ms);
  }

  async #look(): Promise<void> {
    const turns = startTurns();
    let isWhole = true;
    const { links, localFacts } = this.#deps;
    const found = new Map<string, NetworkWays>();
    const waysOf = (networkId: string): NetworkWays => {
      const ways = found.get(networkId) ?? localFacts.ways(networkId);
      found.set(networkId, ways);
      return ways;
    };
    const held = links.held();
    for (const link of held) {
      const ways = this.#waysOf(link, waysOf);
      const text = JSON.stringify(ways);
      if (ways === undefined || this.#made.get(link.ifindex) === text) continue;
      if (this.#follow(link, ways)) this.#made.set(link.ifindex, text);
      else isWhole = false;
      await turns.next();
      if (this.#deps.signal.aborted) return;
    }
    const there = new Set(held.map(({ ifindex }) => ifindex));
    for (const ifindex of this.#made.keys()) if (!there.has(ifindex)) this.#made.delete(ifindex);
    if (!isWhole && this.#timer === undefined && !this.#deps.signal.aborted) this.#in(AGAIN_MS);
  }

  /** Undefined: it is no link that follows. */
  #waysOf({ owner: { portId, plugged } }: HeldLink, waysOf: (networkId: string) => NetworkWays): LinkWays | undefined {
    const { localFacts } = this.#deps;
    const port = localFacts.port(portId);
    if (plugged?.netns === undefined || port === undefined) return undefined;
    const legId = `${port.deviceId.slice(0, -VPC_INTERFACE.length)}${plugged.interfaceName}`;
    const legs = localFacts.portsByDeviceId(legId).filter(({ deviceOwner }) => deviceOwner === LEG_OWNER);
    const pod = podOf([port, ...legs], localFacts);
    if (pod === undefined || !('leg' in pod)) return undefined;
    const { interfaceName, netns } = plugged;
    const [leg, made] = vpcAttachments({ interfaceName, netns, conf: {} }, pod, waysOf(port.networkId));
    if (leg === undefined || made?.answers === undefined) return undefined;
    const { table, routes: tabled } = made.answers;
    const isOther = ({ destination }: { readonly destination: string }): boolean => !isDefault(destination);
    const defaultsOf = ({ routes }: Attachment) => routes.filter((one) => !isOther(one));
    const beside = { hostName: leg.hostName, name: leg.interfaceName };
    return {
      routes: made.routes.filter(isOther),
      answers: { table, routes: tabled.filter(isOther) },
      defaults: { own: defaultsOf(made), other: defaultsOf(leg), beside },
    };
  }

  /** False: it did not work. */
  #follow({ hostName, owner }: HeldLink, ways: LinkWays): boolean {
    const { links, log } = this.#deps;
    try {
      const netns = links.open(owner.plugged?.netns ?? '');
      try {
        const lost = links.follow(netns, hostName, VPC_INTERFACE, ways);
        if (lost !== undefined) log.debug({ link: hostName, lost }, 'routes of a pod do not follow its VPC');
        return true;
      } finally {
        netns.close();
      }
    } catch (err) {
      log.warn({ err, link: hostName }, 'routes of a pod do not follow its VPC, is tried again');
      return false;
    }
  }
}

const KINDS = ['router:', 'peerings:', 'network:'];

/** Whether a change of what the host was sent may concern pods' routes; of Services `BesideServices` says so. */
export function concernsWays(changes: Iterable<{ readonly key: string }>): boolean {
  for (const { key } of changes) if (KINDS.some((kind) => key.startsWith(kind))) return true;
  return false;
}
