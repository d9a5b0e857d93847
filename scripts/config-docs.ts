import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationPage, siteJsonSchema } from '../packages/cli/src/config/document.ts';

const docs = join(import.meta.dirname, '../docs');
writeFileSync(join(docs, 'configuration.md'), configurationPage());
writeFileSync(join(docs, 'config.schema.json'), `${JSON.stringify(siteJsonSchema(), null, 2)}\n`);
