/**
 * The Helm chart, made of the same objects as what `cable kube manifests` prints: an operator's values are marks in them, in whose place expressions of the template come. So the chart
 * with values gives the text that the command prints for them (`chart.test.ts`).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ExpectedError } from '@cable/kit';
import { stringify } from 'yaml';
import { customDefinitions } from '../custom/kinds.ts';
import { controllerRoles, installRoles, yamlOf } from '../manifests.ts';
import { defaultImage, INSTALL_DEFAULTS } from './manifests-line.ts';
import { type Install, workloads } from './workloads.ts';

/** A mark for each value, and what comes in its place. A line with one that may be empty goes where it is. */
const MARKS = {
  namespace: { expression: '.Release.Namespace' },
  cluster: { expression: '.Values.cluster' },
  image: { expression: '.Values.image' },
  serverAddress: { expression: '.Values.serverAddress' },
  apiServerHost: { expression: '.Values.apiServer.host' },
  apiServerPort: { expression: '.Values.apiServer.port' },
  storeNode: { expression: '.Values.storeNode' },
  etcdEndpoints: { expression: '.Values.etcd.endpoints' },
  etcdSecret: { expression: '.Values.etcd.secret' },
  replicas: { expression: '.Values.etcd.replicas', isNumber: true },
  podCidr: { expression: '.Values.podCidr' },
  joinCidr: { expression: '.Values.joinCidr', isOptional: true },
  serviceCidr: { expression: '.Values.serviceCidr' },
  externalIpCidr: { expression: '.Values.externalIpCidr', isOptional: true },
  loadBalancerCidr: { expression: '.Values.loadBalancerCidr', isOptional: true },
  loadBalancerDefault: { expression: '.Values.loadBalancerDefault', isFlag: true },
  announceExternalIps: { expression: '.Values.announceExternalIps', isFlag: true },
  openCluster: { expression: '.Values.openCluster', isFlag: true },
  leaveConntrack: { expression: '.Values.leaveConntrack', isFlag: true },
  announceOn: { expression: '.Values.announceOn', isOptional: true },
  announceCidr: { expression: '.Values.announceCidr', isOptional: true },
  clusterDomain: { expression: '.Values.clusterDomain' },
  underlayMtu: { expression: '.Values.underlayMtu' },
  overlayIpVersion: { expression: '.Values.overlayIpVersion' },
  cniVersion: { expression: '.Values.cniVersion' },
  maxUnavailable: { expression: '.Values.maxUnavailable | toJson', isNumber: true },
} as const satisfies Readonly<Record<string, Mark>>;

type Mark = {
  readonly expression: string;
  readonly isNumber?: true;
  readonly isOptional?: true;
  /** The line is there or not, and says nothing of the value. */
  readonly isFlag?: true;
};
type MarkName = keyof typeof MARKS;

/** Of files by their path in the chart. */
export function chartFiles(): Readonly<Record<string, string>> {
  const namespace = mark('namespace');
  const roles = yamlOf([...controllerRoles(namespace), ...installRoles(namespace)]);
  const [embedded, inClear, secured] = [
    { kind: 'embedded', node: mark('storeNode') } as const,
    etcdStore(''),
    etcdStore(mark('etcdSecret')),
  ].map((store) => yamlOf(workloads({ ...MARKED, store })));
  const version = defaultImage().split(':').pop() ?? '';
  return {
    'Chart.yaml': stringify({
      ...{ apiVersion: 'v2', name: 'cable', type: 'application', version, appVersion: version },
      description: 'One virtual network for virtual machines, containers and physical machines',
      kubeVersion: '>=1.21.0-0',
    }),
    'values.yaml': VALUES,
    'templates/crds.yaml': yamlOf(keptDefinitions()),
    'templates/rbac.yaml': template(roles),
    'templates/workloads.yaml': [
      '{{- $_ := required "cluster: name of the cluster" .Values.cluster }}',
      '{{- $_ := required "serverAddress: address of the node with the store, or what leads to all servers" .Values.serverAddress }}',
      '{{- $_ := required "apiServer.host: the API server as kubelets reach it" .Values.apiServer.host }}',
      '{{- if .Values.etcd.endpoints }}',
      '{{- if .Values.etcd.secret }}',
      template(secured ?? ''),
      '{{- else }}',
      template(inClear ?? ''),
      '{{- end }}',
      '{{- else }}',
      '{{- $_ := required "storeNode (or etcd.endpoints): the node that has the store on its disk" .Values.storeNode }}',
      template(embedded ?? ''),
      '{{- end }}',
      '',
    ].join('\n'),
  };
}

