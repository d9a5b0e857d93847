import { type Namespace, Network } from '../kit/netns.ts';
import { PREFIX_6 } from './addresses.ts';

export interface LineInit {
  /** Of the cable's end at the internet: names the line. At most 15 characters. */
  readonly name: string;
  readonly gateway: string;
  /** Of the customer's end. */
  readonly addresses: readonly string[];
  readonly prefix: number;
  readonly v6?: { readonly gateway: string; readonly address: string };
  /** In both directions; default: as fast as it goes. */
  readonly bitsPerSecond?: number;
}

/** The device of a line at the customer's end. */
export const WAN = 'wan';

/** A customer's line to the internet, and what may be wrong with it. */
export class Line {
  readonly name: string;
  /** At the customer's end. */
  readonly namespace: Namespace;
  readonly #internet: Internet;
  readonly #bitsPerSecond: number | undefined;

  constructor(components: { internet: Internet; namespace: Namespace }, init: LineInit) {
    this.#internet = components.internet;
    this.namespace = components.namespace;
    this.name = init.name;
    this.#bitsPerSecond = init.bitsPerSecond;
  }

  /** Nothing goes through any more, in neither direction, and nobody is told. */
  cut(): Promise<void> {
    return this.#internet.setFault(this.name, 'drop');
  }

  /** Of all packets, in both directions, so many in a hundred are lost. */
  lose(percent: number): Promise<void> {
    return this.#internet.setFault(this.name, `numgen random mod 1000 < ${Math.round(percent * 10)} drop`);
  }

  /** Part of its rate is left, in both directions. */
  async slow(part: number): Promise<void> {
    if (this.#bitsPerSecond === undefined) throw new Error(`the line ${this.name} has no rate to take a part of`);
    await this.#shape(part * this.#bitsPerSecond);
  }

  /** As it was made. */
  async restore(): Promise<void> {
    await this.#internet.setFault(this.name, undefined);
    if (this.#bitsPerSecond !== undefined) await this.#shape(this.#bitsPerSecond);
  }

  async #shape(bitsPerSecond: number): Promise<void> {
    await Promise.all([this.#internet.namespace.limitRate(this.name, bitsPerSecond), this.namespace.limitRate(WAN, bitsPerSecond)]);
  }
}

/** One router that everybody has a line to; it loses what it is told to lose. */
export class Internet {
  readonly namespace: Namespace;
  readonly network: Network;
  readonly #faults = new Map<string, string>();
  #applied: Promise<void> = Promise.resolve();

  private constructor(network: Network, namespace: Namespace) {
    this.network = network;
    this.namespace = namespace;
  }

  static async create(label: string): Promise<Internet> {
    const network = await Network.create(label);
    const namespace = await network.namespace('internet');
    await namespace.becomeRouter();
    await namespace.nft('table inet lab { chain lines { type filter hook forward priority 0; policy accept; }; }');
    return new Internet(network, namespace);
  }

  /** A namespace with a line to the internet, through which it reaches everybody. */
  async line(init: LineInit): Promise<Line> {
    const namespace = await this.network.namespace(init.name);
    const { v6 } = init;
    const own = init.addresses.map((address) => `${address}/${init.prefix}`);
    await this.network.connect(
      {
        namespace: this.namespace,
        device: init.name,
        addresses: [`${init.gateway}/${init.prefix}`, ...(v6 === undefined ? [] : [`${v6.gateway}/${PREFIX_6}`])],
      },
      { namespace, device: WAN, addresses: [...own, ...(v6 === undefined ? [] : [`${v6.address}/${PREFIX_6}`])] },
    );
    await namespace.addRoute('default', init.gateway);
    if (v6 !== undefined) await namespace.addRoute('default', v6.gateway);
    const line = new Line({ internet: this, namespace }, init);
    if (init.bitsPerSecond !== undefined) await line.restore();
    return line;
  }

  /** For `Line`. @param rule of nft(8), what is done with the packets of this line; undefined: they are forwarded */
  setFault(line: string, rule: string | undefined): Promise<void> {
    if (this.#faults.get(line) === rule) return this.#applied;
    if (rule === undefined) this.#faults.delete(line);
    else this.#faults.set(line, rule);
    // One after the other, lest an older state is what remains.
    this.#applied = this.#applied.then(() => this.#apply());
    return this.#applied;
  }

  async #apply(): Promise<void> {
    const rules = [...this.#faults].flatMap(([name, what]) =>
      ['iifname', 'oifname'].map((side) => `add rule inet lab lines ${side} "${name}" ${what}`),
    );
    // In one transaction: no packet passes between two states.
    await this.namespace.nft(['flush chain inet lab lines', ...rules, ''].join('\n'));
  }

  stop(): Promise<void> {
    return this.network.stop();
  }
}
