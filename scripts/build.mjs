// Bundles the command into dist/: one file with everything in it, to be copied to servers and routers that have Node.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { readStatusPageAssets } from '../packages/manager/src/page/assets.ts';
import { readPageAssets } from '../packages/simulator/src/report/page/assets.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// Another directory for whoever wants a build of his own: it must not be there yet.
const own = process.argv[2];
const dist = own ?? join(root, 'dist');
const outfile = join(dist, 'sekisho.mjs');

if (own === undefined) rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await build({
  entryPoints: [join(root, 'packages/cli/src/main.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  legalComments: 'eof',
  // The bundle has no files beside it to read these from.
  define: {
    SEKISHO_PAGE_ASSETS: JSON.stringify(readPageAssets()),
    SEKISHO_STATUS_PAGE_ASSETS: JSON.stringify(readStatusPageAssets()),
  },
  banner: {
    // Some dependencies are CommonJS and call require().
    js: "#!/usr/bin/env node\nimport { createRequire as sekishoRequire } from 'node:module';\nconst require = sekishoRequire(import.meta.url);",
  },
});
chmodSync(outfile, 0o755);
const { version, license } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8'));
const manifest = { name: 'sekisho', version, license, type: 'module', bin: { sekisho: './sekisho.mjs' }, engines: { node: '>=24' } };
writeFileSync(join(dist, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md']) copyFileSync(join(root, file), join(dist, file));
console.log(`dist/sekisho.mjs: ${Math.round(statSync(outfile).size / 1024)} KiB. Copy dist/ to a machine with Node >= 24.`);
