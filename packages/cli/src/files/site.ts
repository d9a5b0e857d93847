import { mkdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { About } from '@sekisho/channel';
import { openStore, type Store, type StoreComponents } from '@sekisho/store';
import manifest from '../../package.json' with { type: 'json' };
import { configDigest, stackDigest } from '../config/digest.ts';
import { loadConfig } from '../config/load.ts';
import { type SiteConfig, siteSchema } from '../config/site-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { readStoreAccess, type StoreAccess } from './store-access.ts';

export type Server = SiteConfig['servers'][number];
export type Role = Server['roles'][number];

export const ROLES: readonly Role[] = ['auth', 'relay', 'manager', 'outbreak'];

/** A site.yaml, read and checked, with its paths resolved. */
export class Site {
  readonly file: string;
  readonly config: SiteConfig;

  constructor(file: string, config: SiteConfig) {
    this.file = file;
    this.config = config;
  }

  /** What its servers say of themselves. */
  get about(): About {
    return { version: manifest.version, config: configDigest(this.config), stack: stackDigest(this.config) };
  }

  get keysDirectory(): string {
    return this.#path(this.config.keys);
  }

  get stateDirectory(): string {
    return this.#path(this.config.stateDir);
  }

  get revocationFile(): string | undefined {
    const { file } = this.config.auth.revocations;
    return file === undefined ? undefined : this.#path(file);
  }

  /** Where messages wait that a relay inspects. */
  get spoolDirectory(): string {
    return this.#path(this.config.relay.inspect?.spoolDir ?? join(this.config.stateDir, 'spool'));
  }

  /** Where virus notices are kept that cannot be read, unless site.yaml names another place. */
  get keptNoticesDirectory(): string {
    return join(this.stateDirectory, 'notices');
  }

  /** A path that stands in the file, and is relative to it. */
  pathOf(path: string): string {
    return this.#path(path);
  }

  /** The socket for administration of a server's manager. */
  adminSocket(server: Server): string {
    return join(this.stateDirectory, `manager-${server.name}.sock`);
  }

  /** Where a server's auth keeps the revocation list that it last knew. */
  rememberedRevocations(server: Server): string {
    return join(this.stateDirectory, `revocations-${server.name}.crl.pem`);
  }

  /** The servers with a role, in the order of the file. */
  withRole(role: Role): Server[] {
    return this.config.servers.filter(({ roles }) => roles.includes(role));
  }

  /** The servers of the file that are this machine: by name if one is given, else by address. Throws CommandError, with what to do when none is. */
  here(name: string | undefined, otherwise = 'Say which one this is: --server NAME'): Server[] {
    const { servers } = this.config;
    const own = name === undefined ? servers.filter(({ address }) => isLocal(address)) : servers.filter((one) => one.name === name);
    if (own.length > 0) return own;
    const known = servers.map((one) => `${one.name} (${one.address})`).join(', ');
    throw new CommandError(
      name === undefined
        ? `No server of ${this.file} has an address of this machine; it has ${known}. ${otherwise}`
        : `${this.file} has no server ${name}; it has ${known}. Say one of these: --server NAME`,
      EXIT.usage,
    );
  }

  /** What the site shows to its store. Throws CommandError naming a file that cannot be used. */
  readStoreAccess(): StoreAccess {
    const { passwordFile, caFile, certFile, keyFile } = this.config.store;
    const at = (file: string | undefined): string | undefined => (file === undefined ? undefined : this.#path(file));
    return readStoreAccess({ passwordFile: at(passwordFile), caFile: at(caFile), certFile: at(certFile), keyFile: at(keyFile) });
  }

  /** Where the embedded store is, if the site has one. */
  get sqliteFile(): string | undefined {
    const path = /^sqlite:(.*)$/u.exec(this.config.store.url)?.[1];
    return path === undefined ? undefined : this.#path(path);
  }

  /** Opens the store that the site's servers share. */
  openStore(components: StoreComponents = {}): Promise<Store> {
    const { url } = this.config.store;
    const path = this.sqliteFile;
    const access = this.readStoreAccess();
    mkdirSync(this.stateDirectory, { recursive: true, mode: 0o700 });
    return openStore(components, {
      url: path === undefined ? url : `sqlite:${path}`,
      site: this.config.site,
      ...access,
    });
  }

  #path(path: string): string {
    return isAbsolute(path) ? path : resolve(dirname(this.file), path);
  }
}

/** Reads a site.yaml with the environment laid over it. Throws ConfigError. */
export function loadSite(file: string): Site {
  return new Site(resolve(file), loadConfig(file, siteSchema, process.env));
}

/** A server as if it had this role only, or as it is: for a container that has the files of one role. */
export function withOnly(server: Server, role: Role | undefined): Server {
  return role === undefined ? server : { ...server, roles: server.roles.filter((one) => one === role) };
}

function isLocal(address: string): boolean {
  if (address.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((own) => own.address === address));
}