/** In a chart's crds/ they would be made, and never upgraded. Kept, so that a release that goes takes nobody's objects along. */
function keptDefinitions(): readonly object[] {
  return customDefinitions().map((one) => {
    const { metadata, ...rest } = one as { readonly metadata: object };
    return { ...rest, metadata: { ...metadata, annotations: { 'helm.sh/resource-policy': 'keep' } } };
  });
}

/** Writes the chart into a directory, which is made. Throws `ExpectedError`. */
export function writeChart(directory: string): void {
  try {
    for (const [name, text] of Object.entries(chartFiles())) {
      mkdirSync(join(directory, name, '..'), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
  } catch (cause) {
    throw new ExpectedError(`cannot write a chart to ${directory}: name another directory`, { cause });
  }
}

/** A word that nothing else in a manifest has. */
function mark(name: MarkName): string {
  return `zz-${name}-zz`;
}

function etcdStore(secret: string): Install['store'] {
  return { kind: 'etcd', endpoints: mark('etcdEndpoints'), secret, replicas: mark('replicas') };
}

const MARKED: Omit<Install, 'store'> = {
  namespace: mark('namespace'),
  cluster: mark('cluster'),
  image: mark('image'),
  serverAddress: mark('serverAddress'),
  apiServer: { host: mark('apiServerHost'), port: mark('apiServerPort') },
  podCidr: mark('podCidr'),
  joinCidr: mark('joinCidr'),
  serviceCidr: mark('serviceCidr'),
  externalIpCidr: mark('externalIpCidr'),
  loadBalancerCidr: mark('loadBalancerCidr'),
  loadBalancerDefault: mark('loadBalancerDefault'),
  announceExternalIps: mark('announceExternalIps'),
  openCluster: mark('openCluster'),
  leaveConntrack: mark('leaveConntrack'),
  announceOn: mark('announceOn'),
  announceCidr: mark('announceCidr'),
  clusterDomain: mark('clusterDomain'),
  underlayMtu: mark('underlayMtu'),
  overlayIpVersion: mark('overlayIpVersion'),
  cniVersion: mark('cniVersion'),
  maxUnavailable: mark('maxUnavailable'),
};

/** Text with marks as a template, without its last newline. */
function template(text: string): string {
  return text.trimEnd().split('\n').map(templateLine).join('\n');
}

function templateLine(line: string): string {
  let conditions: readonly string[] = [];
  let done = line;
  for (const [name, { expression, ...what }] of Object.entries(MARKS) as readonly [MarkName, Mark][]) {
    const found = mark(name);
    if (!done.includes(found)) continue;
    if (what.isNumber) done = done.replaceAll(`"${found}"`, `{{ ${expression} }}`);
    done = done.replaceAll(found, what.isFlag ? '' : `{{ ${expression} }}`);
    if (what.isOptional || what.isFlag) conditions = [...conditions, expression];
  }
  return conditions.reduce((inner, expression) => `{{- if ${expression} }}\n${inner}\n{{- end }}`, done);
}

const VALUES = `# What each means: cable kube manifests --help.

# Name of the cluster at Cable; it is not changed later.
cluster: ""
# IPv4 address of the node with the store, or a name or IPv4 address that leads to all servers.
serverAddress: ""
# The API server as kubelets reach it.
apiServer:
  host: ""
  port: 6443
# The node that has the embedded store on its disk, by its name ...
storeNode: ""
# ... or an etcd: HOST:PORT,HOST:PORT, and a Secret with ca.crt, tls.crt and tls.key for it.
etcd:
  endpoints: ""
  secret: ""
  replicas: 2
image: ${defaultImage()}
podCidr: ${INSTALL_DEFAULTS.podCidr}
joinCidr: ""
serviceCidr: ${INSTALL_DEFAULTS.serviceCidr}
externalIpCidr: ""
loadBalancerCidr: ""
loadBalancerDefault: false
announceExternalIps: false
openCluster: false
leaveConntrack: false
announceOn: ""
announceCidr: ""
clusterDomain: ${INSTALL_DEFAULTS.clusterDomain}
underlayMtu: ${INSTALL_DEFAULTS.underlayMtu}
overlayIpVersion: ${INSTALL_DEFAULTS.overlayIpVersion}
cniVersion: "${INSTALL_DEFAULTS.cniVersion}"
# Nodes whose agent may be away at once while all are replaced: a number, or a percentage.
maxUnavailable: "${INSTALL_DEFAULTS.maxUnavailable}"
`;
