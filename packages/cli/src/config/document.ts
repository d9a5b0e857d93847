import { z } from 'zod';
import { agentSchema } from './agent-schema.ts';
import { siteSchema } from './site-schema.ts';

/** The part of a JSON Schema that is written here and read by editors. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly range?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: string | number | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** The JSON Schema by which an editor completes and checks a site.yaml. */
export function siteJsonSchema(): object {
  return z.toJSONSchema(siteSchema, { io: 'input', unrepresentable: 'any' });
}

/** docs/configuration.md: every key of site.yaml and agent.yaml, from the schemas themselves. */
export function configurationPage(): string {
  return [
    '# Configuration',
    '',
    'Made from the schemas by `npm run docs:config`; a test fails when it is out of date.',
    '',
    'An unknown key, a contradiction and a value out of range are errors that name the file, the line and the key;',
    '`sekisho check-config site.yaml` finds them and also compares the caps with the descriptors, the memory and the ports of the machine.',
    'Durations are written `300ms`, `5s`, `10m`, `48h` or `30d`, sizes `256KiB`, `25MB` or `1GiB`. Paths are relative to the file.',
    'A variable of the environment lays itself over a key: `SEKISHO__relay__maxSessions=900` is `relay.maxSessions`.',
    'Secrets are never in site.yaml itself, but in files that it names; a key file that others can read is refused.',
    'Editors check site.yaml against [config.schema.json](config.schema.json).',
    '',
    '## site.yaml',
    '',
    'One file for all servers of a site. A server finds itself in it by its addresses, or by `--server NAME`.',
    '',
    ...tableOf(siteJsonSchema()),
    '',
    '## agent.yaml',
    '',
    'Written by `sekisho device enroll`, one for each device.',
    '',
    ...tableOf(z.toJSONSchema(agentSchema, { io: 'input', unrepresentable: 'any' }) as Schema),
    '',
  ].join('\n');
}

function tableOf(schema: Schema): string[] {
  return ['| key | allowed | default | what it is, and why |', '|---|---|---|---|', ...rowsOf(schema, '')];
}

function rowsOf(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const key = `${prefix}${name}`;
    if (property.properties !== undefined) return rowsOf(property, `${key}.`);
    const required = schema.required?.includes(name) === true;
    const standard = property.default === undefined ? (required ? 'required' : 'not set') : `\`${JSON.stringify(property.default).replaceAll('"', '')}\``;
    const own = `| \`${key}\` | ${allowed(property)} | ${standard} | ${property.description ?? ''} |`;
    return property.items?.properties === undefined ? [own] : [own, ...rowsOf(property.items, `${key}[].`)];
  });
}

function allowed(schema: Schema): string {
  if (schema.range !== undefined) return schema.range;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => allowed(one)).join(' or ');
  if (schema.type === 'array') return `list of ${schema.items === undefined ? 'values' : allowed(schema.items)}`;
  if (schema.minimum !== undefined && schema.maximum !== undefined) return `${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'string') return 'text';
  return schema.type === 'object' ? 'mapping' : (schema.type ?? 'any');
}
