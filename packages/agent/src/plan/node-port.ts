/** `device_owner` of the port of a Kubernetes node: the host's own link in a cluster's network, by which it reaches pods, and pods what is outside. */
export const NODE_OWNER = 'kubernetes:node';
