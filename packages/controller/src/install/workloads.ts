/** The pods of a cluster: agents, servers, controllers. All are in the network of their node, and need nothing that they bring. */
import {
  AGENT,
  AUTHORITY_CONFIG,
  AUTHORITY_FILES,
  CONTROLLER,
  CONTROLLER_FILES,
  CONTROLLER_SECRET,
  JOIN_AUDIENCE,
  PORTS,
  SERVER,
  USER,
} from './names.ts';

/** What an operator says of an installation; each text as it stands in the manifests. */
export type Install = {
  readonly namespace: string;
  readonly cluster: string;
  readonly image: string;
  /** Name or address that leads to the servers. */
  readonly serverAddress: string;
  readonly apiServer: { readonly host: string; readonly port: string };
  readonly store: EmbeddedStore | EtcdStore;
  /** With commas between. Empty: as the controller has it. */
  readonly podCidr: string;
  readonly joinCidr: string;
  readonly serviceCidr: string;
  readonly externalIpCidr: string;
  readonly loadBalancerCidr: string;
  /** `true`, or empty. */
  readonly loadBalancerDefault: string;
  readonly announceExternalIps: string;
  readonly openCluster: string;
  readonly leaveConntrack: string;
  readonly announceOn: string;
  readonly announceCidr: string;
  readonly clusterDomain: string;
  readonly underlayMtu: string;
  readonly overlayIpVersion: string;
  readonly cniVersion: string;
  /** Nodes whose agent may be away at once while it is replaced: a number, or a percentage. */
  readonly maxUnavailable: string;
};

/** `node`: the one whose disk has the store. */
export type EmbeddedStore = { readonly kind: 'embedded'; readonly node: string };

/** `endpoints`: HOST:PORT, with commas between. `secret`: has `ca.crt`, `tls.crt` and `tls.key`; empty: etcd is asked in clear. */
export type EtcdStore = {
  readonly kind: 'etcd';
  readonly endpoints: string;
  readonly secret: string;
  readonly replicas: string;
};

type Fields = Readonly<Record<string, unknown>>;

const DROP_ALL = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
const AS_ROOT = { ...DROP_ALL, runAsUser: 0, runAsGroup: 0, runAsNonRoot: false };
const AS_USER = {
  ...{ runAsNonRoot: true, runAsUser: USER, runAsGroup: USER, fsGroup: USER },
  seccompProfile: { type: 'RuntimeDefault' },
};
const STATE = '/var/lib/cable';
const STORE = '/var/lib/cable-server';
/** What lets the pod begin, or an operator, leaves a token there for the agent, which removes it when it is spent. */
const JOIN_FILE = `${STATE}/join-token`;
const PKI = '/etc/cable/pki';
const SOCKET = 'unix:/run/cable/server.sock';
const CNI = { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' };
const ONTO_NODE = '/host';
const RESOLVED = '/run/systemd/resolve';
/** Of the node, then of the pod, as kubelet wrote it when the pod began: links of the first may lead to where nothing of the node's is. */
const RESOLV_CONF = [`${ONTO_NODE}/etc/resolv.conf`, `${RESOLVED}/resolv.conf`, '/etc/resolv.conf'];

/** Of a cluster whose namespace is Kubernetes' own there is none to be made. */
export function namespaceObjects(namespace: string): readonly object[] {
  if (namespace === 'kube-system') return [];
  // Agents are privileged, and all are in the node's network.
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' };
  return [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } }];
}

export function workloads(install: Install): readonly object[] {
  return [serverDeployment(install), controllerDeployment(install), agentDaemonSet(install)];
}

/** Removes from each node what agents have made there; the agents' DaemonSet must be gone. */
export function teardownDaemonSet({
  namespace,
  image,
  maxUnavailable,
}: Pick<Install, 'namespace' | 'image' | 'maxUnavailable'>): object {
  return daemonSet(
    'cable-teardown',
    { namespace, maxUnavailable },
    {
      ...nodePod(),
      initContainers: [
        {
          ...container('teardown', image, ['agent', '--teardown', '--host=$(NODE_NAME)']),
          env: [NODE_NAME],
          securityContext: { privileged: true },
          volumeMounts: AGENT_MOUNTS,
        },
      ],
      containers: [
        {
          ...container('cni', image, [
            ...['kube', 'cni', '--remove'],
            ...[`--bin=${ONTO_NODE}${CNI.bin}`, `--conf=${ONTO_NODE}${CNI.conf}`],
          ]),
          securityContext: AS_ROOT,
          volumeMounts: CNI_MOUNTS,
          resources: { requests: { cpu: '10m', memory: '50Mi' } },
        },
      ],
      volumes: [...AGENT_VOLUMES, ...CNI_VOLUMES],
    },
  );
}

