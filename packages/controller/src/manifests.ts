/** What Kubernetes is given of Cable: the kinds of cable.io, who may do what, and the pods. */
import { stringify } from 'yaml';
import { CLUSTER_POLICY_KINDS } from './cluster-policy-facts.ts';
import { definitionName, GROUP } from './custom/definition.ts';
import { hostPolicyDeclaration } from './custom/host-policy.ts';
import { CUSTOM_KINDS, customDefinitions } from './custom/kinds.ts';
import type { ManifestsLine } from './install/manifests-line.ts';
import {
  AGENT,
  AUTHORITIES_SECRET,
  AUTHORITY_CONFIG,
  CONTROLLER,
  CONTROLLER_SECRET,
  LEASE,
  SERVER,
} from './install/names.ts';
import { namespaceObjects, teardownDaemonSet, workloads } from './install/workloads.ts';

/** As one stream of YAML, for `kubectl apply -f -`. */
export function manifests(options: ManifestsLine): string {
  return yamlOf(manifestObjects(options));
}

/** Documents. Texts are in quotes, so that none is taken for a number, whatever an operator says. */
export function yamlOf(objects: readonly object[]): string {
  return objects
    .map((one) => {
      const quoted = isWorkload(one) ? ({ defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' } as const) : {};
      return `---\n${stringify(one, { lineWidth: 0, aliasDuplicateObjects: false, ...quoted })}`;
    })
    .join('');
}

function isWorkload(object: object): boolean {
  return 'kind' in object && (object.kind === 'Deployment' || object.kind === 'DaemonSet');
}

/** The objects, in the order in which they are to be made. */
export function manifestObjects({
  namespace,
  only,
  install,
  allRoles = install !== undefined,
  teardown,
}: ManifestsLine): readonly object[] {
  if (teardown !== undefined) return [teardownDaemonSet({ namespace, ...teardown })];
  const wants = (part: ManifestsLine['only']): boolean => only === undefined || only === part;
  return [
    ...(install !== undefined && only === undefined ? namespaceObjects(namespace) : []),
    ...(wants('crds') ? customDefinitions() : []),
    ...(wants('rbac') ? controllerRoles(namespace) : []),
    ...(wants('rbac') && allRoles ? installRoles(namespace) : []),
    ...(wants('workloads') && install !== undefined ? workloads(install) : []),
  ];
}

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'update', 'patch', 'delete', 'deletecollection'];

/** What the controller follows, of Kubernetes' own kinds. */
const FOLLOWED = [
  { apiGroups: [''], resources: ['namespaces', 'nodes', 'pods', 'services'], verbs: READ },
  { apiGroups: ['apps'], resources: ['statefulsets'], verbs: READ },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: READ },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies', 'servicecidrs'], verbs: READ },
  {
    apiGroups: ['policy.networking.k8s.io'],
    resources: CLUSTER_POLICY_KINDS.map(({ api }) => api.plural),
    verbs: READ,
  },
  { apiGroups: ['k8s.cni.cncf.io'], resources: ['network-attachment-definitions'], verbs: READ },
  { apiGroups: [GROUP], resources: [hostPolicyDeclaration.plural], verbs: READ },
  { apiGroups: ['kubevirt.io'], resources: ['virtualmachines', 'virtualmachineinstances'], verbs: READ },
];

const LEASES = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] };

