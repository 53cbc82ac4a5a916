/**
 * Lets nodes join the cloud: a pod of the agent shows the token that Kubernetes gave it, and gets one by which the host of its node joins. Who asks is hostile until the API server
 * has said who it is; nothing of what is sent is looked at but the token.
 */
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { ApiError, type Client } from '@cable/api';
import { ExpectedError, type Logger, TransportError } from '@cable/kit';
import { getIfThere, type KubeApi, KubeError, type KubeObject } from '@cable/kube';
import { AdmissionDoor } from './admission-door.ts';
import type { Said } from './admission-reviews.ts';
import { AGENT, JOIN_AUDIENCE, PODS, TOKEN_REVIEWS } from './names.ts';

export type AdmissionOptions = { readonly namespace: string; readonly cluster: string };

export type AdmissionDeps = {
  readonly kube: Pick<KubeApi, 'create' | 'get'>;
  /** As an administrator. */
  readonly cable: Pick<Client, 'get' | 'action'>;
  readonly log: Logger;
};

/** What is answered. `token`: by which `host` joins; else why there is none. */
export type AdmissionAnswer =
  | { readonly status: 200; readonly host: string; readonly token: string }
  | { readonly status: 401 | 403 | 409 | 503; readonly reason: string };

/** Seconds that a token is good for. */
const TTL_SECONDS = 600;
const MAX_TOKEN_CHARS = 8192;
const JOIN_PATH = '/join';

type TokenReview = KubeObject & {
  readonly spec: { readonly token: string; readonly audiences: readonly string[] };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  };
};

type Pod = KubeObject & { readonly spec?: { readonly nodeName?: string } };

/** Answers one who shows a token of a ServiceAccount; never rejects. */
export async function admit(token: string, options: AdmissionOptions, deps: AdmissionDeps): Promise<AdmissionAnswer> {
  try {
    const node = await nodeOf(token, options, deps.kube);
    if (typeof node !== 'string') return node;
    return await tokenFor(node, options, deps);
  } catch (err) {
    const isAway = err instanceof KubeError || err instanceof TransportError || err instanceof ApiError;
    if (!isAway) deps.log.error({ err }, 'a node was not admitted by surprise');
    else deps.log.warn({ err }, 'a node could not be admitted: it asks again');
    return {
      status: 503,
      reason:
        'the API server of Kubernetes, or Cable’s server, does not answer: see the log of the container admission',
    };
  }
}

/** What Kubernetes calls the ServiceAccount of agents. */
export function agentAccount(namespace: string): string {
  return `system:serviceaccount:${namespace}:${AGENT}`;
}

/** Name of the node on which the pod runs that has that token. */
async function nodeOf(
  token: string,
  { namespace }: AdmissionOptions,
  kube: AdmissionDeps['kube'],
): Promise<string | AdmissionAnswer> {
  const { status } = await kube.create<TokenReview>(TOKEN_REVIEWS, {
    ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: { name: '' } },
    spec: { token, audiences: [JOIN_AUDIENCE] },
  });
  // An API server that knows no audiences would take any pod's token for ours.
  if (status?.authenticated !== true || status.audiences?.includes(JOIN_AUDIENCE) !== true) {
    return { status: 401, reason: `the token is none of this cluster, or not for ${JOIN_AUDIENCE}, or is over` };
  }
  const { username, extra = {} } = status.user ?? {};
  const account = agentAccount(namespace);
  if (username !== account) return { status: 403, reason: `the token is of ${String(username)}, not of ${account}` };
  const name = extra['authentication.kubernetes.io/pod-name']?.[0];
  const uid = extra['authentication.kubernetes.io/pod-uid']?.[0];
  if (name === undefined || uid === undefined) return { status: 403, reason: 'the token is bound to no pod' };
  const pod = await getIfThere<Pod>(kube, PODS, { namespace, name });
  if (pod === undefined || pod.metadata.uid !== uid) return { status: 403, reason: `pod ${name} of the token is gone` };
  return pod.spec?.nodeName ?? { status: 403, reason: `pod ${name} is on no node` };
}

/** Makes the cluster at Cable's server, if it is not there: its controller may not. */
export async function ensureCluster(cable: Pick<Client, 'get' | 'create'>, cluster: string): Promise<void> {
  try {
    await cable.get('kubernetes_cluster', cluster);
  } catch (err) {
    if (!(err instanceof ApiError && err.status === 404)) throw err;
    await cable.create('kubernetes_cluster', { name: cluster }).catch((refusal: unknown) => {
      // Another server's admission was first.
      if (!(refusal instanceof ApiError && refusal.status === 409)) throw refusal;
    });
  }
}

async function tokenFor(
  host: string,
  { cluster }: AdmissionOptions,
  { cable, log }: Pick<AdmissionDeps, 'cable' | 'log'>,
): Promise<AdmissionAnswer> {
  const there = await cable.get('host', host).catch((err: unknown) => {
    if (err instanceof ApiError && err.status === 404) return undefined;
    throw err;
  });
  // A Node may have any name: that must not be a way to what is of others.
  if (there !== undefined && there.cluster !== cluster) {
    const whose = there.cluster === null ? 'is of no cluster' : `is of cluster ${String(there.cluster)}`;
    return { status: 403, reason: `there is a host ${host} that ${whose}: give the node another name` };
  }
  try {
    const body = { host, replace: there !== undefined, unless_revoked: true, ttl: TTL_SECONDS };
    const { token } = (await cable.action('join_token', '', 'issue', body)) as { readonly token: string };
    log.info({ host, replaces: there !== undefined }, 'a node may join');
    return { status: 200, host, token };
  } catch (err) {
    if (err instanceof ApiError && err.status === 409)
      return { status: 409, reason: err.detail === '' ? err.message : `${err.message} ${err.detail}` };
    throw err;
  }
}

/** The HTTPS server in front of it: `POST /join` with the token as `Authorization: Bearer`. `setSecureContext` of it takes other certificates. */
export function createAdmissionServer(
  own: { readonly cert: string; readonly key: string },
  answer: (source: string, token: string) => Promise<Said>,
  door: AdmissionDoor = new AdmissionDoor(),
): Server {
  const server = createServer(
    { ...own, minVersion: 'TLSv1.3', maxHeaderSize: 2 * MAX_TOKEN_CHARS, handshakeTimeout: 10_000 },
    (request, response) => {
      const say = (status: number, body: object): void => {
        response.writeHead(status, {
          'content-type': 'application/json',
          connection: 'close',
          ...(status === 503 || status === 429 ? { 'retry-after': '2' } : {}),
        });
        response.end(JSON.stringify(body));
      };
      if (request.method !== 'POST' || request.url !== JOIN_PATH)
        return say(404, { reason: `there is POST ${JOIN_PATH} alone` });
      const token = /^Bearer ([\w.~+/-]+=*)$/.exec(request.headers.authorization ?? '')?.[1];
      if (token === undefined || token.length > MAX_TOKEN_CHARS)
        return say(401, { reason: 'a token of a ServiceAccount is to be shown (Authorization: Bearer)' });
      void answer(request.socket.remoteAddress ?? '', token).then(({ status, ...body }) => say(status, body));
    },
  );
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.on('connection', (socket: Socket) => door.take(socket));
  server.on('tlsClientError', () => undefined);
  return server;
}

/** Listens at `ADDRESS:PORT`. Throws `ExpectedError` when it cannot. */
export async function listenAt(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new ExpectedError(`cannot listen on ${host} port ${port}: see what is there with "ss -lntp"`, { cause }));
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
