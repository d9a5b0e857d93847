import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A file that the page loads, by its path. */
interface StatusPageAsset {
  readonly type: 'text/css' | 'text/javascript' | 'image/svg+xml';
  readonly text: string;
}
export type StatusPageAssets = Readonly<Record<string, StatusPageAsset>>;

/** Set by scripts/build.mjs in the bundle, which has no files beside it. */
declare const SEKISHO_STATUS_PAGE_ASSETS: StatusPageAssets | undefined;

/** The files of the page: from the bundle when this is one, else from the installed packages and this folder. */
export function statusPageAssets(): StatusPageAssets {
  return typeof SEKISHO_STATUS_PAGE_ASSETS === 'undefined' ? readStatusPageAssets() : SEKISHO_STATUS_PAGE_ASSETS;
}

/** Reads the files. */
export function readStatusPageAssets(): StatusPageAssets {
  const require = createRequire(import.meta.url);
  const plotter = dirname(require.resolve('uplot/package.json'));
  const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');
  const own = (file: string): string => read(import.meta.dirname, 'client', file);
  const licence = `/*\n${read(plotter, 'LICENSE')}*/\n`;
  return {
    '/page.css': { type: 'text/css', text: own('page.css') },
    '/uplot.css': { type: 'text/css', text: read(plotter, 'dist/uPlot.min.css') },
    '/theme.js': { type: 'text/javascript', text: own('theme.js') },
    '/page.js': { type: 'text/javascript', text: own('page.js') },
    '/uplot.js': { type: 'text/javascript', text: licence + read(plotter, 'dist/uPlot.iife.min.js') },
    '/favicon.svg': { type: 'image/svg+xml', text: own('favicon.svg') },
  };
}
