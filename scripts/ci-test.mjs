// Runs `npm test` and leaves "passed failed" for the closing line of .ci/run.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const report = join(root, 'node_modules', '.sekisho-report.json');
const counts = join(root, 'node_modules', '.sekisho-counts');
for (const file of [report, counts]) rmSync(file, { force: true });

const args = ['test', '--', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const { status } = spawnSync('npm', args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
const { numPassedTests, numFailedTests, numTotalTests } = JSON.parse(readFileSync(report, 'utf8'));
// A run that ended badly without a failed test (a file that could not be loaded, an unhandled error) has failed as well.
const failed = status === 0 ? numFailedTests : Math.max(1, numFailedTests);
writeFileSync(counts, `${numPassedTests} ${failed}`);
process.exit(status === 0 && numTotalTests > 0 ? 0 : 1);
