/** Interfaces of pods, as the controller writes them to ports and agents plug them. */

/** What runtimes of Kubernetes call a pod's first interface; of a pod in a VPC of its own that is its leg. */
export const FIRST_INTERFACE = 'eth0';

/** What a pod calls its interface in a VPC that is not the cluster's own. */
export const VPC_INTERFACE = 'vpc0';
