import { existsSync } from 'node:fs';
import { Operator, REVOCATION_REASONS, type RevocationReason } from '@sekisho/auth';
import type { DeviceRecord } from '@sekisho/store';
import { printable } from '@sekisho/telemetry';
import { parseMac, parseRights, RIGHTS } from '@sekisho/wire';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CommandError } from '../exit-codes.ts';
import { agentYaml, renewedAgentYaml } from '../files/agent-yaml.ts';
import { IssuedLog } from '../files/issued-log.ts';
import { allDevices, type RegistryOptions, withRegistry } from '../files/registry.ts';
import { requireAbsent, requireWritable, writeSecretFile } from '../files/secret-file.ts';
import { type Cell, result, resultJson, say, table } from '../output.ts';
import { days } from './days.ts';

interface EnrollOptions {
  readonly operator: string;
  readonly label: string;
  readonly contact: string;
  readonly rights: readonly string[];
  readonly days: number;
  readonly macOnly: boolean;
  readonly out: string;
}

interface RegisterOptions {
  readonly config: string;
  readonly label?: string;
  readonly contact?: string;
  readonly notes?: string;
  readonly rights?: readonly string[];
  readonly macOnly?: boolean;
}

type ListOptions = RegistryOptions & { readonly json: boolean };

const MAX_LABEL_CHARS = 200;
const ALL_RIGHTS = Object.keys(RIGHTS);

/** `sekisho device …`: what is carried to routers, and what is known of them. */
export function addDeviceCommands(program: Command): void {
  const device = program.command('device').description('the devices: enrolling, listing, locking out');
  addEnroll(device);
  addRenew(device);
  addRevoke(device);
  addRegister(device);
  addList(device);
  addShow(device);
  addState(device, 'disable', 'turn a device away at one site, at once; to lock it out everywhere, revoke it');
  addState(device, 'enable', 'let a disabled device in again');
}

function addEnroll(device: Command): void {
  device
    .command('enroll')
    .argument('<mac>', 'the MAC address of the device', mac)
    .requiredOption('--operator <directory>', "the operator's directory")
    .requiredOption('--out <file>', 'where to write the agent.yaml')
    .option('--label <text>', 'what the device is, for people', label, '')
    .option('--contact <text>', 'whom to tell when something is wrong with it', label, '')
    .option('--rights <list>', 'what it may use, with commas between', rights, ALL_RIGHTS)
    .option('--days <n>', 'how long its certificate is valid', days, 825)
    .option('--mac-only', 'without a certificate of the operator; only sites with auth.proof: mac-only take it', false)
    .description('make the key and the certificate of a device, offline')
    .addHelpText('after', '\nExample:\n  sekisho device enroll 02:00:5e:10:00:01 --operator ./operator --label "Front office" --out agent.yaml')
    .action(enroll);
}

async function enroll(address: string, options: EnrollOptions): Promise<void> {
  const operator = await Operator.open(options.operator);
  const proof = options.macOnly ? 'mac-only' : 'certificate';
  requireAbsent(options.out);
  requireWritable(options.out);
  await withRegistry({ operator: options.operator }, async (store) => {
    if ((await store.getDevice(address)) !== null)
      throw new CommandError(`${address} is enrolled already. A new key for it: sekisho device renew ${address} --operator ${options.operator} --out …`);
    const issued = await operator.enrollDevice({ mac: address, rights: options.rights, days: options.days, proof });
    // In this order: what was issued can be revoked, and a device is enrolled only once its file is there.
    noteIssued(options.operator, address, issued);
    const { caCertPem, settings } = operator;
    writeSecretFile(options.out, agentYaml({ mac: address, label: options.label, managerName: settings.managerName, caCertPem, ...issued }));
    await store.putDevice({
      ...newRecord(address),
      label: options.label,
      contact: options.contact,
      proof,
      serial: issued.serial,
      rights: options.rights,
      expiresAt: issued.expiresAt.getTime(),
    });
    result(options.out);
    say(`${address} is enrolled until ${day(issued.expiresAt)}. ${options.out} holds its key: carry it to the router, and keep no copy.`);
    if (options.macOnly) say('It proves nothing: a site admits it only with auth.proof: mac-only and after `sekisho device register`.');
  });
}

