/** A cluster's name: an RFC 1123 label, so without a dot, which ends it in the IDs of its projects. */
const CLUSTER_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** True for what a cluster may be called. */
export function isClusterName(text: string): boolean {
  return CLUSTER_NAME.test(text);
}

/** The project of a namespace of which nothing else is said; of `''` the cluster's own. */
export function namespaceProject(cluster: string, namespace: string): string {
  return `${cluster}.${namespace}`;
}

/** True when the project is a cluster's own, in which its controller makes what is of no namespace. */
export function isClusterOwn(projectId: string): boolean {
  return projectId.endsWith('.') && isClusterName(projectId.slice(0, -1));
}

/** In a list of whom an object is shared with: all projects of the cluster, as `namespaceProject` names them. */
export function clusterProjects(cluster: string): string {
  return `${cluster}.*`;
}

/** By kind of custom resource, the types of the objects that are handed over with it, from Neutron's door to Kubernetes or back. */
export const HANDED_OVER = {
  Vpc: ['router'],
  Subnet: ['network'],
  SecurityGroup: ['security_group'],
  QosPolicy: ['qos_policy'],
  Port: ['port'],
  FloatingIP: ['floatingip'],
  Gateway: ['floatingip', 'router_egress'],
  Mirror: ['tap_flow'],
} as const;

/** A Kubernetes whose pods are ports here. Its controller (`cable kube`) writes for its namespaces. */
export const kubernetesClusterResource = {
  name: 'kubernetes_cluster',
  plural: 'kubernetes_clusters',
  label: 'KubernetesCluster',
  prefix: '/cable/v1',
  path: 'kubernetes-clusters',
  key: 'name',
  description: 'A Kubernetes cluster whose pods are ports.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['name', 'uid', 'epoch', 'holder'],
  actions: [
    {
      name: 'claim',
      description:
        'A controller says that it writes for the cluster from now on: writes of those with another epoch are refused. The first one says which Kubernetes it is.',
      body: {
        uid: { type: 'string', minLength: 1, maxLength: 64, description: 'UID of the namespace kube-system.' },
        holder: { type: 'string', minLength: 1, maxLength: 255, description: 'Who it is, for people.' },
        epoch: {
          type: 'integer',
          minimum: 1,
          example: 4,
          description: 'More than that of any controller before: `leaseTransitions` of its Lease, plus one.',
        },
      },
    },
    {
      name: 'adopt',
      description:
        'Its controller takes over an object of the project that it asks as, which no cluster has: the subnets of a network, and the service of a tap flow, with it. From then on Kubernetes alone changes it. Again, it changes nothing.',
      body: {
        object_id: {
          type: 'uuid',
          example: '6a1d2f3b-5c4e-4d7f-8a9b-0c1d2e3f4a5b',
          description: 'The object, of a type that custom resources of the kind have.',
        },
        origin: {
          type: 'string',
          minLength: 1,
          maxLength: 600,
          example: 'SecurityGroup/shop/web/0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21',
          description: 'The custom resource: kind, namespace, name and UID.',
        },
      },
    },
    {
      name: 'release',
      description:
        'Lets go of what a custom resource of it has here: from then on Neutron’s API changes it, and Kubernetes no more. `cable:origin` stays, to say what it was. What nothing has, or was let go of before, is no error.',
      body: {
        origin: {
          type: 'string',
          minLength: 1,
          maxLength: 600,
          example: 'SecurityGroup/shop/web/0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21',
          description: '`cable:origin` of the objects, as the refusal of a change says it.',
        },
      },
    },
    {
      name: 'retire_host',
      description:
        'Deletes a host of the cluster whose node is gone for good: it is not alive, and has no ports. Its address may be another host’s then, and its certificates are refused; a node of its name joins as a new one does.',
      body: {
        host: { type: 'string', minLength: 1, maxLength: 255, example: 'node-1', description: 'Name of the host.' },
      },
      status: 204,
    },
    {
      name: 'sweep_projects',
      description:
        'Deletes what Cable has made by itself for projects of namespaces that are gone, `<name>.<namespace>`: the default security group, while it is as it was made and nothing else is of the project. Again, it changes nothing.',
      status: 204,
    },
  ],
  attributes: {
    name: {
      type: 'string',
      write: 'create',
      required: true,
      minLength: 1,
      maxLength: 63,
      example: 'prod',
      description:
        'Its name (RFC 1123 label). Namespaces without another project are of the project `<name>.<namespace>`.',
    },
    description: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      example: 'the shop',
      description: 'A text for people.',
    },
    uid: {
      type: 'string',
      nullable: true,
      write: 'update',
      default: null,
      maxLength: 64,
      example: '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21',
      description:
        'UID of its namespace kube-system, as its first controller said; null: none has come yet. Set it to null when the cluster was made anew under the same name.',
    },
    namespace_projects: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 1000,
      filter: false,
      distinct: ['uid'],
      repeated: "Duplicate namespace '{value}'.",
      items: {
        type: 'object',
        properties: {
          uid: { type: 'string', required: true, minLength: 1, maxLength: 64, description: 'UID of the namespace.' },
          project_id: { type: 'string', required: true, minLength: 1, maxLength: 255, description: 'Its project.' },
        },
      },
      example: [{ uid: '6d7f0a52-77c5-4c7d-8f0b-0a4b6c1d2e3f', project_id: 'f0e1d2c3b4a5968778695a4b3c2d1e0f' }],
      description:
        'Namespaces that are of another project than `<name>.<namespace>`, such as one of OpenStack’s. By UID: a namespace that is made anew is another one.',
    },
    provider_networks: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 100,
      filter: false,
      items: {
        type: 'object',
        properties: {
          physical_network: {
            type: 'string',
            required: true,
            minLength: 1,
            maxLength: 64,
            description: 'A physical network.',
          },
          minimum: { type: 'integer', required: true, minimum: 1, maximum: 4094, description: 'First VLAN of it.' },
          maximum: { type: 'integer', required: true, minimum: 1, maximum: 4094, description: 'Last VLAN of it.' },
          project_id: {
            type: 'string',
            nullable: true,
            default: null,
            minLength: 1,
            maxLength: 255,
            description:
              'Project of the cluster that may; null: its own, `<name>.`, of which Subnets in the controller’s namespace are.',
          },
        },
      },
      example: [{ physical_network: 'physnet1', minimum: 100, maximum: 199, project_id: null }],
      description:
        'VLANs of which its controller may make networks, for Subnets that name them (`spec.provider`). Networks that are there stay when they are taken out.',
    },
    epoch: { type: 'integer', default: 0, example: 4, description: 'Of the controller that writes; 0: none has come.' },
    holder: { type: 'string', default: '', example: 'node-1_7f3a', description: 'That controller; empty: none.' },
  },
} as const;
