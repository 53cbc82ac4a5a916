import { hostOf, isBound, isGatewayPort, isRouterInterface } from '@cable/compiler';
import type { CarriedPort } from '../protons/vrouter/overlay.ts';

/** What is known of a port besides its own attributes. */
export type PortEvidence = {
  /** Its host reports the device as `up`: it exists and is programmed. */
  readonly vifUp: boolean;
  readonly hostAlive: boolean;
  /** Every live host that must carry the port's current data has programmed it. */
  readonly proven: boolean;
};

/**
 * The status a port should show.
 *
 * A port that is ACTIVE stays so while its device is up: neither a host that lags on a later change nor the death of its own
 * host's agent takes it DOWN (as in Neutron; the data plane goes on without the agent, and Nova must not be told that the
 * interface was unplugged). A router's interface has no device: it is ACTIVE when it is proven; so is a router's gateway, which only the host that it is on has to
 * program. Who moves gateways takes one DOWN whose host is silent for long.
 */
export function portStatus(port: CarriedPort, evidence: PortEvidence): 'ACTIVE' | 'DOWN' | 'N/A' {
  // What a plug-in has, that alone tells of.
  if ((port['cable:backend'] ?? null) !== null) return port.status === 'ACTIVE' ? 'ACTIVE' : 'DOWN';
  // A floating IP's own: nobody carries it.
  if (port.status === 'N/A') return 'N/A';
  if (!port.admin_state_up) return 'DOWN';
  const wasActive = port.status === 'ACTIVE';
  if (isRouterInterface(port)) return wasActive || evidence.proven ? 'ACTIVE' : 'DOWN';
  if (isGatewayPort(port)) {
    return hostOf(port) !== '' && (wasActive || (evidence.hostAlive && evidence.proven)) ? 'ACTIVE' : 'DOWN';
  }
  if (hostOf(port) === '' || !isBound(port) || !evidence.vifUp) return 'DOWN';
  return wasActive || (evidence.hostAlive && evidence.proven) ? 'ACTIVE' : 'DOWN';
}
