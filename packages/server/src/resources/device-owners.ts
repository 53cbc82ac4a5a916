import { CableError, type Port } from '@cable/model';

/** `device_owner` of a port that has a load balancer's virtual address. */
export const LOAD_BALANCER_VIP = 'Octavia';

/** `device_owner` of a router's leg in a network. */
export const ROUTER_INTERFACE = 'network:router_interface';

/** `device_owner` of a trunk's sub-port. */
export const TRUNK_SUBPORT = 'trunk:subport';

/** Of a router's port in an external network. */
export const ROUTER_GATEWAY = 'network:router_gateway';

/** Of the port in an external network that has the address of a floating IP. */
export const FLOATING_IP = 'network:floatingip';

/** True for a port that belongs to an object of the API, by which alone it comes, changes and goes. */
export function isServiceOwner(owner: string): boolean {
  return owner === ROUTER_INTERFACE || isExternalOwner(owner);
}

/** True for a port by which something inside reaches out. */
export function isExternalOwner(owner: string): boolean {
  return owner === ROUTER_GATEWAY || owner === FLOATING_IP;
}

/** True for a new port of something that serves the network: it has no port security, whatever is asked for (Neutron's `is_port_trusted`). */
export function isTrusted(owner: string): boolean {
  return owner.startsWith('network:');
}

/** The error for a port that belongs to an object of the API, which is to be changed in its place. `verb`: changed, deleted. */
export function servicePort(port: Port, verb: string): CableError {
  return new CableError(
    'ServicePortInUse',
    `Port ${port.id} cannot be ${verb} directly via the port API: has device owner ${port.device_owner}.`,
  );
}
