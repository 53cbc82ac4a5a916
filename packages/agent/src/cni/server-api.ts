import { ApiError, type Client } from '@cable/api';
import { CNI_CODE, CniError } from './errors.ts';

/** What CNI asks of the server, in Neutron's words. */
export type CniApi = {
  networks(query: ApiQuery): Promise<readonly NetworkFacts[]>;
  subnets(query: ApiQuery): Promise<readonly SubnetFacts[]>;
  securityGroups(query: ApiQuery): Promise<readonly GroupFacts[]>;
  ports(query: ApiQuery): Promise<readonly PortFacts[]>;
  createPort(body: PortRequest): Promise<PortFacts>;
  /** Absent: fine. */
  deletePort(id: string): Promise<void>;
};

export type ApiQuery = Readonly<Record<string, string>>;

export type NetworkFacts = {
  readonly id: string;
  readonly project_id: string;
  readonly mtu: number;
};

export type GroupFacts = { readonly id: string; readonly project_id: string };

export type SubnetFacts = {
  readonly id: string;
  readonly cidr: string;
  readonly gateway_ip: string | null;
  readonly dns_nameservers: readonly string[];
  readonly host_routes: readonly { readonly destination: string; readonly nexthop: string }[];
};

export type PortFacts = {
  readonly id: string;
  readonly network_id: string;
  readonly mac_address: string;
  readonly device_id: string;
  readonly fixed_ips: readonly { readonly subnet_id: string; readonly ip_address: string }[];
  /** Whether the pod's default routes are by it; null or absent: nobody says so. */
  readonly 'cable:default_route'?: boolean | null;
};

export type PortRequest = {
  readonly name: string;
  readonly description: string;
  readonly project_id: string;
  readonly network_id: string;
  readonly device_id: string;
  readonly device_owner: string;
  readonly 'binding:host_id': string;
  readonly mac_address?: string;
  readonly fixed_ips?: readonly { readonly subnet_id?: string; readonly ip_address?: string }[];
  readonly security_groups?: readonly string[];
};

/** The API over the agent's client. */
export function createCniApi(client: Pick<Client, 'list' | 'create' | 'delete'>): CniApi {
  return {
    networks: (query) => client.list('network', query),
    subnets: (query) => client.list('subnet', query),
    securityGroups: (query) => client.list('security_group', query),
    ports: (query) => client.list('port', query),
    createPort: (body) => client.create('port', body),
    deletePort: async (id) => {
      try {
        await client.delete('port', id);
      } catch (err) {
        if (!(err instanceof ApiError && err.status === 404)) throw err;
      }
    },
  };
}

/** Waits for an answer; what is thrown becomes a CniError: the server's refusal, or that it cannot be reached now. */
export async function asking<T>(doing: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (err) {
    throw serverFailure(err, doing);
  }
}

/** An answer below 500 is a refusal: another try changes nothing. */
function serverFailure(err: unknown, doing: string): CniError {
  if (err instanceof CniError) return err;
  const message = err instanceof Error ? err.message : String(err);
  if (err instanceof ApiError && err.status >= 400 && err.status < 500) {
    const text = `${doing}: the Cable server refused: ${message}`;
    return new CniError(CNI_CODE.serverRefused, text, 'change what the server names, then try again', err);
  }
  const text = `${doing}: the Cable server does not answer: ${message}`;
  return new CniError(CNI_CODE.tryAgainLater, text, 'see that the server runs and this host reaches it', err);
}
