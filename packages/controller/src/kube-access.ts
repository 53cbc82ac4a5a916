/** How Kubernetes' API is reached, and as whom: a kubeconfig, or what a pod is given. */
import { type ClientTls, ExpectedError, httpTransport, type Logger, sleep } from '@cable/kit';
import { createKubeApi, type KubeApi } from '@cable/kube';
import { KubeConfig } from '@kubernetes/client-node';

export type KubeAccessOptions = {
  /** Undefined: `KUBECONFIG`, that of the home directory, else what a pod is given. */
  readonly kubeconfig: string | undefined;
  /** Undefined: the current one of the file. */
  readonly context: string | undefined;
};

export type KubeAccess = {
  readonly api: KubeApi;
  /** For the log. */
  readonly server: string;
  close(): void;
};

/** Tokens of files and of commands are short-lived. */
const REFRESH_MS = 30_000;

/** Reads the kubeconfig; what it says of the user is found anew now and then until the signal aborts. Throws `ExpectedError`, which says what to do. */
export async function openKubeAccess(
  { kubeconfig, context }: KubeAccessOptions,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<KubeAccess> {
  const config = read(kubeconfig, context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new ExpectedError(
      'no cluster is named by the kubeconfig: give --kubeconfig, and --context if it has several',
    );
  }
  if (cluster.skipTLSVerify) {
    throw new ExpectedError(
      'the kubeconfig has insecure-skip-tls-verify: name the API server’s authority in it instead',
    );
  }
  let user = await shownBy(config);
  const transport = httpTransport(cluster.server, {
    ...(cluster.server.startsWith('https:') ? { tls: () => user.tls } : {}),
  });
  const refresh = async (): Promise<void> => {
    while (!signal.aborted) {
      await sleep(REFRESH_MS, signal);
      if (signal.aborted) return;
      try {
        const next = await shownBy(config);
        // The same value as long as it is the same: connections are kept by it.
        if (JSON.stringify(next) !== JSON.stringify(user)) user = next;
      } catch (err) {
        log.warn({ err }, 'who asks Kubernetes is not found anew: as before');
      }
    }
  };
  void refresh();
  const api = createKubeApi({ transport, token: () => user.token });
  return { api, server: cluster.server, close: () => transport.close() };
}

function read(kubeconfig: string | undefined, context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
    if (context !== undefined) {
      if (config.getContextObject(context) === null)
        throw new ExpectedError(`the kubeconfig has no context ${context}`);
      config.setCurrentContext(context);
    }
    return config;
  } catch (cause) {
    if (cause instanceof ExpectedError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExpectedError(`the kubeconfig is not understood: ${why}`, { cause });
  }
}

type Shown = { readonly tls: ClientTls; readonly token: string | undefined };

/** Nothing is shown without TLS, as to a `kubectl proxy`: whoever is on the way would have it. */
async function shownBy(config: KubeConfig): Promise<Shown> {
  if (config.getCurrentCluster()?.server.startsWith('https:') !== true) return { tls: {}, token: undefined };
  const options: { ca?: unknown; cert?: unknown; key?: unknown; headers: Record<string, string> } = { headers: {} };
  await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  const { ca, cert, key, headers } = options;
  const bearer = /^Bearer (.+)$/.exec(headers['Authorization'] ?? headers['authorization'] ?? '')?.[1];
  return {
    tls: {
      ...(ca === undefined ? {} : { ca: [String(ca)] }),
      ...(cert === undefined || key === undefined ? {} : { own: { cert: String(cert), key: String(key) } }),
    },
    token: bearer,
  };
}
