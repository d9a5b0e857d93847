import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What every page has in it: uPlot, and our own script and style. */
export interface PageAssets {
  readonly plotterScript: string;
  readonly plotterStyle: string;
  readonly plotterLicence: string;
  readonly script: string;
  readonly style: string;
}

/** Set by scripts/build.mjs in the bundle, which has no files beside it. */
declare const SEKISHO_PAGE_ASSETS: PageAssets | undefined;

/** The parts of a page: from the bundle when this is one, else from the installed packages and this folder. */
export function pageAssets(): PageAssets {
  return typeof SEKISHO_PAGE_ASSETS === 'undefined' ? readPageAssets() : SEKISHO_PAGE_ASSETS;
}

/** Reads the parts from their files. */
export function readPageAssets(): PageAssets {
  const require = createRequire(import.meta.url);
  const plotter = dirname(require.resolve('uplot/package.json'));
  const read = (...path: string[]) => readFileSync(join(...path), 'utf8');
  return {
    plotterScript: read(plotter, 'dist/uPlot.iife.min.js'),
    plotterStyle: read(plotter, 'dist/uPlot.min.css'),
    plotterLicence: read(plotter, 'LICENSE'),
    script: read(import.meta.dirname, 'client.js'),
    style: read(import.meta.dirname, 'page.css'),
  };
}
