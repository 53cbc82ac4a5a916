/** What of Services this host lets in from outside: places of its own that lead to Services (docs/design/services.md). */
import type { ServicePort } from '@cable/model';

/** Where the host sends what comes to a place of a Service: into the cluster, to the Service's own address. */
export type Entrance = {
  /** Absent: any address of the host itself (a node port). */
  readonly address?: string;
  /** Prefixes of who may come; what others send there is dropped. Absent: all. */
  readonly sources?: readonly string[];
  readonly protocol: ServicePort['protocol'];
  readonly ipVersion: 4 | 6;
  readonly port: number;
  readonly to: { readonly address: string; readonly port: number };
};

/** By which two entrances are one place. */
export function entranceKey({ address = '', protocol, ipVersion, port }: Entrance): string {
  return `${ipVersion} ${protocol} ${port} ${address}`;
}

/** Whether a Service may be asked at a port of this host if it has endpoints here, by HTTP (healthCheckNodePort). `endpoints`: of this host, that are ready. */
export type HealthPort = { readonly port: number; readonly service: string; readonly endpoints: number };
