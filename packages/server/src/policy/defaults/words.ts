/** Checks of which the defaults are made: `ADMIN_OR_MEMBER` is who is an administrator, or has the role member in the object's project. */

export const ADMIN = 'rule:admin_only';
export const SERVICE = 'rule:service_api';
/** Controllers of Kubernetes clusters. */
export const KUBERNETES = 'rule:kubernetes_api';
export const ADMIN_OR_SERVICE: string = `${ADMIN} or ${SERVICE}`;

/** The controller of the cluster that the object is of, as the cluster’s own project. */
export const OF_CLUSTER: string = `(${KUBERNETES} and whole_cluster:%(cable:cluster)s)`;

/** In the object's own project. A member is a reader and a manager a member: Keystone says so of a token. */
const MANAGER = 'role:manager and project_id:%(project_id)s';
export const MEMBER = 'role:member and project_id:%(project_id)s';
const READER = 'role:reader and project_id:%(project_id)s';
export const ADMIN_OR_MANAGER: string = `${ADMIN} or ${MANAGER}`;
export const ADMIN_OR_MEMBER: string = `${ADMIN} or ${MEMBER}`;
export const ADMIN_OR_READER: string = `${ADMIN} or ${READER}`;

/** In the project of the network that the object is on, or is. */
export const NETWORK_MEMBER = 'role:member and rule:network_owner';
export const NETWORK_READER = 'role:reader and rule:network_owner';
export const ADMIN_OR_NETWORK_MEMBER: string = `${ADMIN} or ${NETWORK_MEMBER}`;
export const ADMIN_OR_NETWORK_READER: string = `${ADMIN} or ${NETWORK_READER}`;

/** In the project of what the object is part of: a QoS policy, a floating IP. */
export const ADMIN_OR_PARENT_MANAGER: string = `${ADMIN} or role:manager and rule:ext_parent_owner`;
export const ADMIN_OR_PARENT_MEMBER: string = `${ADMIN} or role:member and rule:ext_parent_owner`;
export const ADMIN_OR_PARENT_READER: string = `${ADMIN} or role:reader and rule:ext_parent_owner`;

/** As before the secure defaults, in which roles but admin made no difference: for `zed`. */
export const ANYBODY = 'rule:regular_user';
export const ADMIN_OR_OWNER = 'rule:admin_or_owner';
export const ADMIN_OR_NETWORK_OWNER = 'rule:admin_or_network_owner';
export const ADMIN_OR_PARENT_OWNER = 'rule:admin_or_ext_parent_owner';
