/** `device_owner` of a port that has a load balancer's virtual address. */
export const LOAD_BALANCER_VIP = 'Octavia';

/** `device_owner` of a router's leg in a network. */
export const ROUTER_INTERFACE = 'network:router_interface';

/** `device_owner` of a trunk's sub-port. */
export const TRUNK_SUBPORT = 'trunk:subport';
