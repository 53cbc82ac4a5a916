/** `device_owner` of a router's leg in a network. */
export const ROUTER_INTERFACE = 'network:router_interface';
