import { type CableAccess, openCableAccess } from '../cable-access.ts';

/**
 * Makes a cluster on a server that asks nobody who he is, and leads it as its controller does: what it makes then is the cluster's.
 * `server`: `unix:PATH` or a URL. Close it.
 */
export async function leadCluster(server: string, cluster: string): Promise<CableAccess> {
  const access = openCableAccess({ server, cluster, tls: undefined });
  try {
    await access.admin?.create('kubernetes_cluster', { name: cluster });
    await access.claiming.action('kubernetes_cluster', cluster, 'claim', { uid: cluster, holder: 'testing', epoch: 1 });
    access.lead(1);
    return access;
  } catch (err) {
    access.close();
    throw err;
  }
}
