/**
 * EndpointSlices in the version of their API that the API server has: `discovery.k8s.io/v1` from Kubernetes 1.21 on, `v1beta1` before (1.17 to 1.24).
 * Who asks writes `v1`.
 */
import { isNotFound, type KubeApi, KubeError, type KubeKind } from '@cable/kube';
import { ENDPOINT_SLICES } from './service-facts.ts';

/** The best first. */
const VERSIONS = ['v1', 'v1beta1'];

/**
 * The same API, but for EndpointSlices. Each list of theirs asks discovery which version there is, so that an API server may be replaced by a newer one while
 * this process runs: a watch of a version that is no longer served ends as expired (410), and whoever has it lists anew. A list throws `KubeError` with the status
 * 404 where none is served.
 */
export function withSliceVersions(api: KubeApi): KubeApi {
  let served = ENDPOINT_SLICES;
  const inServed = (kind: KubeKind): KubeKind => (isSlices(kind) ? served : kind);
  const choose = async (signal: AbortSignal | undefined): Promise<void> => {
    const there = await api.versions(ENDPOINT_SLICES.group, signal);
    const version = VERSIONS.find((one) => there.includes(one));
    if (version === undefined) throw new KubeError(404, 'NotFound', `no EndpointSlices are served: ${REMEDY}`);
    served = { ...ENDPOINT_SLICES, version };
  };
  return {
    ...api,
    get: (kind, name) => api.get(inServed(kind), name),
    list: async (kind, options) => {
      if (isSlices(kind) && options?.continue === undefined) await choose(options?.signal);
      return await api.list(inServed(kind), options);
    },
    watch: (kind, options) => (isSlices(kind) ? expiring(api.watch(served, options)) : api.watch(kind, options)),
  };
}

const REMEDY = 'Kubernetes has them from 1.17 on; see that --runtime-config of its API server does not switch them off';

function isSlices({ group, plural }: KubeKind): boolean {
  return group === ENDPOINT_SLICES.group && plural === ENDPOINT_SLICES.plural;
}

async function* expiring<T>(events: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* events;
  } catch (err) {
    if (!isNotFound(err)) throw err;
    throw new KubeError(410, 'Expired', 'the API server does not serve this version of EndpointSlices any more');
  }
}
