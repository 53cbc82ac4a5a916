/** A real machine under QEMU, as Nova plugs one: it is told by its console what to run. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sleep } from '@cable/kit';
import type { PortView } from '@cable/model';

const IMAGE = fileURLToPath(new URL('../../build/guest', import.meta.url));

/** Why there can be none here; undefined: there can. */
export function lackingMachine(): string | undefined {
  return existsSync(`${IMAGE}/initrd.gz`) ? undefined : 'there is no build/guest: npm run setup';
}

/** Of emulation on a busy machine. */
const PATIENCE_MS = 120_000;

export class RealMachine {
  readonly #qemu: ChildProcess;
  #said = '';

  private constructor(qemu: ChildProcess) {
    this.#qemu = qemu;
    qemu.stdout?.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString().replaceAll('\r', '');
    });
  }

  /** On the host of that namespace, begun with the words of `enter`. Resolves when it has its lease. */
  static async start(
    netns: string,
    { id, mac_address: mac }: PortView,
    mtuBytes: number,
    enter: readonly string[] = ['nsenter', `--net=/run/netns/${netns}`],
  ): Promise<RealMachine> {
    const tap = `tap${id.slice(0, 11)}`;
    const command = [
      ...['qemu-system-x86_64', '-machine', 'pc', '-accel', 'tcg', '-cpu', 'max', '-m', '96', '-nodefaults'],
      ...['-no-reboot', '-display', 'none', '-serial', 'stdio'],
      ...['-kernel', `${IMAGE}/vmlinuz`, '-initrd', `${IMAGE}/initrd.gz`, '-append', 'quiet console=ttyS0 panic=-1'],
      ...['-netdev', `tap,id=net0,ifname=${tap},script=no,downscript=no`],
      ...['-device', `virtio-net-pci,netdev=net0,mac=${mac},romfile=`],
    ];
    const [program = '', ...words] = [...enter, ...command];
    const qemu = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const machine = new RealMachine(qemu);
    const up = ['link', 'set', tap, 'mtu', String(mtuBytes), 'up'];
    await machine.#until(() => {
      try {
        execFileSync('ip', ['-n', netns, ...up], { stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    });
    await machine.#until(() => machine.#said.includes('cable-guest ready'));
    return machine;
  }

  /** Runs a line of sh there. What it says, each line break a blank. */
  async run(line: string): Promise<string> {
    const from = this.#said.length;
    this.#qemu.stdin?.write(`${line}\n`);
    const answer = (): string | undefined => /^cable-said (.*)\n/m.exec(this.#said.slice(from))?.[1];
    await this.#until(() => answer() !== undefined);
    return answer()?.trim() ?? '';
  }

  /** What a TCP connection from there says; `refused`: it was, at once; empty: nothing came within three seconds. */
  async ask(address: string, port: number): Promise<string> {
    const said = await this.run(`timeout 3 nc ${address} ${port} < /dev/null`);
    return said.includes('refused') ? 'refused' : said;
  }

  end(): void {
    this.#qemu.kill('SIGKILL');
  }

  async #until(holds: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (this.#qemu.exitCode !== null || performance.now() > deadline)
        throw new Error(
          `the machine under QEMU (${this.#qemu.exitCode ?? 'running'}) said:\n${this.#said.slice(-2000)}`,
        );
      await sleep(100);
    }
  }
}
