/** What of Services this host lets in from outside: places of its own that lead to Services (docs/design/services.md). */
import type { ServicePort } from '@cable/model';

/** Where the host sends what comes to a place of a Service, or of a pod: into the cluster, to the Service's own address, or the pod's; or to itself, where it is an endpoint. */
export type Entrance = {
  /** Absent: any address of the host itself (a node port). */
  readonly address?: string;
  /** It leads to a pod (a host port). Its address is the host's own, and a Service at the same place goes before it. */
  readonly isHostPort?: true;
  /** It leads from the address of this host's port as a node to the host's own at which an endpoint of a Service listens. */
  readonly isEndpoint?: true;
  /** Prefixes of who may come; what others send there is dropped. Absent: all. */
  readonly sources?: readonly string[];
  readonly protocol: ServicePort['protocol'];
  readonly ipVersion: 4 | 6;
  /** 0: whatever is at no other place of the address is dropped, unless it is an address of the host. */
  readonly port: number;
  readonly to: { readonly address: string; readonly port: number };
};

/** By which two entrances are one place. */
export function entranceKey(entrance: Omit<Entrance, 'to'>): string {
  const { address = '', protocol, ipVersion, port, isHostPort, isEndpoint } = entrance;
  return `${ipVersion} ${protocol} ${port} ${address}${isHostPort === true ? ' pod' : ''}${isEndpoint === true ? ' own' : ''}`;
}

/** An address of a Service that hosts announce on their links. `hosts`: those that may, by name; undefined: all nodes. */
export type Announced = {
  readonly address: string;
  /** Id of the Service. */
  readonly service: string;
  readonly hosts: readonly string[] | undefined;
};

/** Whether a Service may be asked at a port of this host if it has endpoints here, by HTTP (healthCheckNodePort). `endpoints`: of this host, that are ready. */
export type HealthPort = { readonly port: number; readonly service: string; readonly endpoints: number };