function agentDaemonSet(install: Install): object {
  const { image, cluster, serverAddress, underlayMtu, cniVersion } = install;
  const [authority, token] = ['/etc/cable/authority', '/var/run/secrets/cable.io'];
  return daemonSet(AGENT, install, {
    ...nodePod(),
    serviceAccountName: AGENT,
    initContainers: [
      {
        ...container('join', image, [
          ...['kube', 'join', `--url=${urlOf(serverAddress, PORTS.join)}`, `--ca=${authority}/authority.pem`],
          ...[`--token-file=${token}/token`, `--state=${STATE}/$(NODE_NAME)`, `--out=${JOIN_FILE}`],
        ]),
        env: [NODE_NAME],
        securityContext: AS_ROOT,
        volumeMounts: [
          { name: 'state', mountPath: STATE },
          { name: 'authority', mountPath: authority, readOnly: true },
          { name: 'token', mountPath: token, readOnly: true },
        ],
      },
      {
        ...container('cni', image, [
          ...['kube', 'cni', `--cluster=${cluster}`, '--socket=/run/cable/$(NODE_NAME)/agent.sock'],
          ...[`--cni-version=${cniVersion}`, `--bin=${ONTO_NODE}${CNI.bin}`, `--conf=${ONTO_NODE}${CNI.conf}`],
        ]),
        env: [NODE_NAME],
        securityContext: AS_ROOT,
        volumeMounts: CNI_MOUNTS,
      },
    ],
    containers: [
      {
        ...container('agent', image, [
          ...['agent', '--host=$(NODE_NAME)', '--underlay=$(NODE_IP)', `--cluster=${cluster}`],
          ...[`--server=${urlOf(serverAddress, PORTS.server)}`, `--admission=${urlOf(serverAddress, PORTS.join)}`],
          ...[`--admission-ca=${authority}/authority.pem`, `--admission-token=${token}/token`],
          ...[`--join-file=${JOIN_FILE}`, `--underlay-mtu=${underlayMtu}`],
          `--probe-listen=127.0.0.1:${PORTS.probe}`,
          ...RESOLV_CONF.map((path) => `--resolv-conf=${path}`),
          ...flag('open-cluster', install.openCluster),
          ...flag('leave-conntrack', install.leaveConntrack),
          ...optional('announce-on', install.announceOn),
          ...optional('announce-cidr', install.announceCidr),
        ]),
        env: [NODE_NAME, fieldOf('NODE_IP', 'status.hostIP')],
        // It loads programs, writes sysctls, enters namespaces of pods, and makes mounts that are there after it.
        securityContext: { privileged: true, runAsUser: 0, runAsGroup: 0 },
        resources: { requests: { cpu: '100m', memory: '200Mi' } },
        ...nodeProbes(PORTS.probe),
        volumeMounts: [
          ...AGENT_MOUNTS,
          ...RESOLVER_MOUNTS,
          { name: 'authority', mountPath: authority, readOnly: true },
          { name: 'token', mountPath: token, readOnly: true },
        ],
      },
    ],
    volumes: [
      ...AGENT_VOLUMES,
      ...RESOLVER_VOLUMES,
      ...CNI_VOLUMES,
      // Made empty: a pod waits until there is something in it.
      { name: 'authority', configMap: { name: AUTHORITY_CONFIG, items: itemsOf(AUTHORITY_FILES) } },
      {
        name: 'token',
        projected: {
          sources: [{ serviceAccountToken: { audience: JOIN_AUDIENCE, expirationSeconds: 600, path: 'token' } }],
        },
      },
    ],
  });
}

/** On loopback of the node. To load what it needs takes a process seconds, on a busy node many times that. */
function nodeProbes(port: number): object {
  const get = (path: string): object => ({ httpGet: { host: '127.0.0.1', port, path } });
  return {
    startupProbe: { ...get('/livez'), periodSeconds: 3, failureThreshold: 100, timeoutSeconds: 5 },
    livenessProbe: { ...get('/livez'), periodSeconds: 30, failureThreshold: 6, timeoutSeconds: 10 },
    readinessProbe: { ...get('/readyz'), periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 5 },
  };
}