function addRenew(device: Command): void {
  device
    .command('renew')
    .argument('<mac>', 'the MAC address of the device', mac)
    .requiredOption('--operator <directory>', "the operator's directory")
    .requiredOption('--out <file>', 'an agent.yaml: renewed in place if it exists, else written')
    .option('--days <n>', 'how long the new certificate is valid', days, 825)
    .description('make a new key and certificate; the old ones hold until they expire or are revoked')
    .action(async (address: string, options: { operator: string; out: string; days: number }) => {
      const operator = await Operator.open(options.operator);
      await withRegistry(options, async (store) => {
        const record = known(await store.getDevice(address), address);
        if (record.revokedAt !== null)
          throw new CommandError(`${address} was revoked on ${day(new Date(record.revokedAt))} and is not renewed. A device that took its place is enrolled under its own MAC address.`);
        requireWritable(options.out);
        const { proof, label: name } = record;
        const issued = await operator.enrollDevice({ mac: address, rights: record.rights, days: options.days, proof });
        noteIssued(options.operator, address, issued);
        const { caCertPem, settings } = operator;
        const text = existsSync(options.out)
          ? renewedAgentYaml(options.out, { mac: address, ...issued })
          : agentYaml({ mac: address, label: name, managerName: settings.managerName, caCertPem, ...issued });
        writeSecretFile(options.out, text, { replace: true });
        await store.putDevice({ ...record, serial: issued.serial, expiresAt: issued.expiresAt.getTime(), updatedAt: Date.now() });
        result(options.out);
        say(`${address} is renewed until ${day(issued.expiresAt)}. Carry ${options.out} to the router and restart its agent.`);
      });
    });
}

function addRevoke(device: Command): void {
  device
    .command('revoke')
    .argument('<mac>', 'the MAC address of the device', mac)
    .requiredOption('--operator <directory>', "the operator's directory")
    .addOption(
      new Option('--reason <reason>', 'why').choices(REVOCATION_REASONS).default('unspecified'),
    )
    .description('lock a device out at every site, for good')
    .action(async (address: string, options: { operator: string; reason: RevocationReason }) => {
      const operator = await Operator.open(options.operator);
      await withRegistry(options, async (store) => {
        const record = known(await store.getDevice(address), address);
        const serials = new IssuedLog(options.operator).validSerials(address, Date.now());
        const { list } = await operator.revoke({ serials, reason: options.reason });
        await store.putDevice({ ...record, revokedAt: Date.now(), updatedAt: Date.now() });
        result(`${options.operator}/revocations.crl.pem`);
        say(`${address}: ${serials.length} certificate(s) revoked, in list number ${list.number}.`);
        if (record.proof === 'mac-only')
          say('It was enrolled with --mac-only, and a MAC can be claimed without a certificate: disable it at each site, too.');
        say('Bring revocations.crl.pem to the sites (auth.revocations.file), or publish it where auth.revocations.urls point.');
      });
    });
}

function addRegister(device: Command): void {
  device
    .command('register')
    .argument('<mac>', 'the MAC address of the device', mac)
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--label <text>', 'what the device is, for people', label)
    .option('--contact <text>', 'whom to tell when something is wrong with it', label)
    .option('--notes <text>', 'anything else')
    .option('--mac-only', 'admit it by its MAC alone, if the site has auth.proof: mac-only')
    .option('--no-mac-only', 'ask it for its certificate again')
    .option('--rights <list>', 'with --mac-only: what it may use, with commas between; by default everything', rights)
    .description("note names and contacts in a site's registry; a certificate needs no registration")
    .addHelpText('after', '\nWhat is not given stays as it is.')
    .action(async (address: string, options: RegisterOptions) => {
      await withRegistry({ config: options.config }, async (store) => {
        const before = (await store.getDevice(address)) ?? newRecord(address);
        const { config: _, macOnly, ...given } = options;
        const proof = macOnly === undefined ? before.proof : macOnly ? 'mac-only' : 'certificate';
        // Without a certificate of the operator's its rights are what stands here; none at all would admit it to nothing.
        const own = proof === 'mac-only' && before.rights.length === 0 ? ALL_RIGHTS : before.rights;
        await store.putDevice({ ...before, rights: own, ...given, proof, updatedAt: Date.now() });
        result(address);
        say(`${address} is registered at this site. Look at it: sekisho device show ${address} --config ${options.config}`);
      });
    });
}

