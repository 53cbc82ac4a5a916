/** What Kubernetes is given of Cable: the kinds of cable.io, and who may do what. */
import { stringify } from 'yaml';
import { definitionName, GROUP } from './custom/definition.ts';
import { CUSTOM_KINDS, customDefinitions } from './custom/kinds.ts';
import type { ManifestsLine } from './options.ts';

/** As one stream of YAML, for `kubectl apply -f -`. */
export function manifests(options: ManifestsLine): string {
  return manifestObjects(options)
    .map((one) => `---\n${stringify(one, { lineWidth: 0, aliasDuplicateObjects: false })}`)
    .join('');
}

/** The objects, in the order in which they are to be made. */
export function manifestObjects({ namespace, only }: ManifestsLine): readonly object[] {
  return [...(only === 'rbac' ? [] : customDefinitions()), ...(only === 'crds' ? [] : rbac(namespace))];
}

/** Of the controller’s ServiceAccount, and of its roles and their bindings. */
const CONTROLLER = 'cable-controller';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'update', 'patch', 'delete', 'deletecollection'];

/** What the controller follows, of Kubernetes' own kinds. */
const FOLLOWED = [
  { apiGroups: [''], resources: ['namespaces', 'nodes', 'pods', 'services'], verbs: READ },
  { apiGroups: ['apps'], resources: ['statefulsets'], verbs: READ },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: READ },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: READ },
];

function rbac(namespace: string): readonly object[] {
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
      { apiGroups: [''], resources: ['services/status'], verbs: ['patch'] },
      { ...own, verbs: [...READ, 'create', 'patch', 'delete'] },
      { apiGroups: [GROUP], resources: plurals.map((one) => `${one}/status`), verbs: ['patch'] },
      {
        ...{ apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: ['get'] },
        resourceNames: CUSTOM_KINDS.map(({ declared }) => definitionName(declared)),
      },
    ]),
    binding('ClusterRoleBinding', { name: CONTROLLER }, 'ClusterRole', subject),
    {
      ...{ apiVersion: RBAC, kind: 'Role', metadata: { name: CONTROLLER, namespace } },
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] }],
    },
    binding('RoleBinding', { name: CONTROLLER, namespace }, 'Role', subject),
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

function binding(kind: string, metadata: object, role: string, subject: object): object {
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: role, name: CONTROLLER };
  return { apiVersion: RBAC, kind, metadata, roleRef, subjects: [subject] };
}