const hostPath = (name: string, path: string, type = 'DirectoryOrCreate'): object => ({
  name,
  hostPath: { path, type },
});

const AGENT_VOLUMES = [
  hostPath('state', STATE),
  hostPath('run', '/run/cable'),
  hostPath('netns', '/run/netns'),
  hostPath('bpf', '/sys/fs/bpf', 'Directory'),
];
const AGENT_MOUNTS = [
  { name: 'state', mountPath: STATE },
  // The namespace of the guest services is held by a mount there, which stays when the agent ends.
  { name: 'run', mountPath: '/run/cable', mountPropagation: 'Bidirectional' },
  // Namespaces of pods are mounts that come while the agent runs.
  { name: 'netns', mountPath: '/run/netns', mountPropagation: 'HostToContainer' },
  { name: 'bpf', mountPath: '/sys/fs/bpf' },
];
/** Directories: whoever writes a resolv.conf puts another file in its place, and a mount of the file would keep the one before. */
const RESOLVER_VOLUMES = [hostPath('etc', '/etc', 'Directory'), hostPath('resolved', RESOLVED)];
const RESOLVER_MOUNTS = [
  { name: 'etc', mountPath: `${ONTO_NODE}/etc`, readOnly: true },
  { name: 'resolved', mountPath: RESOLVED, readOnly: true },
];
const CNI_VOLUMES = [hostPath('cni-bin', CNI.bin), hostPath('cni-conf', CNI.conf)];
const CNI_MOUNTS = [
  { name: 'cni-bin', mountPath: `${ONTO_NODE}${CNI.bin}` },
  { name: 'cni-conf', mountPath: `${ONTO_NODE}${CNI.conf}` },
];

/** On each node, whatever its state. */
function nodePod(): object {
  return {
    hostNetwork: true,
    dnsPolicy: 'Default',
    priorityClassName: 'system-node-critical',
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 30,
  };
}

function daemonSet(
  name: string,
  { namespace, maxUnavailable }: Pick<Install, 'namespace' | 'maxUnavailable'>,
  spec: object,
): object {
  return {
    ...{ apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name, namespace, labels: labelsOf(name) } },
    spec: {
      selector: { matchLabels: labelsOf(name) },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: numberOr(maxUnavailable) } },
      template: { metadata: { labels: labelsOf(name) }, spec },
    },
  };
}

