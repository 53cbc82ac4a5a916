import type { Logger } from '@cable/kit';
import type { PlugWait } from '../host/plug-waiters.ts';
import type { HostPorts } from './host-ports.ts';
import type { LocalFacts } from './local-facts.ts';
import type { PluggedDevice, PodLinks } from './pod-link.ts';
import type { CniApi } from './server-api.ts';

/** What the commands of the plug-in need. */
export type CniDeps = {
  /** This host's name, as ports are bound to it. */
  readonly host: string;
  /** Kubernetes cluster that it is a node of; undefined: none. */
  readonly cluster: string | undefined;
  readonly api: CniApi;
  readonly links: PodLinks;
  readonly localFacts: LocalFacts;
  readonly hostPorts: Pick<HostPorts, 'reserve' | 'inForce' | 'release' | 'prune' | 'check'>;
  /** Tells the host loop that the port's device is there: nobody has to look for it. */
  readonly devicePlugged: (device: PluggedDevice) => void;
  /**
   * Resolves when the port's device (the one of that ifindex, if one is given) has its programs and maps on this host; rejects when the signal aborts.
   */
  readonly waitPlugged: (wanted: PlugWait, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** How long ADD waits for that. Default 20000. */
  readonly plugTimeoutMs?: number;
};
