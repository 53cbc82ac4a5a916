/** Host ports as the commands of the plug-in see them: what is kept of them, and whether they are in force. */
import { startTimeLimit } from '@cable/kit';
import type { EntranceKeeper } from '../devices/entrance-keeper.ts';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { type HostPort, hostPortEntrances, placesOf } from '../plan/host-ports.ts';
import { type OwnPort, ownPortAt } from '../plan/own-ports.ts';
import { CNI_CODE, CniError, checkFailed, invalidConfig } from './errors.ts';
import type { HostPortStore, KeptHostPorts } from './host-port-store.ts';
import { isPluggedBy } from './link-owner.ts';
import type { PodLinks } from './pod-link.ts';
import { nameOfPlace } from './port-mappings.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';

export type HostPortsDeps = {
  readonly store: HostPortStore;
  /** Whether this host has a port as a node of a Kubernetes cluster: by it alone it reaches pods. */
  readonly isNode: () => boolean;
  /** What this host is to let in, by `entranceKey`. */
  readonly planned: () => ReadonlyMap<string, Entrance>;
  /** Where the agent itself listens or receives: no pod gets these. */
  readonly ownPorts: () => readonly OwnPort[];
  readonly keeper: Pick<EntranceKeeper, 'inForce' | 'lacking' | 'failure'>;
};

const NAME = 'runtimeConfig.portMappings';

export class HostPorts {
  readonly #deps: HostPortsDeps;
  readonly #links: Pick<PodLinks, 'held'>;

  constructor(deps: HostPortsDeps, links: Pick<PodLinks, 'held'>) {
    this.#deps = deps;
    this.#links = links;
  }

  /** Keeps what the call wants for this port, before its link is made. Throws CniError 7 or 11 where it cannot be had. */
  reserve(request: CniRequest, { portId, addresses }: Attachment): void {
    const { conf, containerId, interfaceName, podNamespace, podName } = request;
    const { portMappings: hostPorts } = conf;
    if (hostPorts.length > 0 && conf.mode === 'plain') this.#requireWay();
    for (const [at, one] of hostPorts.entries()) this.#requireFree(at, one, addresses);
    const pod = podName === '' ? '' : `${podNamespace}/${podName}`;
    this.#deps.store.reserve({ portId, containerId, interfaceName, pod, hostPorts }, this.#hasLink());
  }

  /** Resolves when all that was reserved lets in; the link is there by now. Throws CniError 11 when it does not within `timeoutMs`; `ended` ends it, with its reason. */
  async inForce(request: CniRequest, made: Attachment, timeoutMs: number, ended: AbortSignal): Promise<void> {
    const wanted = entrancesOf(request.conf.portMappings, made);
    if (wanted.length > 0) {
      const limit = startTimeLimit(timeoutMs, ended);
      try {
        await this.#deps.keeper.inForce(wanted, limit.signal);
      } catch (err) {
        ended.throwIfAborted();
        if (!limit.isOver()) throw err;
        throw this.#notInForce(wanted, timeoutMs);
      } finally {
        limit.stop();
      }
    }
    this.#deps.store.settle(request);
  }

  /** They are the container's no longer. */
  release(request: Pick<CniRequest, 'containerId' | 'interfaceName'>): void {
    this.#deps.store.release(request);
  }

  /** Forgets those whose links are gone. */
  prune(): void {
    this.#deps.store.prune(this.#hasLink());
  }

  /** Throws CniError 102 where something is not kept, or does not let in. */
  check(request: CniRequest, made: Attachment): void {
    const { containerId, interfaceName, conf } = request;
    const kept = [...this.#deps.store.all].find(
      (one) => one.containerId === containerId && one.interfaceName === interfaceName,
    );
    const hostPorts = kept?.hostPorts ?? [];
    const names = new Set(hostPorts.map(nameOfMapping));
    const lost = conf.portMappings.find((one) => !names.has(nameOfMapping(one)));
    if (lost !== undefined) throw checkFailed(`port ${nameOfPlace(lost)} of the host was not kept for the container`);
    const [lacking] = this.#deps.keeper.lacking(entrancesOf(hostPorts, made));
    if (lacking === undefined) return;
    const { port, protocol, address = 'any address' } = lacking;
    throw checkFailed(`port ${port}/${protocol} of ${address} of the host does not lead to the container`);
  }

  /** In a cluster the node's port is on its way. */
  #requireWay(): void {
    if (this.#deps.isNode()) return;
    const problem = 'this host is no node of a Kubernetes cluster, and has no way of its own to pods';
    throw invalidConfig(NAME, problem, 'leave it out, and give the port a floating IP, or a port forwarding of one');
  }

  #requireFree(at: number, one: HostPort, addresses: Attachment['addresses']): void {
    const versions = new Set(addresses.map(({ address }) => (address.includes(':') ? 6 : 4)));
    const places = placesOf(one).filter(({ ipVersion }) => versions.has(ipVersion));
    if (places.length === 0) {
      const problem = `the pod has no address of the version of IP of ${one.hostIp}`;
      throw invalidConfig(`${NAME}[${at}].hostIP`, problem, 'give an address of another, or leave it out');
    }
    const [own] = places.flatMap((place) => ownPortAt(this.#deps.ownPorts(), place) ?? []);
    if (own !== undefined) {
      const problem = `port ${nameOfPlace(one)} of this host is its own, for ${own.use}`;
      throw invalidConfig(`${NAME}[${at}].hostPort`, problem, 'give another hostPort');
    }
    const planned = this.#deps.planned();
    const isTaken = places.some((place) => {
      const { address: _address, ...anywhere } = place;
      return planned.has(entranceKey(place)) || planned.has(entranceKey(anywhere));
    });
    if (!isTaken) return;
    const message = `${NAME}[${at}].hostPort: port ${nameOfPlace(one)} of this host is that of a Service`;
    throw new CniError(CNI_CODE.tryAgainLater, message, 'give another hostPort, outside of the range of node ports');
  }

  #notInForce(wanted: readonly Entrance[], timeoutMs: number): CniError {
    const planned = this.#deps.planned();
    const hasWay = wanted.every((one) => planned.has(entranceKey(one)));
    const [reason, remedy] = !this.#deps.isNode()
      ? ['this node has no port in the cluster yet', 'see that the controller of the cluster (`cable kube`) runs']
      : hasWay
        ? [this.#deps.keeper.failure ?? 'the kernel was not told yet', "see the agent's log"]
        : ['this host is no node behind a router of the pod’s network', 'see of which routers it has interfaces'];
    const message = `${NAME}: not in force within ${timeoutMs} ms: ${reason}`;
    return new CniError(CNI_CODE.tryAgainLater, message, remedy);
  }

  /** Whether the container has still a link that it plugged for its port. */
  #hasLink(): (one: KeptHostPorts) => boolean {
    let held: ReturnType<PodLinks['held']> | undefined;
    return (one) => {
      held ??= this.#links.held();
      return held.some(({ owner }) => owner.portId === one.portId && isPluggedBy(owner, one));
    };
  }
}

function entrancesOf(hostPorts: readonly HostPort[], { addresses }: Attachment): readonly Entrance[] {
  const own = addresses.map(({ address }) => address.split('/')[0] ?? '');
  return hostPorts.flatMap((one) => hostPortEntrances(one, own));
}

function nameOfMapping(one: HostPort): string {
  return `${nameOfPlace(one)} ${one.containerPort}`;
}
