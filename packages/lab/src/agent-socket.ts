import { request } from 'node:http';
import { agentPaths, type LabHost } from './names.ts';

/** Asks a host's agent over its Unix socket; returns the parsed JSON answer. Throws on any status but 200. */
export function askAgent(host: Pick<LabHost, 'name' | 'root'>, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: agentPaths(host.name, host.root).socket, path, timeout: 5_000 }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`agent on ${host.name}: ${path}: ${response.statusCode} ${text.slice(0, 300)}`));
      });
    });
    call.on('timeout', () => call.destroy(new Error(`agent on ${host.name}: no answer to ${path}`)));
    call.on('error', reject);
    call.end();
  });
}