function serverDeployment(install: Install): object {
  const { namespace, image, cluster, serverAddress, apiServer, store } = install;
  const isEmbedded = store.kind === 'embedded';
  const authorities = [
    ...['kube', 'authorities', `--cluster=${cluster}`, `--address=${serverAddress}`, '--address=$(NODE_IP)'],
    ...['--name=$(NODE_NAME)', `--directory=${PKI}`],
  ];
  const asking = {
    env: [NODE_NAME, fieldOf('NODE_IP', 'status.hostIP'), POD_NAMESPACE, ...apiServerEnv(apiServer)],
    securityContext: DROP_ALL,
    resources: { requests: { cpu: '10m', memory: '60Mi' } },
  };
  const pki = { name: 'pki', mountPath: PKI };
  const run = { name: 'run', mountPath: '/run/cable' };
  const kubernetes = { name: 'kubernetes', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true };
  return deployment(SERVER, namespace, {
    replicas: isEmbedded ? 1 : store.replicas,
    strategy: isEmbedded
      ? { type: 'Recreate' }
      : { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    spec: {
      ...controlPod(SERVER, isEmbedded ? [nodeCalled(store.node)] : [CONTROL_PLANE]),
      // The store is nowhere else.
      ...(isEmbedded ? { tolerations: [{ operator: 'Exists' }] } : {}),
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 60,
      initContainers: [
        ...(isEmbedded
          ? [
              {
                ...container('store-directory', image, ['kube', 'store-directory', `--directory=${STORE}/store`]),
                securityContext: {
                  ...AS_ROOT,
                  capabilities: { drop: ['ALL'], add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'] },
                },
                volumeMounts: [{ name: 'store', mountPath: STORE }],
              },
            ]
          : []),
        {
          ...container('first-authorities', image, [...authorities, '--once']),
          ...asking,
          volumeMounts: [pki, kubernetes],
        },
      ],
      containers: [
        {
          ...container('server', image, serverArguments(install)),
          // Two of them are not put on one node.
          ports: [{ name: 'api', containerPort: PORTS.server }],
          // For `kubectl exec`: as an administrator.
          env: [{ name: 'CABLE_SERVER', value: SOCKET }],
          securityContext: DROP_ALL,
          resources: { requests: { cpu: '200m', memory: '300Mi' } },
          ...serverProbes(),
          volumeMounts: [
            { ...pki, readOnly: true },
            run,
            ...(isEmbedded ? [{ name: 'store', mountPath: STORE }] : etcdMounts(store)),
          ],
        },
        { ...container('authorities', image, authorities), ...asking, volumeMounts: [pki, kubernetes] },
        {
          ...container('admission', image, [
            ...['kube', 'admission', `--cluster=${cluster}`, `--server=${SOCKET}`, `--pki=${PKI}`],
            ...[`--listen=${anyAddress(serverAddress)}`, `--port=${PORTS.join}`],
          ]),
          ports: [{ name: 'join', containerPort: PORTS.join }],
          ...asking,
          volumeMounts: [{ ...pki, readOnly: true }, run, kubernetes],
        },
      ],
      volumes: [
        { name: 'pki', emptyDir: { medium: 'Memory' } },
        { name: 'run', emptyDir: {} },
        { name: 'kubernetes', projected: { sources: KUBERNETES_SOURCES } },
        ...(isEmbedded ? [hostPath('store', STORE)] : []),
        ...(!isEmbedded && store.secret !== '' ? [{ name: 'etcd', secret: { secretName: store.secret } }] : []),
      ],
    },
  });
}

/** What a pod is given to ask Kubernetes with, for the containers alone that do. */
const KUBERNETES_SOURCES = [
  { serviceAccountToken: { expirationSeconds: 3600, path: 'token' } },
  { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
  { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
];

const ETCD_FILES = '/etc/cable/etcd';

function etcdMounts({ secret }: EtcdStore): readonly object[] {
  return secret === '' ? [] : [{ name: 'etcd', mountPath: ETCD_FILES, readOnly: true }];
}

function serverArguments({ store, serverAddress, underlayMtu, overlayIpVersion }: Install): readonly string[] {
  const place = store.kind === 'embedded' ? `lmdb:${STORE}/store` : `etcd:${store.endpoints}`;
  const isSecret = store.kind === 'etcd' && store.secret !== '';
  const any = anyAddress(serverAddress);
  return [
    ...['server', `--store=${place}`, `--pki=${PKI}`, `--listen=${SOCKET}`],
    `--listen=${any.includes(':') ? `[${any}]` : any}:${PORTS.server}`,
    ...[`--underlay-mtu=${underlayMtu}`, `--overlay-ip-version=${overlayIpVersion}`],
    ...(isSecret
      ? [`--etcd-ca=${ETCD_FILES}/ca.crt`, `--etcd-cert=${ETCD_FILES}/tls.crt`, `--etcd-key=${ETCD_FILES}/tls.key`]
      : []),
  ];
}

function serverProbes(): object {
  const get = (path: string): object => ({ httpGet: { scheme: 'HTTPS', port: PORTS.server, path } });
  return {
    startupProbe: { ...get('/healthz'), periodSeconds: 3, failureThreshold: 100, timeoutSeconds: 5 },
    livenessProbe: { ...get('/healthz'), periodSeconds: 20, failureThreshold: 6, timeoutSeconds: 10 },
    readinessProbe: { ...get('/readyz'), periodSeconds: 5, failureThreshold: 3, timeoutSeconds: 5 },
  };
}

function controllerDeployment(install: Install): object {
  const { namespace, image, cluster, serverAddress, apiServer, store } = install;
  const files = '/etc/cable/cluster';
  return deployment(CONTROLLER, namespace, {
    replicas: 2,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    spec: {
      // Who runs it can be the cluster to Cable: never a worker.
      ...controlPod(CONTROLLER, [CONTROL_PLANE, ...(store.kind === 'embedded' ? [nodeCalled(store.node)] : [])]),
      serviceAccountName: CONTROLLER,
      containers: [
        {
          ...container('controller', image, controllerArguments({ ...install, files })),
          env: [POD_NAME, POD_NAMESPACE, ...apiServerEnv(apiServer)],
          securityContext: DROP_ALL,
          resources: { requests: { cpu: '100m', memory: '200Mi' } },
          ...nodeProbes(PORTS.controllerProbe),
          volumeMounts: [{ name: 'certificate', mountPath: files, readOnly: true }],
        },
      ],
      volumes: [
        {
          name: 'certificate',
          secret: { secretName: CONTROLLER_SECRET, defaultMode: 0o440, items: itemsOf(CONTROLLER_FILES) },
        },
      ],
    },
  });
  function controllerArguments(given: Install & { readonly files: string }): readonly string[] {
    return [
      // Host name and process ID are those of another on the same node, too.
      ...['kube', '--identity=$(POD_NAME)', `--cluster=${cluster}`],
      `--server=${urlOf(serverAddress, PORTS.server)}`,
      ...[`--ca=${given.files}/ca.crt`, `--cert=${given.files}/tls.crt`, `--key=${given.files}/tls.key`],
      ...[
        `--pod-cidr=${given.podCidr}`,
        ...optional('join-cidr', given.joinCidr),
        `--service-cidr=${given.serviceCidr}`,
      ],
      ...optional('external-ip-cidr', given.externalIpCidr),
      ...optional('load-balancer-cidr', given.loadBalancerCidr),
      ...flag('load-balancer-default', given.loadBalancerDefault),
      ...flag('announce-external-ips', given.announceExternalIps),
      `--cluster-domain=${given.clusterDomain}`,
      `--probe-listen=127.0.0.1:${PORTS.controllerProbe}`,
    ];
  }
}

/** A node’s kubelet cannot say that itself (the admission plug-in NodeRestriction). */
const CONTROL_PLANE = { matchExpressions: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }] };

/** By its name, which is not the kubelet’s to choose as its labels are: who is elsewhere would have the authorities’ keys there. */
function nodeCalled(name: string): object {
  return { matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] };
}

/** Of the control plane: on nodes that are not ready, too, since without it none becomes so. Where a node is gone for minutes, another has it. `places`: on nodes of one of these alone. */
function controlPod(name: string, places: readonly object[]): Fields {
  const term = { labelSelector: { matchLabels: labelsOf(name) }, topologyKey: 'kubernetes.io/hostname' };
  return {
    hostNetwork: true,
    dnsPolicy: 'Default',
    priorityClassName: 'system-cluster-critical',
    serviceAccountName: name,
    enableServiceLinks: false,
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [
      { operator: 'Exists', effect: 'NoSchedule' },
      { operator: 'Exists', key: 'CriticalAddonsOnly' },
    ],
    affinity: {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: places } },
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] },
    },
    securityContext: AS_USER,
  };
}

