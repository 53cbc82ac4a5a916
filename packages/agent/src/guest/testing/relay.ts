import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export type RelayOptions = {
  /** Where the guest's broadcasts are heard; the DHCP server address that its unicasts go to, on the guest's link. */
  readonly serverAddress: string;
  readonly serviceAddress: string;
  readonly agentAddress: string;
};

/** `unicasts`: messages so far that a guest sent to the server's address. */
export type Relay = { readonly unicasts: () => number; stop(): void };

/** What the vrouter does with DHCP packets, done with sockets: for tests with real clients and no eBPF. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const toAgent = await bound(68, options.serviceAddress);
  const heard = [await bound(67, '255.255.255.255'), await bound(67, options.serverAddress)];
  const [, toGuest] = heard;
  let unicasts = 0;
  for (const socket of heard) {
    socket.on('message', (bytes) => {
      if (socket === toGuest) unicasts += 1;
      toAgent.send(bytes, 67, options.agentAddress);
    });
  }
  toAgent.on('message', (bytes) => {
    const ciaddr = [...bytes.subarray(12, 16)].join('.');
    toGuest?.send(bytes, 68, ciaddr === '0.0.0.0' ? '255.255.255.255' : ciaddr);
  });
  return {
    unicasts: () => unicasts,
    stop: () => {
      for (const socket of [toAgent, ...heard]) socket.close();
    },
  };
}

async function bound(port: number, address: string): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, address);
  await once(socket, 'listening');
  socket.setBroadcast(true);
  return socket;
}
