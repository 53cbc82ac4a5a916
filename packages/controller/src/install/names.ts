/** What the manifests and the processes of their pods call the same. */
import type { KubeKind } from '@cable/kube';

/** Pods, and their ServiceAccounts. */
export const AGENT = 'cable-agent';
export const SERVER = 'cable-server';
export const CONTROLLER = 'cable-controller';

/** Lease of the controller that writes. */
export const LEASE = 'cable-controller';

/** Secret with the authorities and their keys. */
export const AUTHORITIES_SECRET = 'cable-authorities';
/** Secret with the controller's certificate. */
export const CONTROLLER_SECRET = 'cable-controller';
/** ConfigMap with the authority of servers, which is public. */
export const AUTHORITY_CONFIG = 'cable-authority';
/** What is in them. */
export const CONTROLLER_FILES = ['ca.crt', 'tls.crt', 'tls.key'] as const;
export const AUTHORITY_FILES = ['authority.pem'] as const;
/** Whom a token of a ServiceAccount is for, that nodes join with. */
export const JOIN_AUDIENCE = 'cable.io/join';

/** Ports of nodes. */
export const PORTS = { server: 9697, join: 9698, probe: 9699, controllerProbe: 9700 } as const;

/** User and group of what does not run as root. */
export const USER = 9697;

const CORE = { group: '', version: 'v1', isNamespaced: true } as const;
export const SECRETS: KubeKind = { ...CORE, plural: 'secrets' };
export const CONFIG_MAPS: KubeKind = { ...CORE, plural: 'configmaps' };
export const PODS: KubeKind = { ...CORE, plural: 'pods' };
export const TOKEN_REVIEWS: KubeKind = {
  ...{ group: 'authentication.k8s.io', version: 'v1', plural: 'tokenreviews', isNamespaced: false },
};