function addList(device: Command): void {
  withWhere(device.command('list').description('the devices, one a line')).action(async (options: ListOptions) => {
    await withRegistry(options, async (store) => {
      const { devices, corrupt } = await allDevices(store);
      if (options.json) resultJson(devices);
      else if (devices.length > 0) result(table(['MAC', 'LABEL', 'STATE', 'EXPIRES', 'LAST SEEN', 'FROM'], devices.map(row)));
      else if (corrupt.length === 0) say('No devices are registered here. One with a valid certificate is admitted all the same.');
      if (corrupt.length > 0)
        throw new CommandError(`The list is not complete: ${corrupt.length} record(s) in the store cannot be read, of ${printable(corrupt.join(', '))}. Mend or delete them there.`);
    });
  });
}

function row(record: DeviceRecord): Cell[] {
  const state = stateOf(record);
  return [
    record.mac,
    record.label,
    state === 'enabled' ? state : { text: state, colour: 'red' },
    record.expiresAt === null ? '-' : day(new Date(record.expiresAt)),
    record.lastSeenAt === null ? '-' : new Date(record.lastSeenAt).toISOString().slice(0, 16).replace('T', ' '),
    record.lastSeenFrom ?? '-',
  ];
}

function stateOf(record: DeviceRecord): string {
  if (record.revokedAt !== null) return 'revoked';
  if (record.expiresAt !== null && record.expiresAt < Date.now()) return 'expired';
  return record.state;
}

function addShow(device: Command): void {
  withWhere(device.command('show').argument('<mac>', 'the MAC address of the device', mac).description('everything about one device')).action(
    async (address: string, options: ListOptions) => {
      await withRegistry(options, async (store) => {
        const record = known(await store.getDevice(address), address);
        if (options.json) return resultJson(record);
        const time = (ms: number | null): string => (ms === null ? '-' : new Date(ms).toISOString());
        const { expiresAt, revokedAt, updatedAt, lastSeenAt, rights, ...texts } = record;
        const times = { expiresAt, revokedAt, updatedAt, lastSeenAt };
        const shown = {
          ...texts,
          state: stateOf(record),
          rights: rights.join(', '),
          ...Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, time(ms)])),
        };
        result(table(['KEY', 'VALUE'], Object.entries(shown).map(([name, value]) => [name, value ?? '-'])));
        return undefined;
      });
    },
  );
}

function addState(device: Command, command: 'enable' | 'disable', description: string): void {
  device
    .command(command)
    .argument('<mac>', 'the MAC address of the device', mac)
    .requiredOption('--config <file>', 'the site.yaml')
    .description(description)
    .action(async (address: string, options: { config: string }) => {
      await withRegistry({ config: options.config }, async (store) => {
        const before = (await store.getDevice(address)) ?? newRecord(address);
        await store.putDevice({ ...before, state: `${command}d`, updatedAt: Date.now() });
        result(address);
        say(`${address} is ${command}d at this site; its servers act on it within seconds.`);
      });
    });
}

function withWhere(command: Command): Command {
  return command
    .option('--operator <directory>', "the operator's directory: everything that was issued")
    .option('--config <file>', 'the site.yaml: the registry of one site')
    .option('--json', 'for programs', false);
}

function newRecord(address: string): DeviceRecord {
  return {
    mac: address,
    label: '',
    contact: '',
    notes: '',
    state: 'enabled',
    proof: 'certificate',
    serial: null,
    rights: [],
    expiresAt: null,
    revokedAt: null,
    updatedAt: Date.now(),
    lastSeenAt: null,
    lastSeenFrom: null,
  };
}

function noteIssued(directory: string, address: string, issued: { serial: string; expiresAt: Date }): void {
  new IssuedLog(directory).append({
    mac: address,
    serial: issued.serial,
    issuedAt: new Date().toISOString(),
    expiresAt: issued.expiresAt.toISOString(),
  });
}

function known(record: DeviceRecord | null, address: string): DeviceRecord {
  if (record === null) throw new CommandError(`${address} is not registered here. Which ones are: sekisho device list, with the same --operator or --config.`);
  return record;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function mac(text: string): string {
  try {
    return parseMac(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function rights(text: string): string[] {
  try {
    return parseRights(text.split(','));
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

/** As long as agent.yaml and the registries take it. */
function label(text: string): string {
  if (text.length > MAX_LABEL_CHARS) throw new InvalidArgumentError(`At most ${MAX_LABEL_CHARS} characters are allowed here.`);
  return text;
}
