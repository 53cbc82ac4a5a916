/** What of Services this host lets in from outside: places of its own that lead to Services (docs/design/services.md). */
import type { ServicePort } from '@cable/model';

/**
 * Where the host sends what comes to a place of a Service: into the cluster, to the Service's own address. `address` absent: any address of the host itself (a node port).
 */
export type Entrance = {
  readonly protocol: ServicePort['protocol'];
  readonly ipVersion: 4 | 6;
  readonly port: number;
  readonly to: { readonly address: string; readonly port: number };
};

/** By which two entrances are one place. */
export function entranceKey({ protocol, ipVersion, port }: Entrance): string {
  return `${ipVersion} ${protocol} ${port}`;
}