function deployment(
  name: string,
  namespace: string,
  {
    replicas,
    strategy,
    spec,
  }: { readonly replicas: number | string; readonly strategy: object; readonly spec: object },
): object {
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace, labels: labelsOf(name) } },
    spec: {
      replicas: numberOr(replicas),
      selector: { matchLabels: labelsOf(name) },
      strategy,
      template: { metadata: { labels: labelsOf(name) }, spec },
    },
  };
}

/** A number is one to Kubernetes; a mark of the chart, or a percentage, stays a text. */
function numberOr(given: number | string): number | string {
  return typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
}

function labelsOf(name: string): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': 'cable', 'app.kubernetes.io/component': name };
}

/** Images are named by version, so what is there is taken. */
function container(name: string, image: string, args: readonly string[]): Fields {
  return { name, image, imagePullPolicy: 'IfNotPresent', command: ['cable'], args };
}

function itemsOf(files: readonly string[]): readonly object[] {
  return files.map((file) => ({ key: file, path: file }));
}

function optional(name: string, value: string): readonly string[] {
  return value === '' ? [] : [`--${name}=${value}`];
}

/** An option without a value. A mark of the chart stays in its line, so that this goes when it is not wanted. */
function flag(name: string, value: string): readonly string[] {
  return value === '' ? [] : [value === 'true' ? `--${name}` : `--${name}${value}`];
}

function fieldOf(name: string, fieldPath: string): object {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

const NODE_NAME = fieldOf('NODE_NAME', 'spec.nodeName');
const POD_NAME = fieldOf('POD_NAME', 'metadata.name');
const POD_NAMESPACE = fieldOf('POD_NAMESPACE', 'metadata.namespace');

/** In place of those of the Service, which nobody has programmed yet. */
function apiServerEnv({ host, port }: Install['apiServer']): readonly object[] {
  return [
    { name: 'KUBERNETES_SERVICE_HOST', value: host },
    { name: 'KUBERNETES_SERVICE_PORT', value: port },
  ];
}

function urlOf(place: string, port: number): string {
  return `https://${place.includes(':') ? `[${place}]` : place}:${port}`;
}

function anyAddress(place: string): string {
  return place.includes(':') ? '::' : '0.0.0.0';
}