/** For the controller alone. */
export function controllerRoles(namespace: string): readonly object[] {
  const plurals = CUSTOM_KINDS.map(({ declared }) => declared.plural);
  const own = { apiGroups: [GROUP], resources: plurals };
  const aggregated = (...roles: readonly string[]): object =>
    Object.fromEntries(roles.map((role) => [`rbac.authorization.k8s.io/aggregate-to-${role}`, 'true']));
  const subject = { kind: 'ServiceAccount', name: CONTROLLER, namespace };
  return [
    // Whoever may view or edit a namespace may do so with what Cable has in it.
    clusterRole('cable-view', [{ ...own, verbs: READ }], aggregated('view')),
    clusterRole('cable-edit', [{ ...own, verbs: WRITE }], aggregated('edit', 'admin')),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: CONTROLLER, namespace } },
    clusterRole(CONTROLLER, [
      ...FOLLOWED,
      { apiGroups: [''], resources: ['events'], verbs: ['get', 'create', 'update'] },
      { apiGroups: [''], resources: ['services/status', 'pods/status'], verbs: ['patch'] },
      { ...own, verbs: [...READ, 'create', 'patch', 'delete'] },
      {
        ...{ apiGroups: [GROUP], verbs: ['patch'] },
        resources: [...plurals, hostPolicyDeclaration.plural].map((one) => `${one}/status`),
      },
      {
        ...{ apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: ['get'] },
        resourceNames: CUSTOM_KINDS.map(({ declared }) => definitionName(declared)),
      },
    ]),
    binding('ClusterRoleBinding', { name: CONTROLLER }, subject),
    {
      ...{ apiVersion: RBAC, kind: 'Role', metadata: { name: CONTROLLER, namespace } },
      // A right to create has no name of what.
      rules: [
        { ...LEASES, verbs: ['create'] },
        { ...LEASES, resourceNames: [LEASE], verbs: ['get', 'update'] },
      ],
    },
    binding('RoleBinding', { name: CONTROLLER, namespace }, subject),
  ];
}

/** For the pods of servers and agents: authorities and certificates, and who a node is that wants to join. Agents ask Kubernetes nothing. */
export function installRoles(namespace: string): readonly object[] {
  const subject = { kind: 'ServiceAccount', name: SERVER, namespace };
  const own = (resource: string, ...names: readonly string[]): object => ({
    ...{ apiGroups: [''], resources: [resource], resourceNames: names, verbs: ['get', 'update'] },
  });
  return [
    ...emptyObjects(namespace),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: AGENT, namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: SERVER, namespace } },
    clusterRole(SERVER, [{ apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] }]),
    binding('ClusterRoleBinding', { name: SERVER }, subject),
    {
      ...{ apiVersion: RBAC, kind: 'Role', metadata: { name: SERVER, namespace } },
      rules: [
        own('secrets', AUTHORITIES_SECRET, CONTROLLER_SECRET),
        own('configmaps', AUTHORITY_CONFIG),
        { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
      ],
    },
    binding('RoleBinding', { name: SERVER, namespace }, subject),
  ];
}

/**
 * What the servers' pods write into. A right to create has no name of what, so they are made here, and empty: an apply changes nothing that it does not name, so what is in them stays when
 * it is repeated. Helm leaves them when it uninstalls.
 */
function emptyObjects(namespace: string): readonly object[] {
  const annotations = { 'helm.sh/resource-policy': 'keep' };
  const metadata = (name: string): object => ({ name, namespace, annotations });
  return [
    { apiVersion: 'v1', kind: 'Secret', metadata: metadata(AUTHORITIES_SECRET), type: 'Opaque' },
    { apiVersion: 'v1', kind: 'Secret', metadata: metadata(CONTROLLER_SECRET), type: 'Opaque' },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(AUTHORITY_CONFIG) },
  ];
}

const RBAC = 'rbac.authorization.k8s.io/v1';

function clusterRole(name: string, rules: readonly object[], labels?: object): object {
  return {
    ...{ apiVersion: RBAC, kind: 'ClusterRole' },
    metadata: labels === undefined ? { name } : { name, labels },
    rules,
  };
}

/** To the role of the binding's own name. */
function binding(
  kind: 'ClusterRoleBinding' | 'RoleBinding',
  metadata: { readonly name: string; readonly namespace?: string },
  subject: object,
): object {
  const role = kind === 'RoleBinding' ? 'Role' : 'ClusterRole';
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: role, name: metadata.name };
  return { apiVersion: RBAC, kind, metadata, roleRef, subjects: [subject] };
}
